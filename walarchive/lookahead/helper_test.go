package lookahead

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const segSize = 1 << 20 // the smallest, so that tests are quick

const systemID wal.SystemID = 7574928734098123456

var ours = Bond{SystemID: systemID, SegmentSize: segSize, DataDir: "/data", Settings: "file:///archive"}

func segName(timeline wal.Timeline, number uint64) string {
	return wal.Segment{Timeline: timeline, Number: number}.Name(segSize)
}

func segment(name string, seed uint64) []byte {
	return waltest.Segment(systemID, segSize, name, segSize, seed)
}

// data is a data directory with WAL that is ready.
type data struct {
	t   testing.TB
	dir string
}

func newData(t testing.TB, names ...string) data {
	t.Helper()
	d := data{t: t, dir: t.TempDir()}
	require.NoError(t, os.MkdirAll(filepath.Join(d.dir, "pg_wal", "archive_status"), 0o700))
	for _, name := range names {
		d.add(name, []byte("content of "+name))
	}
	return d
}

func (d data) wal(name string) string { return filepath.Join(d.dir, "pg_wal", name) }

func (d data) add(name string, content []byte) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(d.wal(name), content, 0o600))
	require.NoError(d.t, os.WriteFile(d.wal("archive_status/"+name+".ready"), nil, 0o600))
}

// archived does what the server does when archive_command succeeded.
func (d data) archived(name string) {
	d.t.Helper()
	require.NoError(d.t, os.Rename(d.wal("archive_status/"+name+".ready"), d.wal("archive_status/"+name+".done")))
}

// fakeArchive notes what it is asked for and does as it is told.
type fakeArchive struct {
	mu      sync.Mutex
	holds   map[string][]byte        // what Fetch finds, by name
	fails   map[string]error         // what Push and Fetch of a name end in
	waits   map[string]chan struct{} // what Push and Fetch of a name wait for first
	before  func(name string)        // called by each Push and Fetch
	begun   []string
	ended   []string
	active  int
	busiest int
}

func newFake() *fakeArchive {
	return &fakeArchive{holds: map[string][]byte{}, fails: map[string]error{}, waits: map[string]chan struct{}{}}
}

func (a *fakeArchive) begin(ctx context.Context, name string) error {
	a.mu.Lock()
	a.begun = append(a.begun, name)
	a.active++
	a.busiest = max(a.busiest, a.active)
	wait, before := a.waits[name], a.before
	a.mu.Unlock()
	if before != nil {
		before(name)
	}
	var err error
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.active--
	a.ended = append(a.ended, name)
	return errors.Join(err, a.fails[name])
}

func (a *fakeArchive) Push(ctx context.Context, path string) error {
	return a.begin(ctx, filepath.Base(path))
}

func (a *fakeArchive) Fetch(ctx context.Context, name, dst string) error {
	if err := a.begin(ctx, name); err != nil {
		return &walarchive.UnknownError{Name: name, Err: err}
	}
	a.mu.Lock()
	content, ok := a.holds[name]
	a.mu.Unlock()
	if !ok {
		return &walarchive.AbsentError{Name: name}
	}
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
		return &walarchive.UnknownError{Name: name, Err: fs.ErrExist}
	}
	return os.WriteFile(dst, content, 0o600)
}

// set changes what the archive does.
func (a *fakeArchive) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// asked returns what was begun since the last call.
func (a *fakeArchive) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	begun := a.begun
	a.begun = nil
	return begun
}

func (a *fakeArchive) order() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.ended)
}

// startCrew returns a crew that ends with the test, within a bubble of synctest if the test is in one.
func startCrew(t *testing.T) (*crew, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newCrew(ctx)
	return c, func() {
		cancel()
		c.group.Wait()
	}
}

var silent = slog.New(slog.DiscardHandler)

var errFake = errors.New("fake failure")

func segNames(timeline wal.Timeline, from, to uint64) []string {
	var names []string
	for n := from; n <= to; n++ {
		names = append(names, segName(timeline, n))
	}
	return names
}

// spoolDir is a folder for a spool whose path is short enough for a socket.
func spoolDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "la")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "spool")
}

func mustName(t testing.TB, name string) wal.FileName {
	t.Helper()
	f, err := wal.ParseFileName(name)
	require.NoError(t, err, fmt.Sprintf("%q", name))
	return f
}
