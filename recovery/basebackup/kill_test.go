package basebackup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

// childEnv holds, in a child of the test, what it is to copy.
const childEnv = "UNDERSTUDY_BASEBACKUP_CHILD"

// order is what a child does.
type order struct {
	Source      string
	Target      string
	Tablespaces map[string]string
}

// child makes a base backup and is killed.
func child() int {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	info, err := conninfo.Parse(o.Source)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	_, err = basebackup.Run(context.Background(), info, basebackup.Options{Target: o.Target, Tablespaces: o.Tablespaces})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// kills is how often the copying is killed, over all majors of the test.
const kills = 100

// A copy that is killed at any moment never starts, and the next run succeeds.
func TestRun_killed(t *testing.T) {
	majors := []int{10, 12, 14, 15, 18} // both forms of the protocol, with and without a manifest
	for _, major := range majors {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			w := pgserver.New(t, localpg.Server(t, major))
			primary := w.Initdb("primary")
			primary.Up("-c", "max_wal_senders=50", "-c", "max_replication_slots=50") // those of the killed may linger for a moment
			m := mapped(fill(t, primary), " copy")
			target := filepath.Join(w.Dir, "copy")
			seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // times, not secrets
			text, err := json.Marshal(order{primary.Conninfo(), target, m})
			require.NoError(t, err)

			whole, half := time.Second, 0
			for range kills / len(majors) {
				took, finished := killedCopy(t, string(text), time.Duration(random.Float64()*float64(whole)))
				if finished {
					whole = took
				}
				half += wantNoHalfCopy(t, primary, target, m, finished)
			}
			require.Greater(t, half, 2, "too few were killed on the way")

			_, err = basebackup.Run(t.Context(), source(t, primary), basebackup.Options{Target: target, Tablespaces: m})
			require.NoError(t, err)
			clone := w.Server("copy")
			for _, space := range m {
				give(t, w, space)
			}
			give(t, w, target)
			clone.Up()
			clone.Wait("select not pg_is_in_recovery()")
			require.Equal(t, primary.Ask(content), clone.Ask(content))
		})
	}
}

// killedCopy starts a copy in a process of its own, which is killed after a time. It returns how long it took and whether it had finished by
// then.
func killedCopy(t *testing.T, order string, after time.Duration) (time.Duration, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	begin := time.Now()
	cmd := exec.CommandContext(ctx, os.Args[0]) // which sends SIGKILL
	cmd.Env = append(os.Environ(), childEnv+"="+order)
	out, err := cmd.CombinedOutput()
	if ctx.Err() == nil {
		require.NoError(t, err, "%s", out)
	}
	return time.Since(begin), err == nil
}

// wantNoHalfCopy looks at what a killed copy left. A complete one, which has its name, is put away. It returns 1 for an unfinished one.
func wantNoHalfCopy(t *testing.T, s *pgserver.Server, target string, spaces map[string]string, finished bool) int {
	t.Helper()
	_, err := os.Stat(target)
	if complete := !errors.Is(err, fs.ErrNotExist); complete {
		require.FileExists(t, filepath.Join(target, "global", "pg_control"))
		require.NoDirExists(t, target+".incoming")
		for _, dir := range spaces {
			require.NoError(t, os.RemoveAll(dir))
		}
		require.NoError(t, os.RemoveAll(target))
		return 0
	}
	require.False(t, finished)
	incoming := target + ".incoming"
	if _, err := os.Stat(incoming); err != nil {
		return 0
	}
	if _, err := os.Stat(filepath.Join(incoming, "global", "pg_control")); err == nil {
		return 0 // complete, verified and on disk; only the renaming was missing
	}
	wantNoStart(t, s, incoming)
	return 1
}
