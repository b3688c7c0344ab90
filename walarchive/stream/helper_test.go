package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive/stream"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(pgserver.Run(m))
}

// folderArchive is an archive in a folder that anybody can read: plain files, exclusively created.
type folderArchive struct {
	dir string

	mu     sync.Mutex
	order  []string // what was pushed
	broken error
}

func newFolder(t testing.TB) *folderArchive { return &folderArchive{dir: t.TempDir()} }

func (a *folderArchive) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = err
}

func (a *folderArchive) pushed() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.order)
}

func (a *folderArchive) note(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken == nil {
		a.order = append(a.order, name)
	}
	return a.broken
}

func (a *folderArchive) Push(_ context.Context, path string) error {
	name := filepath.Base(path)
	if err := a.note(name); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(filepath.Join(a.dir, name))
	if err == nil {
		if !bytes.Equal(have, content) {
			return fmt.Errorf("%s: conflict", name)
		}
		return nil
	}
	if err := a.put(name, content); err != nil {
		return err
	}
	return a.clean(name, 1<<32)
}

func (a *folderArchive) put(name string, content []byte) error {
	tmp := filepath.Join(a.dir, "."+name)
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(a.dir, name))
}

func (a *folderArchive) PushReceived(_ context.Context, segment string, upto uint32, r io.Reader) error {
	if err := a.note(segment + ".received"); err != nil {
		return err
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(content) != int(upto) {
		return fmt.Errorf("%d bytes, not %d", len(content), upto)
	}
	if err := a.put(fmt.Sprintf("%s.received-%08X", segment, upto), content); err != nil {
		return err
	}
	return a.clean(segment, int64(upto))
}

// clean removes shorter beginnings of a segment.
func (a *folderArchive) clean(segment string, upto int64) error {
	found, err := filepath.Glob(filepath.Join(a.dir, segment+".received-*"))
	for _, name := range found {
		var have int64
		_, scanErr := fmt.Sscanf(name[strings.LastIndexByte(name, '-'):], "-%X", &have)
		if err = errors.Join(err, scanErr); have < upto {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

func (a *folderArchive) Names(context.Context) ([]string, error) {
	entries, err := os.ReadDir(a.dir)
	var names []string
	for _, e := range entries {
		if _, err := wal.ParseFileName(e.Name()); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func source(t testing.TB, s *pgserver.Server) conninfo.Info {
	t.Helper()
	info, err := conninfo.Parse(s.Conninfo())
	require.NoError(t, err)
	return info
}

// config is how these tests receive: everything often.
func config(t testing.TB, s *pgserver.Server, a stream.Archive) stream.Config {
	t.Helper()
	return stream.Config{
		Source: source(t, s), Dir: t.TempDir(), Archive: a, FlushEvery: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond,
		RetryEvery: 500 * time.Millisecond, Logger: logger(t), OnProblem: func(err error) { t.Log("problem:", err) },
	}
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// upTo receives until a position is archived.
func upTo(t testing.TB, cfg stream.Config, stop wal.LSN) {
	t.Helper()
	cfg.StopAt = stop
	r, err := stream.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, r.Run(ctx))
}

// running is a receiver at work.
type running struct {
	*stream.Receiver
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

// start starts to receive; it ends with the test.
func start(t testing.TB, cfg stream.Config) *running {
	t.Helper()
	r, err := stream.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	run := &running{Receiver: r, t: t, stop: cancel, done: make(chan error, 1)}
	go func() { run.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		run.done <- <-run.done // so that it can be asked again
	})
	return run
}

// end stops it.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	err := <-r.done
	r.done <- err
	require.ErrorIs(r.t, err, context.Canceled)
}

// failure waits until it ends by itself.
func (r *running) failure() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(20 * time.Second):
		require.Fail(r.t, "the receiver did not end")
		return nil
	}
}

func (r *running) until(what string, ok func(stream.Status) bool) {
	r.t.Helper()
	pgserver.Until(r.t, what, func() error {
		select {
		case err := <-r.done:
			r.done <- err
			require.Fail(r.t, "the receiver ended", "%v", err)
		default:
		}
		if s := r.Status(); !ok(s) {
			return fmt.Errorf("not yet: %+v", s)
		}
		return nil
	})
}

// keep makes a server keep WAL, whatever its major.
func keep(w *pgserver.World) []string {
	if w.Major < 13 {
		return []string{"-c", "wal_keep_segments=2000"}
	}
	return []string{"-c", "wal_keep_size=2GB"}
}

func lsn(t testing.TB, s *pgserver.Server) wal.LSN {
	t.Helper()
	at, err := wal.ParseLSN(s.Ask("select case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_flush_lsn() end"))
	require.NoError(t, err)
	return at
}

// same compares an archive with a server's pg_wal from a position to another on one timeline: complete segments byte by byte, and of the last what was
// received. It returns the number of complete segments.
func same(t testing.TB, s *pgserver.Server, dir string, tli wal.Timeline, from, to wal.LSN, segSize uint32) int {
	t.Helper()
	complete := 0
	for seg := wal.SegmentOf(tli, from, segSize); seg.Start(segSize) < to; seg.Number++ {
		name := seg.Name(segSize)
		want, err := os.ReadFile(filepath.Join(s.Data, "pg_wal", name))
		require.NoError(t, err)
		if seg.Start(segSize)+wal.LSN(segSize) <= to {
			got, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			require.True(t, bytes.Equal(got, want), "%s differs", name)
			complete++
			continue
		}
		n := int(to - seg.Start(segSize))
		found, err := filepath.Glob(filepath.Join(dir, name+".received-*"))
		require.NoError(t, err)
		require.Len(t, found, 1, "beginnings of %s", name)
		got, err := os.ReadFile(found[0])
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(got), n)
		require.True(t, bytes.Equal(got[:n], want[:n]), "%s differs", name)
	}
	return complete
}

// some runs a test in worlds of some majors, side by side.
func some(t *testing.T, majors []int, test func(t *testing.T, w *pgserver.World)) {
	t.Helper()
	for _, major := range majors {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			test(t, pgserver.New(t, localpg.Server(t, major)))
		})
	}
}
