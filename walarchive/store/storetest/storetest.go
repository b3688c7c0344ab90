package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
)

// Place is one empty place for objects, such as a directory or a bucket, that several Stores can open.
type Place struct {
	// Open opens another Store on the place, as another process would. It uses t.Cleanup if the Store needs closing.
	Open func(t *testing.T) walarchive.Store

	// Interrupt begins to store something under name and is cut off half-way, so that nothing can clean up after it: a writer that is
	// killed, a connection that is lost for good. Nil leaves the test of that out.
	Interrupt func(t *testing.T, name string)

	// Secrets are texts, such as an access key, that no message may hold.
	Secrets []string

	// Sizes are sizes in bytes at which the Store's way of storing changes, such as the size of a part. Objects of these
	// sizes, and of one byte less and more, are tried besides the usual ones.
	Sizes []int
}

// Run tests the Stores that newStore makes. Each must be empty and, if it needs closing, be closed by t.Cleanup. Use
// RunPlace if a place can be opened twice: some of the tests find more then.
func Run(t *testing.T, newStore func(t *testing.T) walarchive.Store) {
	RunPlace(t, func(t *testing.T) Place {
		s := newStore(t)
		return Place{Open: func(*testing.T) walarchive.Store { return s }}
	})
}

// RunPlace tests the Stores of the places that newPlace makes.
func RunPlace(t *testing.T, newPlace func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, p Place)
	}{
		{"create_then_open", createThenOpen},
		{"sizes", sizes},
		{"large_object_in_little_memory", large},
		{"readers_of_all_kinds", readers},
		{"create_never_replaces", createNeverReplaces},
		{"create_reads_to_the_end_before_the_object_is_seen", heldBack},
		{"reader_holds_back_until_another_object_is_there", recordBeforeData},
		{"failing_reader_leaves_nothing", failingReader},
		{"hanging_reader_hinders_nobody", hangingReader},
		{"interrupted_writer_leaves_nothing", interrupted},
		{"ended_context", endedContext},
		{"context_ends_during_create", endsDuringCreate},
		{"race_has_one_winner", race},
		{"open_missing", openMissing},
		{"open_many_times", openMany},
		{"list", list},
		{"names", names},
		{"bad_names", badNames},
		{"details", details},
		{"remove", remove},
		{"thousands", thousands},
		{"messages", messages},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newPlace(t)) })
	}
}

func createThenOpen(t *testing.T, p Place) {
	s, other := p.Open(t), p.Open(t)
	for name, content := range map[string]string{
		"empty": "", "small": "x\n", "000000010000000000000001": "\x00\xff", "text": "a\r\nb\n",
	} {
		mustCreate(t, s, name, content)
		wantContent(t, s, name, content)
		wantContent(t, other, name, content)
	}
}

// sizes stores objects around the sizes of buffers, packets and parts.
func sizes(t *testing.T, p Place) {
	s := p.Open(t)
	all := []int{0, 1, 2, 511, 512, 513, 16 << 20, 16<<20 + 1}
	for _, n := range slices.Concat([]int{4 << 10, 32 << 10, 256 << 10, 512 << 10, 1 << 20, 5 << 20}, p.Sizes) {
		all = append(all, n-1, n, n+1)
	}
	for _, n := range all {
		name := fmt.Sprint("object-", n)
		require.NoError(t, s.Create(t.Context(), name, pattern(n)), "%d bytes", n)
		wantPattern(t, s, name, n)
		if got := detailsOf(t, s, name); got.Size != int64(n) {
			t.Errorf("details of %d bytes: got size %d", n, got.Size)
		}
	}
}

// large is an object that must not be held in memory, neither when it is stored nor when it is read.
func large(t *testing.T, p Place) {
	const size, limit = 64 << 20, 40 << 20
	s := p.Open(t)
	watch := watchHeap()
	require.NoError(t, s.Create(t.Context(), "large", watch.reader(pattern(size))))
	r, err := s.Open(t.Context(), "large")
	require.NoError(t, err)
	defer r.Close()
	n, err := io.Copy(io.Discard, watch.reader(r))
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	if watch.most > limit {
		t.Errorf("an object of %d MiB took %d MiB of memory, want less than %d", size>>20, watch.most>>20, limit>>20)
	}
}

