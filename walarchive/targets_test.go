package walarchive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func openStore(t testing.TB, path string) *dir.Store {
	t.Helper()
	s, err := dir.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// slowStore answers nothing until its context ends.
type slowStore struct{ walarchive.Store }

func (s slowStore) Open(ctx context.Context, _ string) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// stores returns one that works, one that fails, one that is slow, and one of another cluster.
func stores(t *testing.T) map[string]walarchive.Store {
	t.Helper()
	foreign := t.TempDir()
	other := walarchive.Identity{SystemID: 42, SegmentSize: segSize}
	require.NoError(t, openArchive(t, foreign, other).Push(t.Context(), write(t, seg3, segment(t, other, seg3, 1))))
	boom := errors.New("boom")
	return map[string]walarchive.Store{
		"good":    openStore(t, t.TempDir()),
		"good2":   openStore(t, t.TempDir()),
		"failing": &faultyStore{Store: openStore(t, t.TempDir()), open: func(string) error { return boom }},
		"slow":    slowStore{openStore(t, t.TempDir())},
		"foreign": openStore(t, foreign),
	}
}

// parseTargets reads targets like "good failing=quorum slow=besteffort".
func parseTargets(t *testing.T, s string) []walarchive.Target {
	t.Helper()
	all := stores(t)
	needs := map[string]walarchive.Need{"": walarchive.Must, "quorum": walarchive.Quorum, "besteffort": walarchive.BestEffort}
	var targets []walarchive.Target
	for word := range strings.FieldsSeq(s) {
		name, need, _ := strings.Cut(word, "=")
		require.Contains(t, all, name)
		targets = append(targets, walarchive.Target{Name: name, Store: all[name], Need: needs[need],
			Encoding: codec.Encoding{Compression: codec.LZ4}})
	}
	return targets
}

func TestPush_several_targets(t *testing.T) {
	for _, tc := range []struct {
		targets string
		ok      bool
	}{
		{"good good2", true},
		{"good failing", false},
		{"good slow", false},
		{"good foreign", false},
		{"good failing=besteffort", true},
		{"good slow=besteffort", true},
		{"good foreign=besteffort", true},
		{"good=besteffort failing", false},
		{"good=quorum good2=quorum failing=quorum", true},
		{"good=quorum good2=quorum slow=quorum", true},
		{"good=quorum failing=quorum foreign=quorum", false},
		{"good=quorum failing=quorum", false}, // more than half
		{"good failing=quorum good2=quorum slow=quorum", false},
	} {
		t.Run(tc.targets, func(t *testing.T) {
			a, err := walarchive.New(walarchive.Config{Targets: parseTargets(t, tc.targets), Identity: ours,
				Timeout: timeoutFor(tc.ok), Patience: 10 * time.Millisecond})
			require.NoError(t, err)
			err = a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1)))
			require.Equal(t, tc.ok, err == nil, "%v", err)
			if err != nil {
				return
			}
			dst := filepath.Join(t.TempDir(), "dst")
			require.NoError(t, a.Fetch(t.Context(), seg3, dst), "some target has it")
		})
	}
}

// timeoutFor is the timeout of a push that must succeed, although the disk may be slow, or of one that can only wait for it in vain.
func timeoutFor(ok bool) time.Duration {
	if ok {
		return time.Minute
	}
	return 300 * time.Millisecond
}

func TestPush_quorum_that_was_asked_for(t *testing.T) {
	targets := parseTargets(t, "good=quorum failing=quorum slow=quorum")
	for quorum, ok := range map[int]bool{1: true, 2: false, 3: false} {
		a, err := walarchive.New(walarchive.Config{Targets: targets, Quorum: quorum, Identity: ours,
			Timeout: timeoutFor(ok), Patience: -1})
		require.NoError(t, err)
		err = a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1)))
		require.Equal(t, ok, err == nil, "%v", err)
	}
	_, err := walarchive.New(walarchive.Config{Targets: targets, Quorum: 4, Identity: ours})
	require.Error(t, err)
}

// TestPush_conflict_anywhere_is_never_success: what a fetch might deliver instead must not be acknowledged, however little the target counts.
func TestPush_conflict_anywhere_is_never_success(t *testing.T) {
	for _, need := range []walarchive.Need{walarchive.Must, walarchive.Quorum, walarchive.BestEffort} {
		second := t.TempDir()
		require.NoError(t, openArchive(t, second, ours).Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1))))
		a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{
			{Store: openStore(t, t.TempDir())}, {Name: "second", Store: openStore(t, second), Need: need}}})
		require.NoError(t, err)
		var conflict *walarchive.ConflictError
		require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 2))), &conflict)
		require.Equal(t, "second", conflict.Target)
	}
}

