// Package guc is the catalogue of PostgreSQL's parameters, for every major from 9.0 to 18.
package guc

//go:generate go run ./internal/gen
