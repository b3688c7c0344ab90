package archivecli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/powerloss"
	"github.com/understudy-ha/understudy/internal/waltest"
)

// A power loss at any moment of a push leaves an archive without the file or with the whole right one, and the same push then
// succeeds; after exit code 0 it never leaves one without.
func TestPowerLoss_push(t *testing.T) {
	if !powerloss.Available() {
		localpg.Missing(t, "no strace on PATH")
	}
	const name = "000000010000000000000003"
	for _, tc := range []struct {
		name  string
		first bool // push into the empty archive
		file  string
	}{
		{"segment", false, name},
		{"first_segment", true, name},
		{"history", false, historyName},
		{"partial", false, name + ".partial"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.controlFile()
			content := history
			if tc.file != historyName {
				content = string(waltest.Segment(ours.SystemID, ours.SegmentSize, tc.file, 300_000, 1))
			}
			if !tc.first {
				w.pushHistory0()
			}
			path := w.file(tc.file, content)
			trace, err := powerloss.Record(w.process("main", "push", path), w.archive)
			require.NoError(t, err)
			require.Zero(t, trace.Exit)
			states := 0
			for state := range trace.States() {
				states++
				w.archive = t.TempDir()
				require.NoError(t, state.Build(w.archive))
				dst := filepath.Join(t.TempDir(), "RECOVERYXLOG")
				switch code, _, stderr := w.run("fetch", tc.file, dst); code {
				case 0:
					require.Equal(t, content, readFile(t, dst), "%v", state)
				case exitAbsent, exitUnknownRecovery:
					require.NoFileExists(t, dst)
					require.False(t, state.Done, "%v: %s", state, stderr)
				default:
					require.Fail(t, "fetch", "%v: exit code %d: %s", state, code, stderr)
				}
				code, _, stderr := w.run("push", path)
				require.Zero(t, code, "%v: %s", state, stderr)
				dst += "2"
				code, _, stderr = w.run("fetch", tc.file, dst)
				require.Zero(t, code, "%v: %s", state, stderr)
				require.Equal(t, content, readFile(t, dst), "%v", state)
			}
			require.Greater(t, states, 20)
			t.Logf("%d states", states)
		})
	}
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
