// Package archiver tells how far a server's archiving is behind, from pg_stat_archiver.
//
//	row, err := archiver.Query(ctx, conn)
//	status := row.Judge(archiver.Limits{}, before) // before is the last Status, or the zero one
//	if status.State == archiver.Failing { ... }
//
// Nobody else tells: when archive_command fails the server keeps its WAL, logs a line, tries again, and one day its disk is
// full. [Row] is what a server says, [Status] what it means: plain numbers and times, ready to be shown as metrics. The judgement
// is a function of values and reads no clock.
//
// # What it needs
//
// PostgreSQL 9.4 or later and any role that may connect. With the rights of pg_monitor (12+) or of a superuser, it also counts the
// files that wait (archive_status/*.ready), which is exact; without, the distance between the last archived segment and the
// position is the measure, and there is none while the last archived file is a timeline history.
//
// # What it does not
//
// The server does not say since when archiving has been failing, only when it failed last. FailingSince is the first failure that
// was seen, so it needs a look now and then. The package does not look into the archive: packages walarchive and catalog do.
package archiver
