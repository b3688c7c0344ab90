package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// chainForm is how the segments of a test are laid out.
type chainForm struct {
	magic uint16
	order binary.ByteOrder
	block int
}

var today = chainForm{0xD110, binary.LittleEndian, 8192}

// segment lays out segment 3 of timeline 2 with 1 MiB, every page full of something.
func (f chainForm) segment() []byte {
	b := make([]byte, mib)
	for i := range b {
		b[i] = 0xA5
	}
	for off := 0; off < len(b); off += f.block {
		f.stamp(b, off, 2, 3*mib+uint64(off))
	}
	return b
}

// stamp writes the header of a page.
func (f chainForm) stamp(b []byte, off int, tli uint32, addr uint64) {
	p, info := b[off:], uint16(0)
	if off == 0 {
		info = 2
	}
	clear(p[:24])
	f.order.PutUint16(p, f.magic)
	f.order.PutUint16(p[2:], info)
	f.order.PutUint32(p[4:], tli)
	long := p[24:]
	if f.magic < 0xD075 {
		f.order.PutUint32(p[8:], uint32(addr>>32))
		f.order.PutUint32(p[12:], uint32(addr))
		long = p[16:]
	} else {
		f.order.PutUint64(p[8:], addr)
	}
	if off == 0 {
		f.order.PutUint64(long, uint64(sysID))
		f.order.PutUint32(long[8:], mib)
		f.order.PutUint32(long[12:], uint32(f.block))
	}
}

// goesOn says that so many bytes of a record go on at a page.
func (f chainForm) goesOn(b []byte, off int, n uint32) {
	f.order.PutUint16(b[off+2:], f.order.Uint16(b[off+2:])|1)
	f.order.PutUint32(b[off+16:], n)
}

// switches fills a page with one record and a switch record that begins at an offset.
func (f chainForm) switches(b []byte, off, at int) {
	p, header := b[off:off+f.block], 24
	if off == 0 {
		header = 40
	}
	clear(p[header:])
	f.order.PutUint32(p[header:], uint32(at-header-3)) // records begin at multiples of 8
	p[header+17] = 10
	f.isSwitch(p[at:], 0)
}

// isSwitch writes a switch record without its first bytes.
func (f chainForm) isSwitch(p []byte, without int) {
	var r [24]byte
	f.order.PutUint32(r[:], 24)
	r[16] = 0x40
	copy(p[without:], r[without:])
}

func newChain(unfinished bool) *wal.Chain {
	return wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: mib, Unfinished: unfinished})
}

// feed writes bytes in pieces of n and ends the chain.
func feed(c *wal.Chain, b []byte, n int) error {
	buffer := make([]byte, min(n, len(b))) // as the next bytes come in the same
	for len(b) > 0 {
		n := copy(buffer, b)
		if got, err := c.Write(buffer[:n]); err != nil || got != n {
			return err
		}
		b = b[n:]
	}
	return c.End()
}

var pieces = []int{mib, 8192, 64 << 10, 1000, 24, 7}

func TestChain_whole(t *testing.T) {
	for _, f := range []chainForm{today, {0xD118, binary.BigEndian, 8192}, {0xD075, binary.LittleEndian, 1024}, {0xD110, binary.LittleEndian, 65536},
		{0xD071, binary.LittleEndian, 8192}, {0xD064, binary.BigEndian, 4096}} {
		for _, n := range pieces {
			c := newChain(false)
			require.NoError(t, feed(c, f.segment(), n), "%+v %d", f, n)
			require.EqualValues(t, mib, c.DataEnd())
			require.EqualValues(t, mib, c.ValidEnd())
			require.EqualValues(t, mib, c.Size())
			require.Equal(t, wal.LSN(3*mib), c.Header().PageAddr)
			require.EqualValues(t, f.block, c.Header().BlockSize)
		}
	}
}

