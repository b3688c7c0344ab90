package datadir

import (
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// ControlFile is where a data directory keeps its control data, relative to it.
const ControlFile = "global/pg_control"

// State is what the server noted about itself last (DBState in pg_control.h). Only [StateShutDown], of a primary, and
// [StateShutDownInRecovery], of a standby, mean a clean end. A killed server leaves what it was doing, mostly
// [StateInProduction] or [StateInArchiveRecovery]. A base backup holds the state of the server that it was taken from.
type State uint32

// The states, with pg_controldata's words for them.
const (
	StateStartingUp State = iota
	StateShutDown
	StateShutDownInRecovery
	StateShuttingDown
	StateInCrashRecovery
	StateInArchiveRecovery
	StateInProduction
)

var stateNames = [...]string{
	"starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production",
}

// String returns pg_controldata's words.
func (s State) String() string {
	if s < State(len(stateNames)) {
		return stateNames[s]
	}
	return fmt.Sprintf("unrecognized state %d", uint32(s))
}

// Clean reports whether the server was stopped in an orderly way.
func (s State) Clean() bool { return s == StateShutDown || s == StateShutDownInRecovery }

// Signedness is whether the C type char has a sign, which decides how some indexes are sorted (18+).
type Signedness string

// The two, in pg_controldata's words. Before 18 the file does not say it.
const (
	Signed   Signedness = "signed"
	Unsigned Signedness = "unsigned"
)

// Control is what global/pg_control says. Positions are of the last checkpoint (on a standby: restartpoint), so the WAL in the
// data directory goes on after them, and more so on a running server. Fields that the file's major does not have are zero.
//
// Left out are what only the server itself has a use for (object and multixact counters, limits of the build) and the nonce for
// authentication, which is a secret.
type Control struct {
	Version        uint32 // pg_control version number, for example 1300 for majors 13 to 16
	CatalogVersion uint32 // for example 202307071 for 16; see [Control.Major]
	SystemID       wal.SystemID
	State          State
	Time           time.Time // last update, whole seconds

	Checkpoint         wal.LSN // where the last checkpoint record begins; so the WAL ends after it
	PriorCheckpoint    wal.LSN // the one before it; up to 10
	Redo               wal.LSN // where replay would begin
	CheckpointTimeline wal.Timeline
	PrevTimeline       wal.Timeline // differs from CheckpointTimeline if the checkpoint began that; 9.3+
	FullPageWrites     bool         // full_page_writes at the checkpoint; 9.2+
	NextXID            uint64       // the next transaction ID, with its epoch in the upper half
	OldestXID          uint32       // the oldest transaction ID that may still be in a table
	CheckpointTime     time.Time    // whole seconds

	MinRecoveryPoint wal.LSN      // data files need WAL up to here; zero on a primary from its first checkpoint on
	MinRecoveryTL    wal.Timeline // of MinRecoveryPoint, and zero with it; 9.3+

	// The recovery of a base backup that has not reached the end of the backup: until then the data is a mixture of what was
	// copied at different times. Zero before and after.
	BackupStart       wal.LSN // its redo position
	BackupEnd         wal.LSN // the position to reach; only of a backup from a standby; 9.2+
	BackupEndRequired bool    // a record in the WAL must say where it ends; 9.2+

	// The parameters that a standby compares with its own: lower ones there stop it, or its queries.
	WALLevel             string // as the parameter has it: minimal, replica (up to 9.5: archive, hot_standby), logical
	WALLogHints          bool   // 9.4+
	MaxConnections       int
	MaxWorkerProcesses   int // 9.4+
	MaxWALSenders        int // 12+
	MaxPreparedXacts     int
	MaxLocksPerXact      int
	TrackCommitTimestamp bool // 9.5+

	// What the build or initdb chose.
	PageSize        uint32 // of tables and indexes, in bytes
	BlockSize       uint32 // of WAL pages, in bytes
	SegmentSize     uint32 // of WAL, in bytes; a power of two from 1 MiB to 1 GiB
	DataChecksums   bool   // 9.3+
	ChecksumVersion uint32 // of the checksums' algorithm, zero without them; 9.3+
	DefaultChar     Signedness
}

// Timeline is the newest timeline that the data directory is known to be on: that of the last checkpoint, or of the minimum
// recovery point for a standby that followed a switch since and for a primary between its promotion and its first checkpoint
// (CreateEndOfRecoveryRecord in xlog.c). For a moment at a promotion, before that record, it is still the old one.
func (c Control) Timeline() wal.Timeline { return max(c.CheckpointTimeline, c.MinRecoveryTL) }

// Rewindable reports whether pg_rewind accepts the data directory as its target: it needs data checksums or
// wal_log_hints (PostgreSQL manual, pg_rewind).
func (c Control) Rewindable() bool { return c.DataChecksums || c.WALLogHints }

// BackupUnfinished reports whether the recovery of a base backup began and has not reached the backup's end.
func (c Control) BackupUnfinished() bool {
	return c.BackupStart != 0 || c.BackupEnd != 0 || c.BackupEndRequired
}

// catalogVersions are those of the releases (src/include/catalog/catversion.h); they never change within a major.
var catalogVersions = map[uint32]pgconf.Major{
	201008051: pgconf.V9_0, 201105231: pgconf.V9_1, 201204301: pgconf.V9_2, 201306121: pgconf.V9_3, 201409291: pgconf.V9_4,
	201510051: pgconf.V9_5, 201608131: pgconf.V9_6, 201707211: 10, 201809051: 11, 201909212: 12, 202007201: 13, 202107181: 14,
	202209061: 15, 202307071: 16, 202406281: 17, 202506291: 18,
}

// Major is the major whose data this is, or zero if the catalog is of no release: a beta's, or a fork's. A server starts only with
// its own.
func (c Control) Major() pgconf.Major { return catalogVersions[c.CatalogVersion] }

// ControlError says why a control file cannot be trusted.
type ControlError struct {
	File string
	Msg  string
}

func (e *ControlError) Error() string { return e.File + ": " + e.Msg }
