package datadir

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// ControlFile is where a data directory keeps its control data, relative to it.
const ControlFile = "global/pg_control"

// State is what the server noted about itself last (DBState in pg_control.h). Only [StateShutDown], of a primary, and
// [StateShutDownInRecovery], of a standby, mean a clean end. A killed server leaves what it was doing, mostly
// [StateInProduction] or [StateInArchiveRecovery].
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

// Control is what global/pg_control says. Positions are of the last checkpoint (on a standby: restartpoint), so the WAL in the
// data directory goes on after them, and more so on a running server.
type Control struct {
	Version            uint32 // pg_control version number, for example 1300 for majors 13 to 16
	SystemID           wal.SystemID
	State              State
	Time               time.Time // last update, whole seconds
	Checkpoint         wal.LSN   // where the last checkpoint record begins; so the WAL ends after it
	Redo               wal.LSN   // where replay would begin
	CheckpointTimeline wal.Timeline
	MinRecoveryPoint   wal.LSN      // data files need WAL up to here; zero on a primary from its first checkpoint on
	MinRecoveryTL      wal.Timeline // of MinRecoveryPoint; zero with it
	WALLogHints        bool
	DataChecksums      bool
	SegmentSize        uint32 // of WAL, in bytes; a power of two from 1 MiB to 1 GiB
	BlockSize          uint32 // of WAL pages, in bytes
}

// Timeline is the newest timeline that the data directory is known to be on: that of the last checkpoint, or of the minimum
// recovery point for a standby that followed a switch since and for a primary between its promotion and its first checkpoint
// (CreateEndOfRecoveryRecord in xlog.c). For a moment at a promotion, before that record, it is still the old one.
func (c Control) Timeline() wal.Timeline { return max(c.CheckpointTimeline, c.MinRecoveryTL) }

// Rewindable reports whether pg_rewind accepts the data directory as its target: it needs data checksums or
// wal_log_hints (PostgreSQL manual, pg_rewind).
func (c Control) Rewindable() bool { return c.DataChecksums || c.WALLogHints }

// ControlError says why a control file cannot be trusted.
type ControlError struct {
	File string
	Msg  string
}

func (e *ControlError) Error() string { return e.File + ": " + e.Msg }

// controlSize is the size of ControlFileData in 18, the largest; the file itself is padded to 8192 bytes.
const controlSize = 296

// controlLayout holds the byte offsets of ControlFileData of one pg_control version on a 64-bit server.
type controlLayout struct {
	redo, tli, minRecovery, minRecoveryTLI, logHints, blockSize, segSize, checksums, crc int
}

// controlLayouts lists the versions of majors 10 to 18 (src/include/catalog/pg_control.h).
var controlLayouts = map[uint32]controlLayout{
	1002: {48, 56, 136, 144, 176, 224, 228, 252, 288}, // 10
	1100: {40, 48, 128, 136, 168, 216, 220, 244, 280}, // 11
	1201: {40, 48, 136, 144, 176, 224, 228, 252, 288}, // 12
	1300: {40, 48, 136, 144, 176, 224, 228, 252, 288}, // 13 to 16
	1700: {40, 48, 136, 144, 176, 224, 228, 252, 288}, // 17
	1800: {40, 48, 136, 144, 176, 224, 228, 252, 292}, // 18
}

// ParseControl reads the content of a control file; name is used in errors. Files of majors before 10 or after 18, of another
// byte order, of a 32-bit server, cut short, or with a wrong checksum give a [*ControlError], which is all that can go wrong.
func ParseControl(name string, data []byte) (Control, error) {
	refuse := func(format string, args ...any) (Control, error) {
		return Control{}, &ControlError{File: name, Msg: fmt.Sprintf(format, args...)}
	}
	if len(data) < controlSize {
		return refuse("%d bytes are too few for a control file: it is cut off or not one", len(data))
	}
	le := binary.LittleEndian
	version := le.Uint32(data[8:])
	at, ok := controlLayouts[version]
	if !ok {
		if big := binary.BigEndian.Uint32(data[8:]); controlLayouts[big] != (controlLayout{}) {
			return refuse("written by a server of the other byte order")
		}
		return refuse("pg_control version %d is not one of PostgreSQL 10 to 18", version)
	}
	want := le.Uint32(data[at.crc:])
	if got := crc32.Checksum(data[:at.crc], crc32.MakeTable(crc32.Castagnoli)); got != want {
		return refuse("checksum is %08X but the file says %08X: it is damaged or was being written", got, want)
	}
	if size := le.Uint32(data[at.segSize:]); !wal.ValidSegmentSize(size) {
		return refuse("segment size %d is not a power of two from 1 MiB to 1 GiB", size)
	}
	return Control{
		Version:            version,
		SystemID:           wal.SystemID(le.Uint64(data)),
		State:              State(le.Uint32(data[16:])),
		Time:               time.Unix(int64(le.Uint64(data[24:])), 0),
		Checkpoint:         wal.LSN(le.Uint64(data[32:])),
		Redo:               wal.LSN(le.Uint64(data[at.redo:])),
		CheckpointTimeline: wal.Timeline(le.Uint32(data[at.tli:])),
		MinRecoveryPoint:   wal.LSN(le.Uint64(data[at.minRecovery:])),
		MinRecoveryTL:      wal.Timeline(le.Uint32(data[at.minRecoveryTLI:])),
		WALLogHints:        data[at.logHints] != 0,
		DataChecksums:      le.Uint32(data[at.checksums:]) != 0,
		SegmentSize:        le.Uint32(data[at.segSize:]),
		BlockSize:          le.Uint32(data[at.blockSize:]),
	}, nil
}
