package lookahead

import (
	"context"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pushBench is a pusher on a fake archive in a bubble.
type pushBench struct {
	t       *testing.T
	data    data
	archive *fakeArchive
	p       *pusher
}

func inPushBubble(t *testing.T, workers, ahead int, names []string, test func(b pushBench)) {
	t.Helper()
	d := newData(t, names...)
	synctest.Test(t, func(t *testing.T) {
		crew, end := startCrew(t)
		defer end()
		a := newFake()
		test(pushBench{t: t, data: d, archive: a, p: newPusher(a, workers, ahead, crew, silent)})
	})
}

// push asks as the server does, and waits until nothing goes on any more.
func (b pushBench) push(name string) error {
	b.t.Helper()
	err := b.ask(b.t.Context(), name)
	if err == nil {
		b.data.archived(name)
	}
	b.settle()
	return err
}

// settle waits until nothing goes on any more.
func (b pushBench) settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (b pushBench) ask(ctx context.Context, name string) error {
	b.t.Helper()
	file, err := fingerprintOf(b.data.wal(name))
	require.NoError(b.t, err)
	return b.p.push(ctx, b.data.wal(name), file)
}

func TestPusher_looks_ahead(t *testing.T) {
	names := append(segNames(1, 1, 9), "00000002.history", "00000003.history")
	inPushBubble(t, 2, 8, names, func(b pushBench) {
		require.NoError(b.t, b.push(segName(1, 1)))
		want := slices.Concat([]string{segName(1, 1), "00000002.history", "00000003.history"}, segNames(1, 2, 7))
		require.ElementsMatch(b.t, want, b.archive.asked(), "the one asked for, then eight: histories, then the oldest")

		for _, name := range append([]string{"00000002.history", "00000003.history"}, segNames(1, 2, 3)...) {
			require.NoError(b.t, b.push(name))
		}
		require.Equal(b.t, segNames(1, 8, 9), sorted(b.archive.asked()), "nothing twice, and the next when half is told")
		for _, name := range segNames(1, 4, 9) {
			require.NoError(b.t, b.push(name))
		}
		require.Empty(b.t, b.archive.asked())
	})
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func TestPusher_order_and_workers(t *testing.T) {
	names := append(segNames(1, 1, 20), "00000002.history", "00000003.history")
	inPushBubble(t, 3, 32, names, func(b pushBench) {
		b.archive.before = func(string) { time.Sleep(time.Second) }
		require.NoError(b.t, b.ask(b.t.Context(), segName(1, 1)))
		b.settle()
		require.Equal(b.t, 3, b.archive.busiest, "no more than there are workers, once the asked one is done")
		order := b.archive.order()
		require.ElementsMatch(b.t, []string{"00000002.history", "00000003.history"}, order[1:3], "histories are complete before any segment")
		for i, name := range order[3:] {
			j := slices.Index(names, name) - 1
			require.LessOrEqual(b.t, max(i-j, j-i), 2, "%s ended at place %d: out of order by less than the number of workers", name, i)
		}
		require.Len(b.t, order, len(names))
	})
}

func TestPusher_without_looking_ahead(t *testing.T) {
	inPushBubble(t, 2, -1, segNames(1, 1, 3), func(b pushBench) {
		for _, name := range segNames(1, 1, 3) {
			require.NoError(b.t, b.push(name))
			require.Equal(b.t, []string{name}, b.archive.asked())
		}
		require.Empty(b.t, b.p.asked, "and nothing piles up")
		require.Empty(b.t, b.p.done)
	})
}

func TestPusher_outside_of_a_data_directory(t *testing.T) {
	inPushBubble(t, 2, 8, []string{segName(1, 1)}, func(b pushBench) {
		require.NoError(b.t, os.RemoveAll(b.data.wal("archive_status")))
		require.NoError(b.t, b.ask(b.t.Context(), segName(1, 1)))
	})
}

func TestPusher_waits_for_what_is_under_way(t *testing.T) {
	inPushBubble(t, 2, 8, segNames(1, 1, 3), func(b pushBench) {
		gate := make(chan struct{})
		b.archive.waits[segName(1, 2)] = gate
		require.NoError(b.t, b.push(segName(1, 1)))
		answered := make(chan error, 1)
		go func() { answered <- b.ask(b.t.Context(), segName(1, 2)) }()
		synctest.Wait()
		require.Empty(b.t, answered)
		close(gate)
		require.NoError(b.t, <-answered)
		synctest.Wait()
		require.Equal(b.t, segNames(1, 1, 3), sorted(b.archive.asked()), "each once")
	})
}

func TestPusher_a_file_that_changed_is_pushed_again(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"size": func(path string) error { return os.WriteFile(path, []byte("longer than the content was"), 0o600) },
		"time": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"inode": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path+".new", b, 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(path+".new", info.ModTime(), info.ModTime()); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inPushBubble(t, 2, 8, segNames(1, 1, 2), func(b pushBench) {
				require.NoError(b.t, b.push(segName(1, 1)))
				require.Equal(b.t, segNames(1, 1, 2), b.archive.asked())
				require.NoError(b.t, change(b.data.wal(segName(1, 2))))
				require.NoError(b.t, b.push(segName(1, 2)))
				require.Equal(b.t, segNames(1, 2, 2), b.archive.asked())
			})
		})
	}
}

