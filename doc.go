// Package understudy is the map of a PostgreSQL high-availability toolkit that is imported, not installed.
//
// The understudy is the actor who has learnt the part and can walk on stage within minutes. The packages do for a PostgreSQL
// service what that takes: configure servers, archive their WAL, describe and watch who follows whom, decide who takes over
// when a primary dies, and bring the old one back. Each can be used alone:
//
//	pgconf/             read and edit postgresql.conf and all that belongs to it; no byte changes that was not meant to
//	  guc/              every parameter of every major: judge values, compare and translate configurations
//	  hba/              pg_hba.conf and pg_ident.conf: who gets in by which line
//	  conninfo/         connection strings, pgjdbc URLs, service and password files, secrets never printed
//	  role/             the replication role; SCRAM verifiers, so that no password travels in clear
//	recovery/           standbys and recoveries of every major from one model; how will it start; may it come back?
//	  datadir/          what a data directory says of itself: pg_control, postmaster.pid, backup_label
//	  command/          archive_command and its like: built, expanded, read, and what is wrong with them
//	  promote/          end recovery in any way that a major allows, and come back from it
//	  basebackup/       copy a running server over the replication protocol, without PostgreSQL's programs
//	  pitr/             restore a copy and recover it to a moment in the past
//	walarchive/         archive_command and restore_command as a library; verify, clean up, wait, check
//	  wal/              positions, timelines, segment names, histories, page headers and their chain
//	  codec/            how files are compressed, encrypted and recorded in an archive
//	  store/            archives by URL: dir (directories), sftp (SSH servers), s3; storetest checks any other kind
//	  lookahead/        archives and restores ahead of the server, in a helper process
//	  catalog/          what an archive holds, what is missing, what may go and why
//	  stream/           receives WAL as it is written, as pg_receivewal does
//	  queue/            what a server has ready for archiving, and when to give it up
//	  archiver/         how far a server's archiving is behind, from pg_stat_archiver
//	topology/           what a cluster should be, what it is, what is wrong, and the plan between them
//	  clusterfile/      descriptions of clusters as YAML, with every fault at its line; a JSON Schema
//	  pgprobe/          observation over SQL, and the proof that a row gets everywhere
//	  build/            bring machines to what a description says; make, move and retire nodes
//	  host/             run commands and handle files on this machine, over SSH or in a container
//	  pgnode/           start, stop, promote, clone, rewind and fence one server, whoever manages it
//	failover/           the pure state machine that decides, and the loop around it
//	gocd/               the mode of a GoCD server that lives on the database
//	examples/           thin programs: quickstart, topology, configure, walarchive, pgconf, basebackup, pitr, gocdmode
//
// Imports run one way: walarchive/wal and pgconf are leaves; recovery, walarchive and topology build on them, failover on
// topology; gocd stands beside them. pgconf, recovery, walarchive/wal and catalog, topology and failover need nothing but the standard
// library, so importing them costs nothing; a test enforces it.
//
// # What is promised
//
// These hold in everything that is there, and tests on real servers check them:
//
//   - A standby is promoted only after its primary was certainly fenced. A timeout is not a success, "unknown" is not "down".
//   - With synchronous standbys no acknowledged commit is lost: nobody is elected unless every set of standbys that can have
//     acknowledged a commit has been heard, and then the furthest of them.
//   - A data directory is set aside by rename, never emptied. A copy in the making can never start as a primary.
//   - Files people edit keep every byte that an edit does not concern, and are replaced atomically and durably.
//   - The archive never replaces a file by another content, and never takes "cannot tell" for "not there".
//   - Secrets appear in no log, error, process list or world-readable file.
//
// # What is not there yet
//
// The main job is carried from end to end (see examples/quickstart). There is no leader lease and no agent on each host yet: one
// process decides, and it must be the only one. There are no switchover plans, and of GoCD only the mode of one
// server. pgconf, recovery and walarchive/wal know PostgreSQL 9.0 to 18 and are judged by servers of 10 to 18; the other packages know
// 10 to 18, and whole clusters are tested on 11, 13, 15, 17 and 18. What a package leaves out its own documentation says.
package understudy
