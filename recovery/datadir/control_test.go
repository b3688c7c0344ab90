package datadir_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// controlVector is the start of a pg_control that a server wrote, and what that server says is in it.
type controlVector struct {
	name string // MAJOR_STATE, see testdata/control/generate.sh
	data []byte
	says map[string]string // pg_controldata's labels and values
}

func controlVectors(t testing.TB) []controlVector {
	t.Helper()
	files, err := filepath.Glob("testdata/control/*.bin")
	require.NoError(t, err)
	require.Len(t, files, 9*7, "nine majors in seven states")
	var all []controlVector
	for _, file := range files {
		stem := strings.TrimSuffix(file, ".bin")
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		text, err := os.ReadFile(stem + ".txt")
		require.NoError(t, err)
		all = append(all, controlVector{filepath.Base(stem), data, says(string(text))})
	}
	return all
}

// says takes apart what pg_controldata prints.
func says(text string) map[string]string {
	said := map[string]string{}
	for line := range strings.Lines(text) {
		label, value, _ := strings.Cut(line, ":")
		said[label] = strings.TrimSpace(value)
	}
	return said
}

func controlVectorOf(t testing.TB, name string) controlVector {
	t.Helper()
	for _, v := range controlVectors(t) {
		if v.name == name {
			return v
		}
	}
	require.Fail(t, "no such vector", name)
	return controlVector{}
}

// want reads the expectation from pg_controldata's words. Labels that the major does not have, or that nobody could say, are left out.
func (v controlVector) want(t testing.TB) datadir.Control {
	t.Helper()
	text := func(label string) string {
		value, ok := v.says[label]
		require.True(t, ok, "%s is missing in %s", label, v.name)
		return value
	}
	number := func(label string) uint32 {
		n, err := strconv.ParseUint(text(label), 10, 32)
		require.NoError(t, err, label)
		return uint32(n)
	}
	optional := func(label string) int {
		if _, ok := v.says[label]; !ok {
			return 0
		}
		return int(number(label))
	}
	lsn := func(label string) wal.LSN {
		l, err := wal.ParseLSN(text(label))
		require.NoError(t, err, label)
		return l
	}
	date := func(label string) time.Time {
		at, err := time.Parse("Mon Jan _2 15:04:05 2006", text(label))
		require.NoError(t, err, label)
		return at
	}
	id, err := wal.ParseSystemID(text("Database system identifier"))
	require.NoError(t, err)
	states := map[string]datadir.State{
		"shut down": datadir.StateShutDown, "shut down in recovery": datadir.StateShutDownInRecovery,
		"in archive recovery": datadir.StateInArchiveRecovery, "in production": datadir.StateInProduction,
	}
	state, known := states[text("Database cluster state")]
	require.True(t, known)
	epoch, xid, _ := strings.Cut(text("Latest checkpoint's NextXID"), ":")
	e, err := strconv.ParseUint(epoch, 10, 32)
	require.NoError(t, err)
	x, err := strconv.ParseUint(xid, 10, 32)
	require.NoError(t, err)
	c := datadir.Control{
		Version: number("pg_control version number"), CatalogVersion: number("Catalog version number"), SystemID: id, State: state,
		Time: date("pg_control last modified"), Checkpoint: lsn("Latest checkpoint location"), Redo: lsn("Latest checkpoint's REDO location"),
		CheckpointTimeline: wal.Timeline(number("Latest checkpoint's TimeLineID")),
		PrevTimeline:       wal.Timeline(number("Latest checkpoint's PrevTimeLineID")),
		FullPageWrites:     text("Latest checkpoint's full_page_writes") == "on",
		NextXID:            e<<32 | x, OldestXID: number("Latest checkpoint's oldestXID"), CheckpointTime: date("Time of latest checkpoint"),
		MinRecoveryPoint: lsn("Minimum recovery ending location"), MinRecoveryTL: wal.Timeline(number("Min recovery ending loc's timeline")),
		BackupStart: lsn("Backup start location"), BackupEnd: lsn("Backup end location"),
		BackupEndRequired: text("End-of-backup record required") == "yes",
		WALLevel:          v.says["wal_level setting"], WALLogHints: text("wal_log_hints setting") == "on",
		MaxConnections: optional("max_connections setting"), MaxWorkerProcesses: optional("max_worker_processes setting"),
		MaxWALSenders: optional("max_wal_senders setting"), MaxPreparedXacts: optional("max_prepared_xacts setting"),
		MaxLocksPerXact: optional("max_locks_per_xact setting"), TrackCommitTimestamp: v.says["track_commit_timestamp setting"] == "on",
		PageSize: number("Database block size"), BlockSize: number("WAL block size"), SegmentSize: number("Bytes per WAL segment"),
		DataChecksums: text("Data page checksum version") != "0", ChecksumVersion: number("Data page checksum version"),
		DefaultChar: datadir.Signedness(v.says["Default char data signedness"]),
	}
	if v.major() == 10 {
		c.PriorCheckpoint = lsn("Prior checkpoint location")
	}
	return c
}

