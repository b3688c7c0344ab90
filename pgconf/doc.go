// Package pgconf reads and edits postgresql.conf, postgresql.auto.conf and files they include, without disturbing
// them. (recovery.conf of 9.1 to 11 has the same grammar.)
//
//	f, err := pgconf.Parse("postgresql.conf", content)
//	if err != nil {
//		return err // every syntax error, with line and column
//	}
//	if err := f.Set("wal_level", "replica"); err != nil {
//		return err
//	}
//	content = f.Bytes()
//
// What counts as valid is the server's decision: the lexer and grammar are those of
// src/backend/utils/misc/guc-file.l, which has not changed its mind about a line since 9.0. The rules are also in the
// manual, section "Setting Parameters: Parameter Interaction via the Configuration File". Two inputs that the server
// reads in a harmful way are errors here: a UTF-8 byte order mark at the start (the server takes it as part of the
// first parameter's name) and a NUL byte inside a quoted value (the server silently cuts the value).
//
// # Promises
//
//   - Bytes that no edit touched come back unchanged: comments, blank lines, quoting style, CRLF and a missing final
//     newline included, and also lines that are not valid.
//   - An edit changes its own line only. The same edit twice changes nothing the second time.
//   - Order has the server's meaning: the last setting of a name wins.
//   - What Set writes, the server reads back as the value that was given.
//   - Errors never repeat the text of a value, since a value may hold a password.
//
// # What it does not do
//
//   - It does not know the parameters: a name or value can be well formed and still be refused by a server.
//   - It does not follow include, include_if_exists and include_dir. These lines are kept and are listed among the
//     settings ([Setting.IsInclude]); the content they stand for is not seen, so a later include may overrule a value
//     that Get reports or Set writes.
//   - It does not read or write disks, and does not know about postgresql.auto.conf or command line options, which
//     overrule postgresql.conf.
//   - A File is not safe for concurrent use.
package pgconf
