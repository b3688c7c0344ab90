package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/walarchive/store/sftp"
)

// zeros is a reader of n bytes that calls then and ends.
func zeros(n int64, then func()) io.Reader {
	return io.MultiReader(io.LimitReader(zeroReader{}, n), callReader(then))
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

type callReader func()

func (f callReader) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// temporary are the temporary files in a directory.
func temporary(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if atomicfile.IsTemp(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestConnection_lost kills the server's processes between calls: each call makes a new connection by itself.
func TestConnection_lost(t *testing.T) {
	server := sshtest.Start(t)
	dir := memory(t)
	s := open(t, config(server, dir))
	ctx := t.Context()
	calls := []func() error{
		func() error { return s.Create(ctx, "a", strings.NewReader("x")) },
		func() error {
			r, err := s.Open(ctx, "a")
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			return err
		},
		func() error { _, err := s.List(ctx); return err },
		func() error { _, err := s.Details(ctx, []string{"a"}); return err },
		func() error { _, err := s.Free(ctx); return err },
		func() error { return s.Sweep(ctx, time.Now()) },
		func() error { return s.Remove(ctx, []string{"a"}) },
	}
	for i, call := range calls {
		server.Kill()
		require.NoError(t, call(), "call %d", i)
	}
	require.NoFileExists(t, filepath.Join(dir, "a"))
	require.LessOrEqual(t, server.Sessions(), 1)
}

// TestCreate_killed kills the server in the middle of an upload, and with the reader at its end.
func TestCreate_killed(t *testing.T) {
	server := sshtest.Start(t)
	dir := memory(t)
	s := open(t, config(server, dir))
	for _, after := range []int64{0, 5 << 20} {
		err := s.Create(t.Context(), "a", io.MultiReader(zeros(1<<20, server.Kill), zeros(after, func() {})))
		require.Error(t, err)
		require.NotErrorIs(t, err, fs.ErrExist)
		require.NotErrorIs(t, err, fs.ErrNotExist)
		require.NoFileExists(t, filepath.Join(dir, "a"))
		require.Empty(t, temporary(t, dir), "removed over a new connection")
	}
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("again")))
}

// TestCreate_killed_and_gone has no server to clean up with.
func TestCreate_killed_and_gone(t *testing.T) {
	server := sshtest.Start(t)
	dir := memory(t)
	s := open(t, config(server, dir))
	err := s.Create(t.Context(), "a", zeros(1<<20, func() { server.Refuse(true); server.Kill() }))
	require.Error(t, err)
	require.Len(t, temporary(t, dir), 1)
	server.Refuse(false)
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
	require.NoError(t, s.Sweep(t.Context(), time.Now().Add(-time.Hour)))
	require.Len(t, temporary(t, dir), 1, "too young")
	require.NoError(t, s.Sweep(t.Context(), time.Now().Add(time.Hour)))
	require.Empty(t, temporary(t, dir))
}

// TestCreate_link_answer_lost kills the connection right after, or right before, the server linked the file.
func TestCreate_link_answer_lost(t *testing.T) {
	for _, options := range [][]string{nil, {"-P", "hardlink"}} {
		server := sshtest.Start(t, options...)
		for _, test := range []struct {
			name    string
			prepare func(dir, tmp string) // what happened on the server; the answer to the link is lost then
			exists  bool
		}{
			{"not_done", func(string, string) {}, false},
			{"done", func(dir, tmp string) {
				if options == nil {
					require.NoError(t, os.Link(filepath.Join(dir, tmp), filepath.Join(dir, "a")))
				} else {
					require.NoError(t, os.Rename(filepath.Join(dir, tmp), filepath.Join(dir, "a")))
				}
			}, false},
			{"somebody_else_was_faster", func(dir, _ string) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("other"), 0o600))
			}, true},
		} {
			t.Run(fmt.Sprint(test.name, options), func(t *testing.T) {
				dir := memory(t)
				s := open(t, config(server, dir))
				sftp.BeforeLink(s, func(tmp string) {
					test.prepare(dir, tmp)
					server.Kill()
				})
				err := s.Create(t.Context(), "a", strings.NewReader("ours"))
				content, readErr := os.ReadFile(filepath.Join(dir, "a"))
				require.NoError(t, readErr)
				if test.exists {
					require.ErrorIs(t, err, fs.ErrExist)
					require.Equal(t, "other", string(content))
				} else {
					require.NoError(t, err)
					require.Equal(t, "ours", string(content))
				}
				require.Empty(t, temporary(t, dir))
			})
		}
	}
}