func TestFetch_several_targets(t *testing.T) {
	content := segment(t, ours, seg3, 1)
	for _, tc := range []struct{ targets, there, absent string }{
		{"good good2", "fetched", "absent"},
		{"good2 good", "fetched", "absent"},
		{"failing good", "fetched", "unknown"},
		{"slow good", "fetched", "unknown"},
		{"foreign good", "fetched", "unknown"},
		{"good foreign", "fetched", "unknown"},
		{"good slow", "fetched", "unknown"},
		{"foreign failing", "unknown", "unknown"},
	} {
		t.Run(tc.targets, func(t *testing.T) {
			targets := parseTargets(t, tc.targets)
			for _, target := range targets {
				switch target.Name {
				case "good":
					require.NoError(t, newArchive(t, target.Store, ours).Push(t.Context(), write(t, seg3, content)))
				case "good2":
					require.NoError(t, newArchive(t, target.Store, ours).Push(t.Context(), write(t, "00000002.history", []byte(historyOf2))))
				}
			}
			a, err := walarchive.New(walarchive.Config{Targets: targets, Identity: ours, Timeout: 2 * time.Second})
			require.NoError(t, err)
			for name, want := range map[string]string{seg3: tc.there, missing: tc.absent} {
				dst := filepath.Join(t.TempDir(), "dst")
				err := a.Fetch(t.Context(), name, dst)
				switch want {
				case "fetched":
					require.NoError(t, err)
					got, err := os.ReadFile(dst)
					require.NoError(t, err)
					require.True(t, bytes.Equal(content, got))
				case "absent":
					require.ErrorIs(t, err, fs.ErrNotExist)
				default:
					requireUnknown(t, err)
				}
			}
		})
	}
}

// TestFetch_damaged_copy_falls_over to the next target.
func TestFetch_damaged_copy_falls_over(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	content := segment(t, ours, seg3, 1)
	for _, path := range []string{first, second} {
		require.NoError(t, openArchive(t, path, ours).Push(t.Context(), write(t, seg3, content)))
	}
	damaged := bytes.Clone(content)
	damaged[segSize/2+100] ^= 1 // not in a page header
	require.NoError(t, os.WriteFile(filepath.Join(first, seg3), damaged, 0o600))
	var events []string
	a, err := walarchive.New(walarchive.Config{Identity: ours, Hooks: recordEvents(&events),
		Targets: []walarchive.Target{{Name: "first", Store: openStore(t, first)}, {Name: "second", Store: openStore(t, second)}}})
	require.NoError(t, err)
	dst := filepath.Join(t.TempDir(), "dst")
	require.NoError(t, a.Fetch(t.Context(), seg3, dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Equal(t, []string{"damaged first " + seg3, "failed first " + seg3, "fetched second " + seg3}, events)
}

func recordEvents(events *[]string) walarchive.Hooks {
	var mu sync.Mutex
	note := func(what string) func(walarchive.Event) {
		return func(e walarchive.Event) {
			mu.Lock()
			defer mu.Unlock()
			*events = append(*events, what+" "+e.Target+" "+e.Object)
		}
	}
	return walarchive.Hooks{Pushed: note("pushed"), Fetched: note("fetched"), Conflict: note("conflict"), Damaged: note("damaged"),
		Repaired: note("repaired"), Failed: note("failed")}
}

func TestHooks_and_log_of_a_repair(t *testing.T) {
	path := t.TempDir()
	var events []string
	var log bytes.Buffer
	a, err := walarchive.New(walarchive.Config{Identity: ours, Hooks: recordEvents(&events), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Targets: []walarchive.Target{{Name: "nfs", Store: openStore(t, path), Encoding: codec.Encoding{Compression: codec.Zstd}}}})
	require.NoError(t, err)
	file := write(t, seg3, segment(t, ours, seg3, 1))
	require.NoError(t, a.Push(t.Context(), file))
	require.NoError(t, os.Truncate(filepath.Join(path, seg3), 1000))
	require.NoError(t, a.Push(t.Context(), file))
	require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 2))), new(*walarchive.ConflictError))
	require.Equal(t, []string{"pushed nfs " + seg3, "damaged nfs " + seg3, "repaired nfs " + seg3 + ".repair-1", "pushed nfs " + seg3 + ".repair-1",
		"damaged nfs " + seg3, "conflict nfs " + seg3 + ".repair-1"}, events)
	require.Contains(t, log.String(), "archived copy is damaged")
	require.Contains(t, log.String(), "good copy written beside a damaged one")
}

