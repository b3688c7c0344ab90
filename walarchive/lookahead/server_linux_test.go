package lookahead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/queue"
)

// TestRealServer archives with look-ahead into a slow store and restores from it with prefetching: the oldest way to configure a
// recovery, and newer majors.
func TestRealServer(t *testing.T) {
	for _, major := range []int{11, 15, 18} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			realServer(t, pgserver.New(t, localpg.Server(t, major)))
		})
	}
}

const switches = 16 // how often the load ends a segment

func realServer(t *testing.T, w *pgserver.World) {
	program := filepath.Join(w.Dir, "program") // the test binary lies where the server's user may not look
	copyFile(t, os.Args[0], program)
	archive := filepath.Join(w.Dir, "archive")
	makeFor(t, w, archive)
	command := func(spool, verb string) string {
		return fmt.Sprintf("%s=client %s=20ms %s %s %s %s", roleEnv, delayEnv, program, archive, filepath.Join(w.Dir, spool), verb)
	}
	primary := w.Initdb("primary")
	primary.Up("-c", "archive_mode=on", "-c", "archive_command="+command("spool1", `push "%p"`))
	primary.Exec("create table t (i int)")
	backup := w.Copy(primary, "restored")
	load(t, primary)
	last := primary.Ask("select pg_walfile_name(pg_current_wal_lsn())")
	primary.Exec("insert into t values (-1)", "select pg_switch_wal()")
	primary.Wait("select last_archived_wal >= '" + last + "' from pg_stat_archiver")
	require.Equal(t, "0", primary.Ask("select failed_count from pg_stat_archiver"), primary.Log())
	alone := strings.Count(primary.Log(), "without the helper")
	require.Less(t, alone, switches/2, "the helper did most")
	rows := primary.Ask("select count(*) from t")
	waiting, err := queue.Read(filepath.Join(primary.Data, "pg_wal"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(waiting.Files), 1)
	primary.Stop()

	restore := "restore_command = '" + command("spool2", `fetch "%f" "%p"`) + "'\n"
	if w.Major < 12 {
		backup.Write("recovery.conf", restore)
	} else {
		backup.Write("recovery.signal", "")
		backup.Write("postgresql.auto.conf", restore)
	}
	backup.Up("-c", "archive_mode=off")
	backup.Wait("select not pg_is_in_recovery()")
	require.Equal(t, rows, backup.Ask("select count(*) from t"), backup.Log())
	require.GreaterOrEqual(t, strings.Count(backup.Log(), "restored log file"), switches/2, "two sessions may end the same segment")
	require.Less(t, strings.Count(backup.Log(), "without the helper"), switches/2, "the helper did most")
	t.Logf("without the helper: %d pushes, %d fetches", alone, strings.Count(backup.Log(), "without the helper"))
	backup.Stop()
	waitEnded(t, filepath.Join(w.Dir, "spool1"), filepath.Join(w.Dir, "spool2"))
}

// load makes WAL faster than one slow push at a time archives it, from two sessions.
func load(t *testing.T, s *pgserver.Server) {
	t.Helper()
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			ended <- s.Do(func(ctx context.Context, conn *pgx.Conn) error {
				for range switches / 2 {
					if _, err := conn.Exec(ctx, "insert into t select generate_series(1, 5000)"); err != nil {
						return err
					}
					if _, err := conn.Exec(ctx, "select pg_switch_wal()"); err != nil {
						return err
					}
				}
				return nil
			})
		}()
	}
	require.NoError(t, errors.Join(<-ended, <-ended))
}

// waitEnded waits until the helpers, which nobody asks any more, have ended by themselves.
func waitEnded(t *testing.T, spools ...string) {
	t.Helper()
	for _, spool := range spools {
		pgserver.Until(t, "the end of the helper", func() error {
			if !isFree(filepath.Join(spool, lockName)) {
				return errors.New("it holds the spool")
			}
			return nil
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	require.NoError(t, err)
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(target, source)
	require.NoError(t, errors.Join(err, target.Close()))
}

// makeFor makes a folder that belongs to the servers' user.
func makeFor(t *testing.T, w *pgserver.World, path string) {
	t.Helper()
	require.NoError(t, os.Mkdir(path, 0o700))
	if c := w.Owner.Credential; c != nil {
		require.NoError(t, os.Chown(path, int(c.Uid), int(c.Gid)))
	}
}
