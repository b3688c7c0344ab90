// Package pgconf reads and edits postgresql.conf, postgresql.auto.conf and files they include, without disturbing
// them. (recovery.conf of 9.1 to 11 has the same grammar.)
//
// [Parse] takes one file, for those who know that it is the right one:
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
// [Load] takes the whole configuration of a server, and finds the right one:
//
//	c, err := pgconf.Load(os.DirFS("/"), "/etc/postgresql/17/main/postgresql.conf", pgconf.Options{Major: 17})
//	if err != nil {
//		return err // every reason why a server could not read it
//	}
//	if err := c.Set("wal_level", "replica"); err != nil {
//		return err // also if postgresql.auto.conf overrules all other files
//	}
//	for _, ch := range c.Changed() {
//		… // write ch.After to ch.File
//	}
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
// # Whole configurations
//
// A [Config] is what a server makes of its command line and files. The files are, in this order: the main one, with each file
// that it includes in the place of the directive, and postgresql.auto.conf (9.4+) of the data directory, which data_directory may
// move elsewhere. The last setting of a name wins; the command line goes before all files.
//
//	include 'file'            an error if it cannot be opened; relative to the folder of the file with the directive
//	include_if_exists 'file'  9.2+: nothing if there is none
//	include_dir 'folder'      9.3+: its files *.conf that do not begin with a dot, in the order of their bytes; no folders
//
// Files are included 10 levels deep. A file that includes itself is an error of its own from 10 on.
//
// [Config.Entries] are all settings in that order, [Config.Effective] and [Config.Get] tell what wins and what it overrules,
// [Config.FileSettings] are the rows of the view pg_file_settings; whether a row is applied, which takes knowledge of
// the parameters, says package guc. [Config.Set], [Config.SetAll] and [Config.Unset] edit where the setting that wins stands, or
// refuse, if postgresql.auto.conf or the command line would overrule the edit: see [Config.AlterSystem] and
// [Config.AlterSystemReset] for the former. [Config.Changed] lists what to write, with diffs, in an order that does no harm.
//
// # Promises
//
//   - Bytes that no edit touched come back unchanged: comments, blank lines, quoting style, CRLF and a missing final
//     newline included, and also lines that are not valid.
//   - An edit changes its own line only. The same edit twice changes nothing the second time. One that is refused changes
//     nothing at all.
//   - Order has the server's meaning: the last setting of a name wins.
//   - What Set writes, the server reads back as the value that was given. What Set of a Config writes, the server uses.
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
//   - A text of 4 GiB or more is an error here. A configuration may have 256 MB, files that are included several times counted each
//     time; a server would read on, whatever the tree of includes and links is.
//   - For include_if_exists and postgresql.auto.conf, the server passes over a file that it may not read. That is an error here, for
//     what we may not read the server perhaps may. It passes over files that nobody can open, as we do.
//   - A pipe or device that is included is an error here. The server opens it, and may wait for ever.
//   - A path of 1024 bytes or more is an error here. The server cuts it off.
//
// # What it does not do
//
//   - It does not know the parameters: a name or value can be well formed and still be refused by a server.
//   - A File does not follow include directives. They are kept and are listed among its settings ([Setting.IsInclude]); use a Config
//     to see what they stand for.
//   - A Config does not know what ALTER DATABASE, ALTER ROLE and sessions set.
//   - It does not write disks. Load reads a file system that is given, and each file once.
//   - It does not look at the environment: PGDATA, PGPORT, PGDATESTYLE and PGCLIENTENCODING matter only where files are silent.
//   - A File or Config is not safe for concurrent use.
package pgconf
