// Package walarchive keeps a PostgreSQL cluster's WAL archive: what archive_command, restore_command and
// archive_cleanup_command do, as [Archive.Push], [Archive.Fetch] and [Archive.Cleanup].
//
//	store, err := dir.Open("/mnt/backup/archive")
//	...
//	a, err := walarchive.New(walarchive.Config{
//		Targets:  []walarchive.Target{{Store: store, Encoding: codec.Encoding{Compression: codec.Zstd}}},
//		Identity: id, // from global/pg_control
//	})
//	...
//	err = a.Push(ctx, "pg_wal/000000010000000000000003")
//
// # What it promises
//
// A push that returned nil survives a crash a microsecond later. It never replaces a file: the same name with the
// same content is success, with other content a [*ConflictError], whatever the encoding and the key of either, and of however
// many pushers at once one content wins. A file that is not what its name says — another cluster's, a recycled segment, a torn copy, noise
// between its pages — does not get in and does not get out: system identifier, position, timeline and size are checked against
// the first page, and every page against the one before, both times.
//
// A changed byte in what is stored is found, by a SHA-256 of the plain file and, if the object is compressed, a CRC of the object: the
// damaged copy is never delivered. The next push of the file leaves it as it is and writes a good one beside it, which a fetch
// then takes; so does a fetch that has another target to turn to.
//
// A fetch never confuses "the archive does not hold it" ([*AbsentError]) with "cannot tell now"
// ([*UnknownError]). Absence is proven by the marker, a small object that the first push writes and that names
// the cluster: a missing directory, an unmounted disk, an unreadable folder and another cluster's archive have no
// such marker, so they prove nothing. An archive that "cp" filled has none either until the first push. Of several targets, all
// have to prove it.
//
// A standby with archive_mode=always may archive into the same place as its primary. What lies behind the pages of a segment is no WAL
// and may differ from server to server: behind a switch, a primary has zeros, and a standby's standby often old WAL of the file that it
// took for the segment. So Push reads it as zeros, and that is what the archive holds and compares. Pages that are the segment's are never
// left out.
//
// # What it does not
//
// Unless Config.CheckRecords is set, it does not look into WAL records: what is wrong inside of a page when the server hands it over is
// found by the server's own checksums. Up to 10, a primary's pages behind a switch have headers, so they are the segment's; if a standby's
// standby has old pages there, the two are a conflict: give it an archive of its own. So are they if another tool archived old
// pages first. The very first push cannot know whether an empty directory is the right one; see package dir for how to
// lay it out. A target that only gets a best effort, or was beyond the quorum, is not caught up with later. A file without a record, as
// "cp" makes them, is checked by its pages alone until it is pushed again.
//
// A process that is killed outright leaves at most a temporary file named ".NAME.tmp-…" in the archive or beside the
// destination of a fetch. Nothing reads it: the server ignores it in pg_wal, and package dir sweeps it from the archive. It may also
// leave the record of a file that did not come. That keeps nobody from archiving the name, with whatever content: the file decides, and its
// record then stands where that of a copy would, as NAME.repair-1.record. Only a pusher of age files that finds such a file there again cannot tell without
// the key whether it is the same.
//
// # Layout
//
// A [Store] maps names to contents. Every archived file is one object under its own name, without any extension, whatever its
// encoding, which is seen from its first bytes (see package codec for the formats). Beside them lie
//
//	understudy-archive                     whose archive it is, see MarkerName
//	NAME.record                            what NAME was, if NAME is a plain or an age file: size, SHA-256 (see codec.Record)
//	NAME.repair-1, NAME.repair-2, ...      good copies of a NAME that is damaged, written by the push that found it so
//	SEGMENT.received-XXXXXXXX              the first XXXXXXXX (hex) bytes of a segment that is still being received
//	understudy-consumer.WHO.SEGMENT        the oldest segment that WHO still needs
//
// An operator without this project restores by hand, with stock tools only. With restore_command, for an archive in one encoding:
//
//	none      cp ARCHIVE/%f %p
//	zstd      zstd -dc < ARCHIVE/%f > %p          (lz4 -dc, gzip -dc, s2d -c - likewise)
//	age       age -d -i KEYS ARCHIVE/%f > %p      (| zstd -dc > %p if it is compressed, too)
//
// where histories (*.history, *.backup) are never compressed, so for a compressed archive:
//
//	case %f in *.history|*.backup) cp ARCHIVE/%f %p;; *) zstd -dc < ARCHIVE/%f > %p;; esac
//
// Mind that such a command takes any failure for the end of the archive, see below. sha256sum of a segment's first "data"
// bytes is the record's sha256: head -c DATA SEGMENT | sha256sum. The record of a compressed object is the text at its end: tail -c 400 OBJECT | strings.
//
// # Care
//
// [Archive.Catalog] reads what the archive holds; package catalog then lists it by timeline, finds the gaps, says which files a recovery
// needs, and decides what may go. [Archive.Cleanup] does that: whoever needs WAL says so with [Archive.Register], base backups count by the
// history files that their servers archived, and a policy says which of them are kept. It serves archive_cleanup_command for one standby
// as pg_archivecleanup does, and for several where that would remove what the slower ones need. [Archive.Verify] reads all files again,
// [Archive.Wait] waits for one, and [Check] finds out whether a place can be an archive at all. Package archiver watches the server's side.
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
// silently lose everything that could not be read. On a standby, 1..125 keeps it running through the trouble; [Retry] gives trouble
// that passes some time first. A Go program that panics exits with 2: a command must not let that happen to a fetch.
package walarchive
