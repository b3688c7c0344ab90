package datadir

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// controlLayout holds the byte offsets of ControlFileData (src/include/catalog/pg_control.h) of one format on a 64-bit server.
// An offset of 0 says that the format lacks the field. The first five fields stand at the same place in all, and need none.
type controlLayout struct {
	priorCheckpoint, redo, tli, prevTLI, fullPageWrites int
	xidEpoch, nextXID, oldestXID, checkpointTime        int // with xidEpoch 0 the epoch is the upper half of nextXID
	minRecovery, minRecoveryTLI                         int
	backupStart, backupEnd, backupEndRequired           int
	walLevel, logHints                                  int
	connections, workers, walSenders, prepared, locks   int
	commitTimestamp                                     int
	pageSize, blockSize, segSize, checksums, charSigned int
	crc                                                 int

	pairLSN   bool     // positions are two 32-bit numbers, high first, instead of one of 64 bits
	oldCRC    bool     // see legacyCRC
	walLevels []string // by number
}

var (
	walLevelsOld = []string{"minimal", "archive", "hot_standby", "logical"}
	walLevels    = []string{"minimal", "replica", "logical"}
)

// controlLayouts lists the formats of each pg_control version of majors 9.0 to 18. 9.4 and 9.5 gave two formats one number; only the
// place and the kind of the checksum tell them apart.
var controlLayouts = map[uint32][]controlLayout{
	903: {{ // 9.0, 9.1
		priorCheckpoint: 40, redo: 48, tli: 56, xidEpoch: 60, nextXID: 64, oldestXID: 80, checkpointTime: 88,
		minRecovery: 104, backupStart: 112, walLevel: 120, connections: 124, prepared: 128, locks: 132,
		pageSize: 152, blockSize: 160, segSize: 164, crc: 184, pairLSN: true, oldCRC: true, walLevels: walLevelsOld,
	}},
	922: {{ // 9.2
		priorCheckpoint: 40, redo: 48, tli: 56, fullPageWrites: 60, xidEpoch: 64, nextXID: 68, oldestXID: 84, checkpointTime: 96,
		minRecovery: 112, backupStart: 120, backupEnd: 128, backupEndRequired: 136, walLevel: 140, connections: 144, prepared: 148, locks: 152,
		pageSize: 168, blockSize: 176, segSize: 180, crc: 200, pairLSN: true, oldCRC: true, walLevels: walLevelsOld,
	}},
	937: {{ // 9.3
		priorCheckpoint: 40, redo: 48, tli: 56, prevTLI: 60, fullPageWrites: 64, xidEpoch: 68, nextXID: 72, oldestXID: 88, checkpointTime: 104,
		minRecovery: 128, minRecoveryTLI: 136, backupStart: 144, backupEnd: 152, backupEndRequired: 160,
		walLevel: 164, connections: 168, prepared: 172, locks: 176,
		pageSize: 192, blockSize: 200, segSize: 204, checksums: 224, crc: 228, oldCRC: true, walLevels: walLevelsOld,
	}},
	942: {
		{ // 9.4
			priorCheckpoint: 40, redo: 48, tli: 56, prevTLI: 60, fullPageWrites: 64, xidEpoch: 68, nextXID: 72, oldestXID: 88, checkpointTime: 104,
			minRecovery: 128, minRecoveryTLI: 136, backupStart: 144, backupEnd: 152, backupEndRequired: 160,
			walLevel: 164, logHints: 168, connections: 172, workers: 176, prepared: 180, locks: 184,
			pageSize: 200, blockSize: 208, segSize: 212, checksums: 236, crc: 240, oldCRC: true, walLevels: walLevelsOld,
		},
		layout95to10(256, walLevelsOld), // 9.5
	},
	960:  {layout95to10(256, walLevels)}, // 9.6
	1002: {layout95to10(288, walLevels)}, // 10
	1100: {{ // 11
		redo: 40, tli: 48, prevTLI: 52, fullPageWrites: 56, xidEpoch: 60, nextXID: 64, oldestXID: 80, checkpointTime: 96,
		minRecovery: 128, minRecoveryTLI: 136, backupStart: 144, backupEnd: 152, backupEndRequired: 160,
		walLevel: 164, logHints: 168, connections: 172, workers: 176, prepared: 180, locks: 184, commitTimestamp: 188,
		pageSize: 208, blockSize: 216, segSize: 220, checksums: 244, crc: 280, walLevels: walLevels,
	}},
	1201: {layout12(0, 288)},   // 12
	1300: {layout12(0, 288)},   // 13 to 16
	1700: {layout12(0, 288)},   // 17
	1800: {layout12(256, 292)}, // 18
}

