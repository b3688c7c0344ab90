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
// [Load] reads it as a server does that loads it: includes are followed and each @file is replaced by what is in it.
//
// What counts as valid follows the server (src/backend/libpq/hba.c; manual: "The pg_hba.conf File"), majors 9.0 to 18.
// [Parse] and [New] take the newest rules, [ParseFor] and [NewFor] those of one major:
//
//   - before 9.2 a quote anywhere in a token makes a name of a keyword, and none keeps a + from meaning a group;
//   - 9.1 and later know host names, all as an address, and the method peer;
//   - 14 and later join a line that ends in a backslash with the next one;
//   - 12 and later know hostgssenc and hostnogssenc; 18 and later the method oauth;
//   - 16 and later know regular expressions for databases and users, and include directives;
//   - tokens and lines have a length limit before 16.
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
// # Where it is stricter than the server
//
//   - A NUL byte is an error wherever it stands; a server ignores the rest of the line.
//   - A folder in the place of a file is an error; some servers read nothing instead.
//   - A [Record] that is to be written must have its IPv4 address in four decimal numbers. The server's C library also takes
//     10/8, which means 0.0.0.10/8, and so does reading.
//
// # What it does not do
//
//   - It does not say whether a connection gets in, but for trust and reject: that is up to the method, to pg_ident.conf, and to
//     what the role and the database allow.
//   - db_user_namespace (up to 16) is taken to be off.
//   - A [File] does not follow include directives nor @file tokens; both are kept as they are. Include lines are no records.
//   - Of the options it checks the form name=value only, neither which names a method takes nor their values. Whether the
//     server was built with a method is unknown to it.
//   - It does not mind a file without any record, which a server refuses to load.
//   - A File is not safe for concurrent use.
package hba