// TestPush_into_an_archive_that_cp_filled: the same bytes get their record, others are a conflict.
func TestPush_into_an_archive_that_cp_filled(t *testing.T) {
	path := t.TempDir()
	content := segment(t, ours, seg3, 1)
	require.NoError(t, os.WriteFile(filepath.Join(path, seg3), content, 0o600))
	a := openArchive(t, path, ours)
	require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 2))), new(*walarchive.ConflictError))
	require.NoFileExists(t, filepath.Join(path, seg3+".record"))
	require.NoError(t, a.Push(t.Context(), write(t, seg3, content)))
	b, err := os.ReadFile(filepath.Join(path, seg3+".record"))
	require.NoError(t, err)
	record, err := codec.ParseRecord(b)
	require.NoError(t, err)
	require.Equal(t, seg3, record.Name)
	require.Equal(t, int64(segSize), record.Size)
}

// TestPush_leaves_no_record_beside_what_is_there, on a store that looks for the name only after it has read everything.
func TestPush_leaves_no_record_beside_what_is_there(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, seg3), segment(t, ours, seg3, 1), 0o600))
	a := newArchive(t, eagerStore{openStore(t, path)}, ours)
	require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 2))), new(*walarchive.ConflictError))
	require.NoFileExists(t, filepath.Join(path, seg3+".record"))
}

// eagerStore reads everything before it creates.
type eagerStore struct{ walarchive.Store }

func (s eagerStore) Create(ctx context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.Store.Create(ctx, name, bytes.NewReader(b))
}

// TestPush_page_in_the_middle: noise further in than the first page is refused, and nothing of it stays.
func TestPush_page_in_the_middle(t *testing.T) {
	path := t.TempDir()
	content := segment(t, ours, seg3, 1)
	content[segSize/2] ^= 1
	require.ErrorAs(t, openArchive(t, path, ours).Push(t.Context(), write(t, seg3, content)), new(*wal.ChainError))
	require.Equal(t, []string{walarchive.MarkerName}, names(t, path))
}

// TestPush_file_that_changes: the server recycles a segment that it takes for archived, under the eyes of a push.
func TestPush_file_that_changes(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"written": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
		"replaced_alike": func(path string) error {
			info, err := os.Stat(path)
			content := bytes.Repeat([]byte{1}, segSize)
			return errors.Join(err, os.Rename(path, path+".old"), os.WriteFile(path, content, 0o600), os.Chtimes(path, time.Time{}, info.ModTime()))
		},
		"gone": os.Remove,
		"cut":  func(path string) error { return os.Truncate(path, segSize/2) },
	} {
		t.Run(name, func(t *testing.T) {
			archive, file := t.TempDir(), write(t, seg3, segment(t, ours, seg3, 1))
			s := &faultyStore{Store: openStore(t, archive), create: func(name string) error {
				if name == seg3 {
					return change(file)
				}
				return nil
			}}
			err := newArchive(t, s, ours).Push(t.Context(), file)
			require.True(t, errors.As(err, new(*walarchive.ChangedError)) || errors.As(err, new(*walarchive.SizeError)), "%v", err)
			require.Equal(t, []string{walarchive.MarkerName}, names(t, archive))
		})
	}
}

// TestFetch_after_the_damaged_copy_was_removed: the one beside it is still there.
func TestFetch_after_the_damaged_copy_was_removed(t *testing.T) {
	path := t.TempDir()
	a := openArchive(t, path, ours)
	file := write(t, seg3, segment(t, ours, seg3, 1))
	require.NoError(t, a.Push(t.Context(), file))
	require.NoError(t, os.Truncate(filepath.Join(path, seg3), 1000))
	require.NoError(t, a.Push(t.Context(), file))
	require.NoError(t, os.Remove(filepath.Join(path, seg3)))
	require.NoError(t, a.Fetch(t.Context(), seg3, filepath.Join(t.TempDir(), "dst")))
}

// TestFetch_reading_says_not_there: only opening can tell that.
func TestFetch_reading_says_not_there(t *testing.T) {
	_, store := filled(t)
	a := newArchive(t, unreadableStore{store}, ours)
	for _, name := range []string{seg3, "00000002.history"} {
		requireUnknown(t, a.Fetch(t.Context(), name, filepath.Join(t.TempDir(), "dst")))
	}
}