func (v controlVector) major() pgconf.Major {
	number, _, _ := strings.Cut(v.name, "_")
	major, _ := strconv.Atoi(number)
	return pgconf.Major(major)
}

// parse reads the vector, with times in UTC.
func (v controlVector) parse(t testing.TB) datadir.Control {
	t.Helper()
	c, err := datadir.ParseControl(v.name, v.data)
	require.NoError(t, err)
	c.Time, c.CheckpointTime = c.Time.UTC(), c.CheckpointTime.UTC()
	return c
}

func TestParseControl(t *testing.T) {
	for _, v := range controlVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			got, want := v.parse(t), v.want(t)
			require.Equal(t, v.major(), got.Major())
			require.Equal(t, v.says["Database cluster state"], got.State.String())
			if strings.HasSuffix(v.name, "_initdb") && v.major() <= 11 { // the functions of these servers do not say it
				want.WALLevel, want.MaxConnections, want.MaxWorkerProcesses = "replica", got.MaxConnections, 8
				want.MaxLocksPerXact = 64
			}
			require.Equal(t, want, got)

			whole, err := datadir.ParseControl(v.name, append(bytes.Clone(v.data), make([]byte, 8192-len(v.data))...))
			require.NoError(t, err)
			short, err := datadir.ParseControl(v.name, v.data[:crcAt(t, v.data)+4])
			require.NoError(t, err)
			require.Equal(t, whole, short, "what is after the checksum is padding")
		})
	}
}

// What the vectors say about the situations they were made in; the field by field comparison above does not tell whether
// the situations are the ones that matter.
func TestParseControl_situations(t *testing.T) {
	for _, v := range controlVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			c := v.parse(t)
			major, situation, _ := strings.Cut(v.name, "_")
			if major == "10" {
				require.Equal(t, uint32(16<<20), c.SegmentSize, "chosen when 10 is built")
			} else if situation != "clean" && situation != "killed" && situation != "backup" {
				require.Equal(t, uint32(1<<20), c.SegmentSize)
			}
			require.Equal(t, situation == "backup", c.BackupUnfinished())
			if situation != "initdb" {
				require.Equal(t, 41, c.MaxConnections)
				require.Equal(t, 70, c.MaxLocksPerXact)
				require.True(t, c.TrackCommitTimestamp)
			}
			switch situation {
			case "clean", "killed":
				require.True(t, c.DataChecksums)
				require.True(t, c.Rewindable())
				require.Equal(t, situation == "clean", c.State.Clean())
				require.Zero(t, c.MinRecoveryPoint)
				require.Equal(t, wal.Timeline(1), c.Timeline())
			case "initdb":
				require.False(t, c.Rewindable())
			case "standby", "standby_stopped":
				require.False(t, c.DataChecksums)
				require.True(t, c.Rewindable(), "hints are enough")
				require.Equal(t, situation == "standby_stopped", c.State.Clean())
				require.Greater(t, c.MinRecoveryPoint, c.Checkpoint)
				require.Equal(t, wal.Timeline(1), c.Timeline())
			case "promoted_killed":
				require.Equal(t, wal.Timeline(1), c.CheckpointTimeline, "no checkpoint since the promotion")
				require.Equal(t, wal.Timeline(2), c.Timeline(), "the end-of-recovery record counts")
				require.False(t, c.State.Clean())
			case "backup":
				require.Equal(t, c.Redo, c.BackupStart)
				require.True(t, c.BackupEndRequired)
				require.False(t, c.State.Clean())
			default:
				require.Fail(t, "unknown situation")
			}
		})
	}
}