func layout95to10(crc int, levels []string) controlLayout {
	return controlLayout{
		priorCheckpoint: 40, redo: 48, tli: 56, prevTLI: 60, fullPageWrites: 64, xidEpoch: 68, nextXID: 72, oldestXID: 88, checkpointTime: 104,
		minRecovery: 136, minRecoveryTLI: 144, backupStart: 152, backupEnd: 160, backupEndRequired: 168,
		walLevel: 172, logHints: 176, connections: 180, workers: 184, prepared: 188, locks: 192, commitTimestamp: 196,
		pageSize: 216, blockSize: 224, segSize: 228, checksums: 252, crc: crc, walLevels: levels,
	}
}

func layout12(charSigned, crc int) controlLayout {
	return controlLayout{
		redo: 40, tli: 48, prevTLI: 52, fullPageWrites: 56, nextXID: 64, oldestXID: 84, checkpointTime: 104,
		minRecovery: 136, minRecoveryTLI: 144, backupStart: 152, backupEnd: 160, backupEndRequired: 168,
		walLevel: 172, logHints: 176, connections: 180, workers: 184, walSenders: 188, prepared: 192, locks: 196, commitTimestamp: 200,
		pageSize: 216, blockSize: 224, segSize: 228, checksums: 252, charSigned: charSigned, crc: crc, walLevels: walLevels,
	}
}

// ParseControl reads the content of a control file of 9.0 to 18; name is used in errors. Files of other majors, of another byte
// order, of a 32-bit server, cut short, or with a wrong checksum give a [*ControlError], which is all that can go wrong.
//
// The checksum covers all that is read, so that one changed bit anywhere in it is noticed. The rest of the file, up to its 8192
// bytes, is zero and without meaning; neither the server nor ParseControl looks at it, and it may be missing.
func ParseControl(name string, data []byte) (Control, error) {
	refuse := func(format string, args ...any) (Control, error) {
		return Control{}, &ControlError{File: name, Msg: fmt.Sprintf(format, args...)}
	}
	if len(data) < 12 {
		return refuse("%d bytes are too few for a control file: it is cut off or not one", len(data))
	}
	version := binary.LittleEndian.Uint32(data[8:])
	layouts := controlLayouts[version]
	if layouts == nil {
		if big := binary.BigEndian.Uint32(data[8:]); controlLayouts[big] != nil {
			return refuse("written by a server of the other byte order")
		}
		return refuse("pg_control version %d is not one of PostgreSQL 9.0 to 18", version)
	}
	var why string
	for _, at := range layouts {
		if why = at.damage(data); why == "" {
			return at.read(data), nil
		}
	}
	return refuse("%s", why)
}

// damage says why the data is no sound file of this layout, or nothing.
func (at controlLayout) damage(data []byte) string {
	if len(data) < at.crc+4 {
		return fmt.Sprintf("%d bytes are too few for a control file: it is cut off or not one", len(data))
	}
	said, is := binary.LittleEndian.Uint32(data[at.crc:]), at.checksum(data[:at.crc])
	if said != is {
		return fmt.Sprintf("checksum is %08X but the file says %08X: it is damaged, was being written, or is of a 32-bit server", is, said)
	}
	if size := binary.LittleEndian.Uint32(data[at.segSize:]); !wal.ValidSegmentSize(size) {
		return fmt.Sprintf("segment size %d is not a power of two from 1 MiB to 1 GiB", size)
	}
	return ""
}

