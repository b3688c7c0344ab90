package archivecli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/powerloss"
	"github.com/understudy-ha/understudy/internal/waltest"
)

const lossName = "000000010000000000000003"

// losses runs a command that must succeed, and calls check for each state of a folder, rebuilt in another one, in which a power loss may leave it.
func (w *world) losses(folder string, cmd *exec.Cmd, check func(state powerloss.State, after string)) {
	w.t.Helper()
	trace, err := powerloss.Record(cmd, folder)
	require.NoError(w.t, err)
	require.Zero(w.t, trace.Exit)
	all, seen := 0, map[string]bool{}
	for state := range trace.States() {
		all++
		after := w.t.TempDir()
		require.NoError(w.t, state.Build(after))
		if key := fmt.Sprint(state.Done, digest(w.t, after)); !seen[key] {
			seen[key] = true
			check(state, after)
		}
		require.NoError(w.t, os.RemoveAll(after))
	}
	require.Greater(w.t, len(seen), 3)
	w.t.Logf("%d states, %d different", all, len(seen))
}

// digest tells folders from each other.
func digest(t *testing.T, folder string) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		name, relErr := filepath.Rel(folder, path)
		require.NoError(t, errors.Join(err, relErr))
		content := ""
		if !entry.IsDir() {
			content = readFile(t, path)
		}
		fmt.Fprintf(h, "%q %d %s", name, len(content), content)
		return nil
	}))
	return string(h.Sum(nil))
}

// wantFile demands of an archive after a power loss that it has the whole file, or, before the end of the command, nothing of it.
func (w *world) wantFile(state powerloss.State, name, content string) {
	t := w.t
	t.Helper()
	dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	switch code, _, stderr := w.run("fetch", name, dst); code {
	case 0:
		require.True(t, content == readFile(t, dst), "%v: other content", state)
	case exitAbsent, exitUnknownRecovery:
		require.NoFileExists(t, dst)
		require.False(t, state.Done, "%v: %s", state, stderr)
	default:
		require.Fail(t, "fetch", "%v: exit code %d: %s", state, code, stderr)
	}
}

// wantPushed demands that a push succeeds after a power loss.
func (w *world) wantPushed(state powerloss.State, path, content string) {
	t := w.t
	t.Helper()
	code, _, stderr := w.run("push", path)
	require.Zero(t, code, "%v: %s", state, stderr)
	dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
	code, _, stderr = w.run("fetch", filepath.Base(path), dst)
	require.Zero(t, code, "%v: %s", state, stderr)
	require.True(t, content == readFile(t, dst), "%v: other content", state)
}

// needStrace ends a test that cannot be without it.
func needStrace(t *testing.T) {
	t.Helper()
	if !powerloss.Available() {
		localpg.Missing(t, "no strace on PATH")
	}
}

// A power loss at any moment of a push leaves an archive without the file or with the whole right one, and the same push then
// succeeds; after exit code 0 it never leaves one without.
func TestPowerLoss_push(t *testing.T) {
	needStrace(t)
	for _, tc := range []struct {
		name, file, compress string
		prepare              func(w *world, path string) // the archive is empty without
	}{
		{"first_segment", lossName, "none", nil},
		{"segment", lossName, "none", func(w *world, _ string) { w.pushHistory0() }},
		{"history", historyName, "none", func(w *world, _ string) { w.pushHistory0() }},
		{"partial", lossName + ".partial", "none", func(w *world, _ string) { w.pushHistory0() }},
		{"zstd", lossName, "zstd", func(w *world, _ string) { w.pushHistory0() }},
		{"beside_a_damaged_copy", lossName, "none", func(w *world, path string) { w.damage(path) }},
		{"beside_a_damaged_copy_zstd", lossName, "zstd", func(w *world, path string) { w.damage(path) }},
		{"only_the_record_is_there", lossName, "none", func(w *world, path string) {
			w.push(path)
			require.NoError(w.t, os.Remove(filepath.Join(w.archive, lossName)))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.controlFile()
			content := history
			if tc.file != historyName {
				content = string(waltest.Segment(ours.SystemID, ours.SegmentSize, tc.file, 300_000, 1))
			}
			path := w.file(tc.file, content)
			if tc.prepare != nil {
				tc.prepare(w, path)
			}
			w.losses(w.archive, w.process("main", "--compress", tc.compress, "push", path), func(state powerloss.State, after string) {
				w.archive = after
				w.wantFile(state, tc.file, content)
				w.wantPushed(state, path, content)
			})
		})
	}
}

func (w *world) push(path string) {
	w.t.Helper()
	code, _, stderr := w.run("push", path)
	require.Zero(w.t, code, stderr)
}

// damage pushes a file and changes a byte of what is archived.
func (w *world) damage(path string) {
	w.t.Helper()
	w.push(path)
	object := filepath.Join(w.archive, filepath.Base(path))
	b := []byte(readFile(w.t, object))
	b[len(b)/9] ^= 1
	require.NoError(w.t, os.WriteFile(object, b, 0o600))
}

// TestPowerLoss_push_to_two_places: success means that both have it.
func TestPowerLoss_push_to_two_places(t *testing.T) {
	needStrace(t)
	t.Parallel()
	w := newWorld(t)
	w.controlFile()
	root := t.TempDir()
	for _, place := range []string{"a", "b"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, place), 0o700))
		w.archive = filepath.Join(root, place)
		w.pushHistory0()
	}
	w.archive = filepath.Join(root, "a")
	path := w.file(historyName, history)
	cmd := w.process("main", "--archive", filepath.Join(root, "b"), "push", path)
	w.losses(root, cmd, func(state powerloss.State, after string) {
		for _, place := range []string{"a", "b"} {
			w.archive = filepath.Join(after, place)
			w.wantFile(state, historyName, history)
		}
	})
}

