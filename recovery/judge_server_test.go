package recovery_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// judged judges a stopped server by nothing but its data directory.
func judged(t *testing.T, s, primary *pgserver.Server) recovery.Judgement {
	t.Helper()
	d := datadir.Inspect(s.Data)
	require.NoError(t, d.Err())
	require.NotEqual(t, datadir.Running, d.Server.Life)
	d.Server.Life = datadir.Stopped // in a container what a kill leaves behind is Unknown, but we have seen its end
	r, err := recovery.ReturningFrom(d)
	require.NoError(t, err)
	require.NotZero(t, r.EndOfWAL)
	r.CanRewind = true
	return recovery.Judge(r, leader(t, primary))
}

// follow makes a server a standby of another and starts it.
func follow(t *testing.T, s, primary *pgserver.Server) {
	t.Helper()
	apply(t, s, recovery.Config{PrimaryConninfo: dial(primary), TargetTimeline: recovery.TimelineLatest})
	up(s)
}

// up starts a server that keeps the WAL for those that come back.
func up(s *pgserver.Server) {
	keep := "wal_keep_size=512MB"
	if s.World.Major < 13 {
		keep = "wal_keep_segments=32"
	}
	s.Up("-c", keep)
}

const streams = "select count(*) = 1 from pg_stat_wal_receiver where status = 'streaming'"

// Who may follow really does, and who may not is really refused: a standby that is behind the promoted one, one that is ahead of it, the
// primary that crashed, and servers that were stopped and killed as standbys of the new primary before the next switch.
func TestServerJudge(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		a := w.Initdb("a")
		up(a)
		a.Exec("create table t (i int)")
		b, behind, ahead := w.Copy(a, "b"), w.Copy(a, "behind"), w.Copy(a, "ahead")
		for _, s := range []*pgserver.Server{b, behind, ahead} {
			backup := datadir.Inspect(s.Data)
			require.NoError(t, backup.Err())
			r, err := recovery.ReturningFrom(backup)
			require.NoError(t, err)
			require.Equal(t, recovery.Clone, recovery.Judge(r, recovery.Leader{SystemID: r.Control.SystemID}).Verdict, "a backup is no server yet")
			follow(t, s, a)
			s.Wait(streams)
		}
		behind.Stop()
		a.Exec("insert into t values (1)")
		b.Wait("select count(*) = 1 from t")
		b.Stop()
		a.Exec("insert into t values (2)")
		ahead.Wait("select count(*) = 2 from t")
		a.Kill(syscall.SIGQUIT)
		ahead.Kill(syscall.SIGQUIT)
		up(b)
		b.Promote()
		b.Exec("insert into t values (3)")
		fork := historyOf(t, b, 2).Entries[0].End

		for _, s := range []*pgserver.Server{a, ahead} {
			j := judged(t, s, b)
			require.Equal(t, recovery.Rewind, j.Verdict, j.Reason)
			require.Equal(t, fork, j.Fork)
			require.Contains(t, j.Reason, ", after the fork at "+fork.String())
		}
		j := judged(t, behind, b)
		require.Equal(t, recovery.Follow, j.Verdict, j.Reason)
		require.Contains(t, j.Reason, "not after the fork")

		follow(t, behind, b)
		behind.Wait("select array_agg(i order by i) = '{1,3}' from t")
		require.Equal(t, "2", behind.Ask("select received_tli from pg_stat_wal_receiver"))
		follow(t, ahead, b)
		pgserver.Until(t, "the server's own refusal", func() error {
			if log := ahead.Log(); strings.Contains(log, "is not in this server's history") || strings.Contains(log, "forked off current database system timeline") {
				return nil
			}
			return errors.New("not in the log yet")
		})
		require.Equal(t, "{1,2}", ahead.Ask("select array_agg(i order by i) from t"))
		ahead.Stop()

		// The next switch: its primary is stopped in an orderly way and comes back, and so does a standby that was killed.
		behind.Kill(syscall.SIGQUIT)
		b.Exec("insert into t values (4)")
		c := w.Copy(b, "c")
		follow(t, c, b)
		c.Wait(streams)
		b.Stop()
		c.Promote()
		c.Exec("insert into t values (5)")
		for _, s := range []*pgserver.Server{b, behind} {
			j := judged(t, s, c)
			require.Equal(t, recovery.Follow, j.Verdict, j.Reason)
			follow(t, s, c)
			s.Wait("select array_agg(i order by i) = '{1,3,4,5}' from t")
			require.Equal(t, "3", s.Ask("select received_tli from pg_stat_wal_receiver"))
		}
		require.NotEqual(t, recovery.Follow, judged(t, a, c).Verdict)
	})
}