// readers tries readers that keep the contract of io.Reader in unusual ways.
func readers(t *testing.T, p Place) {
	s := p.Open(t)
	for name, wrap := range oddReaders {
		require.NoError(t, s.Create(t.Context(), name, wrap(pattern(100_000))), name)
		wantPattern(t, s, name, 100_000)
	}
}

func createNeverReplaces(t *testing.T, p Place) {
	s, other := p.Open(t), p.Open(t)
	mustCreate(t, s, "name", "first")
	for _, content := range []string{"first", "second", "", strings.Repeat("longer", 1<<18)} {
		for _, s := range []walarchive.Store{s, other, p.Open(t)} {
			if err := s.Create(t.Context(), "name", strings.NewReader(content)); !errors.Is(err, fs.ErrExist) {
				t.Errorf("second create with %d bytes: got %v, want an error matching fs.ErrExist", len(content), err)
			}
		}
	}
	wantContent(t, other, "name", "first")
	wantNames(t, s, "name")
}

// heldBack looks for the object, and for traces of it, while its reader has not said io.EOF.
func heldBack(t *testing.T, p Place) {
	s, other := p.Open(t), p.Open(t)
	for _, size := range []int{0, 10, 3 << 20} {
		name := fmt.Sprint("object-", size)
		atEnd := func() error {
			for _, s := range []walarchive.Store{s, other} {
				wantAbsent(t, s, name)
			}
			return nil
		}
		require.NoError(t, s.Create(t.Context(), name, io.MultiReader(pattern(size), endReader(atEnd))))
		wantPattern(t, other, name, size)
		require.NoError(t, s.Remove(t.Context(), []string{name}))
	}
}

// recordBeforeData is how an archive makes an object's record durable before the object can be seen.
func recordBeforeData(t *testing.T, p Place) {
	s, other := p.Open(t), p.Open(t)
	for i, recordStore := range []walarchive.Store{s, other} {
		data, record := fmt.Sprint("data", i), fmt.Sprint("data", i, ".record")
		atEnd := func() error { return recordStore.Create(t.Context(), record, strings.NewReader("record")) }
		require.NoError(t, s.Create(t.Context(), data, io.MultiReader(pattern(2<<20), endReader(atEnd))))
		wantPattern(t, other, data, 2<<20)
		wantContent(t, other, record, "record")
	}
}

func failingReader(t *testing.T, p Place) {
	s := p.Open(t)
	boom := errors.New("boom")
	for _, size := range []int{0, 1, 1 << 20, 6 << 20} {
		for _, want := range []error{boom, io.ErrUnexpectedEOF, fs.ErrExist, fs.ErrNotExist, io.ErrClosedPipe} {
			atEnd := func() error { return want }
			err := s.Create(t.Context(), "name", io.MultiReader(pattern(size), endReader(atEnd)))
			require.ErrorIs(t, err, want, "after %d bytes", size)
			wantAbsent(t, s, "name")
		}
	}
	mustCreate(t, s, "name", "second try")
	wantContent(t, s, "name", "second try")
}

// hangingReader lets a reader hang: other calls go on, and when ctx has ended meanwhile nothing appears.
func hangingReader(t *testing.T, p Place) {
	s := p.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hanging, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		atEnd := func() error { close(hanging); <-release; return nil }
		done <- s.Create(ctx, "hanging", io.MultiReader(pattern(1<<20), endReader(atEnd)))
	}()
	select {
	case <-hanging:
	case err := <-done:
		t.Fatalf("create ended before its reader: %v", err)
	}
	mustCreate(t, s, "other", "x")
	wantContent(t, s, "other", "x")
	wantNames(t, s, "other")
	require.NoError(t, s.Remove(t.Context(), []string{"other"}))
	cancel()
	close(release)
	require.ErrorIs(t, <-done, context.Canceled)
	wantAbsent(t, s, "hanging")
	mustCreate(t, s, "hanging", "again")
}

