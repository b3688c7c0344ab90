package datadir_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// No server of 9.0 to 9.6 is at hand, so their control files are generated: from the order and the types of the fields in
// pg_control.h of each. The compiler lays the structs out, as it does for C on a 64-bit machine; no offset is written down here.

type pair struct{ Hi, Lo uint32 } // XLogRecPtr up to 9.2

type checkPoint90 struct {
	Redo                                                                         pair
	TLI, Epoch, NextXID, NextOID, NextMulti, MultiOffset, OldestXID, OldestXIDDB uint32
	Time                                                                         int64
	OldestActive                                                                 uint32
}

type checkPoint92 struct {
	Redo                                                                    pair
	TLI                                                                     uint32
	FullPageWrites                                                          bool
	Epoch, NextXID, NextOID, NextMulti, MultiOffset, OldestXID, OldestXIDDB uint32
	Time                                                                    int64
	OldestActive                                                            uint32
}

type checkPoint93 struct {
	Redo                                                                                                uint64
	TLI, PrevTLI                                                                                        uint32
	FullPageWrites                                                                                      bool
	Epoch, NextXID, NextOID, NextMulti, MultiOffset, OldestXID, OldestXIDDB, OldestMulti, OldestMultiDB uint32
	Time                                                                                                int64
	OldestActive                                                                                        uint32
}

type checkPoint95 struct {
	Redo                                                                                                uint64
	TLI, PrevTLI                                                                                        uint32
	FullPageWrites                                                                                      bool
	Epoch, NextXID, NextOID, NextMulti, MultiOffset, OldestXID, OldestXIDDB, OldestMulti, OldestMultiDB uint32
	Time                                                                                                int64
	OldestCommitTS, NewestCommitTS, OldestActive                                                        uint32
}

type control90 struct {
	SystemID                                                  uint64
	Version, Catalog, State                                   uint32
	Time                                                      int64
	Checkpoint, Prior                                         pair
	Copy                                                      checkPoint90
	MinRecovery, BackupStart                                  pair
	WALLevel, MaxConnections, MaxPrepared, MaxLocks, MaxAlign uint32
	FloatFormat                                               float64
	PageSize, RelSeg, BlockSize, SegSize, NameLen, IndexKeys  uint32
	ToastChunk                                                uint32
	IntTimes, Float4, Float8                                  bool
	CRC                                                       uint32
}

type control92 struct {
	SystemID                                                  uint64
	Version, Catalog, State                                   uint32
	Time                                                      int64
	Checkpoint, Prior                                         pair
	Copy                                                      checkPoint92
	MinRecovery, BackupStart, BackupEnd                       pair
	BackupEndRequired                                         bool
	WALLevel, MaxConnections, MaxPrepared, MaxLocks, MaxAlign uint32
	FloatFormat                                               float64
	PageSize, RelSeg, BlockSize, SegSize, NameLen, IndexKeys  uint32
	ToastChunk                                                uint32
	IntTimes, Float4, Float8                                  bool
	CRC                                                       uint32
}

type control93 struct {
	SystemID                                                  uint64
	Version, Catalog, State                                   uint32
	Time                                                      int64
	Checkpoint, Prior                                         uint64
	Copy                                                      checkPoint93
	Unlogged, MinRecovery                                     uint64
	MinRecoveryTLI                                            uint32
	BackupStart, BackupEnd                                    uint64
	BackupEndRequired                                         bool
	WALLevel, MaxConnections, MaxPrepared, MaxLocks, MaxAlign uint32
	FloatFormat                                               float64
	PageSize, RelSeg, BlockSize, SegSize, NameLen, IndexKeys  uint32
	ToastChunk                                                uint32
	IntTimes, Float4, Float8                                  bool
	Checksums, CRC                                            uint32
}

type control94 struct {
	SystemID                                                    uint64
	Version, Catalog, State                                     uint32
	Time                                                        int64
	Checkpoint, Prior                                           uint64
	Copy                                                        checkPoint93
	Unlogged, MinRecovery                                       uint64
	MinRecoveryTLI                                              uint32
	BackupStart, BackupEnd                                      uint64
	BackupEndRequired                                           bool
	WALLevel                                                    uint32
	LogHints                                                    bool
	MaxConnections, MaxWorkers, MaxPrepared, MaxLocks, MaxAlign uint32
	FloatFormat                                                 float64
	PageSize, RelSeg, BlockSize, SegSize, NameLen, IndexKeys    uint32
	ToastChunk, LOBlock                                         uint32
	IntTimes, Float4, Float8                                    bool
	Checksums, CRC                                              uint32
}

type control95 struct {
	SystemID                                                 uint64
	Version, Catalog, State                                  uint32
	Time                                                     int64
	Checkpoint, Prior                                        uint64
	Copy                                                     checkPoint95
	Unlogged, MinRecovery                                    uint64
	MinRecoveryTLI                                           uint32
	BackupStart, BackupEnd                                   uint64
	BackupEndRequired                                        bool
	WALLevel                                                 uint32
	LogHints                                                 bool
	MaxConnections, MaxWorkers, MaxPrepared, MaxLocks        uint32
	CommitTimestamp                                          bool
	MaxAlign                                                 uint32
	FloatFormat                                              float64
	PageSize, RelSeg, BlockSize, SegSize, NameLen, IndexKeys uint32
	ToastChunk, LOBlock                                      uint32
	IntTimes, Float4, Float8                                 bool
	Checksums, CRC                                           uint32
}

// headerVector is a generated control file.
type headerVector struct {
	name    string
	data    []byte
	covered int           // bytes up to the end of the checksum
	value   reflect.Value // the struct
	major   pgconf.Major
	levels  []string
}

