// Package pgserver gives tests worlds of real PostgreSQL servers on this machine, to be started, stopped, killed and copied at will.
//
// A world belongs to one test and one major; its servers are reached through a Unix socket, need no free port, have fsync off and end
// with the test process, however that ends. initdb runs once for each major and package; every server begins with a copy of its
// result. No client program is needed.
package pgserver
