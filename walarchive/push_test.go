package walarchive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestPush_every_kind(t *testing.T) {
	archive := t.TempDir()
	a := openArchive(t, archive, ours)
	for name, content := range everyKind(t) {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, a.Push(t.Context(), write(t, name, content)))
			stored, err := os.ReadFile(filepath.Join(archive, name))
			require.NoError(t, err)
			require.Equal(t, content, stored, "a stored file is a plain copy")
			require.NoError(t, a.Push(t.Context(), write(t, name, content)), "the same again is success")

			dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
			require.NoError(t, a.Fetch(t.Context(), name, dst))
			got, err := os.ReadFile(dst)
			require.NoError(t, err)
			require.Equal(t, content, got)
		})
	}
	marker, err := os.ReadFile(filepath.Join(archive, walarchive.MarkerName))
	require.NoError(t, err)
	require.Equal(t, "understudy WAL archive 1\nsystem identifier 7574928734098123456\nsegment size 1048576\n", string(marker))
}

func everyKind(t testing.TB) map[string][]byte {
	return map[string][]byte{
		seg3:                               segment(t, ours, seg3, 1),
		"000000020000000000000003":         segment(t, ours, seg3, 2), // the first segment of timeline 2 begins as timeline 1's
		"000000010000000000000004.partial": segment(t, ours, "000000010000000000000004", 3),
		"00000002.history":                 []byte(historyOf2),
		"000000010000000000000002.00000028.backup": []byte("START WAL LOCATION: 0/200028 (file 000000010000000000000002)\nSTOP WAL LOCATION: 0/200100 (file 000000010000000000000002)\n"),
	}
}

func TestPush_conflict(t *testing.T) {
	other := map[string][]byte{
		seg3:                               segment(t, ours, seg3, 77),
		"000000020000000000000003":         segment(t, ours, seg3, 77),
		"000000010000000000000004.partial": segment(t, ours, "000000010000000000000004", 77),
		"00000002.history":                 []byte("1\t0/3000090\tno recovery target specified\n"),
		"000000010000000000000002.00000028.backup": []byte("START WAL LOCATION: 0/200028 (file 000000010000000000000002)\nLABEL: another\n"),
	}
	for name, content := range everyKind(t) {
		t.Run(name, func(t *testing.T) {
			archive := t.TempDir()
			a := openArchive(t, archive, ours)
			require.NoError(t, a.Push(t.Context(), write(t, name, content)))
			second := write(t, name, other[name])
			var conflict *walarchive.ConflictError
			require.ErrorAs(t, a.Push(t.Context(), second), &conflict)
			require.Equal(t, second, conflict.Source)
			require.Equal(t, name, conflict.Name)
			require.NotEqual(t, conflict.SourceSum, conflict.StoredSum)
			require.Len(t, conflict.StoredSum, 64)
			stored, err := os.ReadFile(filepath.Join(archive, name))
			require.NoError(t, err)
			require.Equal(t, content, stored)
		})
	}
}

// TestPush_partial_with_a_hole: of what a standby received last, a power loss may leave later pages without earlier ones. Recovery ends at the
// hole; a promotion there hands the segment over as .partial, and again and again until it is archived.
func TestPush_partial_with_a_hole(t *testing.T) {
	const at = 20 * 8192
	old := segment(t, ours, "000000010000000000000001", 5) // what the file was before the server took it for this segment
	for name, hole := range map[string][]byte{"zeros": make([]byte, 8192), "old": old[at : at+8192]} {
		t.Run(name, func(t *testing.T) {
			const partial = seg3 + ".partial"
			b := segment(t, ours, seg3, 1)
			copy(b[at:], hole)
			path := t.TempDir()
			a := openArchive(t, path, ours)
			require.NoError(t, a.Push(t.Context(), write(t, partial, b)))
			dst := filepath.Join(t.TempDir(), "dst")
			require.NoError(t, a.Fetch(t.Context(), partial, dst))
			got, err := os.ReadFile(dst)
			require.NoError(t, err)
			clear(b[at : at+8192])
			require.True(t, bytes.Equal(b, got), "what is no WAL may go, and nothing else")
			report, err := a.Verify(t.Context(), walarchive.VerifyConfig{})
			require.NoError(t, err)
			require.Empty(t, report.Findings)
			require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, b)), new(*wal.ChainError), "the server would not hand that over")
		})
	}
}

