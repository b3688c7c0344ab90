// Package wal holds the small values that name positions and files of PostgreSQL's write-ahead log: [LSN],
// [Timeline], [SystemID], [Segment], the file names that the server archives ([FileName]), timeline histories
// ([History]), the files that tell where a backup begins and ends ([BackupLabel], [BackupHistory]) and the header at
// the start of every segment ([PageHeader]).
//
// The rules are the server's, for majors 9.3 to 18: pg_lsn.c for positions, xlog_internal.h for names and page
// headers, timeline.c for histories, xlogbackup.c for backups (these from 9.0 on). Parsers accept what the server
// accepts and nothing more. How a position maps to a file depends on the segment size, which initdb sets (11+) or
// the build (before), so these functions take it, in bytes.
//
//	lsn, err := wal.ParseLSN("0/3000148")
//	seg := wal.SegmentOf(1, lsn, wal.DefaultSegmentSize)
//	seg.Name(wal.DefaultSegmentSize) // 000000010000000000000003
//
// A file whose first page does not belong under its name is found with [ParseSegmentHeader] and
// [PageHeader.Check]. The package looks at that first page only: it does not follow the page chain or check
// record checksums.
//
// WAL written before 9.3 numbers segments and lays out its page headers differently. It is recognised and
// refused with an error that says so.
//
// The package imports only the standard library and does no input or output.
package wal
