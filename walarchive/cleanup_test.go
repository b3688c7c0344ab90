package walarchive_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// place is an archive in a directory.
type place struct {
	*walarchive.Archive
	path  string
	store *dir.Store
}

func emptyPlace(t testing.TB) place {
	t.Helper()
	path := t.TempDir()
	store, err := dir.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	return place{newArchive(t, store, ours), path, store}
}

// newPlace is an archive of the segments 1 to n, with records.
func newPlace(t testing.TB, n int) place {
	t.Helper()
	p := emptyPlace(t)
	for i := range n {
		p.push(t, segmentName(i+1), uint64(i))
	}
	return p
}

func segmentName(n int) string { return fmt.Sprintf("0000000100000000%08X", n) }

func (p place) push(t testing.TB, name string, seed uint64) {
	t.Helper()
	require.NoError(t, p.Push(t.Context(), write(t, name, segment(t, ours, name, seed))))
}

func (p place) pushText(t testing.TB, name, text string) {
	t.Helper()
	require.NoError(t, p.Push(t.Context(), write(t, name, []byte(text))))
}

// backupText is the history file of a backup that needs the segments from to to.
func backupText(from, to int) (name, text string) {
	file := func(n int) wal.FileName { return wal.FileName{Kind: wal.KindSegment, Timeline: 1, Seg: uint32(n)} }
	h := wal.BackupHistory{BackupLabel: wal.BackupLabel{
		Start: wal.LSN(from*segSize + 0x28), StartFile: file(from), Checkpoint: wal.LSN(from*segSize + 0x80), Method: wal.BackupStreamed,
		From: "primary", StartTime: "2026-11-21 03:26:44 UTC", Label: "nightly", StartTimeline: 1,
	}, Stop: wal.LSN(to*segSize + 0x100), StopFile: file(to), StopTime: "2026-11-21 03:26:45 UTC", StopTimeline: 1}
	return h.Name(segSize), string(h.Bytes())
}

// has are the numbers of the segments that are there, with their records.
func (p place) has(t testing.TB) (numbers []int) {
	t.Helper()
	all := names(t, p.path)
	for _, name := range all {
		s, err := wal.ParseSegment(name, segSize)
		if err == nil {
			numbers = append(numbers, int(s.Number))
			require.Contains(t, all, name+".record")
		} else if file, ok := strings.CutSuffix(name, ".record"); ok {
			require.Contains(t, all, file, "no record without its file")
		}
	}
	return numbers
}

func TestCleanup(t *testing.T) {
	p := newPlace(t, 5)
	name, text := backupText(4, 4)
	p.pushText(t, name, text)
	p.pushText(t, "00000002.history", historyOf2)
	require.NoError(t, os.WriteFile(filepath.Join(p.path, segmentName(1)+".repair-1"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(p.path, segmentName(1)+".gz"), []byte("x"), 0o600))
	before := names(t, p.path)

	cfg := walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(5)}, DryRun: true}
	planned, err := p.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, before, names(t, p.path), "a dry run removes nothing")
	i := slices.IndexFunc(planned.Plan.Decisions, func(d catalog.Decision) bool { return d.Name == segmentName(4) })
	require.Equal(t, catalog.Decision{Name: segmentName(4), Keep: true, Rule: catalog.RuleBackup, Who: name}, planned.Plan.Decisions[i])

	cfg.DryRun = false
	r, err := p.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, planned, r)
	require.Len(t, r.Removed, 7)
	require.Equal(t, []int{4, 5}, p.has(t))
	require.Subset(t, names(t, p.path), []string{name, "00000002.history", segmentName(1) + ".gz", walarchive.MarkerName})

	cfg.Policy.Backups = -1
	_, err = p.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, []int{5}, p.has(t))
	r, err = p.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, r.Removed)
}

// Every store says how old and how big its objects are.
func TestCleanup_by_age(t *testing.T) {
	p := twoBackups(t)
	require.Equal(t, []int{1, 2, 3, 4, 5, 6}, p.cleaned(t, catalog.Policy{Age: 7 * time.Hour, MinAge: time.Hour}), "too young")
	require.Equal(t, []int{2, 3, 4, 5, 6}, p.cleaned(t, catalog.Policy{Age: 7 * time.Hour}))
	require.Equal(t, []int{4, 5, 6}, p.cleaned(t, catalog.Policy{Age: 5 * time.Hour}))
}

func TestCleanup_by_size(t *testing.T) {
	p := twoBackups(t)
	require.Equal(t, []int{2, 3, 4, 5, 6}, p.cleaned(t, catalog.Policy{Bytes: 6 * segSize}))
	require.Equal(t, []int{4, 5, 6}, p.cleaned(t, catalog.Policy{Bytes: 4 * segSize}))
}

