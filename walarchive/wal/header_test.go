package wal_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const sysID wal.SystemID = 7574928734098123456

// page is the first page header of a segment as a server writes it.
func page(order binary.ByteOrder, h wal.PageHeader) []byte {
	b := make([]byte, wal.SegmentHeaderSize)
	order.PutUint16(b, h.Magic)
	order.PutUint16(b[2:], h.Info)
	order.PutUint32(b[4:], uint32(h.Timeline))
	order.PutUint64(b[8:], uint64(h.PageAddr))
	order.PutUint32(b[16:], h.RemLen)
	order.PutUint64(b[24:], uint64(h.SystemID))
	order.PutUint32(b[32:], h.SegmentSize)
	order.PutUint32(b[36:], h.BlockSize)
	return b
}

func goodHeader() wal.PageHeader {
	return wal.PageHeader{Magic: 0xD110, Info: 2, Timeline: 1, PageAddr: 0x3000000, SystemID: sysID,
		SegmentSize: 16 * mib, BlockSize: 8192}
}

func TestParseSegmentHeader(t *testing.T) {
	for magic, major := range map[uint16]string{0xD075: "9.3", 0xD07E: "9.4", 0xD087: "9.5", 0xD093: "9.6", 0xD097: "10",
		0xD098: "11", 0xD101: "12", 0xD106: "13", 0xD10D: "14", 0xD110: "15", 0xD113: "16", 0xD116: "17", 0xD118: "18"} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			want := goodHeader()
			want.Magic, want.RemLen, want.Info = magic, 77, 3
			got, err := wal.ParseSegmentHeader(append(page(order, want), 1, 2, 3))
			require.NoError(t, err, "%s %s", major, order)
			require.Equal(t, want, got)
			require.Equal(t, major, got.Major())
		}
	}
}

func TestParseSegmentHeader_refused(t *testing.T) {
	change := func(f func(h *wal.PageHeader)) []byte {
		h := goodHeader()
		f(&h)
		return page(binary.LittleEndian, h)
	}
	for name, in := range map[string][]byte{
		"empty":          nil,
		"short":          page(binary.LittleEndian, goodHeader())[:39],
		"all_zero":       make([]byte, 8192),
		"noise":          []byte("this is not write-ahead log, it only looks long enough"),
		"unknown_magic":  change(func(h *wal.PageHeader) { h.Magic = 0xD999 }),
		"short_header":   change(func(h *wal.PageHeader) { h.Info = 1 }),
		"unknown_flag":   change(func(h *wal.PageHeader) { h.Info = 0x12 }),
		"segment_size_0": change(func(h *wal.PageHeader) { h.SegmentSize = 0 }),
		"segment_size_3": change(func(h *wal.PageHeader) { h.SegmentSize = 3 * mib }),
		"page_size":      change(func(h *wal.PageHeader) { h.BlockSize = 512 }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wal.ParseSegmentHeader(in)
			var bad *wal.HeaderError
			require.ErrorAs(t, err, &bad)
		})
	}
}

func TestPageHeader_Check(t *testing.T) {
	for _, tc := range []struct {
		name      string
		change    func(h *wal.PageHeader)
		field     wal.Field
		want, got string
	}{
		{"another_cluster", func(h *wal.PageHeader) { h.SystemID = 7 }, wal.FieldSystemID, "7574928734098123456", "7"},
		{"other_segment_size", func(h *wal.PageHeader) { h.SegmentSize = mib }, wal.FieldSegmentSize, "16777216", "1048576"},
		{"recycled", func(h *wal.PageHeader) { h.PageAddr = 0x1000000 }, wal.FieldPageAddr, "0/3000000", "0/1000000"},
		{"later_timeline", func(h *wal.PageHeader) { h.Timeline = 3 }, wal.FieldTimeline, "2 or an ancestor", "3"},
		{"timeline_0", func(h *wal.PageHeader) { h.Timeline = 0 }, wal.FieldTimeline, "2 or an ancestor", "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := goodHeader()
			tc.change(&h)
			var bad *wal.MismatchError
			require.ErrorAs(t, h.Check(wal.Segment{Timeline: 2, Number: 3}, sysID, 16*mib), &bad)
			require.Equal(t, wal.MismatchError{Name: "000000020000000000000003", Field: tc.field, Want: tc.want, Got: tc.got}, *bad)
		})
	}
	t.Run("own_timeline", func(t *testing.T) {
		require.NoError(t, goodHeader().Check(wal.Segment{Timeline: 1, Number: 3}, sysID, 16*mib))
	})
	t.Run("first_segment_after_a_promotion", func(t *testing.T) {
		require.NoError(t, goodHeader().Check(wal.Segment{Timeline: 2, Number: 3}, sysID, 16*mib))
	})
}

func FuzzParseSegmentHeader(f *testing.F) {
	f.Add(page(binary.LittleEndian, goodHeader()))
	f.Add(page(binary.BigEndian, goodHeader()))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wal.ParseSegmentHeader(b)
		if err != nil {
			return
		}
		seg := wal.SegmentOf(max(h.Timeline, 1), h.PageAddr, h.SegmentSize)
		if err := h.Check(seg, h.SystemID+1, h.SegmentSize); err == nil {
			t.Fatal("a foreign cluster passed")
		}
		err = h.Check(seg, h.SystemID, h.SegmentSize)
		if seg.Start(h.SegmentSize) == h.PageAddr && h.Timeline > 0 && err != nil {
			t.Fatal("its own name refused:", err)
		}
	})
}
