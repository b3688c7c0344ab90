// Package role makes sure that the role exists through which standbys replicate:
//
//	result, err := role.EnsureReplicationRole(ctx, conn, role.Spec{Name: "replicator", Password: password})
//
// The server's catalog is the source of truth: what is there already is left alone, what differs is altered, what is missing
// is created, in one transaction. A second call finds nothing to do. The role can log in and replicate and is never a
// superuser: one that is, is refused with [ErrSuperuser].
//
// # The password
//
// It never leaves this process. What is sent is a verifier (see package [pgconf/role/verifier], which is also how a password is
// set for any other role), so the password is in no statement, server log, pg_stat_activity or error; nor does [Spec] print
// it. The verifier is, and is worth protecting too: with log_statement it gets into the log.
//
// Whether the password is the stored one is seen from its verifier, which only superusers may read (pg_authid). For others a
// password is set anew in every call, and a warning says so.
//
// # Who may call it
//
// A superuser; from 16 on also a role with CREATEROLE and REPLICATION, for roles that it has ADMIN OPTION on, as on those it
// created. Up to 15 only superusers may touch a role that replicates. The server's refusal comes back as it is (SQLSTATE 42501).
//
// # How it fails
//
// Before the commit, nothing has changed. The commit itself waits for a synchronous standby if the server is configured so, for
// ever if there is none, and statement_timeout does not end that: so ctx needs a deadline. When ctx ends then, the error
// matches [ErrUnconfirmed] and says what the server was waiting for; the role is there, or the next call makes it. To make the role
// that the first synchronous standby needs, either configure synchronous replication afterwards or send the server "SET
// synchronous_commit = local" first.
//
// Of two callers at once one may find what the other has just made; it looks again.
//
// Servers from 9.1 on, which have the attribute REPLICATION; tested from 10 on. pgx prints what it sends if it is given a
// tracer.
//
// [pgconf/role/verifier]: https://pkg.go.dev/github.com/understudy-ha/understudy/pgconf/role/verifier
package role
