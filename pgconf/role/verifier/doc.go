// Package verifier prepares what PostgreSQL stores about a role's password, on the client, so that the password itself never
// reaches a statement, a server log, pg_stat_activity or a process list:
//
//	stored, err := verifier.SCRAM(password)
//	if err != nil {
//		return err
//	}
//	_, err = conn.Exec(ctx, "ALTER ROLE app PASSWORD '"+stored+"'")
//
// psql's \password and libpq's PQchangePassword do the same. The server takes a verifier for what it is and stores it
// unchanged, so this works whatever its password_encryption says. [SCRAM] is for 10 and later, and clients that know SCRAM
// (libpq 10); [MD5] is for servers before 10. [Matches] tells whether a stored verifier is that of a password.
//
// # Which passwords
//
// One to 1024 bytes without NUL; servers and libpq refuse longer ones up to 13. They are prepared as the server and libpq
// do (pg_saslprep in src/common/saslprep.c): SASLprep of Unicode 3.2 for text in UTF-8 with other than ASCII characters, so
// that "é" is the same whether typed as one character or as two, and a full-width "A" is an "A". A password that SASLprep
// would refuse, or that is not UTF-8, is taken byte by byte, as there. More than thirty combining marks in a row are refused:
// the Go library for Unicode breaks up such text. The error for what is refused matches [ErrPassword].
//
// Not all clients do the same. pgx 5.12 neither turns compatibility characters (full-width letters, ligatures, "²") into plain
// ones nor leaves out what should be (soft hyphens, joiners), and changes bytes that are no UTF-8: it cannot log in with such a
// password, whoever made the verifier. With other letters, "Schlüssel" say, it can.
//
// # What it does not do
//
// It sends nothing; package role does. It cannot tell whether a password is a good one. A verifier is no password, but who
// has it can try passwords against it at leisure, and pose as the server to the client (of md5, log in with it): statements
// with it may be logged, so treat it as a secret too.
package verifier