// TestChain_cases changes a segment from page 100 on and says what comes of it: in a segment that must be complete, and in one
// that need not be.
func TestChain_cases(t *testing.T) {
	const at = 100 * 8192
	type outcome struct {
		fails       int // offset, or fine
		data, valid int
	}
	const fine = -1
	f := today
	for _, tc := range []struct {
		name                 string
		change               func(b []byte)
		complete, unfinished outcome
	}{
		{"empty_rest", func(b []byte) { clear(b[at:]) }, outcome{at, at, at}, outcome{fine, at, at}},
		{"empty_rest_after_switch", func(b []byte) {
			f.switches(b, at-8192, 1000)
			clear(b[at:])
		}, outcome{fine, at, at}, outcome{fine, at, at}},
		{"empty_rest_after_switch_that_ends_a_page", func(b []byte) {
			f.switches(b, at-8192, 8192-24)
			clear(b[at:])
		}, outcome{fine, at, at}, outcome{fine, at, at}},
		{"empty_rest_after_switch_on_two_pages", func(b []byte) {
			clear(b[at-8192+24:])
			f.goesOn(b, at-8192, 8)
			f.isSwitch(b[at-8192+24-16:], 16)
		}, outcome{fine, at, at}, outcome{fine, at, at}},
		{"empty_rest_after_other_switch_on_two_pages", func(b []byte) {
			clear(b[at-8192+24:])
			f.goesOn(b, at-8192, 16)
			f.isSwitch(b[at-8192+24-8:], 8)
		}, outcome{fine, at, at}, outcome{fine, at, at}},
		{"empty_rest_after_other_record_on_two_pages", func(b []byte) {
			clear(b[at-8192+24:])
			f.goesOn(b, at-8192, 16)
		}, outcome{at, at, at}, outcome{fine, at, at}},
		{"empty_rest_after_other_record", func(b []byte) {
			f.switches(b, at-8192, 1000)
			b[at-8192+1000+17] = 1
			clear(b[at:])
		}, outcome{at, at, at}, outcome{fine, at, at}},
		{"page_headers_after_switch", func(b []byte) {
			f.switches(b, at-8192, 1000)
			for off := at; off < mib; off += 8192 {
				clear(b[off+24 : off+8192])
			}
		}, outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"page_headers_then_old_rest_then_page_headers_after_switch", func(b []byte) {
			f.switches(b, at-8192, 1000)
			for off := at; off < mib; off += 8192 {
				clear(b[off+24 : off+8192])
			}
			f.stamp(b, at+8192, 1, uint64(1*mib+at))
		}, outcome{fine, mib, at + 8192}, outcome{fine, mib, at + 8192}},
		{"old_rest_after_switch", func(b []byte) {
			f.switches(b, at-8192, 1000)
			for off := at; off < mib; off += 8192 {
				f.stamp(b, off, 1, uint64(1*mib+off))
			}
		}, outcome{fine, mib, at}, outcome{fine, mib, at}},
		{"switch_on_the_first_page", func(b []byte) {
			f.switches(b, 0, 2000)
			clear(b[8192:])
		}, outcome{fine, 8192, 8192}, outcome{fine, 8192, 8192}},
		{"empty_last_page", func(b []byte) { clear(b[mib-8192:]) }, outcome{mib - 8192, mib - 8192, mib - 8192}, outcome{fine, mib - 8192, mib - 8192}},
		{"hole", func(b []byte) { clear(b[at : at+8192]) }, outcome{at, at, at}, outcome{at + 8192, at, at}},
		{"long_hole", func(b []byte) { clear(b[at : mib-8192]) }, outcome{at, at, at}, outcome{mib - 8192, at, at}},
		{"no_header", func(b []byte) { clear(b[at : at+24]) }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"last_byte_not_empty", func(b []byte) { clear(b[at : mib-1]) }, outcome{at, at, at}, outcome{fine, mib, at}},
		{"old_rest", func(b []byte) {
			for off := at; off < mib; off += 8192 {
				f.stamp(b, off, 1, uint64(1*mib+off))
			}
		}, outcome{at, at, at}, outcome{fine, mib, at}},
		{"old_rest_then_empty", func(b []byte) {
			clear(b[at:])
			f.stamp(b, at, 1, 1*mib+at)
		}, outcome{at, at, at}, outcome{fine, at + 8192, at}},
		{"rest_of_the_same_place_on_an_older_timeline", func(b []byte) {
			for off := at; off < mib; off += 8192 {
				f.stamp(b, off, 1, uint64(3*mib+off))
			}
		}, outcome{at, at, at}, outcome{fine, mib, at}},
		{"old_page_between", func(b []byte) { f.stamp(b, at, 2, 1*mib+at) }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"pages_swapped", func(b []byte) {
			f.stamp(b, at, 2, 3*mib+at+8192)
			f.stamp(b, at+8192, 2, 3*mib+at)
		}, outcome{at, at, at}, outcome{at + 2*8192, at + 2*8192, at}},
		{"magic", func(b []byte) { b[at]++ }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"unknown_flag", func(b []byte) { b[at+2] |= 0x10 }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"long_header", func(b []byte) { b[at+2] |= 2 }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"later_timeline", func(b []byte) { b[at+4] = 3 }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"timeline_goes_back", func(b []byte) { b[at+4] = 1 }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"ancestors_pages_first", func(b []byte) {
			for off := 0; off <= at; off += 8192 {
				b[off+4] = 1
			}
		}, outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"record_goes_on", func(b []byte) {
			f.goesOn(b, at, 8168*2+8)
			f.goesOn(b, at+8192, 8168+8)
			f.goesOn(b, at+2*8192, 8)
		}, outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"record_goes_on_from_the_first_page", func(b []byte) {
			f.goesOn(b, 0, 8152+8)
			f.goesOn(b, 8192, 8)
		}, outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"record_ends_with_the_page", func(b []byte) { f.goesOn(b, at, 8168) }, outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"record_goes_on_into_the_next_segment", func(b []byte) { f.goesOn(b, mib-8192, 8168+8) },
			outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"record_does_not_go_on", func(b []byte) { f.goesOn(b, at-8192, 8168+8) }, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"record_goes_on_otherwise", func(b []byte) {
			f.goesOn(b, at-8192, 8168+8)
			f.goesOn(b, at, 16)
		}, outcome{at, at, at}, outcome{at + 8192, at + 8192, at}},
		{"record_given_up", func(b []byte) {
			f.goesOn(b, at-8192, 8168+8)
			b[at+2] |= 8
		}, outcome{fine, mib, mib}, outcome{fine, mib, mib}},
		{"empty_rest_in_a_record", func(b []byte) {
			f.goesOn(b, at-8192, 8168+8)
			clear(b[at:])
		}, outcome{at, at, at}, outcome{fine, at, at}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := f.segment()
			tc.change(b)
			for _, n := range pieces {
				for _, unfinished := range []bool{false, true} {
					want := tc.complete
					if unfinished {
						want = tc.unfinished
					}
					c := newChain(unfinished)
					err := feed(c, b, n)
					if want.fails == fine {
						require.NoError(t, err, "unfinished %v, pieces of %d", unfinished, n)
						require.EqualValues(t, want.data, c.DataEnd())
					} else {
						var bad *wal.ChainError
						require.ErrorAs(t, err, &bad, "unfinished %v, pieces of %d", unfinished, n)
						require.EqualValues(t, want.fails, bad.Offset, "%v", bad)
						require.Equal(t, "000000020000000000000003"[:20], bad.Name[:20])
						require.Equal(t, wal.LSN(3*mib+want.fails), bad.Want)
						_, again := c.Write([]byte{1})
						require.Equal(t, err, again)
						require.Equal(t, err, c.End())
					}
					require.EqualValues(t, want.valid, c.ValidEnd(), "unfinished %v, pieces of %d", unfinished, n)
				}
			}
		})
	}
}