// twoBackups is an archive of six segments and two backups: 8 hours old in segment 2, and 6 hours old in segment 4.
func twoBackups(t *testing.T) place {
	t.Helper()
	p := newPlace(t, 6)
	for _, n := range []int{2, 4} {
		name, text := backupText(n, n)
		p.pushText(t, name, text)
		old := time.Now().Add(-time.Duration(10-n) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(p.path, name), old, old))
	}
	return p
}

// cleaned is what is left after a cleanup.
func (p place) cleaned(t *testing.T, policy catalog.Policy) []int {
	t.Helper()
	_, err := p.Cleanup(t.Context(), walarchive.CleanupConfig{Policy: policy})
	require.NoError(t, err)
	return p.has(t)
}

func TestCleanup_consumers(t *testing.T) {
	p := newPlace(t, 6)
	oldest := walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(6), Backups: -1}}
	require.NoError(t, p.Register(t.Context(), "standby1", segmentName(3)))
	require.NoError(t, p.Register(t.Context(), "standby2", segmentName(5)))
	_, err := p.Cleanup(t.Context(), oldest)
	require.NoError(t, err)
	require.Equal(t, []int{3, 4, 5, 6}, p.has(t))

	require.NoError(t, p.Register(t.Context(), "standby1", segmentName(4)+".00000028.backup"), "%r may be one")
	require.NoError(t, p.Register(t.Context(), "standby1", segmentName(4)), "the same again")
	consumers, err := p.Consumers(t.Context())
	require.NoError(t, err)
	require.Len(t, consumers, 2)
	require.Equal(t, "standby1 "+segmentName(4), consumers[0].Name+" "+consumers[0].Segment)
	_, err = p.Cleanup(t.Context(), oldest)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5, 6}, p.has(t))

	require.NoError(t, p.Unregister(t.Context(), "standby1"))
	require.ErrorIs(t, p.Unregister(t.Context(), "standby1"), fs.ErrNotExist)
	require.NoError(t, p.Register(t.Context(), "standby2", "000000000000000000000000"), "a standby that does not know yet; back, too")
	_, err = p.Cleanup(t.Context(), oldest)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5, 6}, p.has(t))
	require.NoError(t, p.Unregister(t.Context(), "standby2"))
	_, err = p.Cleanup(t.Context(), oldest)
	require.NoError(t, err)
	require.Equal(t, []int{6}, p.has(t))
}

func TestRegister_refused(t *testing.T) {
	p := newPlace(t, 1)
	for who, segment := range map[string]string{"": segmentName(1), "a.b": segmentName(1), "a": "x", "b": "00000002.history", "c": "00000001000000000000FFFF"} {
		require.Error(t, p.Register(t.Context(), who, segment), who)
	}
	require.ErrorIs(t, emptyPlace(t).Register(t.Context(), "a", segmentName(1)), walarchive.ErrNoMarker)
	other := newArchive(t, p.store, walarchive.Identity{SystemID: 42, SegmentSize: segSize})
	for _, err := range []error{other.Register(t.Context(), "a", segmentName(1)), other.Unregister(t.Context(), "a"), consumersErr(t, other)} {
		require.ErrorAs(t, err, new(*walarchive.ForeignArchiveError))
	}
	consumers, err := p.Consumers(t.Context())
	require.NoError(t, err)
	require.Empty(t, consumers)
}

func consumersErr(t *testing.T, a *walarchive.Archive) error {
	t.Helper()
	_, err := a.Consumers(t.Context())
	return err
}

// A crash between the new registration and the removal of the old one leaves both: the older counts.
func TestRegister_interrupted(t *testing.T) {
	p := newPlace(t, 5)
	stuck := &stuckStore{Store: p.store, stuck: func(string) bool { return true }}
	a := newArchive(t, stuck, ours)
	require.NoError(t, a.Register(t.Context(), "standby1", segmentName(2)))
	require.Error(t, a.Register(t.Context(), "standby1", segmentName(4)))
	_, err := p.Cleanup(t.Context(), walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(5), Backups: -1}})
	require.NoError(t, err)
	require.Equal(t, []int{2, 3, 4, 5}, p.has(t))
	require.NoError(t, p.Register(t.Context(), "standby1", segmentName(4)))
	consumers, err := p.Consumers(t.Context())
	require.NoError(t, err)
	require.Equal(t, segmentName(4), consumers[0].Segment)
}

