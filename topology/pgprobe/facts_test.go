package pgprobe_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// watcher is a role with pg_monitor and nothing else.
const watcher = "watcher"

// secret is in a connection string that no observation may show.
const secret = "mArKeR-79"

// chain is a primary a, its standby b and b's standby c, observed by the watcher and by the superuser.
type chain struct {
	w               *pgserver.World
	a, b, c         *pgserver.Server
	watch, superior *pgprobe.Prober
}

// logged makes errors in the log tell whose statement it was.
const logged = "log_line_prefix=<%a> "

func newChain(t *testing.T, w *pgserver.World) *chain {
	t.Helper()
	ch := &chain{w: w, a: w.Initdb("a")}
	ch.a.Up("-c", "autovacuum=off", "-c", "archive_mode=on", "-c", "archive_command=true", "-c", logged, "-c", "cluster_name=a")
	ch.a.Exec("CREATE ROLE "+watcher+" LOGIN IN ROLE pg_monitor", "CREATE TABLE ledger (id int)",
		"SELECT pg_create_physical_replication_slot('b')")
	ch.b = ch.follower(ch.a, "b", "b")
	ch.c = ch.follower(ch.b, "c", "")
	connect := map[topology.NodeID]string{}
	for id, s := range map[topology.NodeID]*pgserver.Server{"a": ch.a, "b": ch.b, "c": ch.c} {
		connect[id] = s.Conninfo()
	}
	ch.superior = connected(t, 20*time.Second, connect)
	for id := range connect {
		connect[id] = strings.Replace(connect[id], "user="+pgserver.User, "user="+watcher, 1)
	}
	ch.watch = connected(t, 20*time.Second, connect)
	return ch
}

// follower copies a and lets the copy stream from a server.
func (ch *chain) follower(from *pgserver.Server, name, slot string) *pgserver.Server {
	s := ch.w.Copy(ch.a, name)
	settings := fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=%s application_name=%s password=%s'\n", ch.w.Dir, from.Port, pgserver.User, name, secret)
	if slot != "" {
		settings += "primary_slot_name = '" + slot + "'\n"
	}
	if ch.w.Major < 12 {
		s.Write("recovery.conf", settings+"standby_mode = on\nrecovery_target_timeline = latest\n")
	} else {
		s.Write("postgresql.auto.conf", settings)
		s.Write("standby.signal", "")
	}
	s.Up("-c", logged, "-c", "cluster_name="+name, "-c", "archive_mode=on", "-c", "archive_command=true")
	s.Wait("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')")
	return s
}

// sees waits until the watcher's observation of a node is as wanted and returns it.
func (ch *chain) sees(t *testing.T, id topology.NodeID, what string, wanted func(o topology.Observation) bool) topology.Observation {
	t.Helper()
	var o topology.Observation
	pgserver.Until(t, fmt.Sprintf("%s: %s", id, what), func() error {
		o = ch.watch.ObserveNode(t.Context(), id)
		if o.Err != nil {
			return o.Err
		}
		if !wanted(o) {
			return fmt.Errorf("%+v", o)
		}
		return nil
	})
	return o
}

// TestFacts makes every fact true on servers of every major and looks whether it is seen. The log tells that nothing was refused.
func TestFacts(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		ch := newChain(t, w)
		ch.positions(t)
		ch.replay(t)
		ch.archiving(t)
		ch.blocked(t)
		ch.settings(t)
		ch.refusedLines(t)
		ch.slots(t)
		ch.verify(t)
		ch.promotion(t)
		for _, s := range []*pgserver.Server{ch.a, ch.b, ch.c} {
			require.NotContains(t, s.Log(), "<understudy_probe> ERROR")
			require.NotContains(t, s.Log(), "<understudy_probe> FATAL")
		}
	})
}

