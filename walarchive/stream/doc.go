// Package stream receives WAL.
package stream