// TestPush_store_that_hangs, as a directory on a dead NFS server does, whatever the context says: a push ends all the same, and with
// success if the store is not needed.
func TestPush_store_that_hangs(t *testing.T) {
	for need, ok := range map[walarchive.Need]bool{walarchive.BestEffort: true, walarchive.Must: false} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			s := &faultyStore{Store: openStore(t, t.TempDir()), open: func(string) error { <-release; return errors.New("late") }}
			a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{
				{Name: "good", Store: openStore(t, t.TempDir())}, {Name: "hanging", Store: s, Need: need}}})
			require.NoError(t, err)
			start := time.Now()
			err = a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1)))
			require.Equal(t, ok, err == nil, "%v", err)
			if !ok {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "hanging")
			}
			require.Less(t, time.Since(start), 11*time.Minute)
			close(release)
			synctest.Wait()
		})
	}
}

func TestPush_refused(t *testing.T) {
	good := segment(t, ours, seg3, 1)
	edit := func(f func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		f(b)
		return b
	}
	foreign := walarchive.Identity{SystemID: 1, SegmentSize: segSize}
	mismatch := func(f wal.Field) func(error) bool {
		return func(err error) bool {
			var m *wal.MismatchError
			return errors.As(err, &m) && m.Field == f
		}
	}
	is := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	for _, tc := range []struct {
		name, file string
		content    []byte
		want       func(error) bool
	}{
		{"other_cluster", seg3, segment(t, foreign, seg3, 1), mismatch(wal.FieldSystemID)},
		{"recycled", seg3, segment(t, ours, "000000010000000000000001", 1), mismatch(wal.FieldPageAddr)},
		{"later_timeline", seg3, segment(t, ours, "000000020000000000000003", 1), mismatch(wal.FieldTimeline)},
		{"other_segment_size", seg3, edit(func(b []byte) { b[34] = 0x20 }), mismatch(wal.FieldSegmentSize)},
		{"partial_of_other_position", "000000010000000000000009.partial", good, mismatch(wal.FieldPageAddr)},
		{"truncated", seg3, good[:segSize-1], is(new(*walarchive.SizeError))},
		{"too_long", seg3, append(edit(func([]byte) {}), 0), is(new(*walarchive.SizeError))},
		{"empty", seg3, nil, is(new(*walarchive.SizeError))},
		{"zeroes", seg3, make([]byte, segSize), is(new(*wal.HeaderError))},
		{"impossible_name", "000000010000000000001000", good, is(new(*wal.SyntaxError))},
		{"not_wal", "RECOVERYXLOG", good, is(new(*wal.SyntaxError))},
		{"marker_name", walarchive.MarkerName, []byte("x"), is(new(*wal.SyntaxError))},
		{"temporary_name", "." + seg3 + ".tmp-x", good, is(new(*wal.SyntaxError))},
		{"empty_history", "00000002.history", nil, is(new(*walarchive.ContentError))},
		{"cut_history", "00000002.history", []byte(historyOf2)[:20], is(new(*walarchive.ContentError))},
		{"history_of_nobody", "00000002.history", []byte("# none\n"), is(new(*walarchive.ContentError))},
		{"wrong_history", "00000001.history", []byte(historyOf2), is(new(*wal.SyntaxError))},
		{"endless_history", "00000002.history", make([]byte, 2<<20), func(err error) bool { return err != nil }},
		{"backup_of_other_segment", "000000010000000000000002.00000028.backup",
			[]byte("START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n"), is(new(*walarchive.ContentError))},
		{"backup_of_other_offset", "000000010000000000000002.00000028.backup",
			[]byte("START WAL LOCATION: 0/200060 (file 000000010000000000000002)\n"), is(new(*walarchive.ContentError))},
		{"backup_noise", "000000010000000000000002.00000028.backup", []byte("hello\n"), is(new(*walarchive.ContentError))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			archive := t.TempDir()
			err := openArchive(t, archive, ours).Push(t.Context(), write(t, tc.file, tc.content))
			require.Error(t, err)
			require.True(t, tc.want(err), "got %T: %v", errors.Unwrap(err), err)
			require.Empty(t, names(t, archive), "a bad file must not even claim the archive")
		})
	}
}

func TestPush_source_trouble(t *testing.T) {
	a := openArchive(t, t.TempDir(), ours)
	require.ErrorIs(t, a.Push(t.Context(), filepath.Join(t.TempDir(), seg3)), fs.ErrNotExist)
	require.NoError(t, os.Mkdir(filepath.Join(t.TempDir(), seg3), 0o700))
	folder := filepath.Join(t.TempDir(), seg3)
	require.NoError(t, os.Mkdir(folder, 0o700))
	require.Error(t, a.Push(t.Context(), folder))
}