// positions: what two servers that have nothing to do say is the same everywhere it is said, and what the files say.
func (ch *chain) positions(t *testing.T) {
	ch.a.Exec("INSERT INTO ledger VALUES (1)", "CHECKPOINT")
	before := time.Now()
	var a, b, c topology.Observation
	pgserver.Until(t, "rest", func() error { // a server writes now and then although it has nothing to do
		at := ch.a.Ask("pg_current_wal_flush_lsn()")
		s := ch.watch.Observe(t.Context())
		a, b, c = s.Nodes[0], s.Nodes[1], s.Nodes[2]
		if err := errors.Join(a.Err, b.Err, c.Err); err != nil {
			return err
		}
		for _, o := range []topology.Observation{a, b, c} {
			if o.Position.String() != at || o.InRecovery && (o.Replayed != o.Position || o.Receiver.LatestEnd != o.Position) {
				return fmt.Errorf("%+v", o)
			}
		}
		if a.Senders[0].Replayed != a.Position {
			return fmt.Errorf("%+v", a.Senders)
		}
		return nil
	})
	for _, o := range []topology.Observation{a, b, c} {
		require.Equal(t, ch.w.Major, o.Version/10000)
		require.Equal(t, a.Position, o.Position)
		require.Equal(t, a.Position, o.Flushed)
		require.EqualValues(t, 1, o.Timeline)
		require.False(t, o.RefusedKnown)
		require.NotContains(t, fmt.Sprintf("%+v", o), secret)
	}
	require.False(t, a.Asked.Before(before))
	require.False(t, a.At.Before(a.Asked))
	require.WithinDuration(t, a.At, a.ServerTime, 10*time.Second)
	require.Equal(t, ch.a.Ask("pg_postmaster_start_time()::timestamptz(0)"), a.StartedAt.Round(time.Second).Format("2006-01-02 15:04:05+00"))
	require.WithinDuration(t, a.StartedAt, a.LoadedAt, 30*time.Second)

	require.Equal(t, topology.Receiver{Status: "streaming", Host: b.Receiver.Host, Port: ch.a.Port, Slot: "b", Timeline: 1,
		HeardAt: b.Receiver.HeardAt, Written: b.Receiver.Written, Flushed: a.Position, LatestEnd: a.Position}, *b.Receiver)
	require.Equal(t, ch.w.Dir, b.Receiver.Host)
	require.Equal(t, ch.w.Major >= 13, b.Receiver.Written == a.Position)
	require.WithinDuration(t, time.Now(), b.Receiver.HeardAt, time.Minute)
	require.Equal(t, ch.b.Port, c.Receiver.Port)
	require.Len(t, a.Senders, 1)
	require.Equal(t, "b", a.Senders[0].Name)
	require.Equal(t, "b", a.Senders[0].Slot)
	require.Equal(t, a.Position, a.Senders[0].Replayed)
	require.WithinDuration(t, time.Now(), a.Senders[0].Since, time.Minute)
	require.Equal(t, ch.w.Major < 12, a.Senders[0].RepliedAt.IsZero())
	require.Len(t, b.Senders, 1)
	require.Equal(t, "c", b.Senders[0].Name)
	require.Empty(t, b.Senders[0].Slot)

	control, err := datadir.ReadControl(ch.a.Data)
	require.NoError(t, err)
	require.Equal(t, topology.ControlFacts{
		Version: int(control.Version), Catalog: int(control.CatalogVersion), Checkpoint: control.Checkpoint, Redo: control.Redo,
		CheckpointTimeline: control.CheckpointTimeline, CheckpointAt: a.Control.CheckpointAt,
		MinRecovery: control.MinRecoveryPoint, MinRecoveryTL: control.MinRecoveryTL, SegmentSize: int(control.SegmentSize),
		BlockSize: int(control.PageSize), WALBlockSize: int(control.BlockSize), Checksums: true,
	}, a.Control)
	require.True(t, control.CheckpointTime.Equal(a.Control.CheckpointAt))
	require.Equal(t, control.SystemID, a.SystemID)
	require.Equal(t, ch.a.Ask("coalesce((SELECT pg_collation_actual_version(oid) FROM pg_collation WHERE collprovider = 'c' "+
		"AND pg_collation_actual_version(oid) IS NOT NULL LIMIT 1), '')"), a.Collation)
}

