// Package wal holds the small values that name positions and files of PostgreSQL's write-ahead log: [LSN],
// [Timeline], [SystemID], [Segment], the file names that the server archives ([FileName]), timeline histories
// ([History]), the files that tell where a backup begins and ends ([BackupLabel], [BackupHistory]) and the header at
// the start of every segment ([PageHeader]).
//
// The rules are the server's, for majors 9.0 to 18: pg_lsn.c for positions, xlog_internal.h for names and page
// headers, timeline.c for histories (from 9.3 on), xlogbackup.c for backups. Parsers accept what the server
// accepts and nothing more. How a position maps to a file depends on the segment size, which initdb sets (11+) or
// the build (before), so these functions take it, in bytes.
//
//	lsn, err := wal.ParseLSN("0/3000148")
//	seg := wal.SegmentOf(1, lsn, wal.DefaultSegmentSize)
//	seg.Name(wal.DefaultSegmentSize) // 000000010000000000000003
//
// A file whose first page does not belong under its name is found with [ParseSegmentHeader] and
// [PageHeader.Check]; one in which a later page is missing or not at its place, or a record is damaged, with [Chain].
//
// Before 9.3 the last segment of every 4 GiB is never used. Only what counts segments or bytes has to know:
// [Numbering].
//
// The package imports only the standard library and does no input or output.
package wal
