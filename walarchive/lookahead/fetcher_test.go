package lookahead

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// fetchBench is a fetcher on a fake archive in a bubble. Time there begins in the year 2000, so files are younger than now.
type fetchBench struct {
	t       *testing.T
	dir     string
	archive *fakeArchive
	f       *fetcher
}

func inFetchBubble(t *testing.T, workers, ahead int, test func(b fetchBench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		crew, end := startCrew(t)
		defer end()
		a := newFake()
		test(fetchBench{t: t, dir: dir, archive: a, f: newFetcher(a, dir, segSize, workers, ahead, crew, silent)})
	})
}

// holds puts segments into the archive.
func (b fetchBench) holds(names ...string) {
	b.archive.set(func() {
		for _, name := range names {
			b.archive.holds[name] = make([]byte, segSize)
		}
	})
}

func (b fetchBench) history(timeline wal.Timeline, text string) {
	b.archive.set(func() { b.archive.holds[timeline.HistoryName()] = []byte(text) })
}

// fetch asks as the client does, takes the file away, and waits until nothing goes on any more.
func (b fetchBench) fetch(name string) error {
	b.t.Helper()
	err := b.f.fetch(b.t.Context(), mustName(b.t, name))
	if err == nil {
		require.NoError(b.t, os.Remove(filepath.Join(b.dir, name)))
	}
	synctest.Wait()
	return err
}

func (b fetchBench) spool() []string {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	require.NoError(b.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (b fetchBench) wantAbsent(name string) {
	b.t.Helper()
	require.True(b.t, isAbsent(b.fetch(name)), name)
}

func TestFetcher_looks_ahead_in_bounds(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.holds(segNames(1, 1, 30)...)
		for i := range uint64(30) {
			require.NoError(b.t, b.fetch(segName(1, i+1)))
			require.Equal(b.t, min(i+5, 30), 1+i+uint64(len(b.spool())), "four ahead")
		}
		require.Empty(b.t, b.spool())
		got := slices.DeleteFunc(b.archive.asked(), func(name string) bool { return name > segName(1, 30) })
		require.Equal(b.t, segNames(1, 1, 30), sorted(got), "each once")
	})
}

func TestFetcher_workers(t *testing.T) {
	inFetchBubble(t, 3, 9, func(b fetchBench) {
		b.holds(segNames(1, 1, 30)...)
		b.archive.before = func(string) { time.Sleep(time.Second) }
		require.NoError(b.t, b.fetch(segName(1, 1)))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(b.t, 3, b.archive.busiest)
		require.Equal(b.t, segNames(1, 1, 4), sorted(b.archive.asked()[:4]), "the next first")
	})
}

func TestFetcher_without_looking_ahead(t *testing.T) {
	inFetchBubble(t, 2, 0, func(b fetchBench) {
		b.holds(segNames(1, 1, 3)...)
		require.NoError(b.t, b.fetch(segName(1, 1)))
		require.Equal(b.t, segNames(1, 1, 1), b.archive.asked())
	})
}

func TestFetcher_waits_for_what_is_under_way(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.holds(segNames(1, 1, 2)...)
		gate := make(chan struct{})
		b.archive.waits[segName(1, 2)] = gate
		require.NoError(b.t, b.fetch(segName(1, 1)))
		answered := make(chan error, 1)
		go func() { answered <- b.fetch(segName(1, 2)) }()
		synctest.Wait()
		require.Empty(b.t, answered)
		close(gate)
		require.NoError(b.t, <-answered)
		require.Equal(b.t, segNames(1, 1, 3), slices.Compact(sorted(b.archive.asked()))[:3])
		twos := slices.DeleteFunc(b.archive.order(), func(name string) bool { return name != segName(1, 2) })
		require.Len(b.t, twos, 1, "once")
	})
}

// A prefetch asked the archive before the server did. What it did not find may be there when the server asks.
func TestFetcher_an_absence_from_before_the_question_is_no_answer(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.holds(segName(1, 1))
		gate := make(chan struct{})
		b.archive.waits[segName(1, 2)] = gate
		require.NoError(b.t, b.fetch(segName(1, 1)))
		answered := make(chan error, 1)
		go func() { answered <- b.fetch(segName(1, 2)) }()
		synctest.Wait()
		b.archive.set(func() { // the next question gets another answer than the first
			first := true
			b.archive.before = func(string) {
				if first {
					b.holds(segName(1, 2))
				}
				first = false
			}
		})
		close(gate)
		require.NoError(b.t, <-answered)
	})
}

