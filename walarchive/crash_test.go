package walarchive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

// The test binary calls itself to be killed in the middle of a push or fetch.
const crashEnv = "WALARCHIVE_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) == "" {
		os.Exit(m.Run())
	}
	if err := crashing(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// crashing does "push N ARCHIVE PATH" or "fetch N ARCHIVE NAME DST" and kills itself before the N-th step.
func crashing(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	atomicfile.SetHook(func(atomicfile.Step) error {
		if n--; n == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	store, err := dir.Open(args[2])
	if err != nil {
		return err
	}
	a, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: ours})
	if err != nil {
		return err
	}
	if args[0] == "push" {
		return a.Push(context.Background(), args[3])
	}
	return a.Fetch(context.Background(), args[3], args[4])
}

// killedAt reports whether the operation was killed at its n-th step; false means that it had fewer and succeeded.
func killedAt(t *testing.T, n int, op string, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{op, strconv.Itoa(n)}, args...)...)
	cmd.Env = append(os.Environ(), crashEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL, "%v: %s", err, out)
	return true
}

// TestPush_killed_at_every_step kills the first push into an archive before each of its steps, marker included.
// A reader then gets the whole file or no file, and pushing again succeeds.
func TestPush_killed_at_every_step(t *testing.T) {
	content := segment(t, ours, seg3, 1)
	n := 1
	for ; ; n++ {
		archive, path := t.TempDir(), write(t, seg3, content)
		if !killedAt(t, n, "push", archive, path) {
			break
		}
		stored, err := os.ReadFile(filepath.Join(archive, seg3))
		if err == nil {
			require.Equal(t, content, stored, "step %d", n)
		}
		dst := filepath.Join(t.TempDir(), "dst")
		if err := openArchive(t, archive, ours).Fetch(t.Context(), seg3, dst); err == nil {
			require.NotNil(t, stored, "step %d: fetched what is not there", n)
			require.NoError(t, os.Remove(dst))
		} else if errors.As(err, new(*walarchive.AbsentError)) {
			require.Nil(t, stored, "step %d: absent although there", n)
		}

		require.NoError(t, openArchive(t, archive, ours).Push(t.Context(), path), "step %d: push again", n)
		require.NoError(t, openArchive(t, archive, ours).Fetch(t.Context(), seg3, dst), "step %d", n)
		got, err := os.ReadFile(dst)
		require.NoError(t, err)
		require.Equal(t, content, got, "step %d", n)
	}
	require.Greater(t, n, 16, "two published files have eight steps each")
}

func TestFetch_killed_at_every_step(t *testing.T) {
	content := segment(t, ours, seg3, 1)
	archive := t.TempDir()
	require.NoError(t, openArchive(t, archive, ours).Push(t.Context(), write(t, seg3, content)))
	n := 1
	for ; ; n++ {
		dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
		killed := killedAt(t, n, "fetch", archive, seg3, dst)
		if got, err := os.ReadFile(dst); err == nil {
			require.Equal(t, content, got, "step %d", n)
		}
		if !killed {
			require.FileExists(t, dst)
			break
		}
	}
	require.Greater(t, n, 8)
}
