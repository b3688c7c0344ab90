// Package hba reads pg_hba.conf, says which rule a connection meets, and puts records where they take effect without
// disturbing the rest.
//
//	f, err := hba.Parse("pg_hba.conf", content)
//	if err != nil {
//		return err // every bad line, with line and column
//	}
//	change, err := f.EnsureRule(hba.Record{
//		Type:      hba.HostSSL,
//		Databases: []hba.Token{hba.Replication},
//		Users:     []hba.Token{hba.Name("replicator")},
//		Address:   hba.CIDR(netip.MustParsePrefix("10.0.0.2/32")),
//		Method:    hba.ScramSHA256,
//	}, hba.EnsureConfig{})
//	content = f.Bytes() // change.Notes says what it means for the other rules
//
// There are two ways to read. A [File] is one file with every byte of it, to be looked at and edited. [Rules] are what a server has
// in memory after it loaded the file: [Load] follows includes, puts the content of each @file in its place, and [Rules.View] shows
// the rows that the server's view pg_hba_file_rules would show. pg_ident.conf has the same: [IdentFile], and [LoadIdent] for
// [IdentMaps], which say who may log in as which role.
//
// What counts as valid follows the server (src/backend/libpq/hba.c; manual: "The pg_hba.conf File"), majors 9.0 to 18.
// [Parse] and [New] take the newest rules, [ParseFor] and [NewFor] those of one major:
//
//   - before 9.2 a quote anywhere in a token makes a name of a keyword, and none keeps a + from meaning a group;
//   - 9.1 and later know host names and all as an address, and take ident on a local line for peer;
//   - 10 and later do not load a file with an @file that cannot be read, which before stands for nothing;
//   - 12 and later know hostgssenc and hostnogssenc;
//   - 14 and later join a line that ends in a backslash with the next one;
//   - 16 and later know regular expressions for databases and users, keywords for roles in pg_ident.conf, and include directives;
//   - tokens and lines have a length limit before 16;
//   - methods and options come and go; what is missing, not allowed or not together is an error as it is in the server.
//
// Servers of 10 to 18 judge all of that in the tests; what is said of 9.0 to 9.6 rests on their source. Regular expressions are
// those of PostgreSQL: [Regexp].
//
// # Which rule decides
//
// The first rule whose type, address, database and user match decides, and no other is tried if its method fails. Rules that
// [Load] returned and what a [Server] knows beside them make a [Matcher]; [Matcher.Match] takes a [Conn] and says which rule it is,
// and [Result.Steps] why the ones before it are not.
//
// Some rules depend on what is not in the file: members of roles, networks of the server, names of clients. Where the
// Server does not tell, or where a regular expression cannot be translated, such a rule may or may not match; if it stands before
// the first one that does, the outcome is [CannotSay], and names it. There is no guess.
//
// [File.EnsureRule] makes a record take effect: it changes nothing if the connections already get what the record says, and else
// puts it directly before the first rule that would keep it from that. It leaves narrower rules in front as exceptions, says so
// in notes, and never goes before a rule that rejects unless it is told that it may. [File.Append] adds at the end, whatever that
// means. [Lint] looks over a rule set: what lets in whom it should not, what is never reached, what does not mean what it says.
//
// # Promises
//
//   - Bytes that no edit touched come back unchanged, invalid lines included. Append adds at the end only.
//   - A [Record] that was built from [Name] and [CIDR] means what it says: a role called all or +admin is quoted, and
//     what cannot be written safely is refused.
//   - Only [Record.Text] shows the secrets that options can hold (ldapbindpasswd, radiussecrets); String and errors do not.
//
// # Where it differs from the server
//
//   - A NUL byte is an error wherever it stands; a server ignores the rest of the line.
//   - A folder in the place of a file is an error; most servers read nothing instead, with a line in their log. So is a pipe or a device.
//   - A line with more than 1,048,576 values, those of its @files among them, is an error; a server has memory for more.
//   - Files that name each other over and over are given up at some point; a server of 10 to 15 runs out of files or memory.
//   - After a line that is too long, servers before 14 count the rest of it as further lines.
//   - For a wrong value of clientcert or clientname some servers show a row without values and without an error. Here it has one.
//   - What depends on the server and not on the file is not looked at: methods that it was built without, ssl being off, the
//     addresses of RADIUS servers, oauth_validator_libraries, the names of its network devices in IPv6 zones.
//   - A regular expression that is too complex for the server is not found out.
//   - A [Record] that is to be written must have its IPv4 address in four decimal numbers. The server's C library also takes
//     10/8, which means 0.0.0.10/8, and so does reading.
//   - A [File] keeps an @file as it is for databases and users, and does not know what it stands for in other columns, where it is
//     an error; Load does.
//
// # What it does not do
//
//   - It does not say whether a connection gets in, but for trust and reject: that is up to the method, to pg_ident.conf, and to
//     what the role and the database allow.
//   - db_user_namespace (up to 16) is taken to be off.
//   - A [File] does not follow include directives, which are no records, and does not mind a file without any record, which a
//     server refuses to load.
//   - A File is not safe for concurrent use.
package hba
