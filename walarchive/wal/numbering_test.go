package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// TestNumbering has the values that servers showed: 9.2 goes from FE to 1/00, 9.3 from FE to FF.
func TestNumbering(t *testing.T) {
	for _, tc := range []struct {
		name string
		n    wal.Numbering
		size uint32
		want []string
	}{
		{"9.2", wal.NumberingBefore93, 16 * mib, []string{"0000000100000000000000FD", "0000000100000000000000FE", "000000010000000100000000"}},
		{"9.3", wal.Numbering{}, 16 * mib, []string{"0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000"}},
		{"9.2_64MiB", wal.NumberingBefore93, 64 * mib, []string{"00000001000000010000003E", "000000010000000200000000"}},
		{"18_1GiB", wal.Numbering{}, 1024 * mib, []string{"000000010000000100000003", "000000010000000200000000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, name := range tc.want[1:] {
				before, err := wal.ParseSegment(tc.want[i], tc.size)
				require.NoError(t, err)
				next := tc.n.Next(before, tc.size)
				require.Equal(t, name, next.Name(tc.size))
				back, ok := tc.n.Previous(next, tc.size)
				require.True(t, ok)
				require.Equal(t, before, back)
				require.EqualValues(t, 1, tc.n.SegmentsBetween(before, next, tc.size))
				require.EqualValues(t, tc.size, tc.n.Bytes(before.Start(tc.size), next.Start(tc.size), tc.size))
			}
		})
	}
	_, ok := wal.Numbering{}.Previous(wal.Segment{Timeline: 1}, mib)
	require.False(t, ok)
	require.False(t, wal.NumberingBefore93.Used(wal.Segment{Number: 255}, 16*mib))
	require.True(t, wal.Numbering{}.Used(wal.Segment{Number: 255}, 16*mib))
	require.Equal(t, wal.NumberingBefore93, wal.PageHeader{Magic: 0xD071}.Numbering())
	require.Equal(t, wal.Numbering{}, wal.PageHeader{Magic: 0xD075}.Numbering())
}

func TestNumbering_Bytes(t *testing.T) {
	at := func(s string) wal.LSN {
		lsn, err := wal.ParseLSN(s)
		require.NoError(t, err)
		return lsn
	}
	old := wal.NumberingBefore93
	require.EqualValues(t, 0xFF000000, old.Bytes(at("0/0"), at("1/0"), 16*mib), "one xlogid")
	require.EqualValues(t, 1<<32, wal.Numbering{}.Bytes(at("0/0"), at("1/0"), 16*mib))
	require.EqualValues(t, -1, wal.Numbering{}.Bytes(at("1/0"), at("0/FFFFFFFF"), 16*mib))
	require.EqualValues(t, 17, old.Bytes(at("0/FEFFFFFF"), at("1/10"), 16*mib))
	require.EqualValues(t, 0, old.Bytes(at("0/FF000000"), at("1/0"), 16*mib), "the gap")
	require.Equal(t, at("1/10"), old.Add(at("0/FEFFFFF0"), 32, 16*mib))
	require.Equal(t, at("0/FF000010"), wal.Numbering{}.Add(at("0/FEFFFFF0"), 32, 16*mib))
	require.Panics(t, func() { old.Bytes(0, 0, 3) })
}

func TestNumbering_laws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]wal.Numbering{{}, wal.NumberingBefore93}).Draw(t, "numbering")
		size := uint32(1) << rapid.IntRange(20, 30).Draw(t, "log2 size")
		seg := wal.Segment{Timeline: 1, Number: rapid.Uint64Range(0, 1<<20).Draw(t, "number")}
		if !n.Used(seg, size) {
			seg = n.Next(seg, size)
		}
		steps, to := rapid.IntRange(0, 600).Draw(t, "steps"), seg
		for range steps {
			to = n.Next(to, size)
			require.True(t, n.Used(to, size))
		}
		require.EqualValues(t, steps, n.SegmentsBetween(seg, to, size))
		require.EqualValues(t, -steps, n.SegmentsBetween(to, seg, size))
		require.EqualValues(t, uint64(steps)*uint64(size), n.Bytes(seg.Start(size), to.Start(size), size))
		require.Equal(t, to.Start(size), n.Add(seg.Start(size), uint64(steps)*uint64(size), size))
	})
}

func TestSegment_order(t *testing.T) {
	a := wal.Segment{Timeline: 1, Number: 0xFF}
	require.Equal(t, "000000010000000100000000", a.Next().Name(16*mib))
	require.Equal(t, wal.LSN(1<<32), a.End(16*mib))
	require.Negative(t, a.Compare(a.Next()))
	require.Positive(t, wal.Segment{Timeline: 2, Number: 0xFF}.Compare(a))
	require.Negative(t, wal.Segment{Timeline: 2, Number: 0xFE}.Compare(a))
	require.Zero(t, a.Compare(wal.Segment{Timeline: 1, Number: 0xFF}))
}
