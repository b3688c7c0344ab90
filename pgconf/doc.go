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
// manual, section "Setting Parameters: Parameter Interaction via the Configuration File".
//
// # Edits
//
// [File.Set], [File.SetAll], [File.SetKeeping] and [File.InsertAfter] set parameters as a careful hand would: in the line that
// wins, or by uncommenting one, or in a new line. [File.Unset] and [File.Comment] comment lines out, [File.Rename]
// renames them. [File.SetBlock] keeps all that a tool has to say in a block of its own, and [File.RemoveBlock] takes it
// out again. [File.Diff] shows what was done; [File.DiffHiding] shows it without secrets.
//
// # Promises
//
//   - Bytes that no edit touched come back unchanged: comments, blank lines, quoting style, CRLF and a missing final
//     newline included, and also lines that are not valid.
//   - An edit changes its own line only. The same edit twice changes nothing the second time. One that is refused changes
//     nothing at all.
//   - Order has the server's meaning: the last setting of a name wins.
//   - What Set writes, the server reads back as the value that was given.
//   - Errors never repeat the text of a value, since a value may hold a password.
//   - No call takes more time or memory than is linear in the size of the file, whatever is in it.
//
// # Where it differs from the server
//
// Real servers of 10 to 18 judge the tests: same settings, values, lines and error lines, but for these.
//
//   - A UTF-8 byte order mark at the start is an error here, in line 1. The server takes it as part of the first
//     parameter's name, which it then does not know.
//   - A NUL byte inside a quoted value is an error here. The server silently cuts the value.
//   - If a file without a newline at the end lacks its last value, the error here has the number of that line. The server
//     names the line before.
//   - A text of 4 GiB or more is an error here.
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
