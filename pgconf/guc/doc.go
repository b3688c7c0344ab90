// Package guc is the catalogue of PostgreSQL's parameters, for every major from 9.0 to 18, and reads their values as the servers do.
//
//	p, ok := guc.Lookup(17, "shared_buffers")   // type, unit, bounds, default, context
//	err := guc.Validate(17, "work_mem", "64mb") // what is wrong with it, and what to do
//	v, err := guc.Parse(17, "work_mem", "65536")
//	fmt.Println(v)                              // 64MB, as SHOW prints it; equal to what 64MB is read as
//
// [HistoryOf] tells what changed between majors, [FateOf] what became of a parameter that is gone, [ParseSyncNames] reads
// synchronous_standby_names.
//
// # Source of truth
//
// The servers. internal/gen/data has one table for each major: its pg_settings, from a server of that major with the usual build
// options on Linux. Beside them are the facts that no server lists, found by asking servers: added.tsv (hidden parameters, and those
// of packagers), words.tsv (words of enums that are accepted but not listed, and those that depend on the build), corrections.tsv
// (units, lists, what varies); and in this folder names.tsv (other names for a parameter) and fates.tsv (what became of those that
// are gone). internal/gen makes catalogue.tsv of the tables, with one line for each run of majors that agree; this package embeds
// that and decodes it when it is first used.
//
// For a new major or minor release: add the major to package pgconf, install its server, and run
//
//	go test ./pgconf/guc -run TestOracleTables -update
//	go generate ./pgconf/guc
//	go test ./pgconf/guc/...
//
// The reading of values follows parse_int, parse_real, parse_bool and the check hooks of the server's guc.c (guc_tables.c), which are
// described in the manual, section "Setting Parameters: Parameter Names and Values". It changed twice: 11 brought the unit B, 12
// fractions, exponents, the unit us, units for real numbers, and rounding instead of cutting.
//
// # Promises
//
//   - What 10 to 18 accept and refuse, and what SHOW prints for it, is what [Parse] says: tests ask a server of each of these majors
//     about thousands of values, at least those at the bounds of each parameter. 9.0 to 9.6 follow their tables and their sources.
//   - What [Value.Setting] returns means the same value again, in a file of the same major. So does [Value.String] from 12 on, but
//     for real numbers, of which a server shows six digits; and before 12 for all numbers below 2^31 in the unit that is shown.
//   - No function panics, whatever the text, or takes more time than in proportion to its length.
//   - Errors never repeat the text of a value, since a value may hold a password.
//   - Everything is safe for concurrent use. The slices in a [Param] are shared: read them only.
//
// # Configurations
//
// [Diff] compares what two configurations mean and says what a running server needs for each difference: nothing, a reload, new
// sessions, a restart. [Translation] rewrites the files of one for another major, [Check] judges it by rules that span parameters,
// majors and servers. All three take the settings of [pgconf.File] or [pgconf.Config] and nothing else; none touches a disk.
//
//	for _, d := range guc.Diff(running.Settings(), wanted.Settings(), 17) {
//		fmt.Println(d.Name, d.Old.Value, d.New.Value, d.Action)
//	}
//	remarks, err := guc.Translate(file, pgconf.V9_6, 17) // edits file
//	problems := guc.Check(guc.Situation{Major: 17, Settings: file.Settings(), Standbys: []string{"berlin"}})
//
// The tests of Diff change nearly every parameter of running servers of 10 to 18, and compare with pending_restart and with what old and
// new sessions see. Those of Translation have the programs of each of these majors read the translated files of each, which set very
// many parameters, and the packaged ones with all lines uncommented: what they refuse is what is remarked on as an Error. Those of
// Check start servers and standbys. 9.0 to 9.6 follow the catalogue and the documentation of the steps.
//
// Known differences: for some parameters the default means "computed at start" (commit_timestamp_buffers, subtransaction_buffers,
// transaction_buffers, io_max_concurrency). A server asks for a restart if a line with that very default is added; Diff finds nothing
// to do, and is right about the result.
//
// Translation does not know parameters of extensions, nor what lies in commands but for the placeholders. It leaves comments as they
// are: one that speaks of segments stays beside a value that is a size now. Check takes on trust that standbys connect under the names
// it is told.
//
// # What only a server can judge
//
// [Parse] and [Validate] look at one value and know no server. They accept these, and a server may not:
//
//   - Words and bounds that depend on the build or the platform ([Param].Varies, [EnumValue].Varies): bonjour, wal_compression = lz4,
//     log_destination = eventlog, max_stack_depth above the limit of the operating system, huge_page_size, TLS parameters of a build
//     without TLS.
//   - Names of things that a server looks up: TimeZone, log_timezone, timezone_abbreviations, client_encoding, lc_messages and the
//     other locales, default_text_search_config, default_tablespace, temp_tablespaces, default_table_access_method, role,
//     session_authorization, libraries, files, folders and commands. The text of recovery_target_time and of primary_conninfo.
//   - Sums and pairs: max_connections and the other numbers of processes have a common limit; log_statement_stats excludes the other
//     kinds of statistics; recovery targets exclude each other.
//   - What depends on the moment: transaction_isolation and its like, which a server accepts at the begin of a transaction only.
//   - The parameters of extensions, whose names have a dot: any value is accepted. 9.0 and 9.1 want the part before the dot in
//     custom_variable_classes; from 15 on a server refuses unknown names of an extension that it has loaded.
//
// They refuse what a server accepts, but does not start with: listen_addresses and unix_socket_directories that are no lists.
//
// A [Value] of a String is the text as it was given, but for DateStyle, application_name and cluster_name: two texts that a server
// takes for the same, such as client_encoding = utf8 and UTF-8, are different values here. A build with other sizes of blocks or of
// WAL segments has other values for numbers that count them.
package guc

//go:generate go run ./internal/gen
