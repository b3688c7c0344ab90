package dir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/store/storetest"
)

// The test binary calls itself to be killed while it stores something.
const killEnv = "DIR_TEST_KILLED"

func TestMain(m *testing.M) {
	if os.Getenv(killEnv) == "" {
		os.Exit(m.Run())
	}
	s, err := dir.Open(os.Args[1])
	if err == nil {
		half := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), killer{})
		err = s.Create(context.Background(), os.Args[2], half)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

type killer struct{}

func (killer) Read([]byte) (int, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// places are directories with several Stores, and with writers that are killed half-way.
func places(t *testing.T) storetest.Place {
	path := t.TempDir()
	return storetest.Place{
		Open: func(t *testing.T) walarchive.Store { return open(t, path) },
		Interrupt: func(t *testing.T, name string) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], path, name)
			cmd.Env = append(os.Environ(), killEnv+"=1")
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
			require.Len(t, temps(t, path), 1)
		},
	}
}

func temps(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(path, ".*.tmp-*"))
	require.NoError(t, err)
	return names
}

// TestCreate_each_step_fails makes each step of a Create fail as a bad disk does: nothing stays, and the next Create begins anew,
// with a new temporary file.
func TestCreate_each_step_fails(t *testing.T) {
	for _, step := range []atomicfile.Step{
		atomicfile.StepCreate, atomicfile.StepWrite, atomicfile.StepMode, atomicfile.StepSync, atomicfile.StepClose, atomicfile.StepLink,
	} {
		for _, errno := range []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ESTALE, syscall.EROFS} {
			t.Run(fmt.Sprint(step, "/", errno), func(t *testing.T) {
				path := t.TempDir()
				s := open(t, path)
				restore := atomicfile.SetHook(func(at atomicfile.Step) error {
					if at == step {
						return errno
					}
					return nil
				})
				err := s.Create(t.Context(), "a", strings.NewReader("x"))
				restore()
				require.ErrorIs(t, err, errno)
				space := errors.Is(errno, syscall.ENOSPC) || errors.Is(errno, syscall.EDQUOT)
				require.Equal(t, space, strings.Contains(err.Error(), "bytes free"), err)
				require.Empty(t, temps(t, path))
				require.NoFileExists(t, filepath.Join(path, "a"))

				var steps []atomicfile.Step
				restore = atomicfile.SetHook(func(at atomicfile.Step) error { steps = append(steps, at); return nil })
				defer restore()
				require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
				require.Equal(t, atomicfile.StepCreate, steps[0], "never the old file again")
			})
		}
	}
}

// TestCreate_sync_of_the_directory_fails: the name is there, and not durable. The next Create says so only after a sync that succeeded.
func TestCreate_sync_of_the_directory_fails(t *testing.T) {
	s := open(t, t.TempDir())
	failing := true
	defer atomicfile.SetHook(func(at atomicfile.Step) error {
		if at == atomicfile.StepSyncDir && failing {
			return syscall.EIO
		}
		return nil
	})()
	require.ErrorIs(t, s.Create(t.Context(), "a", strings.NewReader("x")), syscall.EIO)
	err := s.Create(t.Context(), "a", strings.NewReader("x"))
	require.ErrorIs(t, err, syscall.EIO)
	require.NotErrorIs(t, err, fs.ErrExist)
	failing = false
	require.ErrorIs(t, s.Create(t.Context(), "a", strings.NewReader("x")), fs.ErrExist)
}

// smallDisk mounts a file system of 8 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=8m"); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			localpg.Missing(t, "only root may mount the small disk that this test needs")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(path, syscall.MNT_DETACH)) })
	return path
}