// A standby with archive_mode=always that follows its upstream to another timeline archives the segment that it was receiving.
func TestPush_end_of_timeline(t *testing.T) {
	a, content := openArchive(t, t.TempDir(), ours), segment(t, ours, seg3, 1)
	clear(content[40*8192:])
	path := write(t, seg3, content)
	var ends *wal.ChainError
	require.ErrorAs(t, a.Push(t.Context(), path), &ends)
	require.EqualValues(t, 40*8192, ends.Offset)

	history := func(name, text string) {
		t.Helper()
		require.NoError(t, atomicfile.Write(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600))
	}
	start := wal.SegmentOf(1, ends.Want, ours.SegmentSize).Start(ours.SegmentSize)
	history("00000002.history", fmt.Sprintf("1\t%v\tno recovery target specified\n", start+41*8192))
	require.ErrorAs(t, a.Push(t.Context(), path), &ends, "WAL is missing before the timeline ends")
	history("00000003.history", fmt.Sprintf("1\t%v\tno recovery target specified\n", start+39*8192+100))
	require.NoError(t, a.Push(t.Context(), path))

	dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	require.NoError(t, a.Fetch(t.Context(), seg3, dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestPush_second_cluster_is_refused(t *testing.T) {
	archive := t.TempDir()
	require.NoError(t, openArchive(t, archive, ours).Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1))))
	second := walarchive.Identity{SystemID: 42, SegmentSize: segSize}
	const name = "000000010000000000000005"
	err := openArchive(t, archive, second).Push(t.Context(), write(t, name, segment(t, second, name, 1)))
	var foreign *walarchive.ForeignArchiveError
	require.ErrorAs(t, err, &foreign)
	require.Equal(t, walarchive.ForeignArchiveError{Archive: ours, Cluster: second}, *foreign)
	require.NotContains(t, names(t, archive), name)
}

func TestPush_claims_a_plain_copy_archive_only_if_it_is_ours(t *testing.T) {
	second := walarchive.Identity{SystemID: 42, SegmentSize: segSize}
	for _, tc := range []struct {
		name string
		id   walarchive.Identity
		ok   bool
	}{{"ours", ours, true}, {"foreign", second, false}} {
		t.Run(tc.name, func(t *testing.T) {
			archive := t.TempDir()
			torn, stored := "000000010000000000000001", "000000010000000000000002"
			require.NoError(t, os.WriteFile(filepath.Join(archive, torn), []byte("torn"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(archive, stored), segment(t, tc.id, stored, 1), 0o600))
			err := openArchive(t, archive, ours).Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1)))
			if tc.ok {
				require.NoError(t, err)
				return
			}
			var foreign *walarchive.ForeignArchiveError
			require.ErrorAs(t, err, &foreign)
			require.Equal(t, []string{torn, stored}, names(t, archive))
		})
	}
}

func TestPush_first_pushes_race(t *testing.T) {
	for range 20 {
		archive := t.TempDir()
		ids := []walarchive.Identity{ours, {SystemID: 42, SegmentSize: segSize}, {SystemID: 43, SegmentSize: segSize}}
		errs := make([]error, 6)
		race(len(errs), func(i int) {
			id := ids[i%len(ids)]
			name := wal.Segment{Timeline: 1, Number: uint64(10 + i)}.Name(segSize)
			errs[i] = openArchive(t, archive, id).Push(t.Context(), write(t, name, segment(t, id, name, 1)))
		})
		s, err := dir.Open(archive)
		require.NoError(t, err)
		a, err := walarchive.Open(t.Context(), walarchive.Config{Targets: []walarchive.Target{{Store: s}}})
		require.NoError(t, err)
		names, err := a.Names(t.Context())
		s.Close()
		require.NoError(t, err)
		require.Len(t, names, 2, "the winner's two pushes, and nobody else's")
		for i, err := range errs {
			var foreign *walarchive.ForeignArchiveError
			if ids[i%len(ids)].SystemID == a.Identity().SystemID {
				require.NoError(t, err)
			} else {
				require.ErrorAs(t, err, &foreign)
			}
		}
	}
}

func TestPush_racing_contents_have_one_winner(t *testing.T) {
	archive := t.TempDir()
	contents := [][]byte{segment(t, ours, seg3, 1), segment(t, ours, seg3, 2)}
	for round := range 30 {
		name := wal.Segment{Timeline: 2, Number: uint64(100 + round)}.Name(segSize)
		for i := range contents {
			contents[i] = segment(t, ours, name, uint64(i))
		}
		errs := make([]error, 8)
		race(len(errs), func(i int) {
			errs[i] = openArchive(t, archive, ours).Push(t.Context(), write(t, name, contents[i%2]))
		})
		stored, err := os.ReadFile(filepath.Join(archive, name))
		require.NoError(t, err)
		for i, err := range errs {
			if string(contents[i%2]) == string(stored) {
				require.NoError(t, err)
			} else {
				require.ErrorAs(t, err, new(*walarchive.ConflictError))
			}
		}
	}
}

