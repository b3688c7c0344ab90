package wal_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// recordWriter lays out records on the pages of segment 3 of timeline 2, as a server does.
type recordWriter struct {
	chainForm
	b         []byte
	off, left int // left of the record that is being written
	prev      uint64
	starts    []int
}

func newRecordWriter(f chainForm) *recordWriter {
	return &recordWriter{chainForm: f, b: make([]byte, mib)}
}

// add writes a record with this many bytes after its header.
func (w *recordWriter) add(n int, info, resource byte) {
	r := make([]byte, 24+n)
	for i := range r[24:] {
		r[24+i] = byte(i)
	}
	w.order.PutUint32(r, uint32(len(r)))
	w.order.PutUint64(r[8:], w.prev)
	r[16], r[17] = info, resource
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	w.order.PutUint32(r[20:], crc32.Update(crc32.Checksum(r[24:], castagnoli), castagnoli, r[:20]))
	w.off = (w.off + 7) / 8 * 8
	w.left = 0
	w.header()
	w.starts = append(w.starts, w.off)
	w.prev = uint64(3*mib + w.off)
	w.put(r)
}

// header writes the header of the page that begins here.
func (w *recordWriter) header() {
	if w.off%w.block != 0 || w.off == mib {
		return
	}
	w.stamp(w.b, w.off, 2, uint64(3*mib+w.off))
	if w.left > 0 {
		w.goesOn(w.b, w.off, uint32(w.left))
	}
	if w.off == 0 {
		w.off = 16
	}
	w.off += 24
}

func (w *recordWriter) put(r []byte) {
	for len(r) > 0 && w.off < mib {
		w.left = len(r)
		w.header()
		n := copy(w.b[w.off:w.off/w.block*w.block+w.block], r)
		w.off += n
		r = r[n:]
	}
}

// filled is a segment full of records of all lengths, the last of which does not end in it.
func filled(f chainForm) *recordWriter {
	w := newRecordWriter(f)
	w.off, w.left = 0, 20
	w.header()
	w.put(make([]byte, 20)) // the end of a record of the segment before
	for i := 0; w.off < mib; i++ {
		w.add(i*i%3000, 0, 10)
		if i == 50 {
			w.add(3*f.block, 0, 10)
		}
	}
	return w
}

func recordChain(unfinished bool) *wal.Chain {
	return wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: mib, Unfinished: unfinished, Records: true})
}

func TestChain_records(t *testing.T) {
	for _, f := range []chainForm{today, {0xD118, binary.BigEndian, 8192}, {0xD087, binary.LittleEndian, 1024}} {
		w := filled(f)
		for _, n := range pieces {
			require.NoError(t, feed(recordChain(false), w.b, n))
		}
		for _, i := range []int{1, 49, 51, 60, len(w.starts) / 2, len(w.starts) - 2} {
			for _, at := range []int{0, 8, 17, 20, 24} { // length, previous, resource manager, checksum, data
				b := append([]byte(nil), w.b...)
				b[w.starts[i]+at] ^= 4
				for _, unfinished := range []bool{false, true} {
					if i == len(w.starts)-2 && (unfinished || at == 0) {
						continue // there may be nothing after it, or a length beyond the segment
					}
					var bad *wal.ChainError
					require.ErrorAs(t, feed(recordChain(unfinished), b, 8192), &bad, "record %d, byte %d", i, at)
					require.LessOrEqual(t, int64(w.starts[i]), bad.Offset)
				}
				require.NoError(t, feed(newChain(false), b, 8192), "the pages are all right")
			}
		}
	}
}

func TestChain_records_end(t *testing.T) {
	half := func(end func(w *recordWriter)) []byte {
		w := newRecordWriter(today)
		for w.off < mib/2 {
			w.add(1000, 0, 10)
		}
		end(w)
		return w.b
	}
	stop := func(*recordWriter) {}
	leave := func(w *recordWriter) { w.add(0, 0x40, 0) }
	for _, tc := range []struct {
		name                 string
		b                    []byte
		complete, unfinished string // what the errors contain
	}{
		{"switch", half(leave), "", ""},
		{"no_switch", half(stop), "the WAL ends without a switch", ""},
		{"garbage_after_switch", half(func(w *recordWriter) {
			leave(w)
			copy(w.b[w.off:], "garbage")
			w.off += 100
			w.stamp(w.b, (w.off/8192+1)*8192, 2, 1)
		}), "", ""},
		{"garbage_at_the_end", half(func(w *recordWriter) { copy(w.b[(w.off+7)/8*8:], "garbage") }), "the WAL ends without a switch", ""},
		{"switch_with_wrong_sum", half(func(w *recordWriter) {
			leave(w)
			w.b[w.off-1]++
		}), "the checksum of the record is wrong", ""},
		{"page_headers_after_switch", half(func(w *recordWriter) {
			leave(w)
			for off := (w.off/8192 + 1) * 8192; off < mib; off += 8192 {
				w.stamp(w.b, off, 2, uint64(3*mib+off))
			}
		}), "", ""},
		{"page_headers_without_switch", half(func(w *recordWriter) {
			for off := (w.off/8192 + 1) * 8192; off < mib; off += 8192 {
				w.stamp(w.b, off, 2, uint64(3*mib+off))
			}
		}), "no record begins there: its length would be 0", ""},
		{"record_given_up", half(func(w *recordWriter) {
			w.add(9000, 0, 10)
			w.prev = uint64(3*mib + w.starts[len(w.starts)-2])
			w.off = w.off / 8192 * 8192
			clear(w.b[w.off:])
			w.left = 0
			w.header()
			w.b[w.off-24+2] = 8
			w.add(10, 0xD0, 0)
			leave(w)
		}), "", ""},
		{"record_of_elsewhere", half(func(w *recordWriter) {
			w.prev -= 8
			w.add(10, 0, 10)
			w.add(9000, 0, 10)
			leave(w)
		}), "the record follows one at", "the record follows one at"},
		{"record_lost", half(func(w *recordWriter) {
			w.add(9000, 0, 10)
			w.off = w.off / 8192 * 8192
			clear(w.b[w.off:])
			w.left = 0
			w.header()
			leave(w)
		}), "bytes does not go on at", "bytes does not go on at"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for unfinished, want := range map[bool]string{false: tc.complete, true: tc.unfinished} {
				err := feed(recordChain(unfinished), tc.b, 8192)
				if want == "" {
					require.NoError(t, err)
					continue
				}
				require.ErrorContains(t, err, want)
			}
		})
	}
	c := wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: mib, Records: true}
	b := half(stop)
	for end, ok := range map[wal.LSN]bool{3*mib + mib/2: true, 3*mib + mib/2 + 16384: false} {
		c.TimelineEnd = end
		require.Equal(t, ok, feed(wal.NewChain(c), b, 8192) == nil)
	}
}