// unreadableStore opens every object, but reads only the marker.
type unreadableStore struct{ walarchive.Store }

func (s unreadableStore) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == walarchive.MarkerName {
		return s.Store.Open(ctx, name)
	}
	return io.NopCloser(errReader{fs.ErrNotExist}), nil
}

// TestPush_record_without_its_file: a server that was killed, or lost, between the two must not keep its successor from archiving for ever. The
// file decides, not the record.
func TestPush_record_without_its_file(t *testing.T) {
	const name = "00000002.history"
	first, second := []byte("1\t0/3000060\tfirst\n"), []byte("1\t0/3000090\tsecond\n")
	path := t.TempDir()
	boom := errors.New("killed")
	s := &faultyStore{Store: openStore(t, path)}
	dead := newArchive(t, dyingStore{s, boom}, ours)
	require.ErrorIs(t, dead.Push(t.Context(), write(t, name, first)), boom)
	require.Equal(t, []string{name + ".record", walarchive.MarkerName}, names(t, path))

	a := openArchive(t, path, ours)
	require.ErrorAs(t, a.Fetch(t.Context(), name, filepath.Join(t.TempDir(), "dst")), new(*walarchive.AbsentError))
	for range 2 {
		require.NoError(t, a.Push(t.Context(), write(t, name, second)))
	}
	var conflict *walarchive.ConflictError
	require.ErrorAs(t, a.Push(t.Context(), write(t, name, first)), &conflict, "the dead one comes back")
	dst := filepath.Join(t.TempDir(), "dst")
	require.NoError(t, a.Fetch(t.Context(), name, dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.Equal(t, second, got)
	report, err := a.Verify(t.Context(), walarchive.VerifyConfig{})
	require.NoError(t, err)
	require.Empty(t, report.Findings)

	require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte("1\t0/30000A0\tthird\n"), 0o600))
	requireUnknown(t, a.Fetch(t.Context(), name, filepath.Join(t.TempDir(), "dst")))
	require.NoError(t, a.Push(t.Context(), write(t, name, second)), "the damage is repaired")
	require.NoError(t, a.Fetch(t.Context(), name, filepath.Join(t.TempDir(), "dst")))
}

// dyingStore fails when all of an archived file is written, record included, but before it can be seen.
type dyingStore struct {
	walarchive.Store
	err error
}

func (s dyingStore) Create(ctx context.Context, name string, r io.Reader) error {
	if name == walarchive.MarkerName || strings.HasSuffix(name, ".record") {
		return s.Store.Create(ctx, name, r)
	}
	return s.Store.Create(ctx, name, io.MultiReader(r, errReader{s.err}))
}