// TestHanging stops the server's processes: every method gives up after the timeout, and the store works again when a server answers.
func TestHanging(t *testing.T) {
	server := sshtest.Start(t)
	dir := memory(t)
	cfg := config(server, dir)
	cfg.Timeout = 600 * time.Millisecond
	s := open(t, cfg)
	require.NoError(t, s.Create(t.Context(), "a", zeros(4<<20, func() {})))
	ctx := t.Context()
	for method, call := range map[string]func() error{
		"create": func() error { return s.Create(ctx, "b", strings.NewReader("x")) },
		"create_mid": func() error {
			return s.Create(ctx, "c", io.MultiReader(zeros(1<<20, server.Pause), zeros(8<<20, func() {})))
		},
		"create_end": func() error { return s.Create(ctx, "d", zeros(1<<20, server.Pause)) },
		"open":       func() error { _, err := s.Open(ctx, "a"); return err },
		"read": func() error {
			server.Resume()
			r, err := s.Open(ctx, "a")
			require.NoError(t, err)
			defer r.Close()
			server.Pause()
			_, err = io.ReadAll(r)
			return err
		},
		"list":    func() error { _, err := s.List(ctx); return err },
		"details": func() error { _, err := s.Details(ctx, []string{"a"}); return err },
		"remove":  func() error { return s.Remove(ctx, []string{"a"}) },
		"free":    func() error { _, err := s.Free(ctx); return err },
	} {
		_, err := s.List(ctx) // a connection, to be stopped
		require.NoError(t, err, method)
		if !strings.HasPrefix(method, "create_") {
			server.Pause()
		}
		start := time.Now()
		err = call()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, method)
		require.NotErrorIs(t, err, fs.ErrNotExist, method)
		require.Less(t, time.Since(start), 20*time.Second, method)
		server.Kill()
	}
	names, err := s.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, slices.DeleteFunc(names, func(n string) bool { return n == "d" || n == "b" }))
}

// TestHanging_ends_with_the_context: a caller need not wait for the timeout.
func TestHanging_ends_with_the_context(t *testing.T) {
	server := sshtest.Start(t)
	s := open(t, config(server, memory(t)))
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := s.List(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.Open(ctx, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 20*time.Second, "the timeout is 30 s")
}

// TestSlow_is_not_hanging: a transfer may take many timeouts as long as there are answers, and a reader may take its time.
func TestSlow_is_not_hanging(t *testing.T) {
	server := sshtest.Start(t)
	cfg := config(server, memory(t))
	cfg.Timeout = 300 * time.Millisecond
	s := open(t, cfg)
	slowReader := io.MultiReader(zeros(1<<20, func() { time.Sleep(700 * time.Millisecond) }), zeros(1<<20, func() {}))
	require.NoError(t, s.Create(t.Context(), "a", slowReader))
	r, err := s.Open(t.Context(), "a")
	require.NoError(t, err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 1000))
	require.NoError(t, err)
	time.Sleep(700 * time.Millisecond)
	n, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	require.EqualValues(t, 2<<20-1000, n)
}