// replay: a standby whose replay is paused falls behind in bytes and time, and is not behind on an idle primary.
func (ch *chain) replay(t *testing.T) {
	ch.a.Exec("INSERT INTO ledger VALUES (2)")
	o := ch.sees(t, "c", "no delay", func(o topology.Observation) bool { return o.Replayed == o.Position && !o.ReplayedAt.IsZero() })
	require.Equal(t, "not paused", o.Replaying)
	require.Zero(t, o.ReplayDelay, "although its last transaction is of a while ago")
	ch.c.Exec("SELECT pg_wal_replay_pause()")
	ch.a.Exec("INSERT INTO ledger VALUES (3)")
	o = ch.sees(t, "c", "a delay", func(o topology.Observation) bool { return o.Position > o.Replayed && o.Replaying == "paused" })
	require.Positive(t, o.ReplayDelay)
	require.Less(t, o.ReplayDelay, time.Minute)
	b := ch.sees(t, "b", "its sender behind", func(o topology.Observation) bool { return o.Senders[0].Replayed < o.Position })
	require.Equal(t, "not paused", b.Replaying)
	ch.c.Exec("SELECT pg_wal_replay_resume()")
	ch.sees(t, "c", "no delay", func(o topology.Observation) bool { return o.Replayed == o.Position && o.ReplayDelay == 0 })
	require.Empty(t, ch.watch.ObserveNode(t.Context(), "a").Replaying)
}

func (ch *chain) archiving(t *testing.T) {
	ch.a.Exec("INSERT INTO ledger VALUES (4)", "SELECT pg_switch_wal()")
	o := ch.sees(t, "a", "an archived file", func(o topology.Observation) bool { return o.Archiver.Archived > 0 })
	require.Equal(t, "on", o.Archiver.Mode)
	require.False(t, o.Archiver.Failing())
	require.NotEmpty(t, o.Archiver.LastArchived)
	require.WithinDuration(t, time.Now(), o.Archiver.ArchivedAt, time.Minute)
	require.Equal(t, topology.Parameter{Value: "true", Source: "command line"}, o.Parameters["archive_command"])
}

// blocked: a commit waits for a standby that nobody knows.
func (ch *chain) blocked(t *testing.T) {
	require.Zero(t, ch.watch.ObserveNode(t.Context(), "a").Blocked)
	ch.a.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody, b2'", "SELECT pg_reload_conf()")
	ch.sees(t, "a", "the names", func(o topology.Observation) bool { return o.SyncNames == "nobody, b2" })
	done := make(chan error, 1)
	go func() {
		done <- ch.a.Do(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "INSERT INTO ledger VALUES (5)")
			return err
		})
	}()
	o := ch.sees(t, "a", "a blocked commit", func(o topology.Observation) bool { return o.Blocked.Commits == 1 && o.Blocked.Longest > 0 })
	require.Less(t, o.Blocked.Longest, time.Minute)
	ch.a.Exec("ALTER SYSTEM SET synchronous_standby_names = b", "SELECT pg_reload_conf()")
	require.NoError(t, <-done)
	o = ch.sees(t, "a", "no blocked commit", func(o topology.Observation) bool { return o.Blocked == topology.Blocked{} })
	require.Equal(t, "sync", o.Senders[0].SyncState)
	require.Equal(t, 1, o.Senders[0].Priority)
	ch.a.Exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	ch.sees(t, "a", "no names", func(o topology.Observation) bool { return o.SyncNames == "" })
}

