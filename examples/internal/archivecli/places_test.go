package archivecli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
)

// config writes a configuration file and makes w use it.
func (w *world) config(format string, args ...any) []string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "archive.yaml")
	require.NoError(w.t, os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
	return []string{"--", "--config", path, "-D", w.data}
}

// TestRun_place_out_of_reach: a place that cannot even be opened is one that fails, and the others serve.
func TestRun_place_out_of_reach(t *testing.T) {
	w := newWorld(t)
	gone := filepath.Join(t.TempDir(), "gone")
	config := w.config("archives:\n- {url: %s, need: best-effort}\n- {url: 'sftp://nobody@127.0.0.1:1/archive', need: best-effort}\n- url: %s\nretry: 0s\n", gone, w.archive)
	code, _, stderr := w.run(append(config, "push", w.file(historyName, history))...)
	require.Zero(t, code, stderr)
	code, _, stderr = w.run(append(config, "fetch", historyName, filepath.Join(w.data, "RECOVERYHISTORY"))...)
	require.Zero(t, code, stderr)
	code, _, stderr = w.run(append(config, "fetch", "00000003.history", filepath.Join(w.data, "x"))...)
	require.Equal(t, exitUnknownRecovery, code)
	require.Contains(t, stderr, gone)

	code, _, stderr = w.run("--", "--archive", gone, "--archive", w.archive, "-D", w.data, "push", filepath.Join(w.data, historyName))
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, gone)
}

// TestRun_fetch_waits_for_a_place: one that is mounted a little later is one that a fetch waits for.
func TestRun_fetch_waits_for_a_place(t *testing.T) {
	w := newWorld(t)
	w.pushHistory()
	away := w.archive + ".away"
	require.NoError(t, os.Rename(w.archive, away))
	back := time.AfterFunc(300*time.Millisecond, func() { _ = os.Rename(away, w.archive) })
	defer back.Stop()
	dst := filepath.Join(w.data, "RECOVERYHISTORY")
	code, _, stderr := w.run("--", "--archive", w.archive, "-D", w.data, "--retry", "30s", "fetch", historyName, dst)
	require.Zero(t, code, stderr)
}

// TestRun_drop_policy_without_a_place: an archive that is gone altogether is one that cannot be reached.
func TestRun_drop_policy_without_a_place(t *testing.T) {
	w := newWorld(t)
	records := t.TempDir()
	walDir := filepath.Join(w.data, "pg_wal")
	require.NoError(t, os.MkdirAll(filepath.Join(walDir, "archive_status"), 0o700))
	name := "000000010000000000000003"
	path := w.file("pg_wal/"+name, string(waltest.Segment(ours.SystemID, ours.SegmentSize, name, 1<<16, 1)))
	require.NoError(t, os.WriteFile(filepath.Join(walDir, "archive_status", name+".ready"), nil, 0o600))
	config := w.config("archives: [{url: %s}]\ndrop: {max-bytes: 1, records: %s}\n", filepath.Join(t.TempDir(), "gone"), records)
	code, _, stderr := w.run(append(config, "push", path)...)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "dropped")
	require.FileExists(t, filepath.Join(records, name+".dropped"))
}

// TestRun_spool_that_is_refused: the work is done, and the log says why without looking ahead.
func TestRun_spool_that_is_refused(t *testing.T) {
	w := newWorld(t)
	spool := filepath.Join(t.TempDir(), "spool")
	require.NoError(t, os.Mkdir(spool, 0o700))
	require.NoError(t, os.Chmod(spool, 0o755))
	code, _, stderr := w.run("push", "--spool", spool, w.file(historyName, history))
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "others must not get in")
	require.NoError(t, os.Chmod(spool, 0o700))
	code, _, stderr = w.run("push", "--spool", spool, filepath.Join(w.data, historyName))
	require.Zero(t, code)
	require.Empty(t, stderr, "that no helper runs is no trouble")
}