// crcAt finds where the file's checksum stands, independently of the parser: it is the one place whose four bytes are the
// checksum of all bytes before.
func crcAt(t testing.TB, data []byte) int {
	t.Helper()
	for at := 200; at <= len(data)-4; at += 4 {
		if binary.LittleEndian.Uint32(data[at:]) == crc32.Checksum(data[:at], crc32.MakeTable(crc32.Castagnoli)) {
			return at
		}
	}
	require.Fail(t, "no checksum found")
	return 0
}

// signed gives data a checksum that fits.
func signed(t testing.TB, original []byte, change func(data []byte)) []byte {
	t.Helper()
	at := crcAt(t, original)
	data := bytes.Clone(original)
	change(data)
	binary.LittleEndian.PutUint32(data[at:], crc32.Checksum(data[:at], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

// Every bit that the server's checksum covers, of every vector; the rest of the file is not looked at, as by the server.
func TestParseControl_everyFlippedBitIsFound(t *testing.T) {
	for _, v := range controlVectors(t) {
		everyFlippedBitIsFound(t, v.name, v.data, crcAt(t, v.data)+4)
	}
	for _, v := range headerVectors() {
		everyFlippedBitIsFound(t, v.name, v.data, v.covered)
	}
}

func everyFlippedBitIsFound(t *testing.T, name string, data []byte, covered int) {
	t.Helper()
	whole, err := datadir.ParseControl("f", data)
	require.NoError(t, err)
	data = bytes.Clone(data)
	for i := range len(data) * 8 {
		data[i/8] ^= 1 << (i % 8)
		c, err := datadir.ParseControl("f", data)
		data[i/8] ^= 1 << (i % 8)
		switch {
		case i/8 < covered:
			if !errors.As(err, new(*datadir.ControlError)) {
				t.Fatalf("%s: bit %d of byte %d may flip: %v", name, i%8, i/8, err)
			}
		case err != nil || c != whole:
			t.Fatalf("%s: byte %d is padding, but matters: %v", name, i/8, err)
		}
	}
}

func TestParseControl_refused(t *testing.T) {
	v := controlVectorOf(t, "15_clean")
	version := func(n uint32) []byte {
		return signed(t, v.data, func(data []byte) { binary.LittleEndian.PutUint32(data[8:], n) })
	}
	segment := func(n uint32) []byte {
		return signed(t, v.data, func(data []byte) { binary.LittleEndian.PutUint32(data[228:], n) })
	}
	bigEndian := bytes.Clone(v.data)
	binary.BigEndian.PutUint32(bigEndian[8:], 1300)
	for _, tc := range []struct {
		name string
		data []byte
		says string
	}{
		{"empty", nil, "0 bytes are too few"},
		{"cut_in_the_version", v.data[:11], "11 bytes are too few"},
		{"cut_in_the_checksum", v.data[:291], "291 bytes are too few"},
		{"all_zero", make([]byte, 8192), "version 0"},
		{"all_ones", bytes.Repeat([]byte{0xFF}, 8192), "version 4294967295"},
		{"text", []byte(strings.Repeat("this is not a control file\n", 20)), "version"},
		{"9.5_as_it_seems", version(942), "checksum"},
		{"major_8.4", version(843), "version 843"},
		{"major_19", version(1900), "version 1900"},
		{"other_byte_order", bigEndian, "byte order"},
		{"layout_of_another_major", version(1800), "checksum"},
		{"shifted_by_one", v.data[1:], "version"},
		{"segment_size_0", segment(0), "segment size 0"},
		{"segment_size_not_a_power_of_two", segment(3 << 20), "segment size 3145728"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := datadir.ParseControl("/data/global/pg_control", tc.data)
			var bad *datadir.ControlError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, "/data/global/pg_control", bad.File)
			require.Contains(t, bad.Msg, tc.says)
			require.Zero(t, c)
		})
	}
}

// A file that is cut anywhere is an error or, if only padding is missing, the same.
func TestParseControl_truncated(t *testing.T) {
	for _, v := range controlVectors(t) {
		whole, err := datadir.ParseControl("f", v.data)
		require.NoError(t, err)
		need := crcAt(t, v.data) + 4
		for n := range v.data {
			c, err := datadir.ParseControl("f", v.data[:n])
			if n < need {
				require.Error(t, err, "%s, %d bytes", v.name, n)
			} else if err == nil {
				require.Equal(t, whole, c)
			}
		}
	}
}

// No server at hand has an unsigned char.
func TestParseControl_unsignedChar(t *testing.T) {
	v := controlVectorOf(t, "18_clean")
	require.Equal(t, datadir.Signed, v.parse(t).DefaultChar)
	v.data = signed(t, v.data, func(data []byte) { data[256] = 0 })
	require.Equal(t, datadir.Unsigned, v.parse(t).DefaultChar)
}

func TestState_String(t *testing.T) {
	require.Equal(t, "in production", datadir.StateInProduction.String())
	require.Equal(t, "unrecognized state 7", datadir.State(7).String())
	require.Equal(t, "unrecognized state 4294967295", datadir.State(1<<32-1).String())
}

func dataDirWith(t *testing.T, control []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "global"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, datadir.ControlFile), control, 0o600))
	return dir
}