// TestChain_old_majors: before 9.5 we cannot see whether there was a switch, and before 9.3 a page does not say how a record goes on.
func TestChain_old_majors(t *testing.T) {
	for magic, strict := range map[uint16]bool{0xD064: false, 0xD071: false, 0xD075: false, 0xD07E: false, 0xD087: true, 0xD118: true} {
		f := chainForm{magic, binary.LittleEndian, 8192}
		b := f.segment()
		for off := mib / 2; off < mib; off += 8192 {
			f.stamp(b, off, 2, uint64(mib+off))
		}
		err := feed(newChain(false), b, 8192)
		require.Equal(t, strict, err != nil, "%04X: %v", magic, err)
		copy(b[mib-8192:], f.segment()[mib-8192:])
		require.Error(t, feed(newChain(false), b, 8192), "a hole")
	}
	f := chainForm{0xD071, binary.LittleEndian, 8192}
	b := f.segment()
	f.goesOn(b, 8192, 1<<20) // over what would be the length today
	require.NoError(t, feed(newChain(false), b, 8192))
}

// TestChain_timeline_end: WAL may end where its timeline was left, but not before.
func TestChain_timeline_end(t *testing.T) {
	const at = 100 * 8192
	b := today.segment()
	clear(b[at:])
	for end, ok := range map[wal.LSN]bool{0: false, 2 * mib: true, 3*mib + at - 100: true, 3*mib + at: true, 3*mib + at + 1: false, 4 * mib: false} {
		err := feed(wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: mib, TimelineEnd: end}), b, 8192)
		require.Equal(t, ok, err == nil, "%v: %v", end, err)
	}
}