// settings: what waits for a restart, where a value comes from, and no secret.
func (ch *chain) settings(t *testing.T) {
	o := ch.watch.ObserveNode(t.Context(), "a")
	require.NoError(t, o.Err)
	for _, name := range topology.WatchedParameters() {
		p, seen := o.Parameters[name]
		require.Equal(t, ch.a.Ask("SELECT coalesce(current_setting('"+name+"', true), '(none)')"),
			map[bool]string{true: p.Value, false: "(none)"}[seen], name)
	}
	ch.a.Exec("ALTER SYSTEM SET max_connections = 77", "ALTER SYSTEM SET max_files_per_process = 900", "ALTER SYSTEM SET wal_sender_timeout = '77s'",
		"SELECT pg_reload_conf()")
	was := o.Parameters["max_connections"].Value
	o = ch.sees(t, "a", "a pending restart", func(o topology.Observation) bool {
		return o.Parameters["max_connections"].Pending && o.Parameters["wal_sender_timeout"].Value != "1min"
	})
	require.Equal(t, was, o.Parameters["max_connections"].Value)
	unwatched := o.Parameters["max_files_per_process"]
	require.True(t, unwatched.Pending)
	require.Empty(t, unwatched.Value)
	timeout := o.Parameters["wal_sender_timeout"]
	require.Equal(t, topology.Parameter{Value: "77s", Source: "configuration file", File: timeout.File, Line: timeout.Line}, timeout)
	require.Equal(t, "postgresql.auto.conf", filepath.Base(timeout.File))
	require.Positive(t, timeout.Line)

	info, seen := ch.watch.ObserveNode(t.Context(), "b").Parameters["primary_conninfo"]
	require.Equal(t, ch.w.Major >= 12, seen)
	require.NotContains(t, info.Value, secret)
	require.Equal(t, seen, strings.Contains(info.Value, "application_name=b"))
}

// refusedLines: only the superuser is told what the files hold that the server would not take.
func (ch *chain) refusedLines(t *testing.T) {
	require.False(t, ch.watch.ObserveNode(t.Context(), "a").RefusedKnown)
	o := ch.superior.ObserveNode(t.Context(), "a")
	require.NoError(t, o.Err)
	require.True(t, o.RefusedKnown)
	require.Empty(t, o.Refused, "what waits for a restart is no fault")
	require.True(t, o.Parameters["max_connections"].Pending)

	conf, access := ch.a.Read("postgresql.conf"), ch.a.Read("pg_hba.conf")
	ch.a.Write("postgresql.conf", conf+"work_mem = lots\n")
	ch.a.Write("pg_hba.conf", access+"local all all sometimes\n")
	require.Equal(t, []string{
		`pg_hba.conf  true invalid authentication method "sometimes"`,
		"postgresql.conf work_mem true setting could not be applied",
	}, ch.refused(t))
	ch.a.Write("postgresql.conf", conf+"work_mem = lots\nunheard_of = 1\n") // then the server does not look at values
	require.Equal(t, []string{
		`pg_hba.conf  true invalid authentication method "sometimes"`,
		"postgresql.conf unheard_of true unrecognized configuration parameter",
	}, ch.refused(t))
	ch.a.Write("postgresql.conf", conf)
	ch.a.Write("pg_hba.conf", access)
	require.Empty(t, ch.superior.ObserveNode(t.Context(), "a").Refused)
}

// refused returns the lines that the superuser sees.
func (ch *chain) refused(t *testing.T) []string {
	t.Helper()
	o := ch.superior.ObserveNode(t.Context(), "a")
	require.NoError(t, o.Err)
	require.True(t, o.RefusedKnown)
	var lines []string
	for _, l := range o.Refused {
		lines = append(lines, fmt.Sprintf("%s %s %t %s", filepath.Base(l.File), l.Name, l.Line > 50, l.Msg))
	}
	return lines
}