func TestCreate_full_disk(t *testing.T) {
	path := smallDisk(t)
	s, err := dir.Open(path)
	require.NoError(t, err)
	err = s.Create(t.Context(), "a", io.LimitReader(iotest.DataErrReader(zeros{}), 16<<20))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, path+" is full")
	require.Empty(t, temps(t, path))
	free, err := s.Free(t.Context())
	require.NoError(t, err)
	require.Greater(t, free, int64(7<<20), "the temporary file is gone")
	require.LessOrEqual(t, free, int64(8<<20))
	require.NoError(t, s.Create(t.Context(), "a", io.LimitReader(zeros{}, 4<<20)))
	require.NoError(t, s.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestMount(t *testing.T) {
	disk := smallDisk(t)
	below := filepath.Join(disk, "archive")
	plain := t.TempDir()
	missing := filepath.Join(plain, "missing")

	require.ErrorContains(t, dir.Ensure(dir.Config{Path: missing, Mount: plain}), "nothing is mounted at "+plain)
	require.NoDirExists(t, missing)
	require.NoError(t, dir.Ensure(dir.Config{Path: below, Mount: disk}))
	for _, test := range []struct{ path, mount, want string }{
		{disk, disk, ""},
		{below, disk, ""},
		{plain, plain, "nothing is mounted at"},
		{plain, disk, "is not in the file system mounted at"},
		{below, missing, "no such file"},
		{plain, "/", ""},
		{below, "/", "is not in the file system mounted at /"},
	} {
		s, err := dir.OpenWith(dir.Config{Path: test.path, Mount: test.mount})
		if test.want == "" {
			require.NoError(t, err, test)
			require.NoError(t, s.Close())
		} else {
			require.ErrorContains(t, err, test.want)
		}
	}
}

func TestEnsure(t *testing.T) {
	parent := t.TempDir()
	path := filepath.Join(parent, "archive")
	for range 2 {
		require.NoError(t, dir.Ensure(dir.Config{Path: path + "/"}))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())
	require.ErrorIs(t, dir.Ensure(dir.Config{Path: filepath.Join(parent, "x", "y")}), fs.ErrNotExist, "only the last one is made")
	file := filepath.Join(parent, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorIs(t, dir.Ensure(dir.Config{Path: file}), fs.ErrExist)
}

func TestMode(t *testing.T) {
	path := t.TempDir()
	for _, bad := range []fs.FileMode{0o400, 0o044, fs.ModeSetuid | 0o600, fs.ModeDir | 0o700} {
		_, err := dir.OpenWith(dir.Config{Path: path, Mode: bad})
		require.ErrorContains(t, err, "Mode")
	}
	s, err := dir.OpenWith(dir.Config{Path: path, Mode: 0o640})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	info, err := os.Stat(filepath.Join(path, "a"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
}

// TestStale is a directory handle that is stale, as after a restart of an NFS server.
func TestStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.Mkdir(path, 0o700))
	s := open(t, path)
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	faults := 0
	dir.SetFault(s, func() error {
		if faults--; faults >= 0 {
			return &fs.PathError{Op: "openat", Path: "a", Err: syscall.ESTALE}
		}
		return nil
	})
	calls := map[string]func() error{
		"create": func() error {
			if err := s.Create(t.Context(), "a", strings.NewReader("x")); !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		},
		"open": func() error {
			r, err := s.Open(t.Context(), "a")
			if err != nil {
				return err
			}
			return r.Close()
		},
		"list":    func() error { _, err := s.List(t.Context()); return err },
		"details": func() error { _, err := s.Details(t.Context(), []string{"a"}); return err },
		"remove":  func() error { return s.Remove(t.Context(), []string{"b"}) },
		"sweep":   func() error { return s.Sweep(t.Context(), time.Now()) },
		"free":    func() error { _, err := s.Free(t.Context()); return err },
	}
	for name, call := range calls {
		faults = 1
		require.NoError(t, call(), name)
		faults = 2
		require.ErrorIs(t, call(), syscall.ESTALE, "%s: once is enough", name)
	}
	require.NoError(t, os.Rename(path, path+".away"))
	for _, now := range []string{"stale", "another directory"} {
		for name, call := range calls {
			faults = 1
			err := call()
			require.ErrorContains(t, err, now, name)
			require.NotErrorIs(t, err, fs.ErrNotExist)
		}
		require.NoError(t, os.MkdirAll(path, 0o700))
	}
}

// TestRemoved is a directory that was removed while it was open: it is empty, and proves nothing.
func TestRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.Mkdir(path, 0o700))
	s := open(t, path)
	require.NoError(t, os.Remove(path))
	_, openErr := s.Open(t.Context(), "a")
	_, listErr := s.List(t.Context())
	_, detailsErr := s.Details(t.Context(), []string{"a"})
	for _, err := range []error{openErr, listErr, detailsErr} {
		require.ErrorContains(t, err, "is not where it was")
		require.NotErrorIs(t, err, fs.ErrNotExist)
	}
	require.ErrorContains(t, s.Create(t.Context(), "a", strings.NewReader("x")), "is not where it was")
}

func TestForeign(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	require.NoError(t, os.Mkdir(filepath.Join(path, "folder"), 0o700))
	require.NoError(t, syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(path, "a"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(path, ".nfs000001"), nil, 0o600))
	require.NoError(t, os.Symlink("a", filepath.Join(path, "link")))
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "link"}, names)
	for _, name := range []string{"folder", "pipe"} {
		_, err := s.Open(t.Context(), name)
		require.ErrorContains(t, err, "not a regular file")
	}
}

// TestCreate_where_a_pipe_is: somebody's mistake in the archive is an error at once, and no wait for a writer.
func TestCreate_where_a_pipe_is(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600))
	done := make(chan error, 1)
	s := open(t, path)
	go func() { done <- s.Create(t.Context(), "pipe", strings.NewReader("x")) }()
	select {
	case err := <-done:
		require.Error(t, err)
		require.NotErrorIs(t, err, fs.ErrExist, "nothing that can be read is there")
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for a writer")
	}
}

// TestOpen_link_to_nothing: an operator moved the file to another disk, which is not mounted. That is no absence.
func TestOpen_link_to_nothing(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.Symlink("old/segment", filepath.Join(path, "segment")))
	_, err := open(t, path).Open(t.Context(), "segment")
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	err = open(t, path).Create(t.Context(), "segment", strings.NewReader("x"))
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrExist)
	require.NotErrorIs(t, err, fs.ErrNotExist)
}