func interrupted(t *testing.T, p Place) {
	if p.Interrupt == nil {
		return // nothing to see here; the Store's own tests may have it
	}
	p.Interrupt(t, "name")
	s := p.Open(t)
	wantAbsent(t, s, "name")
	mustCreate(t, s, "name", "again")
	wantContent(t, s, "name", "again")
	wantNames(t, s, "name")
}

// endedContext calls every method with a context that has ended, for a reason.
func endedContext(t *testing.T, p Place) {
	s := p.Open(t)
	mustCreate(t, s, "there", "x")
	reason := errors.New("the caller's reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	many := []string{"there"}
	for i := range 100 {
		many = append(many, fmt.Sprint("missing", i))
	}
	for method, call := range map[string]func() error{
		"create":  func() error { return s.Create(ctx, "new", strings.NewReader("x")) },
		"open":    func() error { return closed(s.Open(ctx, "there")) },
		"list":    func() error { _, err := s.List(ctx); return err },
		"details": func() error { _, err := s.Details(ctx, many); return err },
		"remove":  func() error { return s.Remove(ctx, many) },
	} {
		err := call()
		if !errors.Is(err, context.Canceled) && !errors.Is(err, reason) {
			t.Errorf("%s: got %v, want context.Canceled or the cause", method, err)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: an ended context says nothing about objects, got %v", method, err)
		}
	}
	wantNames(t, s, "there")
	wantContent(t, s, "there", "x")
}

func endsDuringCreate(t *testing.T, p Place) {
	s := p.Open(t)
	for _, size := range []int{0, 1 << 20, 6 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		end := func() error { cancel(); return nil }
		err := s.Create(ctx, "name", io.MultiReader(pattern(size), endReader(end), pattern(1<<20)))
		require.ErrorIs(t, err, context.Canceled)
		wantAbsent(t, s, "name")
		if size > 0 { // the end is the last thing that the reader says
			ctx, cancel = context.WithCancel(t.Context())
			if err := s.Create(ctx, "last", io.MultiReader(pattern(size), endReader(end))); err != nil {
				wantAbsent(t, s, "last")
			}
			require.NoError(t, s.Remove(t.Context(), []string{"last"}))
		}
		cancel()
	}
	mustCreate(t, s, "name", "again")
}

func openMissing(t *testing.T, p Place) {
	s := p.Open(t)
	wantAbsent(t, s, "name")
	for _, similar := range []string{"name2", "nam", "NAME", "name.x"} {
		mustCreate(t, s, similar, "x")
	}
	wantAbsent(t, s, "name")
}

// openMany has many readers of the same object, some of which stop half-way.
func openMany(t *testing.T, p Place) {
	s := p.Open(t)
	require.NoError(t, s.Create(t.Context(), "name", pattern(1<<20)))
	for range 50 {
		r, err := s.Open(t.Context(), "name")
		require.NoError(t, err)
		_, err = io.ReadFull(r, make([]byte, 100))
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	var open []io.ReadCloser
	for range 8 {
		r, err := s.Open(t.Context(), "name")
		require.NoError(t, err)
		open = append(open, r)
	}
	for _, r := range open {
		n, err := io.Copy(io.Discard, r)
		require.NoError(t, err)
		require.EqualValues(t, 1<<20, n)
		require.NoError(t, r.Close())
	}
}

func list(t *testing.T, p Place) {
	s, other := p.Open(t), p.Open(t)
	wantNames(t, s)
	mustCreate(t, s, "b", "1")
	mustCreate(t, other, "a", "2")
	wantNames(t, s, "a", "b")
	wantNames(t, other, "a", "b")
	atEnd := func() error { wantNames(t, s, "a", "b"); wantNames(t, other, "a", "b"); return nil }
	require.NoError(t, s.Create(t.Context(), "c", io.MultiReader(pattern(1<<20), endReader(atEnd))))
	wantNames(t, other, "a", "b", "c")
}

// names are all that archives write, and some more that have to go in and come out as they are.
func names(t *testing.T, p Place) {
	s := p.Open(t)
	all := []string{
		"understudy-archive", "00000002.history", "000000010000000000000001", "000000010000000000000002.00000028.backup",
		"000000010000000000000002.partial", "000000010000000000000003.repair-1", "000000010000000000000003.repair-1.record",
		"000000010000000000000004.received-00FFE000", "understudy-consumer.standby_2.000000010000000000000001",
		"a..b", "a.", "a.tmp-b", "A", "a", "x-1_2", strings.Repeat("n", 100),
	}
	for i, name := range all {
		mustCreate(t, s, name, fmt.Sprint(i))
	}
	wantNames(t, s, all...)
	for i, name := range all {
		wantContent(t, s, name, fmt.Sprint(i))
	}
	require.NoError(t, s.Remove(t.Context(), all))
	wantNames(t, s)
}

// badNames could reach other places, or could be taken for temporary files.
func badNames(t *testing.T, p Place) {
	s := p.Open(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/a", ".hidden", ".a.tmp-ABCDEFGHIJKLMNOP", "a\x00b", "a\nb"} {
		if err := s.Create(t.Context(), name, strings.NewReader("x")); err == nil {
			t.Errorf("create %q succeeded", name)
		}
	}
	wantNames(t, s)
}

func details(t *testing.T, p Place) {
	s := p.Open(t)
	before := time.Now()
	mustCreate(t, s, "a", "12345")
	mustCreate(t, s, "empty", "")
	names := []string{"empty", "missing", "a", "a"}
	got, err := s.Details(t.Context(), names)
	require.NoError(t, err)
	require.Len(t, got, len(names))
	for i, size := range []int64{0, -1, 5, 5} {
		if got[i].Name != names[i] || got[i].Size != size {
			t.Errorf("details: got %s with size %d, want %s with %d", got[i].Name, got[i].Size, names[i], size)
		}
		age := got[i].Modified.Sub(before)
		if size < 0 && !got[i].Modified.IsZero() || size >= 0 && (age < -time.Hour || age > time.Hour) {
			t.Errorf("details of %s: got time %v", names[i], got[i].Modified)
		}
	}
	none, err := s.Details(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func remove(t *testing.T, p Place) {
	s, other := p.Open(t), p.Open(t)
	for _, name := range []string{"a", "b", "c"} {
		mustCreate(t, s, name, name)
	}
	require.NoError(t, s.Remove(t.Context(), nil))
	require.NoError(t, other.Remove(t.Context(), []string{"a", "missing", "c"}))
	require.NoError(t, s.Remove(t.Context(), []string{"a", "c"}))
	wantNames(t, s, "b")
	wantAbsent(t, s, "a")
	mustCreate(t, s, "a", "again")
	wantContent(t, other, "a", "again")
}

// thousands is more than fits into one page of a listing.
func thousands(t *testing.T, p Place) {
	const count = 1500
	s := p.Open(t)
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("0000000100000000%08X", i)
	}
	inParallel(t, all, func(name string) error { return s.Create(t.Context(), name, strings.NewReader(name)) })
	wantNames(t, s, all...)
	got, err := s.Details(t.Context(), all)
	require.NoError(t, err)
	for i, d := range got {
		require.Equal(t, all[i], d.Name)
		require.EqualValues(t, len(all[i]), d.Size)
	}
	require.NoError(t, s.Remove(t.Context(), all[1:]))
	wantNames(t, s, all[0])
}

// messages have the name of the object or of the place, and no secret.
func messages(t *testing.T, p Place) {
	s := p.Open(t)
	if s.String() == "" {
		t.Error("String is empty")
	}
	mustCreate(t, s, "there", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, listErr := s.List(ctx)
	_, detailsErr := s.Details(ctx, []string{"there"})
	for _, text := range []string{
		s.String(), fmt.Sprint(s), fmt.Sprintf("%+v", s),
		fmt.Sprint(s.Create(t.Context(), "there", strings.NewReader(""))), fmt.Sprint(closed(s.Open(t.Context(), "missing"))),
		fmt.Sprint(listErr, detailsErr, s.Remove(ctx, []string{"there"}), s.Create(ctx, "new", strings.NewReader(""))),
	} {
		for _, secret := range p.Secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in the message %q", strings.ReplaceAll(text, secret, "<secret>"))
			}
		}
	}
}
