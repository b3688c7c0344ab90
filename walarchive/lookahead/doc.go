// Package lookahead takes archive_command and restore_command off the critical path: a helper process pushes the files that PostgreSQL
// will ask for next while it still waits for this one, and fetches the segments that recovery will ask for next.
//
// The command that PostgreSQL calls is a [Client]. It asks the helper over a Unix socket and does the work itself whenever that is not
// possible, so it is used like the archive itself:
//
//	c := lookahead.Client{Spool: dir, Bond: bond, Open: open, Start: start}
//	err := c.Push(ctx, "pg_wal/000000010000000000000003")
//	err := c.Fetch(ctx, "000000010000000000000003", "pg_wal/RECOVERYXLOG")
//
// The helper is a [Server] with an open archive. It is either resident (a service of its own, [Config].Idle zero) or started by the
// first command that finds none ([Spawn] as the client's Start) and gone when nobody has asked for a while. There is one for a spool
// folder; a lock file decides, so racing starts do no harm.
//
//	s, err := lookahead.New(lookahead.Config{Spool: dir, Bond: bond, Archive: archive, Idle: time.Minute})
//	err = s.Run(ctx) // nil at the end, ErrRunning if there is another
//
// # What it promises
//
// The helper can only make things faster. Its word counts in three cases: "archived", "here it is" and "the archive does not hold it".
// In all others — nobody listens, no sign of life, another version, another cluster's helper, it failed, it died in the middle — the
// client does the work itself, and the errors of a Client are those of the archive, for exact exit codes. Everything it does twice is
// idempotent. The price: where the archive itself is out of order, a call takes up to twice as long.
//
//   - "Archived" means that Archive.Push of that very file returned nil: a file that was pushed ahead must have the same inode, size and
//     time of modification as the one asked for later, and the client and the helper must see the same file at that path.
//   - "Here it is" means that a complete, verified file lies in the spool. The client looks at its size and header once more and renames
//     it to its destination itself, so a helper that is late never writes where PostgreSQL reads. A file in the spool that is older than
//     an hour is fetched anew.
//   - "The archive does not hold it" was always asked after the client asked, never before. A miss is never remembered as an answer.
//
// # Order and limits of pushes
//
// After each file that PostgreSQL asked for, the helper pushes up to [Config].PushAhead following .ready files with [Config].Workers at
// once: timeline histories first and completely, then the others, begun in the order in which PostgreSQL will ask. At most Workers-1
// files can be visible in the archive before an earlier one. The first failure ends the round: what is under way is finished, nothing
// more is begun, and the call that asks for the file that failed tries it again and returns its error. The next round begins with the
// next success.
//
// # Order and limits of prefetching
//
// After each segment that PostgreSQL got, up to [Config].FetchAhead following segments, but no more than [Config].FetchBytes, are fetched
// with Workers at once. The names follow the server's search (XLogFileReadAnyTLI in xlogrecovery.c): along the timeline history that it
// asked for last, the newest timeline's name first. What lies before the segment that it asked for last, or beyond the window, is removed.
// A miss or a failure, a full disk included, ends prefetching until the next request; a failure to fetch what was asked for also empties
// the spool, which may be what filled the disk. A helper that ends tidily empties the spool; what one that was killed left is used again
// if it is bound to the same cluster, data directory and settings, and removed otherwise.
//
// # Memory
//
// Each worker is one Push or Fetch; one more of each runs for the call that waits. That is what memory is needed for: with segments of
// 16 MiB, zstd or lz4 and a directory, a helper of two workers takes less than 50 MiB and one of four 75 MiB; a program that calls
// debug.SetMemoryLimit(40 << 20) first stays below 48 MiB with four, and is no slower.
//
// # The spool folder
//
// It is made with mode 0700 if it is missing, and refused if it is a symbolic link, another user's, accessible to anybody else, or in a
// folder that everybody may write to (unless that is sticky, as /tmp). Put it beside the data directory, in the same file system so that
// files can be renamed, not inside pg_wal, which pg_rewind and base backups copy. It belongs to one cluster: a helper or a client of
// another system identifier is refused, and one of another data directory or other settings is refused while a helper runs.
//
//	lock     held by the helper
//	bond     to whom the spool belongs
//	socket   where the helper listens, mode 0600
//	files/   complete files that were fetched ahead
//
// # Ends
//
// A client that is stopped by a signal leaves the helper at work; the next client finds the result. The helper does not watch the
// postmaster: without requests it ends after its idle time, and until then it holds nothing of the server's but its working directory.
// [Spawn] gives it a session of its own and none of the postmaster's files or pipes, so it does not keep a server from shutting down.
// Where the server itself is process 1 (a container without an init) it would become the parent of the helper, and take the violent death
// of a child that it does not know for a crash of its own, and end all sessions (seen with 11 and 18): Spawn refuses there. Run the helper
// as a service of its own instead.
//
// A busy cluster's helper never becomes idle, so put all that must be equal, the version of the program included, into [Bond].Settings:
// then the clients of a new configuration do their work themselves until the old helper has ended.
package lookahead
