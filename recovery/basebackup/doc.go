// Package basebackup copies a running PostgreSQL server of 10 to 18, primary or standby, over the replication protocol. No PostgreSQL
// program is needed on this machine.
//
//	source, err := conninfo.Parse("host=db1 user=replicator passfile=/etc/understudy/passfile sslmode=verify-full")
//	...
//	result, err := basebackup.Run(ctx, source, basebackup.Options{
//		Target:  "/var/lib/postgresql/17/main",
//		Prepare: func(ctx context.Context, dir string) error {
//			return recovery.Apply(ctx, recovery.Disk{}, recovery.Server{DataDir: dir}, standby)
//		},
//	})
//
// # An unfinished copy is never started
//
// The copy is made in Target + ".incoming", which is renamed when it is complete, verified and on disk. Until then PG_VERSION and
// global/pg_control are there under other names; without either of them no server starts. PG_VERSION gets its name before
// [Options.Prepare] and pg_control after everything is fsynced, so that a copy that can be started is complete and already
// what Prepare made of it. A file "understudy-incoming" says what the folder is; it is locked while Run runs.
//
// A backup cannot be resumed: the files on the server have changed meanwhile. A Run that fails or whose context ends removes
// what it made. What a killed one leaves, folders of tablespaces included, the next Run for the same Target removes. It removes only
// what its journal in that file names and carries the same mark, and never a folder in which a server has been started. A Target
// that is not empty is refused, or with [Options.Aside] renamed when the copy is complete; it is never emptied.
//
// # What is verified
//
//   - From 13 on, every file has the size and checksum that the server's backup manifest says, none is missing and none is too many,
//     and the manifest has its own checksum. What arrives is compared; it is not read again from the disk. pg_verifybackup does that.
//   - With streamed or fetched WAL, every segment from the start to the end of the backup is there, is of this system, and
//     has the right page headers up to the end.
//   - global/pg_control has its checksum and is of the system and major that the server says it is.
//   - From 11 on the server checks the data checksums of the pages that it sends, if the cluster has any.
//   - The server is not trusted with the names of files: none leads out of the target, nothing is written through a symbolic link, and
//     anything but files, folders and the links of tablespaces is refused.
//
// # The WAL connection
//
// It streams through a temporary slot made before the backup begins, so that the server keeps the WAL, and counts as no synchronous
// standby, whatever synchronous_standby_names says: it never reports anything as flushed. For the same reason the slot holds back all
// WAL until the backup ends; on a server whose max_slot_wal_keep_size is smaller than that, it ends with [ErrWALRemoved]. A source
// that follows another timeline meanwhile is followed; one that is promoted ends the backup with [ErrPromoted].
//
// # What it does not do
//
// It writes no recovery settings; recovery.Apply in [Options.Prepare] does. It changes no owner: run it as the user of the
// server that is to use the copy. It makes no incremental backups and asks for no compression. It checks neither free space nor
// that the versions of the operating systems match.
//
// It takes some 25 MiB of memory, and about 200 bytes more for each file of the cluster.
package basebackup