// slots: one in use, one that reserves nothing, and one that has lost its WAL where servers bound that (13+).
func (ch *chain) slots(t *testing.T) {
	ch.a.Exec("SELECT pg_create_physical_replication_slot('unused')", "SELECT pg_create_physical_replication_slot('gone', true)")
	o := ch.watch.ObserveNode(t.Context(), "a")
	require.NoError(t, o.Err)
	require.Len(t, o.Slots, 3)
	used, gone, unused := o.Slots[0], o.Slots[1], o.Slots[2]
	require.Equal(t, topology.Slot{Name: "b", Active: true, Restart: used.Restart, Keeps: int64(o.Position - used.Restart),
		Status: ch.status("reserved"), Safe: -1}, used)
	require.NotZero(t, used.Restart)
	require.Equal(t, "gone", gone.Name)
	require.False(t, gone.Active)
	require.Equal(t, int64(o.Position-gone.Restart), gone.Keeps)
	require.Equal(t, ch.w.Major < 17, gone.InactiveSince.IsZero())
	require.Equal(t, topology.Slot{Name: "unused", Keeps: -1, Safe: -1, InactiveSince: unused.InactiveSince}, unused)

	if ch.w.Major >= 13 {
		ch.a.Exec("ALTER SYSTEM SET max_slot_wal_keep_size = '48MB'", "SELECT pg_reload_conf()")
		pgserver.Until(t, "the slot to be lost", func() error {
			end := ch.a.Ask("pg_switch_wal()") // a segment more; b is not to lose its slot
			ch.a.Wait("SELECT restart_lsn >= '" + end + "' FROM pg_replication_slots WHERE slot_name = 'b'")
			ch.a.Exec("INSERT INTO ledger VALUES (6)", "CHECKPOINT")
			o = ch.watch.ObserveNode(t.Context(), "a")
			if o.Err != nil || o.Slots[1].Status != "lost" {
				return fmt.Errorf("%+v", o.Slots)
			}
			return nil
		})
		require.Equal(t, map[bool]string{true: "wal_removed"}[ch.w.Major >= 17], o.Slots[1].Invalid)
		require.Zero(t, o.Slots[1].Restart)
		require.EqualValues(t, -1, o.Slots[1].Keeps)
		require.True(t, o.Slots[0].Active)
		require.NotEqual(t, "lost", o.Slots[0].Status)
		require.Positive(t, o.Slots[0].Safe)
	}
	require.Empty(t, ch.watch.ObserveNode(t.Context(), "b").Slots)
	ch.a.Exec("SELECT pg_drop_replication_slot('gone')", "SELECT pg_drop_replication_slot('unused')")
}

// status is what a slot's status is where there is one.
func (ch *chain) status(s string) string { return map[bool]string{true: s}[ch.w.Major >= 13] }

// promotion: the same connection shows a primary, its history only to those who may read files.
func (ch *chain) promotion(t *testing.T) {
	require.Zero(t, ch.superior.ObserveNode(t.Context(), "b").History)
	ch.a.Stop()
	require.Error(t, ch.watch.ObserveNode(t.Context(), "a").Err)
	end := ch.sees(t, "b", "no receiver", func(o topology.Observation) bool { return o.Receiver == nil }).Position
	ch.b.Promote()
	o := ch.watch.ObserveNode(t.Context(), "b")
	require.NoError(t, o.Err)
	require.False(t, o.InRecovery)
	require.Nil(t, o.Receiver)
	require.EqualValues(t, 2, o.Timeline)
	require.Zero(t, o.Replayed)
	require.Zero(t, o.ReplayedAt)
	require.Zero(t, o.History)
	o = ch.superior.ObserveNode(t.Context(), "b")
	require.NoError(t, o.Err)
	require.EqualValues(t, 2, o.History.Timeline)
	at, ok := o.History.SwitchPoint(1)
	require.True(t, ok)
	require.Equal(t, end, at)
	ch.sees(t, "c", "the new timeline", func(o topology.Observation) bool { return o.Timeline == 2 && o.Receiver != nil })

	ch.a.Up("-c", logged, "-c", "cluster_name=a", "-c", "archive_mode=on", "-c", "archive_command=false")
	ch.a.Exec("INSERT INTO ledger VALUES (7)", "SELECT pg_switch_wal()")
	failing := ch.sees(t, "a", "failing archiving, after a restart", func(o topology.Observation) bool { return o.Archiver.Failing() })
	require.Len(t, failing.Archiver.LastFailed, 24)
	require.Positive(t, failing.Archiver.Failed)
	require.Equal(t, "77", failing.Parameters["max_connections"].Value)
	require.False(t, failing.Parameters["max_connections"].Pending)
}
