package datadir_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func endOfWAL(t *testing.T, s *pgserver.Server) wal.LSN {
	t.Helper()
	d := datadir.Inspect(s.Data)
	require.NoError(t, d.Err())
	end, err := datadir.EndOfWAL(s.Data, d.Major, d.Control, d.History)
	require.NoError(t, err)
	return end
}

// replayed has the server recover from what it has, and promotes it: the new timeline begins where the replay ended.
func replayed(t *testing.T, s *pgserver.Server) wal.LSN {
	t.Helper()
	if s.World.Major >= 12 {
		s.Write("standby.signal", "")
	} else {
		s.Write("recovery.conf", "standby_mode = on\n")
	}
	s.Up("-c", "checkpoint_timeout=1h")
	s.Promote()
	d := datadir.Inspect(s.Data)
	require.NoError(t, d.Err())
	return d.History.Entries[len(d.History.Entries)-1].End
}

// The end of the WAL is where a real recovery of it ends, to the byte: of a server that was killed, again and again, in the middle of a
// record too, that went on after that, that was just promoted, and that was stopped.
func TestServerEndOfWAL(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("s")
		s.Up()
		s.Exec("create table t (i int, s text)", "checkpoint", "insert into t select i, repeat('x', 100) from generate_series(1, 3000) i",
			"select pg_switch_wal()", "insert into t values (0, repeat('y', 1000000))",
			"select pg_logical_emit_message(false, 'test', repeat('z', 100000))", "select pg_switch_wal()", "insert into t values (1, '')")
		flushed, err := wal.ParseLSN(s.Ask("pg_current_wal_flush_lsn()"))
		require.NoError(t, err)
		s.Kill(syscall.SIGQUIT)
		end := endOfWAL(t, s)
		require.GreaterOrEqual(t, end, flushed)
		require.Equal(t, replayed(t, s), end, "killed")

		killWhileWriting(t, s, end)
		end = endOfWAL(t, s)
		require.Equal(t, replayed(t, s), end, "killed while it wrote")

		killWhileWriting(t, s, end)
		end = endOfWAL(t, s)
		s.Up("-c", "checkpoint_timeout=1h") // a record that was not finished is given up, and the WAL goes on after it
		s.Exec("insert into t values (3, repeat('v', 100000))")
		s.Kill(syscall.SIGQUIT)
		require.Greater(t, endOfWAL(t, s), end)
		end = endOfWAL(t, s)
		require.Equal(t, replayed(t, s), end, "gone on")

		s.Exec("insert into t values (2, repeat('w', 100000))")
		s.Kill(syscall.SIGQUIT)
		end = endOfWAL(t, s)
		require.Equal(t, replayed(t, s), end, "promoted")

		s.Stop()
		end = endOfWAL(t, s)
		require.Less(t, readControl(t, s).Checkpoint, end)
		require.Equal(t, replayed(t, s), end, "stopped")
	})
}

// killWhileWriting kills a server in the middle of writing, by a session that nobody waits for.
func killWhileWriting(t *testing.T, s *pgserver.Server, end wal.LSN) {
	t.Helper()
	writing := make(chan error, 1)
	go func() {
		writing <- s.Do(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "insert into t select i, repeat('x', 500) from generate_series(1, 10000000) i")
			return err
		})
	}()
	s.Wait("select pg_current_wal_flush_lsn() > '" + (end + 1<<20).String() + "'")
	s.Kill(syscall.SIGQUIT)
	require.Error(t, <-writing)
}
