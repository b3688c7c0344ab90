// Package role prepares what PostgreSQL stores about a role's password, on the client, so that the password itself never
// reaches a statement, a server log, pg_stat_activity or a process list:
//
//	verifier, err := role.NewVerifier(password)
//	if err != nil {
//		return err
//	}
//	_, err = conn.Exec(ctx, "CREATE ROLE replicator LOGIN REPLICATION PASSWORD '"+verifier+"'")
//
// psql's \password and libpq's PQchangePassword do the same. The server takes the verifier for what it is and stores it
// unchanged, so this works whatever its password_encryption says, on 10 and later; a client needs SCRAM support to log in
// (libpq 10).
//
// # What it does not do
//
// It makes no md5 hashes and sends nothing. It cannot tell whether a password is a good one. A verifier is no password, but
// who has it can try passwords against it at leisure, and pose as the server to the client: statements with it may be
// logged, so treat it as a secret too.
//
// It knows passwords of printable ASCII only; others are refused with [ErrPassword], never stored wrongly.
package role
