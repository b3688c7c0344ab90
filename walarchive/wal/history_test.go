package wal_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const history3 = "1\t0/40000A0\tno recovery target specified\n\n2\t0/40020F0\tno recovery target specified\n"

func TestParseHistory(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		tli      wal.Timeline
		want     []wal.HistoryEntry
	}{
		{"two_switches", history3, 3, []wal.HistoryEntry{
			{1, 0x40000A0, "no recovery target specified"}, {2, 0x40020F0, "no recovery target specified"}}},
		{"empty", "", 2, nil},
		{"comments", "# made by hand\n \t# again\n1 0/1\n", 2, []wal.HistoryEntry{{1, 1, ""}}},
		{"no_last_newline", "1\t0/1\tx", 2, []wal.HistoryEntry{{1, 1, "x"}}},
		{"crlf", "1\t0/1\tx\r\n", 2, []wal.HistoryEntry{{1, 1, "x"}}},
		{"reason_with_newline", "1\t0/1\tbefore 2026-11-21 03:26:44+00\n\n2\t0/2\tx\n", 3,
			[]wal.HistoryEntry{{1, 1, "before 2026-11-21 03:26:44+00"}, {2, 2, "x"}}},
		{"skips_timelines", "1\t0/1\tx\n7\t1/2\ty\n", 9, []wal.HistoryEntry{{1, 1, "x"}, {7, 0x1_00000002, "y"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := wal.ParseHistory(tc.tli, []byte(tc.in))
			require.NoError(t, err)
			require.Equal(t, wal.History{Timeline: tc.tli, Entries: tc.want}, got)
			again, err := wal.ParseHistory(tc.tli, got.Bytes())
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestParseHistory_refused(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		line     int
	}{
		{"hex_timeline", "A\t0/1\tx\n", 1},
		{"sign", "+1\t0/1\tx\n", 1},
		{"overflow", "4294967296\t0/1\tx\n", 1},
		{"no_position", "\n1\n", 2},
		{"bad_position", "1\tzero\tx\n", 1},
		{"position_overflow", "1\t0/123456789\tx\n", 1},
		{"not_increasing", "1\t0/1\tx\n1\t0/2\ty\n", 2},
		{"decreasing", "2\t0/1\tx\n1\t0/2\ty\n", 2},
		{"own_timeline", "3\t0/1\tx\n", 1},
		{"written_by_9.2", "1\t000000010000000000000001\tno recovery target specified\n", 1},
		{"half_a_file", "1\t0/40000A0\tno recovery\n\n2\t0", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := wal.ParseHistory(3, []byte(tc.in))
			var syntax *wal.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, tc.line, syntax.Line)
		})
	}
}

func TestHistory(t *testing.T) {
	h, err := wal.ParseHistory(3, []byte(history3))
	require.NoError(t, err)
	for tli, want := range map[wal.Timeline]bool{0: false, 1: true, 2: true, 3: true, 4: false} {
		require.Equal(t, want, h.Contains(tli), "timeline %d", tli)
	}
	end, ok := h.SwitchPoint(2)
	require.True(t, ok)
	require.Equal(t, wal.LSN(0x40020F0), end)
	_, ok = h.SwitchPoint(3)
	require.False(t, ok, "the history's own timeline has no end")
	require.Equal(t, "00000003.history", h.Timeline.HistoryName())
	require.Equal(t, history3, string(h.Bytes()), "as a server wrote it")
	require.Empty(t, wal.History{Timeline: 1}.Bytes())
}

func FuzzParseHistory(f *testing.F) {
	f.Add(uint32(3), history3)
	f.Add(uint32(2), "# x\n1 0/1")
	f.Add(uint32(2), "1\t000000010000000000000001\tx\n")
	f.Fuzz(func(t *testing.T, tli uint32, s string) {
		h, err := wal.ParseHistory(wal.Timeline(tli), []byte(s))
		if err != nil {
			return
		}
		if len(h.Entries) > strings.Count(s, "\n")+1 {
			t.Fatalf("%d entries from %q", len(h.Entries), s)
		}
		for i, e := range h.Entries {
			if e.Timeline >= h.Timeline || i > 0 && e.Timeline <= h.Entries[i-1].Timeline {
				t.Fatalf("order not kept: %+v", h)
			}
		}
		if again, err := wal.ParseHistory(h.Timeline, h.Bytes()); err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v, then %+v, %v", h, again, err)
		}
	})
}

func TestParseHistoryBefore93(t *testing.T) {
	const text = "1\t000000010000000000000001\tno recovery target specified\n\n2\t000000020000000100000003\tbefore transaction 7\n"
	h, err := wal.ParseHistoryBefore93(3, []byte(text))
	require.NoError(t, err)
	require.Equal(t, []wal.HistoryEntryBefore93{
		{Timeline: 1, Last: wal.FileName{Kind: wal.KindSegment, Timeline: 1, Seg: 1}, Reason: "no recovery target specified"},
		{Timeline: 2, Last: wal.FileName{Kind: wal.KindSegment, Timeline: 2, Log: 1, Seg: 3}, Reason: "before transaction 7"},
	}, h.Entries)
	require.Equal(t, text, string(h.Bytes()))
	for _, bad := range []string{
		"1\t0/40000A0\tx\n", "1\t000000010000000000000001.partial\tx\n", "1\n", "3\t000000030000000000000001\tx\n", "x\t000000010000000000000001\n",
		"2\t000000020000000000000001\tx\n1\t000000010000000000000001\tx\n",
	} {
		_, err := wal.ParseHistoryBefore93(3, []byte(bad))
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", bad)
	}
}
