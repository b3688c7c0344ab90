// Package walarchive keeps a PostgreSQL cluster's WAL archive: what archive_command, restore_command and
// archive_cleanup_command do, as [Archive.Push], [Archive.Fetch] and [Archive.Cleanup].
//
//	store, err := dir.Open("/mnt/backup/archive")
//	...
//	a, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: id}) // id from global/pg_control
//	...
//	err = a.Push(ctx, "pg_wal/000000010000000000000003")
//
// # What it promises
//
// A push that returned nil survives a crash a microsecond later. It never replaces a file: the same name with the
// same content is success, with other content a [*ConflictError]. A file that is not what its name says — another
// cluster's, a recycled segment, a torn copy — does not get in and does not get out: system identifier, position,
// timeline and size are checked against the first page, both times.
//
// A fetch never confuses "the archive does not hold it" ([*AbsentError]) with "cannot tell now"
// ([*UnknownError]). Absence is proven by the marker, a small object that the first push writes and that names
// the cluster: a missing directory, an unmounted disk, an unreadable folder and another cluster's archive have no
// such marker, so they prove nothing. An archive that "cp" filled has none either until the first push.
//
// # What it does not
//
// It reads the first page of a segment, not the rest: damage further in is found by the server's own record
// checksums. It stores files as they are, without compression, encryption or a recorded checksum. It does not
// see gaps, and cleanup knows nothing of base backups or other standbys. The very first push cannot know whether
// an empty directory is the right one; see package dir for how to lay it out.
//
// A process that is killed outright leaves at most a temporary file named ".NAME.tmp-…" in the archive or beside the
// destination of a fetch. Nothing reads it: the server ignores it in pg_wal, and package dir sweeps it from the archive.
//
// # Layout
//
// A [Store] maps names to contents. Every archived file is one object under its own name, byte for byte, beside
// the marker [MarkerName]. With the directory store that makes "cp DIR/%f %p" a working restore_command.
//
// # Exit codes for PostgreSQL
//
// A command around this package owes the server these exit codes (manual, "Continuous Archiving and
// Point-in-Time Recovery"; shell_archive.c and xlogarchive.c of the server). examples/walarchive keeps them.
//
//	archive_command   0        archived for ever: the server may remove its copy
//	                  1..125   not archived: logged and tried again, as long as it takes
//	                  above    the archiver process restarts first; nothing is gained by it
//
//	restore_command   0        %p holds the file
//	                  1..125   the archive does not hold it. Recovery ends there and the server opens for writes;
//	                           a standby tries streaming and then asks again
//	                  above, or killed by a signal
//	                           recovery stops with an error. SIGTERM, or 143: stops because told to
//
// So an AbsentError is 1, and an UnknownError must be above 125 in a point-in-time recovery, which would otherwise
// silently lose everything that could not be read. On a standby, 1..125 keeps it running through the trouble.
// A Go program that panics exits with 2: a command must not let that happen to a fetch.
package walarchive
