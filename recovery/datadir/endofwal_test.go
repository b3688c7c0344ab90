package datadir_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	smallSegment = 1 << 20
	pageSize     = 8192
)

// walWriter writes WAL as a server of 17 does, in segments of 1 MiB, from segment 1 on.
type walWriter struct {
	data  []byte // from the start of the first segment
	at    wal.LSN
	prev  wal.LSN
	tli   wal.Timeline
	flags uint16 // of the next page, beside what follows from its place
}

func newWALWriter() *walWriter { return &walWriter{at: smallSegment, tli: 1} }

func (w *walWriter) put(b []byte) {
	w.data = append(w.data, b...)
	w.at += wal.LSN(len(b))
}

// page begins a page if the position is at one.
func (w *walWriter) page(remaining int) {
	if w.at%pageSize != 0 {
		return
	}
	header := make([]byte, 24, 40)
	flags := w.flags
	if w.at%smallSegment == 0 {
		flags |= 2
		header = header[:40]
		binary.LittleEndian.PutUint64(header[24:], 42)
		binary.LittleEndian.PutUint32(header[32:], smallSegment)
		binary.LittleEndian.PutUint32(header[36:], pageSize)
	}
	if remaining > 0 {
		flags |= 1
	}
	binary.LittleEndian.PutUint16(header, 0xD116)
	binary.LittleEndian.PutUint16(header[2:], flags)
	binary.LittleEndian.PutUint32(header[4:], uint32(w.tli))
	binary.LittleEndian.PutUint64(header[8:], uint64(w.at))
	binary.LittleEndian.PutUint32(header[16:], uint32(remaining))
	w.flags = 0
	w.put(header)
}

// record writes one with a body of this size and returns where it begins.
func (w *walWriter) record(body int, resource, info byte) wal.LSN {
	w.page(0)
	begin := w.at
	r := make([]byte, 24+body)
	for i := range body {
		r[24+i] = byte(i)
	}
	binary.LittleEndian.PutUint32(r, uint32(len(r)))
	binary.LittleEndian.PutUint64(r[8:], uint64(w.prev))
	r[16], r[17] = info, resource
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(r[20:], crc32.Update(crc32.Checksum(r[24:], castagnoli), castagnoli, r[:20]))
	for len(r) > 0 {
		part := min(len(r), pageSize-int(w.at%pageSize))
		w.put(r[:part])
		if r = r[part:]; len(r) > 0 {
			w.page(len(r))
		}
	}
	w.put(make([]byte, (8-w.at%8)%8))
	w.prev = begin
	return begin
}

// dir writes what there is into segments of the timeline, the rest zero, and returns the data directory.
func (w *walWriter) dir(t testing.TB, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "pg_wal"), 0o700))
	for n := uint64(1); len(data) > 0; n++ {
		segment := make([]byte, smallSegment)
		data = data[copy(segment, data):]
		name := wal.Segment{Timeline: w.tli, Number: n}.Name(smallSegment)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pg_wal", name), segment, 0o600))
	}
	return dir
}

func endOf(t testing.TB, dir string, checkpoint wal.LSN) (wal.LSN, error) {
	t.Helper()
	return datadir.EndOfWAL(dir, 17, datadir.Control{SystemID: 42, Checkpoint: checkpoint, SegmentSize: smallSegment, BlockSize: pageSize}, wal.History{Timeline: 1})
}

// flip flips bits of the byte at a position.
func flip(t testing.TB, dir string, at wal.LSN) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "pg_wal", wal.SegmentOf(1, at, smallSegment).Name(smallSegment)), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, int64(at%smallSegment))
	require.NoError(t, err)
	b[0] ^= 0x55
	_, err = f.WriteAt(b, int64(at%smallSegment))
	require.NoError(t, err)
}