func TestDirectory(t *testing.T) {
	server := sshtest.Start(t)
	parent := memory(t)
	dir := filepath.Join(parent, "archive")
	cfg := config(server, dir)
	_, err := sftp.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "there is no directory "+dir)
	require.NoDirExists(t, dir)

	require.NoError(t, sftp.Ensure(t.Context(), cfg))
	require.NoError(t, sftp.Ensure(t.Context(), cfg), "it is there")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())
	deeper := cfg
	deeper.Path = filepath.Join(parent, "x", "y")
	require.Error(t, sftp.Ensure(t.Context(), deeper), "only the last one is made")

	cfg.Mode = 0o640
	s := open(t, cfg)
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	info, err = os.Stat(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())

	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names)
	for _, name := range []string{"folder", "pipe"} {
		_, err = s.Open(t.Context(), name)
		require.ErrorContains(t, err, "not a regular file")
	}
	free, err := s.Free(t.Context())
	require.NoError(t, err)
	require.Positive(t, free)

	// An unmounted disk: nothing is absent, everything is in doubt.
	require.NoError(t, os.Rename(dir, dir+".away"))
	_, openErr := s.Open(t.Context(), "a")
	_, listErr := s.List(t.Context())
	_, detailsErr := s.Details(t.Context(), []string{"a"})
	for _, err := range []error{openErr, listErr, detailsErr, s.Create(t.Context(), "b", strings.NewReader("x"))} {
		require.Error(t, err)
		require.NotErrorIs(t, err, fs.ErrNotExist)
	}
	server.Kill()
	_, err = s.Open(t.Context(), "a")
	require.ErrorContains(t, err, "there is no directory")
	require.NotErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, s.Close())
	_, err = s.List(t.Context())
	require.ErrorContains(t, err, "closed")
}

// TestServer_without tries servers that can less.
func TestServer_without(t *testing.T) {
	t.Run("hardlink", func(t *testing.T) {
		server := sshtest.Start(t, "-P", "hardlink")
		dir := memory(t)
		s := open(t, config(server, dir))
		require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
		require.NoError(t, os.Remove(filepath.Join(dir, "a")))
		err := s.Create(t.Context(), "a", zeros(1, func() {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("other"), 0o600))
		}))
		require.ErrorIs(t, err, fs.ErrExist)
		content, err := os.ReadFile(filepath.Join(dir, "a"))
		require.NoError(t, err)
		require.Equal(t, "other", string(content))
		require.Empty(t, temporary(t, dir))
	})
	t.Run("fsync", func(t *testing.T) {
		server := sshtest.Start(t, "-P", "fsync")
		dir := memory(t)
		s := open(t, config(server, dir))
		require.ErrorContains(t, s.Create(t.Context(), "a", strings.NewReader("x")), "fsync@openssh.com")
		require.Empty(t, temporary(t, dir))
		require.NoFileExists(t, filepath.Join(dir, "a"))
		cfg := config(server, dir)
		cfg.Unsynced = true
		s = open(t, cfg)
		require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
		require.ErrorIs(t, s.Create(t.Context(), "a", strings.NewReader("x")), fs.ErrExist)
	})
	t.Run("writing", func(t *testing.T) {
		server := sshtest.Start(t, "-R")
		dir := memory(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600))
		s := open(t, config(server, dir))
		require.ErrorIs(t, s.Create(t.Context(), "b", strings.NewReader("x")), fs.ErrPermission)
		require.ErrorIs(t, s.Remove(t.Context(), []string{"a"}), fs.ErrPermission)
		r, err := s.Open(t.Context(), "a")
		require.NoError(t, err)
		require.NoError(t, r.Close())
		names, err := s.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, names)
	})
}

// TestFull fills a small disk up.
func TestFull(t *testing.T) {
	server := sshtest.Start(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			localpg.Missing(t, "only root may mount the small disk that this test fills up")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	s := open(t, config(server, dir))
	require.NoError(t, s.Create(t.Context(), "small", strings.NewReader("x")))
	err := s.Create(t.Context(), "a", zeros(16<<20, func() {}))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "disk space")
	require.Empty(t, temporary(t, dir))
	require.NoFileExists(t, filepath.Join(dir, "a"))
	require.NoError(t, s.Create(t.Context(), "a", zeros(4<<20, func() {})))
	require.NoError(t, s.Close())
	server.Kill()
}

// TestOpen_link_to_nothing: an operator moved the file to another disk, which is not mounted. That is no absence.
func TestOpen_link_to_nothing(t *testing.T) {
	dir := t.TempDir()
	s, err := sftp.Open(t.Context(), config(sshtest.Start(t), dir))
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	require.NoError(t, os.Symlink("old/segment", filepath.Join(dir, "segment")))
	_, err = s.Open(t.Context(), "segment")
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	_, err = s.Open(t.Context(), "other")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