// stuckStore does not remove some objects, and lists or tells details of none if it is told to.
type stuckStore struct {
	walarchive.Store
	stuck  func(name string) bool
	list   error
	detail error
}

func (s *stuckStore) Remove(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		if s.stuck != nil && s.stuck(name) {
			errs = append(errs, errors.New("stuck: "+name))
			continue
		}
		errs = append(errs, s.Store.Remove(ctx, []string{name}))
	}
	return errors.Join(errs...)
}

func (s *stuckStore) List(ctx context.Context) ([]string, error) {
	if s.list != nil {
		return nil, s.list
	}
	return s.Store.List(ctx)
}

func (s *stuckStore) Details(ctx context.Context, names []string) ([]walarchive.Details, error) {
	if s.detail != nil {
		return nil, s.detail
	}
	return s.Store.Details(ctx, names)
}

func TestCleanup_goes_on_after_a_failure(t *testing.T) {
	p := newPlace(t, 5)
	stuck := &stuckStore{Store: p.store, stuck: func(name string) bool { return strings.HasPrefix(name, segmentName(2)) }}
	_, err := newArchive(t, stuck, ours).Cleanup(t.Context(), walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(5)}})
	require.ErrorContains(t, err, "stuck: "+segmentName(2))
	require.Equal(t, []int{2, 5}, p.has(t))
}

func TestCleanup_not_ours(t *testing.T) {
	p := newPlace(t, 3)
	all := names(t, p.path)
	cfg := walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(3)}}
	_, err := newArchive(t, p.store, walarchive.Identity{SystemID: 42, SegmentSize: segSize}).Cleanup(t.Context(), cfg)
	require.ErrorAs(t, err, new(*walarchive.ForeignArchiveError))
	require.Equal(t, all, names(t, p.path))

	require.NoError(t, os.Remove(filepath.Join(p.path, walarchive.MarkerName)))
	_, err = p.Cleanup(t.Context(), cfg)
	require.ErrorIs(t, err, walarchive.ErrNoMarker)
	require.Equal(t, []int{1, 2, 3}, p.has(t))
}

// If a target cannot be looked at, a consumer may be registered there: nothing goes anywhere.
func TestCleanup_targets(t *testing.T) {
	p, q := newPlace(t, 3), newPlace(t, 4)
	broken := &stuckStore{Store: q.store}
	a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{{Store: p.store}, {Store: broken}}})
	require.NoError(t, err)
	cfg := walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(4), Backups: -1, MinAge: time.Nanosecond}}
	for _, breakIt := range []func(error){func(err error) { broken.list = err }, func(err error) { broken.detail = err }} {
		breakIt(errors.New("no answer"))
		_, err = a.Cleanup(t.Context(), cfg)
		require.ErrorContains(t, err, "no answer")
		require.Equal(t, []int{1, 2, 3}, p.has(t))
		breakIt(nil)
	}
	require.NoError(t, q.Register(t.Context(), "standby1", segmentName(2)))
	_, err = a.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, []int{2, 3}, p.has(t))
	require.Equal(t, []int{2, 3, 4}, q.has(t))
	require.NoError(t, a.Unregister(t.Context(), "standby1"))
	_, err = a.Cleanup(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, p.has(t))
	require.Equal(t, []int{4}, q.has(t))
}

func TestCleanup_set_aside(t *testing.T) {
	p, shelf := newPlace(t, 4), emptyPlace(t)
	first, err := os.ReadFile(filepath.Join(p.path, segmentName(1)))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(shelf.path, segmentName(1)), first, 0o600), "an interrupted run left it")
	require.NoError(t, os.WriteFile(filepath.Join(shelf.path, segmentName(2)), []byte("something else"), 0o600))
	cfg := walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(4)}, SetAside: shelf.store}
	r, err := p.Cleanup(t.Context(), cfg)
	require.ErrorContains(t, err, segmentName(2))
	require.NotContains(t, r.Removed, segmentName(2))
	require.FileExists(t, filepath.Join(p.path, segmentName(2)), "what could not be set aside stays")
	require.FileExists(t, filepath.Join(p.path, segmentName(4)))
	for _, n := range []int{1, 3} {
		require.NoFileExists(t, filepath.Join(p.path, segmentName(n)))
		require.FileExists(t, filepath.Join(shelf.path, segmentName(n)))
		require.FileExists(t, filepath.Join(shelf.path, segmentName(n)+".record"))
	}
	got, err := os.ReadFile(filepath.Join(shelf.path, segmentName(1)))
	require.NoError(t, err)
	require.Equal(t, first, got)
}

