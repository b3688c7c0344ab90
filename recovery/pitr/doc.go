// Package pitr restores a base backup and recovers it from an archive of WAL to a moment in the past (point-in-time recovery).
//
//	result, err := pitr.Run(ctx, pitr.Options{
//		Backup:         "/backups/sunday",                                  // of recovery/basebackup or pg_basebackup, plain or tar
//		DataDir:        "/var/lib/postgresql/17/restored",                  // made by Run
//		RestoreCommand: `cp /mnt/wal/%f "%p"`,
//		Target:         recovery.TargetTime{At: beforeTheMistake},
//		Action:         recovery.ActionPause,
//		Runner:         pitr.Local{BinDir: "/usr/lib/postgresql/17/bin"},
//	})
//
// Run copies the backup, writes the settings with [recovery.TakeOver], starts the server and returns when it is where it shall be:
// stopped, paused or promoted. What decides is the log that the server writes, so no connection is made and no password is needed.
//
// # Exactly there or not at all
//
// A server that runs out of WAL before its target fails from 13 on. Up to 12 it becomes a primary, as if all were well. So there, Run
// has the server stop at the target first, with archive_mode off, and lets it do what was asked for only after it got there. In every
// major the error then matches [ErrNotReached].
//
// While the copy is being made it has no global/pg_control, without which no server starts. It is made in a folder beside DataDir,
// which gets its name when it is complete. The backup is only read.
//
// # What it does not do
//
// It does not verify the backup: recovery/basebackup does that when it makes one. Compressed tar files are not read. It changes no
// owner: run it as the user of the server. A promoted server archives as the configuration in the backup says, on its new timeline.
// Majors before 10 are refused.
//
// Sources: PostgreSQL manual, "Recovering Using a Continuous Archive Backup"; the messages are those of src/backend/access/transam/xlog.c
// (xlogrecovery.c from 15 on).
package pitr