func TestPusher_a_file_that_changes_while_it_is_pushed_ahead_is_pushed_again(t *testing.T) {
	inPushBubble(t, 1, 8, segNames(1, 1, 2), func(b pushBench) {
		gate := make(chan struct{})
		b.archive.waits[segName(1, 2)] = gate
		require.NoError(b.t, b.push(segName(1, 1)))
		require.NoError(b.t, os.WriteFile(b.data.wal(segName(1, 2)), []byte("other"), 0o600))
		answered := make(chan error, 1)
		go func() { answered <- b.ask(b.t.Context(), segName(1, 2)) }()
		synctest.Wait()
		close(gate)
		require.NoError(b.t, <-answered)
		require.Equal(b.t, []string{segName(1, 1), segName(1, 2), segName(1, 2)}, b.archive.asked())
	})
}

func TestPusher_another_file_at_that_path_is_refused(t *testing.T) {
	inPushBubble(t, 2, 8, segNames(1, 1, 1), func(b pushBench) {
		file, err := fingerprintOf(b.data.wal(segName(1, 1)))
		require.NoError(b.t, err)
		file.Inode++
		require.ErrorIs(b.t, b.p.push(b.t.Context(), b.data.wal(segName(1, 1)), file), errOtherFile)
		require.ErrorIs(b.t, b.p.push(b.t.Context(), b.data.wal(segName(1, 7)), file), errOtherFile)
		require.Empty(b.t, b.archive.asked())
	})
}

func TestPusher_a_file_that_changes_while_the_server_waits_is_not_acknowledged(t *testing.T) {
	inPushBubble(t, 2, 8, segNames(1, 1, 1), func(b pushBench) {
		b.archive.before = func(string) { require.NoError(b.t, os.WriteFile(b.data.wal(segName(1, 1)), []byte("other"), 0o600)) }
		require.ErrorIs(b.t, b.ask(b.t.Context(), segName(1, 1)), errOtherFile)
	})
}

func TestPusher_failure_ahead(t *testing.T) {
	inPushBubble(t, 2, 20, segNames(1, 1, 12), func(b pushBench) {
		b.archive.fails[segName(1, 4)] = errFake
		b.archive.before = func(string) { time.Sleep(time.Second) }
		require.NoError(b.t, b.push(segName(1, 1)))
		first := b.archive.asked()
		require.Subset(b.t, first, segNames(1, 1, 4))
		require.Less(b.t, len(first), 7, "nothing is begun after the failure")
		for _, name := range segNames(1, 2, 3) {
			require.NoError(b.t, b.push(name))
		}
		b.archive.asked()
		require.ErrorIs(b.t, b.push(segName(1, 4)), errFake, "the call that asks for it gets the error")
		require.Equal(b.t, segNames(1, 4, 4), b.archive.asked(), "of one attempt of its own, and nothing spins")

		b.archive.set(func() { delete(b.archive.fails, segName(1, 4)) })
		require.NoError(b.t, b.push(segName(1, 4)))
		for _, name := range segNames(1, 5, 12) {
			require.NoError(b.t, b.push(name))
		}
		require.Subset(b.t, b.archive.order(), segNames(1, 1, 12))
	})
}