// TestPush_two_records_and_one_file: of two pushers that both wrote their record, the first to make the file wins, whatever the
// order of the records, and the other learns it.
func TestPush_two_records_and_one_file(t *testing.T) {
	path := t.TempDir()
	store := openStore(t, path)
	winner := segment(t, ours, seg3, 2)
	file := write(t, seg3, winner)
	s := &lateStore{Store: store, before: func() error { return openArchive(t, path, ours).Push(t.Context(), file) }}
	a := newArchive(t, s, ours)
	require.ErrorAs(t, a.Push(t.Context(), write(t, seg3, segment(t, ours, seg3, 1))), new(*walarchive.ConflictError))
	require.NoError(t, a.Push(t.Context(), write(t, seg3, winner)))
	require.Equal(t, []string{seg3, seg3 + ".record", seg3 + ".repair-1.record", walarchive.MarkerName}, names(t, path))
	dst := filepath.Join(t.TempDir(), "dst")
	require.NoError(t, a.Fetch(t.Context(), seg3, dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	require.Equal(t, winner, got)
}

// lateStore calls before once, when all of an archived file is read, and its record written.
type lateStore struct {
	walarchive.Store
	before func() error
}

func (s *lateStore) Create(ctx context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if f := s.before; name == seg3 && f != nil {
		s.before = nil
		if err := f(); err != nil {
			return err
		}
	}
	return s.Store.Create(ctx, name, bytes.NewReader(b))
}

// TestPush_record_without_its_file_and_no_key: what cannot be decrypted is told by its records, but not if they differ.
func TestPush_record_without_its_file_and_no_key(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	path := t.TempDir()
	open := func(keys ...age.Identity) *walarchive.Archive {
		a, err := walarchive.New(walarchive.Config{Identity: ours, Keys: keys, Targets: []walarchive.Target{
			{Store: openStore(t, path), Encoding: codec.Encoding{Recipients: []age.Recipient{key.Recipient()}}}}})
		require.NoError(t, err)
		return a
	}
	files := map[int]string{}
	for i := 1; i <= 3; i++ {
		files[i] = write(t, seg3, segment(t, ours, seg3, uint64(i)))
	}
	require.NoError(t, open().Push(t.Context(), files[1]))
	require.NoError(t, open().Push(t.Context(), files[1]))
	require.ErrorAs(t, open().Push(t.Context(), files[2]), new(*walarchive.ConflictError))

	require.NoError(t, os.Remove(filepath.Join(path, seg3)))
	require.NoError(t, open().Push(t.Context(), files[2]))
	require.ErrorIs(t, open().Push(t.Context(), files[2]), codec.ErrNoKey)
	require.ErrorIs(t, open().Push(t.Context(), files[1]), codec.ErrNoKey)
	require.ErrorAs(t, open().Push(t.Context(), files[3]), new(*walarchive.ConflictError))
	require.NoError(t, open(key).Push(t.Context(), files[2]))
	require.ErrorAs(t, open(key).Push(t.Context(), files[1]), new(*walarchive.ConflictError))
}

func TestOpen(t *testing.T) {
	path, store := filled(t)
	targets := []walarchive.Target{{Store: openStore(t, t.TempDir())}, {Store: store}}
	a, err := walarchive.Open(t.Context(), walarchive.Config{Targets: targets})
	require.NoError(t, err)
	require.Equal(t, ours, a.Identity())

	// a marker of the first format, without the segment size
	require.NoError(t, os.WriteFile(filepath.Join(path, walarchive.MarkerName),
		[]byte("understudy WAL archive 1\nsystem identifier 7574928734098123456\n"), 0o600))
	a, err = walarchive.Open(t.Context(), walarchive.Config{Targets: targets})
	require.NoError(t, err)
	require.Equal(t, ours, a.Identity())
	require.NoError(t, newArchive(t, store, ours).Fetch(t.Context(), seg3, filepath.Join(t.TempDir(), "dst")))

	_, err = walarchive.Open(t.Context(), walarchive.Config{Targets: targets[:1]})
	require.ErrorIs(t, err, walarchive.ErrNoMarker)
	_, err = walarchive.Open(t.Context(), walarchive.Config{Targets: targets, Identity: ours})
	require.Error(t, err)
}

func TestPush_other_segment_size(t *testing.T) {
	path, _ := filled(t)
	id := walarchive.Identity{SystemID: ours.SystemID, SegmentSize: 2 * segSize}
	err := openArchive(t, path, id).Push(t.Context(), write(t, seg3, segment(t, id, seg3, 1)))
	var foreign *walarchive.ForeignArchiveError
	require.ErrorAs(t, err, &foreign)
	require.Contains(t, err.Error(), "1048576")
}

func TestReceived(t *testing.T) {
	content := waltest.Segment(ours.SystemID, segSize, seg3, segSize, 1)
	path := t.TempDir()
	a := openArchive(t, path, ours)
	require.NoError(t, a.PushReceived(t.Context(), seg3, 100_000, bytes.NewReader(content)))
	require.NoError(t, a.PushReceived(t.Context(), seg3, 300_000, bytes.NewReader(content)))
	require.NoError(t, a.PushReceived(t.Context(), seg3, 300_000, bytes.NewReader(content)))
	require.Equal(t, []string{seg3 + ".received-000493E0", walarchive.MarkerName}, names(t, path))

	dst := filepath.Join(t.TempDir(), "dst")
	require.ErrorIs(t, a.Fetch(t.Context(), seg3, dst), fs.ErrNotExist, "it is no segment")
	require.NoError(t, a.FetchUnfinished(t.Context(), seg3, dst))
	got, err := os.ReadFile(dst)
	require.NoError(t, err)
	want := append(bytes.Clone(content[:300_000]), make([]byte, segSize-300_000)...)
	require.True(t, bytes.Equal(want, got))

	partial := waltest.Segment(ours.SystemID, segSize, seg3, 500_000, 2)
	require.NoError(t, a.Push(t.Context(), write(t, seg3+".partial", partial)))
	require.NoError(t, os.Remove(dst))
	require.NoError(t, a.FetchUnfinished(t.Context(), seg3, dst), "the partial segment has more")
	got, err = os.ReadFile(dst)
	require.NoError(t, err)
	require.True(t, bytes.Equal(partial, got))

	whole := segment(t, ours, seg3, 3)
	require.NoError(t, a.Push(t.Context(), write(t, seg3, whole)))
	require.NoError(t, os.Remove(dst))
	require.NoError(t, a.FetchUnfinished(t.Context(), seg3, dst))
	got, err = os.ReadFile(dst)
	require.NoError(t, err)
	require.True(t, bytes.Equal(whole, got))

	require.ErrorIs(t, a.FetchUnfinished(t.Context(), missing, dst), fs.ErrNotExist)
	all, err := a.Names(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{seg3, seg3 + ".partial"}, all)
}

func TestPushReceived_refused(t *testing.T) {
	content := segment(t, ours, seg3, 1)
	foreign := segment(t, walarchive.Identity{SystemID: 42, SegmentSize: segSize}, seg3, 1)
	path := t.TempDir()
	a := openArchive(t, path, ours)
	for what, push := range map[string]func() error{
		"short":   func() error { return a.PushReceived(t.Context(), seg3, 200_000, bytes.NewReader(content[:100_000])) },
		"foreign": func() error { return a.PushReceived(t.Context(), seg3, 200_000, bytes.NewReader(foreign)) },
		"partial": func() error { return a.PushReceived(t.Context(), seg3+".partial", 200_000, bytes.NewReader(content)) },
		"little":  func() error { return a.PushReceived(t.Context(), seg3, 39, bytes.NewReader(content)) },
		"much":    func() error { return a.PushReceived(t.Context(), seg3, segSize+1, bytes.NewReader(content)) },
	} {
		require.Error(t, push(), what)
	}
	for _, name := range names(t, path) {
		require.Equal(t, walarchive.MarkerName, name)
	}
}

func TestPushReceived_damage_is_found(t *testing.T) {
	content := segment(t, ours, seg3, 1)
	path := t.TempDir()
	a := openArchive(t, path, ours)
	require.NoError(t, a.PushReceived(t.Context(), seg3, 300_000, io.LimitReader(bytes.NewReader(content), segSize)))
	object := filepath.Join(path, seg3+".received-000493E0")
	b, err := os.ReadFile(object)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(object, b, 0o600))
	requireUnknown(t, a.FetchUnfinished(t.Context(), seg3, filepath.Join(t.TempDir(), "dst")))
}

func TestRetry(t *testing.T) {
	calls := 0
	boom := &walarchive.UnknownError{Name: seg3, Err: errors.New("boom")}
	err := walarchive.Retry(t.Context(), time.Minute, func(context.Context) error {
		if calls++; calls < 3 {
			return boom
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 3, calls)

	for _, final := range []error{&walarchive.AbsentError{Name: seg3}, &walarchive.ConflictError{}, &walarchive.ForeignArchiveError{},
		&walarchive.UnknownError{Err: &codec.DamagedError{Err: errors.New("x")}}, context.Canceled} {
		calls = 0
		require.ErrorIs(t, walarchive.Retry(t.Context(), time.Minute, func(context.Context) error { calls++; return final }), final)
		require.Equal(t, 1, calls, "%v", final)
	}
	calls = 0
	require.ErrorIs(t, walarchive.Retry(t.Context(), 0, func(context.Context) error { calls++; return boom }), boom)
	require.Equal(t, 1, calls)
}

func ExampleConfig() {
	folder, _ := os.MkdirTemp("", "archive")
	defer os.RemoveAll(folder)
	store, err := dir.Open(folder)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	encoding, err := codec.ParseEncoding("zstd:3")
	if err != nil {
		panic(err)
	}
	a, err := walarchive.New(walarchive.Config{
		Targets:  []walarchive.Target{{Name: "local disk", Store: store, Encoding: encoding}},
		Identity: walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: wal.DefaultSegmentSize},
		Hooks: walarchive.Hooks{Pushed: func(e walarchive.Event) {
			fmt.Printf("%s: %s has %d bytes\n", e.Target, e.Object, e.Size)
		}},
	})
	if err != nil {
		panic(err)
	}
	history := filepath.Join(os.TempDir(), "00000003.history")
	if err := os.WriteFile(history, []byte("1\t0/3000060\tno recovery target specified\n"), 0o600); err != nil {
		panic(err)
	}
	defer os.Remove(history)
	fmt.Println(a.Push(context.Background(), history))
	// Output:
	// local disk: 00000003.history has 41 bytes
	// <nil>
}
