package walarchive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestWait(t *testing.T) {
	p := newPlace(t, 2)
	require.NoError(t, p.Wait(t.Context(), segmentName(2)))
	name, err := p.WaitLSN(t.Context(), 1, 2*segSize+7)
	require.NoError(t, err)
	require.Equal(t, segmentName(2), name)

	for _, wait := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return p.Wait(ctx, segmentName(3)) },
		func(ctx context.Context) error { _, err := p.WaitLSN(ctx, 1, 3*segSize); return err },
		func(ctx context.Context) error { _, err := p.WaitLSN(ctx, 0, 4*segSize-1); return err },
	} {
		os.Remove(filepath.Join(p.path, segmentName(3)))
		os.Remove(filepath.Join(p.path, segmentName(3)+".record"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		require.ErrorIs(t, wait(ctx), context.DeadlineExceeded)
		cancel()
		result := make(chan error)
		go func() { result <- wait(t.Context()) }()
		p.push(t, segmentName(3), 3)
		require.NoError(t, <-result)
	}
}

// Of several timelines the newest counts.
func TestWaitLSN_timelines(t *testing.T) {
	p := newPlace(t, 2)
	const other = "000000020000000000000002"
	p.push(t, other, 5)
	for _, order := range []func([]string){slices.Sort[[]string], func(names []string) { slices.Sort(names); slices.Reverse(names) }} {
		name, err := newArchive(t, orderedStore{p.store, order}, ours).WaitLSN(t.Context(), 0, 2*segSize)
		require.NoError(t, err)
		require.Equal(t, other, name)
	}
	name, err := p.WaitLSN(t.Context(), 1, 2*segSize)
	require.NoError(t, err)
	require.Equal(t, segmentName(2), name)
}

// orderedStore lists in a certain order.
type orderedStore struct {
	walarchive.Store
	order func([]string)
}

func (s orderedStore) List(ctx context.Context) ([]string, error) {
	names, err := s.Store.List(ctx)
	s.order(names)
	return names, err
}

func TestWait_failures(t *testing.T) {
	p := newPlace(t, 1)
	for _, name := range []string{"nonsense", "00000001000000000000FFFF"} {
		require.ErrorAs(t, p.Wait(t.Context(), name), new(*wal.SyntaxError))
	}
	other := newArchive(t, p.store, walarchive.Identity{SystemID: 42, SegmentSize: segSize})
	require.ErrorAs(t, other.Wait(t.Context(), segmentName(1)), new(*walarchive.ForeignArchiveError))

	failures := 2
	trouble := &faultyStore{Store: p.store, open: func(string) error {
		if failures--; failures >= 0 {
			return errors.New("no answer")
		}
		return nil
	}}
	require.NoError(t, newArchive(t, trouble, ours).Wait(t.Context(), segmentName(1)), "a failure that passes")
	failures = 1 << 20
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := newArchive(t, trouble, ours).Wait(ctx, segmentName(1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no answer")
}

// As many targets as a push must reach.
func TestWait_targets(t *testing.T) {
	full, empty := newPlace(t, 1), newPlace(t, 0)
	full.pushText(t, "00000002.history", historyOf2)
	empty.pushText(t, "00000002.history", historyOf2)
	there := func(targets ...walarchive.Target) bool {
		t.Helper()
		a, err := walarchive.New(walarchive.Config{Identity: ours, Targets: targets})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return a.Wait(ctx, segmentName(1)) == nil
	}
	f, e := walarchive.Target{Store: full.store}, walarchive.Target{Store: empty.store}
	require.False(t, there(f, e))
	e.Need = walarchive.BestEffort
	require.True(t, there(f, e))
	f.Need, e.Need = walarchive.Quorum, walarchive.Quorum
	require.True(t, there(f, f, e))
	require.False(t, there(f, e, e))
}
