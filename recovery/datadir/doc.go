// Package datadir reads what a data directory of PostgreSQL says about itself, without any PostgreSQL tool.
//
//	c, err := datadir.ReadControl("/var/lib/postgresql/17/main")
//	fmt.Println(c.SystemID, c.State, c.Timeline(), c.Checkpoint)
//
// What there is:
//
//   - [ReadControl] reads global/pg_control: system identifier, state, timeline, positions, the parameters that a standby needs. The
//     server's checksum is verified, so a torn file or a flipped bit is an error, never a wrong answer.
//   - [ReadVersion], [ReadHistory], [ReadLabel], [ParsePostmaster] and [ParseTablespaceMap] read PG_VERSION, a timeline's history,
//     backup_label, postmaster.pid and tablespace_map. The formats that an archive holds too are parsed by package walarchive/wal.
//   - [CheckServer] says whether a server runs there: running, stopped, or unknown, and why.
//   - [EndOfWAL] reads the WAL since the last checkpoint and says where it ends, to the byte (10 to 18).
//   - [Inspect] does all of that but the last in one call, with an error for each part.
//
// The package only reads. Whether a server may follow another is for recovery.Judge to say.
//
// # Majors
//
// 9.0 to 18, as servers on 64-bit little-endian machines write the files. Control files and the text files of 10 to 18 are proven
// against real servers of each major: against vectors that they wrote, what pg_controldata or the server's own functions said of
// these, and against the servers that are there when the tests run. Control files of 9.0 to 9.6 follow pg_control.h of each
// only: the tests lay them out by the order and the types of its fields. Where their checksum stands, and how it is made, was
// seen in files of real servers.
//
// Sources: src/include/catalog/pg_control.h of each major; src/backend/utils/init/miscinit.c and src/include/utils/pidfile.h;
// src/backend/access/transam/xlogrecovery.c, up to 14 xlog.c.
package datadir