func TestChain_holes(t *testing.T) {
	b := today.segment()
	clear(b[100*8192 : 101*8192])
	for _, holes := range []bool{false, true} {
		c := wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: mib, Unfinished: true, Holes: holes})
		require.Equal(t, holes, feed(c, b, 8192) == nil)
		require.Equal(t, int64(100*8192), c.ValidEnd())
	}
	c := wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: mib, Holes: true})
	require.Error(t, feed(c, b, 8192), "a hole is no end of a segment")
}

func TestChain_size(t *testing.T) {
	b := today.segment()
	for _, size := range []int{0, 10, 40, 8191, 8192, 8200, 3*8192 + 100, mib - 8192, mib - 1} {
		for _, n := range pieces {
			c := newChain(false)
			var bad *wal.ChainError
			require.ErrorAs(t, feed(c, b[:size], n), &bad)
			require.EqualValues(t, size, bad.Offset)

			c = newChain(true)
			require.NoError(t, feed(c, b[:size], n))
			require.EqualValues(t, size, c.Size())
			require.EqualValues(t, size, c.DataEnd(), "%d bytes in pieces of %d", size, n)
		}
	}
	for _, unfinished := range []bool{false, true} {
		c := newChain(unfinished)
		var bad *wal.ChainError
		require.ErrorAs(t, feed(c, append(b[:mib:mib], 0), mib), &bad)
		require.EqualValues(t, mib, bad.Offset)
	}
}

func TestChain_first_page(t *testing.T) {
	b := today.segment()
	today.stamp(b, 0, 2, 1*mib)
	var recycled *wal.MismatchError
	c := newChain(true)
	require.ErrorAs(t, feed(c, b, 100), &recycled)
	require.Equal(t, wal.FieldPageAddr, recycled.Field)
	require.Zero(t, c.Header())
	var empty *wal.HeaderError
	require.ErrorAs(t, feed(newChain(false), make([]byte, mib), 100), &empty)
}

// TestChain_damage: no header of a complete segment can change without being noticed, but in bytes that say nothing about the chain.
func TestChain_damage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := today.segment()
		page, at := rapid.IntRange(1, 127).Draw(t, "page"), rapid.IntRange(0, 15).Draw(t, "byte")
		bit := rapid.IntRange(0, 7).Draw(t, "bit")
		if at == 2 && bit != 1 && bit < 4 || at == 4 && bit < 2 {
			return // flags and older timelines that may be
		}
		b[page*8192+at] ^= 1 << bit
		var bad *wal.ChainError
		require.ErrorAs(t, feed(newChain(false), b, 8192), &bad)
	})
}

// TestChain_Strip: what is not the segment's becomes zeros, and nothing else does.
func TestChain_Strip(t *testing.T) {
	const at = 100 * 8192
	f := today
	for _, n := range []int{mib, 8192, 12 << 10, 512} {
		for _, unfinished := range []bool{false, true} {
			b := f.segment()
			f.switches(b, at-8192, 1000)
			for off := at; off < mib; off += 8192 {
				f.stamp(b, off, 1, uint64(1*mib+off))
			}
			f.stamp(b, at+3*8192, 2, 3*mib+at+3*8192)
			want := bytes.Clone(b)
			clear(want[at : at+3*8192])
			clear(want[at+4*8192:])
			c := newChain(unfinished)
			for off := 0; off < mib; off += n {
				_, err := c.Strip(b[off:min(off+n, mib)])
				require.NoError(t, err)
			}
			require.NoError(t, c.End())
			require.True(t, bytes.Equal(want, b), "pieces of %d", n)
			require.EqualValues(t, at, c.ValidEnd())
			require.EqualValues(t, mib, c.DataEnd(), "before it was stripped")
		}
	}
}

// TestChain_Strip_within_headers: whoever ends there gets some old bytes, but never loses any of the segment's own.
func TestChain_Strip_within_headers(t *testing.T) {
	const at = 100 * 8192
	f := today
	b := f.segment()
	f.switches(b, at-8192, 1000)
	f.stamp(b, at, 1, 1*mib+at)
	want := bytes.Clone(b)
	c := newChain(false)
	for off := 0; off < mib; off += 7 {
		_, err := c.Strip(b[off:min(off+7, mib)])
		require.NoError(t, err)
	}
	require.NoError(t, c.End())
	require.True(t, bytes.Equal(want[:at], b[:at]))
	require.True(t, bytes.Equal(want[at+8192:], b[at+8192:]))
	require.True(t, bytes.Equal(make([]byte, 8192-24), b[at+24:at+8192]))
}