func TestPusher_a_failed_history_lets_no_segment_pass_it(t *testing.T) {
	inPushBubble(t, 2, 20, append(segNames(1, 1, 5), "00000002.history"), func(b pushBench) {
		b.archive.fails["00000002.history"] = errFake
		require.NoError(b.t, b.push(segName(1, 1)))
		require.Equal(b.t, []string{segName(1, 1), "00000002.history"}, b.archive.asked())
	})
}

func TestPusher_failed_flight_that_began_earlier_is_tried_again(t *testing.T) {
	inPushBubble(t, 1, 20, segNames(1, 1, 2), func(b pushBench) {
		gate := make(chan struct{})
		b.archive.waits[segName(1, 2)], b.archive.fails[segName(1, 2)] = gate, errFake
		require.NoError(b.t, b.push(segName(1, 1)))
		answered := make(chan error, 1)
		go func() { answered <- b.ask(b.t.Context(), segName(1, 2)) }()
		synctest.Wait()
		b.archive.before = func(string) { b.archive.set(func() { delete(b.archive.fails, segName(1, 2)) }) }
		close(gate)
		require.NoError(b.t, <-answered)
	})
}

func TestPusher_client_gone(t *testing.T) {
	inPushBubble(t, 1, 20, segNames(1, 1, 1), func(b pushBench) {
		gate := make(chan struct{})
		b.archive.waits[segName(1, 1)] = gate
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(b.t, b.ask(ctx, segName(1, 1)), context.DeadlineExceeded)
		close(gate)
		synctest.Wait()
		require.NoError(b.t, b.ask(b.t.Context(), segName(1, 1)))
		require.Equal(b.t, segNames(1, 1, 1), b.archive.asked(), "the next call finds what the first began")
	})
}

func TestPusher_is_bounded(t *testing.T) {
	var names []string
	for i := range uint64(200) {
		names = append(names, segName(1, i+1))
	}
	inPushBubble(t, 4, 10, names, func(b pushBench) {
		pushed := 0
		for i, name := range names {
			require.NoError(b.t, b.push(name))
			pushed += len(b.archive.asked())
			require.LessOrEqual(b.t, pushed-i-1, 10)
			require.LessOrEqual(b.t, len(b.p.done), 10)
			require.LessOrEqual(b.t, len(b.p.asked), 10)
		}
		require.Equal(b.t, len(names), pushed)
	})
}

func TestPusher_forgets_what_does_not_wait_any_more(t *testing.T) {
	inPushBubble(t, 2, 4, segNames(1, 1, 9), func(b pushBench) {
		require.NoError(b.t, b.push(segName(1, 1)))
		for _, name := range segNames(1, 2, 5) { // pushed ahead, but somebody else answered
			b.data.archived(name)
		}
		b.archive.asked()
		b.p.forget(b.data.dir)
		require.Len(b.t, b.p.done, 4, "another folder's are not judged")
		require.NoError(b.t, b.push(segName(1, 6)))
		require.Equal(b.t, segNames(1, 6, 9), sorted(b.archive.asked()), "room for the next")
	})
}

func TestPusher_what_was_asked_for_meanwhile_is_not_pushed_ahead(t *testing.T) {
	inPushBubble(t, 1, 8, segNames(1, 1, 3), func(b pushBench) {
		gate := make(chan struct{})
		b.archive.waits[segName(1, 2)] = gate
		require.NoError(b.t, b.push(segName(1, 1)))
		require.NoError(b.t, b.ask(b.t.Context(), segName(1, 3)), "the server was told, and has not renamed its .ready yet")
		close(gate)
		b.settle()
		require.Equal(b.t, segNames(1, 1, 3), b.archive.asked())
	})
}

func TestPusher_many_askers_one_push(t *testing.T) {
	inPushBubble(t, 2, 4, segNames(1, 1, 1), func(b pushBench) {
		gate := make(chan struct{})
		b.archive.waits[segName(1, 1)] = gate
		results := make(chan error, 5)
		for range 5 {
			go func() { results <- b.ask(b.t.Context(), segName(1, 1)) }()
		}
		synctest.Wait()
		require.Len(b.t, b.archive.asked(), 1)
		close(gate)
		for range 5 {
			require.NoError(b.t, <-results)
		}
		require.Empty(b.t, b.archive.asked())
	})
}