// TestPush_same_content_is_made_durable: the maker of the stored copy may have died before its fsync, so a push
// that finds it must sync file and directory before it says yes.
func TestPush_same_content_is_made_durable(t *testing.T) {
	a := openArchive(t, t.TempDir(), ours)
	path := write(t, seg3, segment(t, ours, seg3, 1))
	require.NoError(t, a.Push(t.Context(), path))
	var steps []atomicfile.Step
	restore := atomicfile.SetHook(func(s atomicfile.Step) error { steps = append(steps, s); return nil })
	defer restore()
	require.NoError(t, a.Push(t.Context(), path))
	require.Equal(t, []atomicfile.Step{atomicfile.StepSync, atomicfile.StepSyncDir}, steps)
}

func TestPush_store_fails(t *testing.T) {
	boom := errors.New("boom")
	store, err := dir.Open(t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	path := write(t, seg3, segment(t, ours, seg3, 1))
	for name, faulty := range map[string]*faultyStore{
		"open_marker":   {Store: store, open: func(string) error { return boom }},
		"create_marker": {Store: store, create: func(string) error { return boom }},
		"create_file": {Store: store, create: func(name string) error {
			if name == seg3 {
				return boom
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, newArchive(t, faulty, ours).Push(t.Context(), path), boom)
		})
	}
	require.NoError(t, newArchive(t, store, ours).Push(t.Context(), path))
	t.Run("compare", func(t *testing.T) {
		faulty := &faultyStore{Store: store, read: boom}
		require.ErrorIs(t, newArchive(t, faulty, ours).Push(t.Context(), path), boom)
	})
}

func TestPush_context_ends(t *testing.T) {
	archive := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	restore := atomicfile.SetHook(func(s atomicfile.Step) error {
		if s == atomicfile.StepWrite {
			cancel()
		}
		return nil
	})
	defer restore()
	err := openArchive(t, archive, ours).Push(ctx, write(t, seg3, segment(t, ours, seg3, 1)))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, names(t, archive))
}

func TestNew_refuses(t *testing.T) {
	store, err := dir.Open(t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	one := []walarchive.Target{{Store: store}}
	for name, cfg := range map[string]walarchive.Config{
		"no_store":     {Identity: ours},
		"nil_store":    {Targets: []walarchive.Target{{}}, Identity: ours},
		"no_system":    {Targets: one, Identity: walarchive.Identity{SegmentSize: segSize}},
		"no_size":      {Targets: one, Identity: walarchive.Identity{SystemID: 1}},
		"size_3_bytes": {Targets: one, Identity: walarchive.Identity{SystemID: 1, SegmentSize: 3}},
		"no_such_need": {Targets: []walarchive.Target{{Store: store, Need: 9}}, Identity: ours},
		"level":        {Targets: []walarchive.Target{{Store: store, Encoding: codec.Encoding{Level: 1}}}, Identity: ours},
		"best_effort":  {Targets: []walarchive.Target{{Store: store, Need: walarchive.BestEffort}}, Identity: ours},
		"no_quorum":    {Targets: one, Quorum: 1, Identity: ours},
	} {
		_, err := walarchive.New(cfg)
		require.Error(t, err, name)
	}
}

// race runs f(0) to f(n-1) at once.
func race(n int, f func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { <-start; f(i) })
	}
	close(start)
	wg.Wait()
}

func ExampleArchive_Push() {
	archive, _ := os.MkdirTemp("", "archive")
	defer os.RemoveAll(archive)
	store, err := dir.Open(archive)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	a, err := walarchive.New(walarchive.Config{
		Targets:  []walarchive.Target{{Store: store}},
		Identity: walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: wal.DefaultSegmentSize},
	})
	if err != nil {
		panic(err)
	}
	history := filepath.Join(os.TempDir(), "00000002.history")
	put := func(text string) {
		if err := os.WriteFile(history, []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	put("1\t0/3000060\tno recovery target specified\n")
	defer os.Remove(history)

	fmt.Println(a.Push(context.Background(), history))
	fmt.Println(a.Push(context.Background(), history))
	put("1\t0/4000060\tno recovery target specified\n")
	var conflict *walarchive.ConflictError
	fmt.Println(errors.As(a.Push(context.Background(), history), &conflict))
	// Output:
	// <nil>
	// <nil>
	// true
}
