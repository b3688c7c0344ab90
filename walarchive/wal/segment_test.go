package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const mib = 1 << 20

func TestSegmentOf(t *testing.T) {
	sizes := []uint32{1 * mib, 16 * mib, 64 * mib, 1024 * mib}
	for lsn, want := range map[string][]string{
		"0/1":        {"0000000000000000", "0000000000000000", "0000000000000000", "0000000000000000"},
		"0/FFFFFFFF": {"0000000000000FFF", "00000000000000FF", "000000000000003F", "0000000000000003"},
		"1/23456789": {"0000000100000234", "0000000100000023", "0000000100000008", "0000000100000000"},
		"A/FF000001": {"0000000A00000FF0", "0000000A000000FF", "0000000A0000003F", "0000000A00000003"},
		"0/4000000":  {"0000000000000040", "0000000000000004", "0000000000000001", "0000000000000000"},
	} {
		at, err := wal.ParseLSN(lsn)
		require.NoError(t, err)
		for i, size := range sizes {
			require.Equal(t, "0000000C"+want[i], wal.SegmentOf(12, at, size).Name(size), "%s, %d bytes", lsn, size)
		}
	}
}

func TestSegment_boundaries(t *testing.T) {
	s := wal.SegmentOf(1, 0x3FFFFFF, 16*mib)
	require.Equal(t, uint64(3), s.Number)
	require.Equal(t, wal.LSN(0x3000000), s.Start(16*mib))
	require.Equal(t, uint64(4), wal.SegmentOf(1, 0x4000000, 16*mib).Number)
}

func TestParseSegment_refused(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "23_digits": "00000001000000000000001", "25_digits": "0000000100000000000000010",
		"lower_case": "00000001000000000000000a", "partial": "000000010000000000000001.partial",
		"history": "00000002.history", "not_hex": "00000001000000000000000G",
		"number_too_large": "000000010000000000000100", "sign": "+00000010000000000000001",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wal.ParseSegment(in, 16*mib)
			var syntax *wal.SyntaxError
			require.ErrorAs(t, err, &syntax)
		})
	}
	_, err := wal.ParseSegment("000000010000000000000001", 3*mib)
	require.Error(t, err, "a size that is no power of two")
	_, err = wal.ParseSegment("000000010000000000000001", 0)
	require.Error(t, err)
}

func TestSegment_law(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := uint32(1) << rapid.IntRange(20, 30).Draw(t, "log2 size")
		tli := wal.Timeline(rapid.Uint32().Draw(t, "timeline"))
		lsn := wal.LSN(rapid.Uint64().Draw(t, "lsn"))
		seg := wal.SegmentOf(tli, lsn, size)
		back, err := wal.ParseSegment(seg.Name(size), size)
		require.NoError(t, err)
		require.Equal(t, seg, back)
		require.LessOrEqual(t, seg.Start(size), lsn)
		require.Less(t, uint64(lsn-seg.Start(size)), uint64(size))
	})
}

func TestSegment_invalid_size_panics(t *testing.T) {
	require.Panics(t, func() { wal.SegmentOf(1, 1, 0) })
	require.Panics(t, func() { wal.Segment{}.Name(3 * mib) })
}

func TestParseFileName(t *testing.T) {
	for in, want := range map[string]wal.FileName{
		"0000000100000002000000FF":                 {Kind: wal.KindSegment, Timeline: 1, Log: 2, Seg: 0xFF},
		"0000000A0000000000000003.partial":         {Kind: wal.KindPartial, Timeline: 10, Seg: 3},
		"0000001F.history":                         {Kind: wal.KindHistory, Timeline: 31},
		"000000010000000000000002.00000028.backup": {Kind: wal.KindBackup, Timeline: 1, Seg: 2, Offset: 0x28},
		"000000000000000000000000":                 {Kind: wal.KindSegment},
	} {
		got, err := wal.ParseFileName(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, in, got.String())
	}
}

func TestParseFileName_refused(t *testing.T) {
	for _, in := range []string{
		"", ".", "..", ".history", "2.history", "00000002.History", "0000000g.history", "00000002.history.gz",
		"000000010000000000000002.gz", "000000010000000000000002.", "000000010000000000000002.partial.gz",
		"000000010000000000000002.28.backup", "000000010000000000000002.0000002a.backup",
		"000000010000000000000002.00000028.backup.", "00000001/0000000000000002", " 00000002.history",
		"RECOVERYXLOG", "000000010000000000000002.tmp", "understudy-archive",
	} {
		_, err := wal.ParseFileName(in)
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", in)
	}
}

func TestFileName_Segment(t *testing.T) {
	f, err := wal.ParseFileName("000000010000000000000002.00000028.backup")
	require.NoError(t, err)
	seg, err := f.Segment(16 * mib)
	require.NoError(t, err)
	require.Equal(t, wal.Segment{Timeline: 1, Number: 2}, seg)

	f, err = wal.ParseFileName("00000002.history")
	require.NoError(t, err)
	_, err = f.Segment(16 * mib)
	require.Error(t, err)
}

func FuzzParseFileName(f *testing.F) {
	for _, s := range []string{"000000010000000000000001", "00000002.history", "000000010000000000000001.partial",
		"000000010000000000000002.00000028.backup", "x.y.z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := wal.ParseFileName(s)
		if err == nil && name.String() != s {
			t.Fatalf("parsed %q, printed %q", s, name.String())
		}
	})
}

func FuzzParseLSN(f *testing.F) {
	for _, s := range []string{"0/0", "FFFFFFFF/FFFFFFFF", "a/B", "0/", "0x1/2", "1/123456789"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lsn, err := wal.ParseLSN(s)
		if err != nil {
			return
		}
		if again, err := wal.ParseLSN(lsn.String()); err != nil || again != lsn {
			t.Fatalf("%q gave %v, which reads back as %v, %v", s, lsn, again, err)
		}
		if len(s) > 17 {
			t.Fatalf("accepted %d bytes", len(s))
		}
	})
}
