package storetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
)

// pattern is a reader of n bytes that tell their position, so that a part out of place is seen.
func pattern(n int) io.Reader { return io.LimitReader(&patternReader{}, int64(n)) }

type patternReader struct{ off int64 }

// noise has a prime length, so that it does not repeat in step with the parts of anything.
var noise = func() []byte {
	b := make([]byte, 65521)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // it never fails
	return b
}()

func (r *patternReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		m := copy(p[n:], noise[r.off%int64(len(noise)):])
		n += m
		r.off += int64(m)
	}
	return n, nil
}

// endReader is empty, and calls f when it is asked.
type endReader func() error

func (f endReader) Read([]byte) (int, error) {
	if err := f(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

var oddReaders = map[string]func(io.Reader) io.Reader{
	"half":          iotest.HalfReader,
	"data-with-eof": iotest.DataErrReader,
	"one-byte":      iotest.OneByteReader,
	"empty-reads":   func(r io.Reader) io.Reader { return &emptyReads{r: r} },
}

// emptyReads returns nothing, without an error, every other time.
type emptyReads struct {
	r     io.Reader
	empty bool
}

func (e *emptyReads) Read(p []byte) (int, error) {
	if e.empty = !e.empty; e.empty {
		return 0, nil
	}
	return e.r.Read(p)
}

// heapWatch notes the most heap in use, above what it was at the beginning.
type heapWatch struct{ base, most uint64 }

func watchHeap() *heapWatch {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return &heapWatch{base: m.HeapInuse}
}

func (w *heapWatch) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.most = max(w.most, max(m.HeapInuse, w.base)-w.base)
}

// reader looks at the heap every 4 MiB.
func (w *heapWatch) reader(r io.Reader) io.Reader {
	const every = 4 << 20
	left := every
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if left -= n; left <= 0 || err != nil {
			w.look()
			left = every
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func mustCreate(t *testing.T, s walarchive.Store, name, content string) {
	t.Helper()
	require.NoError(t, s.Create(t.Context(), name, strings.NewReader(content)), "create %s", name)
}

func wantContent(t *testing.T, s walarchive.Store, name, want string) {
	t.Helper()
	wantSame(t, s, name, strings.NewReader(want))
}

func wantPattern(t *testing.T, s walarchive.Store, name string, n int) {
	t.Helper()
	wantSame(t, s, name, pattern(n))
}

func wantSame(t *testing.T, s walarchive.Store, name string, want io.Reader) {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	require.NoError(t, err, "open %s", name)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err, "read %s", name)
	wanted, err := io.ReadAll(want)
	require.NoError(t, err)
	if !bytes.Equal(got, wanted) {
		t.Errorf("%s: got %d bytes, want other %d bytes", name, len(got), len(wanted))
	}
}

// wantAbsent wants all methods to say that there is no such object.
func wantAbsent(t *testing.T, s walarchive.Store, name string) {
	t.Helper()
	if err := closed(s.Open(t.Context(), name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open %s: got %v, want an error matching fs.ErrNotExist", name, err)
	}
	if d := detailsOf(t, s, name); d.Size != -1 {
		t.Errorf("details of %s: got size %d, want -1 for none", name, d.Size)
	}
	names, err := s.List(t.Context())
	if err != nil || slices.Contains(names, name) {
		t.Errorf("list: got error %v and %q, want one without %s", err, names, name)
	}
}

func detailsOf(t *testing.T, s walarchive.Store, name string) walarchive.Details {
	t.Helper()
	d, err := s.Details(t.Context(), []string{name})
	require.NoError(t, err)
	require.Len(t, d, 1)
	return d[0]
}

func wantNames(t *testing.T, s walarchive.Store, want ...string) {
	t.Helper()
	got, err := s.List(t.Context())
	require.NoError(t, err)
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("list: got %d names, want %d: %.300q, want %.300q", len(got), len(want), got, want)
	}
}

// closed closes what Open returned.
func closed(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	return r.Close()
}