func TestReadControl(t *testing.T) {
	v := controlVectorOf(t, "17_standby")
	t.Run("good", func(t *testing.T) {
		c, err := datadir.ReadControl(dataDirWith(t, v.data))
		require.NoError(t, err)
		require.Equal(t, v.want(t).SystemID, c.SystemID)
	})
	t.Run("damaged", func(t *testing.T) {
		dir := dataDirWith(t, v.data[:100])
		_, err := datadir.ReadControl(dir)
		var bad *datadir.ControlError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, filepath.Join(dir, "global", "pg_control"), bad.File)
	})
	t.Run("absent", func(t *testing.T) {
		_, err := datadir.ReadControl(t.TempDir())
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.False(t, errors.As(err, new(*datadir.ControlError)), "that it is not there says nothing about its content")
	})
}

// FuzzParseControl: whatever the bytes are, with a checksum that fits or not, there is a result with sense or a typed error.
func FuzzParseControl(f *testing.F) {
	for _, v := range controlVectors(f) {
		f.Add(v.data, uint16(crcAt(f, v.data)))
	}
	for _, v := range headerVectors() {
		f.Add(v.data, uint16(0xFFFF))
	}
	f.Add([]byte{}, uint16(0))
	f.Add(make([]byte, 8192), uint16(288))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		if int(at)+4 <= len(data) {
			data = bytes.Clone(data)
			binary.LittleEndian.PutUint32(data[at:], crc32.Checksum(data[:at], crc32.MakeTable(crc32.Castagnoli)))
		}
		c, err := datadir.ParseControl("f", data)
		if err != nil {
			if !errors.As(err, new(*datadir.ControlError)) || c != (datadir.Control{}) {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		if !wal.ValidSegmentSize(c.SegmentSize) {
			t.Fatalf("segment size %d would make others panic", c.SegmentSize)
		}
		_ = fmt.Sprint(c, c.Timeline(), c.Rewindable(), c.State.Clean(), c.Major(), c.BackupUnfinished())
	})
}
