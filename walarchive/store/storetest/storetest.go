// Package storetest is the conformance suite for walarchive.Store: what the archive relies on, as tests.
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) walarchive.Store { return openEmptyStore(t) })
//	}
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
)

// Run tests the stores that newStore makes. Each must be empty and, if it needs closing, be closed by t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) walarchive.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s walarchive.Store)
	}{
		{"create_then_open", createThenOpen},
		{"create_never_replaces", createNeverReplaces},
		{"create_with_failing_reader_leaves_nothing", failingReader},
		{"create_with_ended_context_leaves_nothing", endedContext},
		{"create_race_has_one_winner", createRace},
		{"open_missing", openMissing},
		{"list", list},
		{"details", details},
		{"remove", remove},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore(t)) })
	}
}

func createThenOpen(t *testing.T, s walarchive.Store) {
	for name, content := range map[string]string{
		"empty": "", "small": "x\n", "large": strings.Repeat("0123456789abcdef", 1<<17), "000000010000000000000001": "\x00\xff",
		"000000010000000000000002.00000028.backup": "a", "000000010000000000000002.partial": "b",
	} {
		if err := s.Create(t.Context(), name, strings.NewReader(content)); err != nil {
			t.Fatalf("create %s: %v", name, err)
		}
		wantContent(t, s, name, content)
	}
}

func createNeverReplaces(t *testing.T, s walarchive.Store) {
	mustCreate(t, s, "name", "first")
	for _, content := range []string{"first", "second", ""} {
		err := s.Create(t.Context(), "name", strings.NewReader(content))
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("second create with %q: got %v, want an error matching fs.ErrExist", content, err)
		}
	}
	wantContent(t, s, "name", "first")
}

func failingReader(t *testing.T, s walarchive.Store) {
	boom := errors.New("boom")
	err := s.Create(t.Context(), "name", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want the reader's error", err)
	}
	wantAbsent(t, s, "name")
	mustCreate(t, s, "name", "second try")
	wantContent(t, s, "name", "second try")
}

func endedContext(t *testing.T, s walarchive.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), readerFunc(cancel), strings.NewReader(strings.Repeat("y", 1<<20)))
	if err := s.Create(ctx, "name", r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	wantAbsent(t, s, "name")
}

// readerFunc is a reader that does something when it is read, and is empty.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func createRace(t *testing.T, s walarchive.Store) {
	for round := range 20 {
		name := fmt.Sprint("race", round)
		errs := make([]error, 6)
		content := func(i int) string { return strings.Repeat(fmt.Sprint(i), 100_000) }
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				<-start
				errs[i] = s.Create(t.Context(), name, strings.NewReader(content(i)))
			})
		}
		close(start)
		wg.Wait()
		winners := 0
		for i, err := range errs {
			switch {
			case err == nil:
				winners++
				wantContent(t, s, name, content(i))
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("loser got %v, want an error matching fs.ErrExist", err)
			}
		}
		if winners != 1 {
			t.Fatalf("%d of %d concurrent creates succeeded, want 1", winners, len(errs))
		}
	}
}

func openMissing(t *testing.T, s walarchive.Store) {
	wantAbsent(t, s, "name")
	mustCreate(t, s, "name2", "x")
	wantAbsent(t, s, "name")
}

func list(t *testing.T, s walarchive.Store) {
	wantNames(t, s)
	mustCreate(t, s, "b", "1")
	mustCreate(t, s, "a", "2")
	wantNames(t, s, "a", "b")
}

func details(t *testing.T, s walarchive.Store) {
	mustCreate(t, s, "a", "12345")
	mustCreate(t, s, "empty", "")
	got, err := s.Details(t.Context(), []string{"empty", "missing", "a"})
	if err != nil {
		t.Fatalf("details: %v", err)
	}
	want := []walarchive.Details{{Name: "empty"}, {Name: "missing", Size: -1}, {Name: "a", Size: 5}}
	for i := range got {
		if exists := want[i].Size >= 0; exists == got[i].Modified.IsZero() {
			t.Errorf("details of %s: got time %v", want[i].Name, got[i].Modified)
		}
		got[i].Modified = time.Time{}
	}
	if !slices.Equal(got, want) {
		t.Errorf("details: got %v, want %v", got, want)
	}
}

func remove(t *testing.T, s walarchive.Store) {
	for _, name := range []string{"a", "b", "c"} {
		mustCreate(t, s, name, name)
	}
	if err := s.Remove(t.Context(), []string{"a", "missing", "c"}); err != nil {
		t.Errorf("remove: %v", err)
	}
	wantNames(t, s, "b")
	wantAbsent(t, s, "a")
	mustCreate(t, s, "a", "again")
	wantContent(t, s, "a", "again")
}

func mustCreate(t *testing.T, s walarchive.Store, name, content string) {
	t.Helper()
	if err := s.Create(t.Context(), name, strings.NewReader(content)); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
}

func wantContent(t *testing.T, s walarchive.Store, name, want string) {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("%s: got %d bytes, want other %d bytes", name, len(got), len(want))
	}
}

func wantAbsent(t *testing.T, s walarchive.Store, name string) {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	if err == nil {
		defer r.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open %s: got %v, want an error matching fs.ErrNotExist", name, err)
	}
}

func wantNames(t *testing.T, s walarchive.Store, want ...string) {
	t.Helper()
	got, err := s.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("list: got %q, want %q", got, want)
	}
}