func TestEndOfWAL(t *testing.T) {
	w := newWALWriter()
	checkpoint := w.record(90, 0, 0x10)
	var ends []wal.LSN
	for _, body := range []int{0, 1, 8000, 8100, 100, 30000, 8192 - 24 - 24, 7, 300000} {
		w.record(body, 10, 0)
		ends = append(ends, w.at)
	}
	w.record(0, 0, 0x40) // a switch
	w.put(make([]byte, smallSegment-int(w.at%smallSegment)))
	switched := w.at
	last := w.record(5000, 10, 0)
	whole := w.at

	end, err := endOf(t, w.dir(t, w.data), checkpoint)
	require.NoError(t, err)
	require.Equal(t, whole, end)

	for _, cut := range append(ends, switched, last+8, last+2000, whole-8) {
		end, err := endOf(t, w.dir(t, w.data[:cut-smallSegment]), checkpoint)
		require.NoError(t, err)
		require.LessOrEqual(t, end, cut, "nothing that is not there")
		require.NotContains(t, []wal.LSN{0, checkpoint}, end)
	}
	end, err = endOf(t, w.dir(t, w.data[:ends[4]-smallSegment]), checkpoint)
	require.NoError(t, err)
	require.Equal(t, ends[4], end)

	// Whatever byte is not as it was, the WAL ends before or with it.
	dir := w.dir(t, w.data)
	for at := checkpoint + 200; at < whole; at += 3967 {
		flip(t, dir, at)
		end, err := endOf(t, dir, checkpoint)
		require.NoError(t, err)
		if end != whole && end > at {
			t.Fatalf("byte %v is damaged, the end is %v", at, end)
		}
		flip(t, dir, at)
	}
	end, err = endOf(t, dir, checkpoint)
	require.NoError(t, err)
	require.Equal(t, whole, end)

	// A page of another timeline, magic, position or system.
	for name, change := range map[string]func(data []byte){
		"magic":    func(data []byte) { data[pageSize]++ },
		"flags":    func(data []byte) { data[pageSize+3] = 1 },
		"timeline": func(data []byte) { data[pageSize+4] = 2 },
		"position": func(data []byte) { data[pageSize+9]++ },
	} {
		data := append([]byte(nil), w.data...)
		change(data)
		end, err := endOf(t, w.dir(t, data), checkpoint)
		require.NoError(t, err)
		require.LessOrEqual(t, end, wal.LSN(smallSegment+pageSize), name)
	}
	other := append([]byte(nil), w.data...)
	other[24]++ // the system identifier
	_, err = endOf(t, w.dir(t, other), checkpoint)
	require.ErrorContains(t, err, "no valid record at the last checkpoint")
	_, err = datadir.EndOfWAL(t.TempDir(), 17, datadir.Control{}, wal.History{Timeline: 1})
	require.ErrorContains(t, err, "sizes")
	_, err = datadir.EndOfWAL(t.TempDir(), pgconf.V9_6, datadir.Control{}, wal.History{Timeline: 1})
	require.ErrorContains(t, err, "10 to 18")
}

// A crash in the middle of a record, after which the server gave it up and went on at the next page.
func TestEndOfWAL_recordGivenUp(t *testing.T) {
	w := newWALWriter()
	checkpoint := w.record(90, 0, 0x10)
	kept := w.record(100, 10, 0)
	before := w.at
	w.record(20000, 10, 0)
	w.data, w.at, w.prev = w.data[:2*pageSize], smallSegment+2*pageSize, kept // one page of it reached the disk, and a part of the page before
	end, err := endOf(t, w.dir(t, w.data), checkpoint)
	require.NoError(t, err)
	require.Equal(t, before, end)

	w.flags = 8
	w.record(16, 0, 0xD0)
	w.record(1000, 10, 0)
	end, err = endOf(t, w.dir(t, w.data), checkpoint)
	require.NoError(t, err)
	require.Equal(t, w.at, end)

	w.prev++ // what follows names another record before it: it is left over from an older use of the file
	w.record(1000, 10, 0)
	again, err := endOf(t, w.dir(t, w.data), checkpoint)
	require.NoError(t, err)
	require.Equal(t, end, again)
}
