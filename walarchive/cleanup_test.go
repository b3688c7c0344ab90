package walarchive_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

var cleanupFiles = []string{
	"000000010000000000000001", "000000010000000000000002", "000000010000000000000003",
	"000000010000000000000003.partial", "000000010000000000000002.partial", "000000010000000000000002.00000028.backup",
	"000000020000000000000001", "000000020000000000000003", "000000030000000100000000", "00000002.history",
	"000000010000000000000001.gz", "000000010000000000000002.partial.gz", walarchive.MarkerName,
	"00000001000000000000000a", "0000000100000000000000010", "000000010000000000000001.tmp", "notes.txt", "",
}

func TestPlanCleanup(t *testing.T) {
	before3 := []string{"000000010000000000000001", "000000010000000000000002", "000000010000000000000002.partial", "000000020000000000000001"}
	for _, tc := range []struct {
		name, oldest string
		backups      bool
		want         []string
	}{
		{"segment", "000000010000000000000003", false, before3},
		{"timeline_does_not_count", "000000020000000000000003", false, before3},
		{"backup_history", "000000010000000000000003.00000028.backup", false, before3},
		{"partial", "000000010000000000000003.partial", false, before3},
		{"with_backup_histories", "000000010000000000000003", true,
			slices.Sorted(slices.Values(append([]string{"000000010000000000000002.00000028.backup"}, before3...)))},
		{"unknown_yet", "000000000000000000000000", false, nil},
		{"first", "000000010000000000000001", false, nil},
		{"everything", "00000001FFFFFFFF000000FF", false, append([]string{"000000010000000000000003", "000000010000000000000003.partial",
			"000000020000000000000003", "000000030000000100000000"}, before3...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := walarchive.PlanCleanup(cleanupFiles, walarchive.CleanupConfig{Oldest: tc.oldest, BackupHistory: tc.backups})
			require.NoError(t, err)
			require.ElementsMatch(t, tc.want, got)
		})
	}
}

func TestPlanCleanup_refused(t *testing.T) {
	for _, oldest := range []string{"", "00000002.history", "000000010000000000000003.gz", "%r", "00000001000000000000000a"} {
		_, err := walarchive.PlanCleanup(cleanupFiles, walarchive.CleanupConfig{Oldest: oldest})
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", oldest)
	}
}

func TestPlanCleanup_law(t *testing.T) {
	const size = 16 << 20
	draw := rapid.Custom(func(t *rapid.T) wal.Segment {
		return wal.Segment{Timeline: wal.Timeline(rapid.Uint32Range(1, 4).Draw(t, "timeline")), Number: rapid.Uint64Range(0, 600).Draw(t, "number")}
	})
	rapid.Check(t, func(t *rapid.T) {
		segs := rapid.SliceOf(draw).Draw(t, "archive")
		oldest := draw.Draw(t, "oldest")
		var names, want []string
		for _, s := range segs {
			names = append(names, s.Name(size))
			if s.Number < oldest.Number {
				want = append(want, s.Name(size))
			}
		}
		got, err := walarchive.PlanCleanup(names, walarchive.CleanupConfig{Oldest: oldest.Name(size)})
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestCleanup(t *testing.T) {
	path, store := filled(t)
	a := newArchive(t, store, ours)
	for _, n := range cleanupFiles {
		if n != "" && n != walarchive.MarkerName && n != "00000002.history" {
			require.NoError(t, os.WriteFile(filepath.Join(path, n), nil, 0o600))
		}
	}
	all := names(t, path)
	cfg := walarchive.CleanupConfig{Oldest: "000000010000000000000003", DryRun: true}
	planned, err := a.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Len(t, planned, 4)
	require.Equal(t, all, names(t, path), "a dry run removes nothing")

	cfg.DryRun = false
	removed, err := a.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, planned, removed)
	require.Equal(t, slices.DeleteFunc(all, func(n string) bool { return slices.Contains(planned, n) }), names(t, path))

	removed, err = a.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, removed)
}

func TestCleanup_not_ours(t *testing.T) {
	path, store := filled(t)
	all := names(t, path)
	cfg := walarchive.CleanupConfig{Oldest: "0000000100000000000000FF"}
	_, err := newArchive(t, store, walarchive.Identity{SystemID: 42, SegmentSize: segSize}).Cleanup(t.Context(), cfg)
	require.ErrorAs(t, err, new(*walarchive.ForeignArchiveError))
	require.Equal(t, all, names(t, path))

	require.NoError(t, os.Remove(filepath.Join(path, walarchive.MarkerName)))
	_, err = newArchive(t, store, ours).Cleanup(t.Context(), cfg)
	require.ErrorIs(t, err, walarchive.ErrNoMarker)
	require.Contains(t, names(t, path), seg3)
}

func TestCleanup_goes_on_after_a_failure(t *testing.T) {
	path, store := filled(t)
	stuck := filepath.Join(path, "000000010000000000000001")
	require.NoError(t, os.Mkdir(stuck, 0o700)) // List leaves folders out, so name it to the store directly
	require.NoError(t, os.WriteFile(filepath.Join(stuck, "x"), nil, 0o600))
	err := store.Remove(t.Context(), []string{"000000010000000000000001", seg3})
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(path, seg3))
}