func TestFetcher_a_miss_is_never_remembered(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.holds(segName(1, 1))
		require.NoError(b.t, b.fetch(segName(1, 1)))
		for range 3 {
			b.archive.asked()
			b.wantAbsent(segName(1, 2))
			require.Equal(b.t, segNames(1, 2, 2), b.archive.asked(), "asked, and nothing beyond the end")
		}
		b.holds(segNames(1, 2, 4)...)
		require.NoError(b.t, b.fetch(segName(1, 2)))
		require.Equal(b.t, segNames(1, 3, 4), b.spool())
	})
}

func TestFetcher_end_of_the_archive_is_asked_for_once_in_each_call(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.holds(segNames(1, 1, 2)...)
		require.NoError(b.t, b.fetch(segName(1, 1)))
		require.LessOrEqual(b.t, len(b.archive.asked()), 4, "a miss stops: no spinning at the end")
	})
}

func TestFetcher_history_is_asked_for_each_time(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.wantAbsent("00000002.history")
		b.history(2, "1\t0/300000\tx\n")
		require.NoError(b.t, b.fetch("00000002.history"))
		require.NoError(b.t, b.f.fetch(b.t.Context(), mustName(b.t, "00000002.history"))) // the client died before it took it
		require.NoError(b.t, b.fetch("00000002.history"))
		require.Len(b.t, b.archive.asked(), 4)
	})
}

func TestFetcher_follows_a_timeline_switch(t *testing.T) {
	inFetchBubble(t, 1, 4, func(b fetchBench) {
		b.history(2, "1\t0/400060\tx\n") // in segment 4
		b.holds(segNames(1, 1, 5)...)    // timeline 1 went on
		b.holds(segNames(2, 4, 8)...)
		require.NoError(b.t, b.fetch("00000002.history"))
		b.archive.asked()
		require.NoError(b.t, b.fetch(segName(1, 2)))
		require.Equal(b.t, []string{segName(1, 2), segName(1, 3), segName(2, 4), segName(2, 5), segName(2, 6)}, b.archive.asked())
		for _, name := range []string{segName(1, 3), segName(2, 4), segName(2, 5)} {
			require.NoError(b.t, b.fetch(name))
		}
		require.Equal(b.t, segNames(2, 7, 8), b.archive.asked()[:2], "and nothing was asked for that was there")
	})
}

func TestFetcher_newer_timeline_lacks_the_segment_of_the_switch(t *testing.T) {
	inFetchBubble(t, 1, 3, func(b fetchBench) {
		b.history(2, "1\t0/400060\tx\n")
		b.holds(segNames(1, 1, 6)...) // timeline 2 was not archived
		require.NoError(b.t, b.fetch("00000002.history"))
		require.NoError(b.t, b.fetch(segName(1, 2)))
		require.Equal(b.t, segNames(1, 3, 5), b.spool())
		b.archive.asked()
		require.NoError(b.t, b.fetch(segName(1, 3)))
		require.NotContains(b.t, b.archive.asked(), segName(2, 4), "a hint where not to look again")
		b.wantAbsent(segName(2, 4))
		require.Contains(b.t, b.archive.asked(), segName(2, 4), "but no answer")
		require.NoError(b.t, b.fetch(segName(1, 4)))
	})
}

func TestFetcher_a_new_timeline_while_the_old_one_was_fetched_ahead(t *testing.T) {
	inFetchBubble(t, 1, 3, func(b fetchBench) {
		b.history(2, "1\t0/400060\tx\n")
		b.holds(segNames(1, 1, 9)...)
		b.holds(segNames(2, 4, 9)...)
		require.NoError(b.t, b.fetch(segName(1, 2)))
		require.Equal(b.t, segNames(1, 3, 5), b.spool())
		require.NoError(b.t, b.fetch("00000002.history"))
		b.archive.asked()
		require.NoError(b.t, b.fetch(segName(1, 3)))
		require.Equal(b.t, append(segNames(1, 3, 3), segNames(2, 4, 6)...), b.archive.asked(), "the old timeline's files are not what will be asked for")
		require.Equal(b.t, segNames(2, 4, 6), b.spool())
		require.NoError(b.t, b.fetch("00000002.history"))
		require.Equal(b.t, segNames(2, 4, 6), b.spool(), "the same history again changes nothing")
	})
}

func TestFetcher_a_timeline_nobody_told_of(t *testing.T) {
	inFetchBubble(t, 1, 3, func(b fetchBench) {
		b.history(2, "1\t0/400060\tx\n")
		b.holds(segNames(5, 7, 9)...)
		require.NoError(b.t, b.fetch("00000002.history"))
		require.NoError(b.t, b.fetch(segName(5, 7)))
		require.Equal(b.t, segNames(5, 8, 9), b.spool())
	})
}

