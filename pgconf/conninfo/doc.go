// Package conninfo reads, judges, edits and writes PostgreSQL connection strings, and the two files that go with them,
// pg_service.conf and .pgpass, without letting their secrets out.
//
//	info, err := conninfo.Parse(`host=db1 user=replicator password='it\'s me'`) // or postgresql://replicator:…@db1
//	info = info.With("application_name", "db2")
//	conf.Set("primary_conninfo", info.Text()) // the whole string, secrets included
//	log.Print(info)                           // password=********
//
// # Forms
//
//	string                          read by      written by
//	host=db1 port=5432 user=app     Parse        Info.Text
//	postgresql://app@db1:5432/      Parse        Info.URI
//	jdbc:postgresql://db1:5432/     ParseJDBC    Info.JDBC
//
// The first two are libpq's, and say the same. The source of truth for them is libpq: conninfo_parse,
// conninfo_uri_parse_options and conninfo_storeval in src/interfaces/libpq/fe-connect.c (manual: "Connection Strings"). The
// third is that of pgjdbc (org.postgresql.Driver.parseURL, 42.5.5 was compared), whose properties do not all have counterparts:
// what cannot be said is left out and listed in the error.
//
// # Majors
//
// What libpq knows depends on its major, and a server's walreceiver uses the libpq of the server: it never connects with a
// keyword or value in primary_conninfo that is too new for it. [ParseFor] accepts exactly what PQconninfoParse of one major
// does; [Info.Validate] says what keeps a major from using a string; [Info.For] leaves that out, and lists it. [Parse] itself
// takes unknown keywords, because pgx and poolers have their own. The grammar is the same in all majors, but:
//
//	URIs                                                9.2+
//	lists of hosts                                      10+   (one name before)
//	plain blanks in a URI are trimmed or refused        18+   (themselves before); Parse follows 18
//	ports and other numbers with text behind them       refused 12+
//	folders of abstract Unix sockets ("@name")          14+
//
// The keywords of 10 to 18 are those that the libpq of each lists; those of 9.0 to 9.6 come from its source.
//
// # Promises
//
//   - What [Info.Text] and [Info.URI] return, libpq and [Parse] read back as the same keywords and values; where one port
//     serves several hosts, the URI repeats it.
//   - Only Text, URI, JDBC, Get, and the Password and Text of a [PassEntry], Lookup, and Bytes of the files give a secret away.
//     Every other way to print a value (fmt with any verb, log/slog, encoding/json), and every error, does not:
//     ******** stands for it, as in pg_stat_wal_receiver. [Info.Redacted] does that in the other forms.
//     A port that is no number and a host or dbname with an @ are hidden too: a password that is not percent-encoded ends there.
//   - The files keep every byte that no edit touched. [Passfile.Lookup] and [ServiceFile.Lookup] find what libpq finds.
//
// # Where it differs
//
// From libpq, since the other way round would hide a mistake:
//
//   - A NUL byte is an error, or makes a line count for nothing; libpq sees the end of the text there.
//   - Parse takes ssl=true for sslmode=require in both forms of a string, not in URIs only; ParseFor does not.
//   - A hostaddr must be an IP address as Go writes it; libpq also takes 127.1 and 0x7f000001.
//   - Before 12, libpq used the beginning of a number such as port=5432x; that is an error for all majors here.
//   - Service files: LDAP lookups, which some builds make, are an error. Before 13, blanks at the end of a line belong to the
//     value, and before 14 a line has 253 bytes at most, not 1021.
//   - Password files: before 13, libpq takes a line of more than 319 bytes for two.
//
// From pgx: pgx sends keywords that it does not know to the server as parameters, where libpq has no such keyword or never
// sends it (hostaddr, load_balance_hosts, keepalives and others); it reads the files of TLS options and services at once; it
// does not look at sslmode for a Unix socket; and it reads a URL of pgjdbc with parameters as one keyword.
//
// # What it does not do
//
//   - It does not look at the environment or at default files, and reads and writes no disk: [Info.Expand] and [Passfile.Lookup] get
//     the files from the caller, who also checks the mode of a .pgpass file, with [CheckPassfileMode].
//   - It resolves no names and connects to nothing. [HostPort.Same] compares what is written.
//   - It does not decide which options are wise.
package conninfo