func headerVectors() []headerVector {
	older := []string{"minimal", "archive", "hot_standby", "logical"}
	return []headerVector{
		headerVectorOf[control90](pgconf.V9_0, 903, 201008051, older),
		headerVectorOf[control90](pgconf.V9_1, 903, 201105231, older),
		headerVectorOf[control92](pgconf.V9_2, 922, 201204301, older),
		headerVectorOf[control93](pgconf.V9_3, 937, 201306121, older),
		headerVectorOf[control94](pgconf.V9_4, 942, 201409291, older),
		headerVectorOf[control95](pgconf.V9_5, 942, 201510051, older),
		headerVectorOf[control95](pgconf.V9_6, 960, 201608131, []string{"minimal", "replica", "logical"}),
	}
}

// headerVectorOf fills every field with a value of its own.
func headerVectorOf[T any](major pgconf.Major, version, catalog uint32, levels []string) headerVector {
	s := new(T)
	v := reflect.ValueOf(s).Elem()
	n := uint64(100)
	fill(v, &n)
	for field, value := range map[string]uint64{"Version": uint64(version), "Catalog": uint64(catalog), "State": 5, "WALLevel": 2, "SegSize": 16 << 20} {
		v.FieldByName(field).SetUint(value)
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)) //nolint:gosec // how the compiler lays it out is what is wanted
	crc, _ := v.Type().FieldByName("CRC")
	sum := crc32.Checksum(data[:crc.Offset], crc32.MakeTable(crc32.Castagnoli))
	if major <= pgconf.V9_4 {
		sum = bitwiseLegacyCRC(data[:crc.Offset])
	}
	v.FieldByName("CRC").SetUint(uint64(sum))
	return headerVector{"header_" + major.String(), data, int(crc.Offset) + 4, v, major, levels}
}

func fill(v reflect.Value, n *uint64) {
	for i := range v.NumField() {
		*n++
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			fill(f, n)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(int64(*n))
		case reflect.Float64:
			f.SetFloat(1234567)
		default:
			f.SetUint(*n)
		}
	}
}

// bitwiseLegacyCRC is the checksum up to 9.4 without a table: eight steps of the reflected polynomial for the byte that the upper
// end of the state and the data make, into the lower end of the rest.
func bitwiseLegacyCRC(data []byte) uint32 {
	crc := uint32(0xFFFFFFFF)
	for _, b := range data {
		step := crc>>24 ^ uint32(b)
		for range 8 {
			if step&1 != 0 {
				step = step>>1 ^ 0xEDB88320
			} else {
				step >>= 1
			}
		}
		crc = crc<<8 ^ step
	}
	return crc ^ 0xFFFFFFFF
}

func TestParseControl_ofHeaders(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 || unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the files are laid out as by this machine's compiler, which is not a little-endian 64-bit one")
	}
	for _, v := range headerVectors() {
		t.Run(v.name, func(t *testing.T) {
			number := func(path ...string) uint64 {
				f := v.value
				for _, name := range path {
					if f = f.FieldByName(name); !f.IsValid() {
						return 0 // the major does not have it
					}
				}
				switch f.Kind() {
				case reflect.Struct: // a pair
					return f.Field(0).Uint()<<32 | f.Field(1).Uint()
				case reflect.Int64:
					return uint64(f.Int())
				case reflect.Bool:
					return 1
				default:
					return f.Uint()
				}
			}
			c, err := datadir.ParseControl("f", v.data)
			require.NoError(t, err)
			require.Equal(t, datadir.Control{
				Version: uint32(number("Version")), CatalogVersion: uint32(number("Catalog")), SystemID: wal.SystemID(number("SystemID")),
				State: datadir.StateInArchiveRecovery, Time: time.Unix(int64(number("Time")), 0),
				Checkpoint: wal.LSN(number("Checkpoint")), PriorCheckpoint: wal.LSN(number("Prior")), Redo: wal.LSN(number("Copy", "Redo")),
				CheckpointTimeline: wal.Timeline(number("Copy", "TLI")), PrevTimeline: wal.Timeline(number("Copy", "PrevTLI")),
				FullPageWrites: number("Copy", "FullPageWrites") == 1, NextXID: number("Copy", "Epoch")<<32 | number("Copy", "NextXID"),
				OldestXID: uint32(number("Copy", "OldestXID")), CheckpointTime: time.Unix(int64(number("Copy", "Time")), 0),
				MinRecoveryPoint: wal.LSN(number("MinRecovery")), MinRecoveryTL: wal.Timeline(number("MinRecoveryTLI")),
				BackupStart: wal.LSN(number("BackupStart")), BackupEnd: wal.LSN(number("BackupEnd")), BackupEndRequired: number("BackupEndRequired") == 1,
				WALLevel: v.levels[2], WALLogHints: number("LogHints") == 1,
				MaxConnections: int(number("MaxConnections")), MaxWorkerProcesses: int(number("MaxWorkers")),
				MaxPreparedXacts: int(number("MaxPrepared")), MaxLocksPerXact: int(number("MaxLocks")), TrackCommitTimestamp: number("CommitTimestamp") == 1,
				PageSize: uint32(number("PageSize")), BlockSize: uint32(number("BlockSize")), SegmentSize: uint32(number("SegSize")),
				DataChecksums: number("Checksums") != 0, ChecksumVersion: uint32(number("Checksums")),
			}, c)
			require.Equal(t, v.major, c.Major())
		})
	}
}

// Where the checksum stands is known of real files of these majors.
func TestHeaderVectors_checksumPlace(t *testing.T) {
	got := ""
	for _, v := range headerVectors() {
		got += fmt.Sprintf("%s:%d ", v.major, v.covered-4)
	}
	require.Equal(t, "9.0:184 9.1:184 9.2:200 9.3:228 9.4:240 9.5:256 9.6:256 ", got)
}