// TestPowerLoss_fetch: at the destination there is nothing or the whole file, and after success the file.
func TestPowerLoss_fetch(t *testing.T) {
	needStrace(t)
	for _, compress := range []string{"none", "zstd"} {
		t.Run(compress, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.controlFile()
			content := string(waltest.Segment(ours.SystemID, ours.SegmentSize, lossName, 300_000, 1))
			code, _, stderr := w.run("--compress", compress, "push", w.file(lossName, content))
			require.Zero(t, code, stderr)
			folder := t.TempDir()
			w.losses(folder, w.process("main", "fetch", lossName, filepath.Join(folder, "RECOVERYXLOG")), func(state powerloss.State, after string) {
				dst := filepath.Join(after, "RECOVERYXLOG")
				if _, err := os.Stat(dst); err == nil || state.Done {
					require.True(t, content == readFile(t, dst), "%v: other content", state)
				}
			})
		})
	}
}

// TestPowerLoss_cleanup: what a consumer needs stays needed, and what is set aside is whole in one place or the other.
func TestPowerLoss_cleanup(t *testing.T) {
	needStrace(t)
	name := func(n int) string { return fmt.Sprintf("0000000100000000000000%02X", n) }
	content := func(n int) string {
		return string(waltest.Segment(ours.SystemID, ours.SegmentSize, name(n), 10_000, 1))
	}
	prepare := func(t *testing.T) (w *world, root string) {
		t.Helper()
		w, root = newWorld(t), t.TempDir()
		w.controlFile()
		w.archive = filepath.Join(root, "archive")
		require.NoError(t, errors.Join(os.Mkdir(w.archive, 0o700), os.Mkdir(filepath.Join(root, "aside"), 0o700)))
		for n := 1; n <= 4; n++ {
			w.push(w.file(name(n), content(n)))
		}
		code, _, stderr := w.run("consumer", "set", "standby1", name(1))
		require.Zero(t, code, stderr)
		return w, root
	}
	whole := func(t *testing.T, folder string, n int) bool {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(folder, name(n)))
		return err == nil && string(b) == content(n)
	}
	t.Run("consumer_moves_on", func(t *testing.T) {
		t.Parallel()
		w, root := prepare(t)
		w.losses(root, w.process("main", "consumer", "set", "standby1", name(3)), func(state powerloss.State, after string) {
			w.archive = filepath.Join(after, "archive")
			code, _, stderr := w.run("cleanup", name(4))
			require.Zero(t, code, stderr)
			for n := 3; n <= 4; n++ {
				require.True(t, whole(t, w.archive, n), "%v: %s is needed", state, name(n))
			}
			if state.Done {
				require.False(t, whole(t, w.archive, 1), "%v: nobody needs %s", state, name(1))
			}
		})
	})
	t.Run("consumer", func(t *testing.T) {
		t.Parallel()
		w, root := prepare(t)
		w.losses(root, w.process("main", "cleanup", "--consumer", "standby1", name(3)), func(state powerloss.State, after string) {
			w.archive = filepath.Join(after, "archive")
			for range 2 { // now, and after a cleanup that knows of nothing else
				for n := 3; n <= 4; n++ {
					require.True(t, whole(t, w.archive, n), "%v: %s is needed", state, name(n))
				}
				code, _, stderr := w.run("cleanup", name(4))
				require.Zero(t, code, stderr)
			}
		})
	})
	t.Run("set_aside", func(t *testing.T) {
		t.Parallel()
		w, root := prepare(t)
		cmd := w.process("main", "cleanup", "--consumer", "standby1", "--set-aside", filepath.Join(root, "aside"), name(3))
		w.losses(root, cmd, func(state powerloss.State, after string) {
			for n := 1; n <= 4; n++ {
				require.True(t, whole(t, filepath.Join(after, "archive"), n) || n < 3 && whole(t, filepath.Join(after, "aside"), n), "%v: %s is lost", state, name(n))
			}
		})
	})
}

// TestPowerLoss_received: of a segment that is being received, never less is there than was acknowledged.
func TestPowerLoss_received(t *testing.T) {
	needStrace(t)
	t.Parallel()
	w := newWorld(t)
	w.controlFile()
	content := waltest.Segment(ours.SystemID, ours.SegmentSize, lossName, 300_000, 1)
	path := w.file(lossName, string(content))
	code := w.process("received", path, "100000").Run()
	require.NoError(t, code)
	w.losses(w.archive, w.process("received", path, "200000"), func(state powerloss.State, after string) {
		w.archive = after
		dst := filepath.Join(t.TempDir(), "dst")
		code, _, stderr := w.run("fetch", "--unfinished", lossName, dst)
		require.Zero(t, code, "%v: %s", state, stderr)
		got := []byte(readFile(t, dst))
		n := 100_000
		if state.Done || string(got[:200_000]) == string(content[:200_000]) {
			n = 200_000
		}
		require.True(t, bytes.Equal(content[:n], got[:n]) && len(bytes.Trim(got[n:], "\x00")) == 0, "%v", state)
	})
}

// pushHistory0 makes the archive this cluster's with a file that no test is about.
func (w *world) pushHistory0() {
	w.t.Helper()
	code, _, stderr := w.run("push", w.file("00000009.history", "8\t0/3000060\tno recovery target specified\n"))
	require.Zero(w.t, code, stderr)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}
