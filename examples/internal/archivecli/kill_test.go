package archivecli

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// killRuns is how many commands are killed.
func killRuns(t *testing.T) int {
	text := os.Getenv("UNDERSTUDY_KILL_RUNS")
	if text == "" {
		return 60
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// TestKill kills the command at random moments. After a push the archive is without the file or has the whole right one, after a fetch there is
// nothing or the whole right file at the destination; and the same again succeeds.
func TestKill(t *testing.T) {
	for _, compress := range []string{"none", "zstd"} {
		t.Run(compress, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			k := killer{world: newWorld(t), compress: compress, random: rand.New(rand.NewPCG(seed, 0))}
			k.controlFile()
			var pushed, fetched tally
			for i := range killRuns(t) / 4 {
				name := wal.Segment{Timeline: 1, Number: uint64(i)}.Name(ours.SegmentSize) //nolint:gosec // small
				content := string(waltest.Segment(ours.SystemID, ours.SegmentSize, name, k.random.IntN(1<<20)+1, k.random.Uint64()))
				k.push(name, content, &pushed)
				k.fetch(name, content, &fetched)
			}
			t.Logf("seed %d: pushes %+v, fetches %+v", seed, pushed, fetched)
			require.Positive(t, pushed.Ended+pushed.There+fetched.Ended+fetched.There)
			require.Positive(t, pushed.Nothing+fetched.Nothing)
		})
	}
}

// tally counts what a kill left.
type tally struct {
	Nothing, There int // killed
	Ended          int // before it was killed
}

type killer struct {
	*world
	compress string
	random   *rand.Rand
	longest  time.Duration // that a command took which was not killed
}

// killed runs the command and kills it, sooner or later. It reports whether the command had succeeded before.
func (k *killer) killed(args ...string) (succeeded bool) {
	k.t.Helper()
	cmd := k.process("main", append([]string{"--compress", k.compress}, args...)...)
	start := time.Now()
	require.NoError(k.t, cmd.Start())
	after := 10 * time.Second // the first one tells how long it takes
	if k.longest > 0 {
		after = time.Duration(k.random.Int64N(int64(k.longest)))
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if cmd.ProcessState.Exited() {
		require.NoError(k.t, err)
		k.longest = max(k.longest, min(time.Since(start), 100*time.Millisecond))
	}
	return err == nil
}

func (k *killer) push(name, content string, sum *tally) {
	k.t.Helper()
	path := k.file(name, content)
	defer os.Remove(path)
	succeeded := k.killed("push", path)
	dst := filepath.Join(k.t.TempDir(), "dst")
	switch code, _, stderr := k.run("fetch", name, dst); code {
	case 0:
		require.True(k.t, content == readFile(k.t, dst), "another file is there")
	case exitAbsent, exitUnknownRecovery: // with the first push, the marker may be missing
		require.False(k.t, succeeded, stderr)
		require.NoFileExists(k.t, dst)
	default:
		require.Fail(k.t, "fetch", "exit code %d: %s", code, stderr)
	}
	sum.add(k.t, succeeded, dst)
	code, _, stderr := k.run("--compress", k.compress, "push", path)
	require.Zero(k.t, code, stderr)
}

func (t *tally) add(tb testing.TB, succeeded bool, dst string) {
	_, err := os.Stat(dst)
	switch {
	case succeeded:
		require.NoError(tb, err)
		t.Ended++
	case err == nil:
		t.There++
	default:
		t.Nothing++
	}
}

func (k *killer) fetch(name, content string, sum *tally) {
	k.t.Helper()
	dst := filepath.Join(k.t.TempDir(), "dst")
	succeeded := k.killed("fetch", name, dst)
	sum.add(k.t, succeeded, dst)
	if _, err := os.Stat(dst); err == nil {
		require.True(k.t, content == readFile(k.t, dst), "another file is there")
		require.NoError(k.t, os.Remove(dst)) // as the server does before it asks
	}
	code, _, stderr := k.run("fetch", name, dst)
	require.Zero(k.t, code, stderr)
	require.True(k.t, content == readFile(k.t, dst), "another file is there")
}