func TestFetcher_history_of_another_branch_stops_looking_ahead(t *testing.T) {
	inFetchBubble(t, 1, 3, func(b fetchBench) {
		b.holds(segNames(3, 7, 20)...)
		b.history(9, "1\t0/400060\tx\n")
		require.NoError(b.t, b.fetch(segName(3, 7)))
		require.NoError(b.t, b.fetch("00000009.history"))
		b.f.fill()
		require.NoError(b.t, b.fetch(segName(3, 8)))
		require.Equal(b.t, segNames(3, 9, 11), b.spool())
	})
}

func TestFetcher_failure_stops_until_the_next_call(t *testing.T) {
	inFetchBubble(t, 1, 4, func(b fetchBench) {
		b.holds(segNames(1, 1, 9)...)
		b.archive.fails[segName(1, 3)] = errFake
		require.NoError(b.t, b.fetch(segName(1, 1)))
		require.Equal(b.t, segNames(1, 1, 3), b.archive.asked())
		require.NoError(b.t, b.fetch(segName(1, 2)))
		require.Equal(b.t, segNames(1, 3, 3), b.archive.asked())
	})
}

func TestFetcher_failure_of_what_was_asked_for_empties_the_spool(t *testing.T) {
	inFetchBubble(t, 2, 4, func(b fetchBench) {
		b.holds(segNames(1, 1, 9)...)
		b.archive.fails[segName(1, 3)] = errFake
		require.NoError(b.t, b.fetch(segName(1, 1)))
		require.NotEmpty(b.t, b.spool())
		err := b.fetch(segName(1, 3))
		require.ErrorIs(b.t, err, errFake)
		require.ErrorAs(b.t, err, new(*walarchive.UnknownError))
		require.Empty(b.t, b.spool(), "it may be what filled the disk")
	})
}

func TestFetcher_jump(t *testing.T) {
	inFetchBubble(t, 1, 4, func(b fetchBench) {
		b.holds(segNames(1, 1, 40)...)
		require.NoError(b.t, b.fetch(segName(1, 1)))
		gate := make(chan struct{})
		b.archive.set(func() { b.archive.waits[segName(1, 6)] = gate })
		require.NoError(b.t, b.fetch(segName(1, 2)))
		require.Equal(b.t, segNames(1, 3, 5), b.spool())
		require.NoError(b.t, b.fetch(segName(1, 20)), "and what is under way elsewhere is cancelled")
		require.Equal(b.t, segNames(1, 21, 24), b.spool())
		require.NoError(b.t, b.fetch(segName(1, 3)))
		require.Equal(b.t, segNames(1, 4, 5), b.spool()[:2])
		close(gate)
	})
}

func TestFetcher_what_a_dead_helper_left(t *testing.T) {
	for name, c := range map[string]struct {
		size  int64
		age   time.Duration
		again bool
	}{
		"whole":     {size: segSize, age: time.Minute},
		"too_old":   {size: segSize, age: maxAge + time.Minute, again: true},
		"too_short": {size: segSize - 1, age: time.Minute, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			inFetchBubble(t, 1, 1, func(b fetchBench) {
				b.holds(segName(1, 2))
				for _, left := range append(segNames(1, 1, 2), "00000002.history") {
					path := filepath.Join(b.dir, left)
					require.NoError(b.t, os.WriteFile(path, make([]byte, c.size), 0o600))
					require.NoError(b.t, os.Chtimes(path, time.Time{}, time.Now().Add(-c.age)))
				}
				require.NoError(b.t, b.f.fetch(b.t.Context(), mustName(b.t, segName(1, 2))))
				require.Equal(b.t, c.again, slices.Contains(b.archive.asked(), segName(1, 2)))
				require.Equal(b.t, segNames(1, 2, 2), b.spool(), "what is not needed is gone")
			})
		})
	}
}

func TestFetcher_client_gone(t *testing.T) {
	inFetchBubble(t, 1, 2, func(b fetchBench) {
		b.holds(segNames(1, 1, 1)...)
		gate := make(chan struct{})
		b.archive.waits[segName(1, 1)] = gate
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(b.t, b.f.fetch(ctx, mustName(b.t, segName(1, 1))), context.DeadlineExceeded)
		close(gate)
		synctest.Wait()
		require.NoError(b.t, b.fetch(segName(1, 1)))
		require.Equal(b.t, []string{segName(1, 1)}, b.archive.asked()[:1])
	})
}