// FuzzStrip: what was stripped is the same WAL, stripping it again changes nothing, and only whole pages go.
func FuzzStrip(f *testing.F) {
	small := chainForm{0xD110, binary.LittleEndian, 1024}
	b := small.segment()[:8*1024]
	small.switches(b, 1024, 200)
	small.stamp(b, 3*1024, 1, 1*mib+3*1024)
	f.Add(b, true)
	f.Add(b[:3*1024+30], true)
	f.Add(b[:2*1024], false)
	f.Fuzz(func(t *testing.T, b []byte, unfinished bool) {
		if len(b) > 1<<14 {
			return
		}
		once := bytes.Clone(b)
		c := newChain(unfinished)
		_, err := c.Strip(once)
		if err != nil || c.Header().BlockSize == 0 {
			return
		}
		page := int(c.Header().BlockSize)
		for at := 0; at < len(b); at += page {
			was, is := b[at:min(at+page, len(b))], once[at:min(at+page, len(b))]
			kept := bytes.Equal(was, is)
			if !kept && (len(bytes.Trim(is, "\x00")) > 0 || at < int(c.ValidEnd())) {
				t.Fatalf("page at %d changed", at)
			}
		}
		twice, again := bytes.Clone(once), newChain(unfinished)
		if _, err := again.Strip(twice); err != nil || again.ValidEnd() != c.ValidEnd() || !bytes.Equal(once, twice) {
			t.Fatalf("stripped: %v, valid up to %d, before %d", err, again.ValidEnd(), c.ValidEnd())
		}
	})
}

// FuzzChain: how the bytes are cut makes no difference, and what is said about them is true.
func FuzzChain(f *testing.F) {
	first := today.segment()
	f.Add(first[:100], uint16(100), false)
	f.Add(first[:8300], uint16(1000), true)
	small := chainForm{0xD110, binary.BigEndian, 1024}.segment()[:3*1024]
	f.Add(small, uint16(7), true)
	f.Add(append(small[:1024:1024], make([]byte, 1024)...), uint16(500), true)
	f.Fuzz(func(t *testing.T, b []byte, n uint16, unfinished bool) {
		if len(b) > 1<<14 {
			return
		}
		one, cut := newChain(unfinished), newChain(unfinished)
		errOne, errCut := feed(one, b, len(b)+1), feed(cut, b, int(n)+1)
		if (errOne == nil) != (errCut == nil) || errOne != nil && errOne.Error() != errCut.Error() {
			t.Fatalf("in one piece %v, in pieces %v", errOne, errCut)
		}
		if one.ValidEnd() != cut.ValidEnd() || one.ValidEnd() > one.DataEnd() && errOne == nil {
			t.Fatalf("valid up to %d, in pieces %d, data %d", one.ValidEnd(), cut.ValidEnd(), one.DataEnd())
		}
		var bad *wal.ChainError
		if errors.As(errOne, &bad) && bad.Offset < one.ValidEnd() {
			t.Fatalf("valid up to %d, but %v", one.ValidEnd(), bad)
		}
		if errOne == nil {
			for _, x := range b[one.DataEnd():] {
				if x != 0 {
					t.Fatal("data after the end of the data")
				}
			}
		}
	})
}

func BenchmarkChain(b *testing.B) {
	const size = 16 * mib
	seg := bytes.Repeat([]byte{0xA5}, size)
	for off := 0; off < size; off += 8192 {
		today.stamp(seg, off, 2, uint64(3*size+off))
	}
	binary.LittleEndian.PutUint32(seg[32:], size)
	b.Run("full", func(b *testing.B) { benchmarkChain(b, seg) })
	today.switches(seg, 0, 2000)
	clear(seg[8192:])
	b.Run("empty", func(b *testing.B) { benchmarkChain(b, seg) })
}

func benchmarkChain(b *testing.B, seg []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(seg)))
	for b.Loop() {
		c := wal.NewChain(wal.ChainConfig{Segment: wal.Segment{Timeline: 2, Number: 3}, SystemID: sysID, SegmentSize: uint32(len(seg))})
		if err := feed(c, seg, 128<<10); err != nil {
			b.Fatal(err)
		}
	}
}
