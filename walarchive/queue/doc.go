// Package queue looks at what a PostgreSQL server has ready for archiving, and holds the policy for the day on which the archive
// cannot be reached and pg_wal fills.
//
//	walDir, err := queue.WALDir(dataDir) // DIR/pg_wal, or DIR/pg_xlog before 10
//	...
//	s, err := queue.Read(walDir)
//	fmt.Println(len(s.Files), s.Bytes, s.Free)
//
// The source of truth is the server's own folder archive_status: a file NAME.ready there says that NAME is complete, will not change
// any more, and waits for archive_command. The order is the server's: timeline histories first, then by name (ready_file_comparator
// in pgarch.c, 12 and later). Nothing here changes that folder.
//
// # Dropping
//
// A server whose archive is away keeps its WAL until the disk is full, and then stops. That is right wherever the archive matters
// more than the minutes, so the zero [Policy] never drops anything. Who would rather go on without an unbroken archive sets limits,
// and then:
//
//   - A file is dropped only in the call that asks for it, only after a push of that very file failed in that call, and only if it
//     failed because the archive cannot be reached. A conflict, another cluster's archive and a damaged segment are answers, not an
//     outage: they are never acknowledged.
//   - The facts are read again in each call, so one file that fails for ever does not keep the limit from being noticed, and the first
//     call after the archive came back drops nothing. As few files are dropped as bring the queue below its limit, one by one, the
//     oldest first: not the whole queue.
//   - Timeline histories are never dropped. While one waits, the server asks for nothing else, so nothing is dropped then.
//   - "Dropped" means that the server is told that the file is archived, and removes it. It is in no archive and in no spool: nobody
//     has it any more. Before the server is told, the name, the time and the reason are on disk ([Valve.Drop]) and the alarm was
//     raised. A drop that cannot be recorded does not happen.
//   - The archive then has a gap that no recovery can cross: backups from before it can be restored up to the gap and not further, and a
//     standby behind it must be made anew. Files after the gap are archived as usual, because the next backup needs them; [Dropped] lists
//     what is missing, so that a report of gaps can say why.
//
// One file is dropped per failing call. A server that fills segments faster than its archive_command fails will outgrow every limit,
// so the pushes need a deadline.
package queue
