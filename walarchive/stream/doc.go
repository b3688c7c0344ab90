// Package stream receives WAL from a running server as it is written, as pg_receivewal does, and brings it into an archive: complete
// segments under their names, timeline histories before them, and every few seconds what there is of the segment that is being received.
// The archive is then seconds behind the server, not one segment.
//
//	r, err := stream.New(stream.Config{Source: info, Dir: "/var/lib/receive", Archive: a, Slot: "archive", CreateSlot: true})
//	...
//	err = r.Run(ctx)
//
// The server is a primary or a standby of PostgreSQL 10 to 18, with any wal_segment_size. What it says about itself decides; the archive is
// asked only where it ends.
//
// # What it promises
//
// Unbroken: WAL is received from where it ended, byte after byte, over restarts, lost connections and promotions. Where that is not possible
// Run ends with an error that says why, and writes it down: another cluster ([*ForeignServerError]), WAL that the server no longer has
// ([*GapError]), a server that never had what was received ([*ForkedError], [*BehindError]), or two servers that wrote one
// timeline ([*DivergedError]). It never goes on silently. The file understudy-journal in the staging directory says where receiving began,
// and why there, and which gaps were met.
//
// Durable: the flush position that the server hears is durable in the staging directory, the file and its name. With
// [Config].Synchronous the server hears it at once, so that with its ApplicationName in synchronous_standby_names commits wait for it, and none
// that was acknowledged is missing from the staging directory and the archive, if the receiver is killed at any moment and the
// server is lost. For that a slot or Synchronous is needed: otherwise the receiver reports no flush position, and cannot become a
// synchronous standby by accident, not even of synchronous_standby_names = '*'.
//
// Kept: a file leaves the staging directory only when the archive holds it and a later one is there. An archive that is out of reach
// delays nothing but the archiving; the staging directory grows meanwhile.
//
// Where it begins: where the staging directory ends; if that is empty, where the archive ends; if that is empty, too, where the slot keeps WAL
// from; without a slot that reserves WAL, with the segment that the server is writing. Every beginning is that of a segment. A
// partial segment in the staging directory is received again and compared: what a crash left of it need not be trusted, and a server that
// has some of a segment has all of it. A connection that was lost meanwhile goes on with the very byte.
//
// # Timelines
//
// When the server is promoted, or follows one that was, the receiver follows: the new history first, then the new timeline from the beginning
// of the segment in which it begins. What was received of the old timeline's last segment stays in the archive as a beginning
// (SEGMENT.received-XXXXXXXX). It is not archived as SEGMENT.partial, because the promoted server archives its own file under that
// name, and behind the end of the WAL the two may differ; then the server's archiver would be refused for ever.
//
// # Beside an archiver
//
// archive_command and a receiver may feed one archive: a complete segment is the same file, byte for byte. There is an exception: a standby
// may send old bytes behind a switch (pg_switch_wal), which are no WAL. The receiver clears them, so that the segment is what a
// primary of 11 or later archives. A primary of 10 has page headers there, so one archive for its archiver and for a receiver behind
// its standby ends in a conflict, which the archive reports.
//
// # What it does not
//
// It replays nothing, so a commit that waits for remote_apply waits for ever. It does not drop slots, see [DropSlot]. It does not check records:
// the archive checks the pages of what is pushed. A disk that fails to make something durable ends Run, as afterwards nobody knows what is
// there; calling Run again receives the segment again. Compression and encryption are the archive's.
//
// # Memory and goroutines
//
// One message of the server at a time is in memory, at most some hundred KiB; four segments may wait to be made durable before receiving waits. Run
// uses four goroutines and returns when all have ended.
package stream
