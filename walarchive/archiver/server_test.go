package archiver_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/archiver"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// A documented set-up of MAAS uses $REP_ARCHIVE, which the shell that the server starts does not have: every attempt fails and nobody
// notices. Then the command is repaired.
func TestServers(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("primary")
		s.Up("-c", "archive_mode=on")
		require.Equal(t, archiver.Failing, look(t, s, archiver.Status{}).State, "no command")
		require.Contains(t, look(t, s, archiver.Status{}).Why, "no archive_command")

		command := func(c string) {
			s.Exec("ALTER SYSTEM SET archive_command = '"+c+"'", "SELECT pg_reload_conf()", "CREATE TABLE IF NOT EXISTS t (i int)",
				"INSERT INTO t VALUES (1)", "SELECT pg_switch_wal()")
		}
		command("test ! -f $REP_ARCHIVE/%f/x && cp %p $REP_ARCHIVE/no/such/folder/%f")
		var failing archiver.Status
		pgserver.Until(t, "the failure to be seen", func() error {
			if failing = look(t, s, failing); failing.State != archiver.Failing || failing.Failed == 0 {
				return fmt.Errorf("still %+v", failing)
			}
			return nil
		})
		require.False(t, failing.FailingSince.IsZero())
		require.GreaterOrEqual(t, failing.Segments, int64(1))

		command("true")
		pgserver.Until(t, "the archiver to catch up", func() error {
			if s := look(t, s, failing); s.State != archiver.OK || s.Segments != 0 || s.Bytes < 0 {
				return fmt.Errorf("still %+v", s)
			}
			return nil
		})
		unprivileged(t, s)
	})
}

func look(t *testing.T, s *pgserver.Server, before archiver.Status) archiver.Status {
	t.Helper()
	return query(t, s).Judge(archiver.Limits{}, before)
}

func query(t *testing.T, s *pgserver.Server, statements ...string) (r archiver.Row) {
	t.Helper()
	require.NoError(t, s.Do(func(ctx context.Context, conn *pgx.Conn) (err error) {
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
		}
		r, err = archiver.Query(ctx, conn)
		return err
	}))
	return r
}

// unprivileged looks as a role without rights, and as one with those of a monitor.
func unprivileged(t *testing.T, s *pgserver.Server) {
	t.Helper()
	s.Exec("CREATE ROLE nobody", "CREATE ROLE watcher IN ROLE pg_monitor")
	super := query(t, s)
	require.GreaterOrEqual(t, super.Ready, int64(0))
	require.Equal(t, uint32(wal.DefaultSegmentSize), super.SegmentSize)
	r := query(t, s, "SET ROLE nobody")
	require.Equal(t, int64(-1), r.Ready)
	require.Equal(t, super.LastArchived, r.LastArchived)
	require.Equal(t, archiver.OK, r.Judge(archiver.Limits{}, archiver.Status{}).State)
	if watcher := query(t, s, "SET ROLE watcher"); s.World.Major >= 12 {
		require.GreaterOrEqual(t, watcher.Ready, int64(0))
	} else {
		require.Equal(t, int64(-1), watcher.Ready)
	}
}
