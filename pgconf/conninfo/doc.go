// Package conninfo reads, judges and writes libpq connection strings, as key=value pairs and as URIs, and lines of .pgpass
// files, without letting their secrets out.
//
//	info, err := conninfo.Parse(`host=db1 user=replicator password='it\'s me'`)
//	info = info.With("application_name", "db2")
//	conf.Set("primary_conninfo", info.Text()) // the whole string, secrets included
//	log.Print(info)                           // password=********
//
// The grammar is that of conninfo_parse and conninfo_uri_parse in src/interfaces/libpq/fe-connect.c (manual: "Connection
// Strings"); .pgpass follows passwordFromFile in that file (manual:
// "The Password File").
//
// # Promises
//
//   - What [Info.Text] returns, libpq and [Parse] read back as the same keywords and values.
//   - Only Text and Get give a secret away. Every other way to print an [Info] or a [PassEntry] (fmt with any verb, log/slog,
//     encoding/json, errors) shows ******** in its place, as pg_stat_wal_receiver does.
//
// # What it does not do
//
//   - It does not expand service files, environment variables or defaults, and does not look passwords up.
//   - It reads and writes no disk; a .pgpass file must have mode 0600, or libpq ignores it.
package conninfo