func TestCleanup_set_aside_refused(t *testing.T) {
	p, q := newPlace(t, 3), newPlace(t, 1)
	for _, aside := range []walarchive.Store{p.store, q.store} {
		_, err := p.Cleanup(t.Context(), walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(3)}, SetAside: aside})
		require.ErrorContains(t, err, "is an archive itself")
	}
	shelf := emptyPlace(t)
	broken := &faultyStore{Store: shelf.store, open: func(string) error { return errors.New("no answer") }}
	_, err := p.Cleanup(t.Context(), walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(3)}, SetAside: broken})
	require.ErrorContains(t, err, "no answer")
	require.Equal(t, []int{1, 2, 3}, p.has(t))

	damaging := &faultyStore{Store: shelf.store, open: func(name string) error {
		if name == walarchive.MarkerName {
			return nil
		}
		return os.WriteFile(filepath.Join(shelf.path, name), []byte("a bit flipped"), 0o600)
	}}
	_, err = p.Cleanup(t.Context(), walarchive.CleanupConfig{Policy: catalog.Policy{Oldest: segmentName(3)}, SetAside: damaging})
	require.ErrorContains(t, err, "other content")
	require.Equal(t, []int{1, 2, 3}, p.has(t), "only what was read again may go")

	two, err := walarchive.New(walarchive.Config{Identity: ours, Targets: []walarchive.Target{{Store: p.store}, {Store: q.store}}})
	require.NoError(t, err)
	_, err = two.Cleanup(t.Context(), walarchive.CleanupConfig{SetAside: shelf.store})
	require.ErrorContains(t, err, "several targets")
}

func TestCatalog(t *testing.T) {
	p := newPlace(t, 3)
	name, text := backupText(2, 3)
	p.pushText(t, name, text)
	p.pushText(t, "00000002.history", historyOf2)
	// The first copy is damaged, the one beside it is good.
	require.NoError(t, os.WriteFile(filepath.Join(p.path, "00000002.history"), []byte("1\tgarbage"), 0o600))
	p.pushText(t, "00000002.history", historyOf2)
	require.FileExists(t, filepath.Join(p.path, "00000002.history.repair-1"))
	require.NoError(t, os.WriteFile(filepath.Join(p.path, "00000003.history"), []byte("garbage\n"), 0o600))
	c, err := p.Catalog(t.Context())
	require.NoError(t, err)
	l := c.List()
	require.Len(t, l.Timelines, 3)
	require.Equal(t, 3, l.Timelines[0].Segments)
	require.True(t, l.Timelines[0].Backups[0].Complete)
	require.Equal(t, "nightly", l.Timelines[0].Backups[0].Label)
	require.Equal(t, catalog.HistoryThere, l.Timelines[1].History)
	require.Equal(t, catalog.HistoryUnreadable, l.Timelines[2].History)
	_, err = emptyPlace(t).Catalog(t.Context())
	require.ErrorIs(t, err, walarchive.ErrNoMarker)
}

// The marker must be there before and after the names were read: whatever was read in between is the archive's.
func TestCatalog_comes_and_goes(t *testing.T) {
	p := newPlace(t, 1)
	for _, missing := range []int{1, 2} {
		asked := 0
		s := &faultyStore{Store: p.store, open: func(name string) error {
			if name != walarchive.MarkerName {
				return nil
			}
			if asked++; asked == missing {
				return fs.ErrNotExist
			}
			return nil
		}}
		_, err := newArchive(t, s, ours).Catalog(t.Context())
		require.ErrorIs(t, err, walarchive.ErrNoMarker)
	}
}

// Before 9.3 the last segment of 4 GiB was never used: the pages tell the major.
func TestCatalog_before_93(t *testing.T) {
	p := newPlace(t, 0)
	p.pushText(t, "00000002.history", historyOf2)
	for name, start := range map[string]uint64{"000000010000000000000FFE": 0xFFE, "000000010000000100000000": 0x1000} {
		page := make([]byte, segSize)
		le := binary.LittleEndian
		le.PutUint16(page, 0xD071)
		le.PutUint16(page[2:], 2)
		le.PutUint32(page[4:], 1)
		le.PutUint32(page[8:], uint32(start*segSize>>32))
		le.PutUint32(page[12:], uint32(start*segSize))
		le.PutUint64(page[16:], uint64(ours.SystemID))
		le.PutUint32(page[24:], segSize)
		le.PutUint32(page[28:], 8192)
		require.NoError(t, os.WriteFile(filepath.Join(p.path, name), page, 0o600))
	}
	c, err := p.Catalog(t.Context())
	require.NoError(t, err)
	require.Empty(t, c.Gaps(catalog.GapConfig{InFlight: -1}))
}