func (at controlLayout) checksum(data []byte) uint32 {
	if at.oldCRC {
		return legacyCRC(data)
	}
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}

// legacyCRC is the checksum of 9.0 to 9.4: by mistake it runs the table of a reflected CRC in the other direction
// (COMP_LEGACY_CRC32 in src/include/utils/pg_crc.h), so it is nobody else's CRC. It finds every single flipped bit all the
// same: each step is a bijection of the state for a given byte.
func legacyCRC(data []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range data {
		crc = crc32.IEEETable[byte(crc>>24)^b] ^ crc<<8
	}
	return ^crc
}

// read reads a file that is not damaged.
func (at controlLayout) read(data []byte) Control {
	f := fields{data, at.pairLSN}
	c := Control{
		Version: f.u32(8), CatalogVersion: f.u32(12), SystemID: wal.SystemID(f.u64(0)), State: State(f.u32(16)), Time: f.time(24),
		Checkpoint: f.lsn(32), PriorCheckpoint: f.lsn(at.priorCheckpoint), Redo: f.lsn(at.redo),
		CheckpointTimeline: wal.Timeline(f.u32(at.tli)), PrevTimeline: wal.Timeline(f.u32(at.prevTLI)),
		FullPageWrites: f.bool(at.fullPageWrites), NextXID: uint64(f.u32(at.xidEpoch))<<32 | uint64(f.u32(at.nextXID)),
		OldestXID: f.u32(at.oldestXID), CheckpointTime: f.time(at.checkpointTime),
		MinRecoveryPoint: f.lsn(at.minRecovery), MinRecoveryTL: wal.Timeline(f.u32(at.minRecoveryTLI)),
		BackupStart: f.lsn(at.backupStart), BackupEnd: f.lsn(at.backupEnd), BackupEndRequired: f.bool(at.backupEndRequired),
		WALLevel: at.walLevelName(f.u32(at.walLevel)), WALLogHints: f.bool(at.logHints),
		MaxConnections: f.int(at.connections), MaxWorkerProcesses: f.int(at.workers), MaxWALSenders: f.int(at.walSenders),
		MaxPreparedXacts: f.int(at.prepared), MaxLocksPerXact: f.int(at.locks), TrackCommitTimestamp: f.bool(at.commitTimestamp),
		PageSize: f.u32(at.pageSize), BlockSize: f.u32(at.blockSize), SegmentSize: f.u32(at.segSize),
		DataChecksums: f.u32(at.checksums) != 0, ChecksumVersion: f.u32(at.checksums),
	}
	if at.xidEpoch == 0 {
		c.NextXID = f.u64(at.nextXID)
	}
	if at.charSigned != 0 {
		c.DefaultChar = Unsigned
		if f.bool(at.charSigned) {
			c.DefaultChar = Signed
		}
	}
	return c
}

func (at controlLayout) walLevelName(n uint32) string {
	if n < uint32(len(at.walLevels)) {
		return at.walLevels[n]
	}
	return fmt.Sprintf("unrecognized wal_level %d", n)
}

// fields reads numbers at offsets; at offset 0 there is none, but for the system identifier.
type fields struct {
	data    []byte
	pairLSN bool
}

func (f fields) u32(at int) uint32 {
	if at == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(f.data[at:])
}

func (f fields) u64(at int) uint64 { return binary.LittleEndian.Uint64(f.data[at:]) }

func (f fields) int(at int) int { return int(int32(f.u32(at))) } //nolint:gosec // it is a C int

func (f fields) bool(at int) bool { return at != 0 && f.data[at] != 0 }

func (f fields) time(at int) time.Time { return time.Unix(int64(f.u64(at)), 0) } //nolint:gosec // it is a C int64

func (f fields) lsn(at int) wal.LSN {
	switch {
	case at == 0:
		return 0
	case f.pairLSN:
		return wal.LSN(f.u32(at))<<32 | wal.LSN(f.u32(at+4))
	default:
		return wal.LSN(f.u64(at))
	}
}
