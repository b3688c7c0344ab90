package promote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/recovery/promote"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestMain(m *testing.M) {
	if info := os.Getenv("PROMOTE_TEST_WAITER"); info != "" {
		_, err := promote.Promote(context.Background(), promote.Standby{
			DB: dialer(info), PgCtl: runner(asOwner, os.Getenv("PROMOTE_TEST_PGCTL")), Server: recovery.Server{DataDir: os.Getenv("PROMOTE_TEST_DATA")},
		})
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(pgserver.Run(m))
}

// asOwner prepares a command of the user whom the environment names, if it does.
func asOwner(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	var uid, gid uint32
	if n, _ := fmt.Sscan(os.Getenv("PROMOTE_TEST_OWNER"), &uid, &gid); n == 2 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	return cmd
}

// dialer opens a connection for each statement, as a pool may.
type dialer string

func (d dialer) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	conn, err := pgx.Connect(ctx, string(d))
	if err != nil {
		return failed{err}
	}
	return row{conn.QueryRow(ctx, sql, args...), conn}
}

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

type row struct {
	pgx.Row
	conn *pgx.Conn
}

func (r row) Scan(dest ...any) error {
	defer r.conn.Close(context.Background())
	return r.Row.Scan(dest...)
}

// runner runs pg_ctl.
func runner(command func(string, ...string) *exec.Cmd, program string) func(context.Context, ...string) error {
	return func(_ context.Context, args ...string) error {
		if out, err := command(program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("pg_ctl: %w: %s", err, out)
		}
		return nil
	}
}

// upstream starts a primary with a table.
func upstream(w *pgserver.World) *pgserver.Server {
	s := w.Initdb("primary")
	s.Up()
	s.Exec("create table t (i int)")
	return s
}

// follower makes a copy of a primary a standby with more settings, and starts it.
func follower(t *testing.T, primary *pgserver.Server, name string, settings ...string) *pgserver.Server {
	t.Helper()
	s := primary.World.Copy(primary, name)
	follow(t, s, primary, settings...)
	s.Up()
	return s
}

// settle waits until a standby streams.
func settle(s *pgserver.Server) {
	s.Wait("select count(*) = 1 from pg_stat_wal_receiver where status = 'streaming'")
}

// follow makes a server a standby.
func follow(t *testing.T, s, primary *pgserver.Server, settings ...string) {
	t.Helper()
	file, text := "postgresql.conf", ""
	settings = append(settings, "primary_conninfo", dial(primary).Text(), "recovery_target_timeline", "latest")
	if s.World.Major >= 12 {
		text = s.Read(file)
		s.Write("standby.signal", "")
	} else {
		file, settings = "recovery.conf", append(settings, "standby_mode", "on")
	}
	for i := 0; i < len(settings); i += 2 {
		value, err := pgconf.Quote(settings[i+1])
		require.NoError(t, err)
		text += settings[i] + " = " + value + "\n"
	}
	s.Write(file, text)
}

func dial(s *pgserver.Server) conninfo.Info {
	return new(conninfo.Info).With("host", s.World.Dir).With("port", fmt.Sprint(s.Port)).With("user", pgserver.User)
}

// of is what is at hand for a server of the tests.
func of(s *pgserver.Server) promote.Standby {
	return promote.Standby{
		DB: dialer(s.Conninfo()), Files: recovery.Disk{}, Server: recovery.Server{DataDir: s.Data}, From: 1, Interval: 10 * time.Millisecond,
		PgCtl: runner(func(name string, args ...string) *exec.Cmd { return s.World.Command(name, args...) }, "pg_ctl"),
	}
}

func triggerParameter(major int) string {
	if major >= 12 {
		return "promote_trigger_file"
	}
	return "trigger_file"
}

func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// One primary and its standbys, for each major.
func TestPromote(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := upstream(w)
		primary.Exec("create role nobody login")
		testPaused(t, primary) // has the data of each standby
		testNoHotStandby(t, primary)
		testWaiterGivesUp(t, primary)
		primary.Exec("alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()") // does not hold up the one write
		testWays(t, primary)
	})
}

// Each way works where it exists, and nothing happens where it does not. The result is what the server's own history says.
func testWays(t *testing.T, primary *pgserver.Server) {
	t.Helper()
	w := primary.World
	exists := map[promote.Way]bool{promote.Function: w.Major >= 12, promote.PgCtl: true, promote.TriggerFile: w.Major <= 15}
	var settings []string
	if exists[promote.TriggerFile] {
		settings = []string{triggerParameter(w.Major), "go go"}
	}
	for i, way := range []promote.Way{promote.Function, promote.PgCtl, promote.TriggerFile} {
		s := follower(t, primary, fmt.Sprint("standby", i), settings...)
		standby := of(s)
		standby.Way = way
		if way == promote.PgCtl {
			testWayIsChosen(t, s)
			standby.Way, standby.DB = "", unprivileged(s) // may not call the function
		}
		got, err := promote.Promote(deadline(t, time.Minute), standby)
		if !exists[way] {
			var none *promote.NoWayError
			require.ErrorAs(t, err, &none)
			require.Len(t, none.Why, 1)
			require.Equal(t, "true", s.Ask("pg_is_in_recovery()"))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "false", s.Ask("pg_is_in_recovery()"))
		require.Equal(t, way, got.Way)
		require.Equal(t, wal.Timeline(2), got.Timeline)
		require.Equal(t, wal.Timeline(1), got.From)
		require.Contains(t, s.Read("pg_wal/00000002.history"), "1\t"+got.Switch.String()+"\t")
		require.GreaterOrEqual(t, got.LSN, got.Switch)
		require.Positive(t, got.Took)
		for _, name := range []string{"go go", "promote", "fallback_promote"} {
			require.False(t, s.Exists(name), name)
		}

		_, err = promote.Promote(deadline(t, time.Minute), standby)
		var refused *promote.PrimaryError
		require.ErrorAs(t, err, &refused)
		require.ErrorIs(t, err, promote.ErrAlreadyPromoted)
		require.Equal(t, wal.Timeline(2), refused.State.Timeline)
		standby.From = 2
		_, err = promote.Promote(deadline(t, time.Minute), standby)
		require.ErrorAs(t, err, &refused)
		require.NotErrorIs(t, err, promote.ErrAlreadyPromoted)
	}

	// A primary that never was a standby.
	_, err := promote.Promote(deadline(t, time.Minute), of(primary))
	var refused *promote.PrimaryError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, wal.Timeline(1), refused.State.Timeline)
	require.NotErrorIs(t, err, promote.ErrAlreadyPromoted)
}

// unprivileged is a session that may only look.
func unprivileged(s *pgserver.Server) dialer {
	return dialer(strings.Replace(s.Conninfo(), "user="+pgserver.User, "user=nobody", 1))
}

// Without the right to call the function, without pg_ctl and without the name of a trigger file there is no way.
func testWayIsChosen(t *testing.T, s *pgserver.Server) {
	t.Helper()
	standby := of(s)
	standby.DB, standby.PgCtl, standby.Files = unprivileged(s), nil, nil
	s.Wait("select exists (select from pg_roles where rolname = 'nobody')")
	_, err := promote.Promote(deadline(t, time.Minute), standby)
	var none *promote.NoWayError
	require.ErrorAs(t, err, &none)
	require.Len(t, none.Why, 3)
	if s.World.Major >= 12 {
		require.Contains(t, none.Why[0], "permission denied")
	}
	require.Equal(t, "true", s.Ask("pg_is_in_recovery()"))
}

// A pause, a delay and a recovery target: what holds a promotion up, and what data the new primary has.
func testPaused(t *testing.T, primary *pgserver.Server) {
	t.Helper()
	w := primary.World
	paused := follower(t, primary, "paused")
	delayed := follower(t, primary, "delayed", "recovery_min_apply_delay", "1h")
	target := follower(t, primary, "target", "recovery_target_name", "here", "recovery_target_action", "pause")
	settle(paused)
	paused.Exec("select pg_wal_replay_pause()")
	primary.Exec("insert into t values (1)", "select pg_create_restore_point('here')", "insert into t values (2)")
	end := primary.Ask("pg_current_wal_lsn()")
	for _, s := range []*pgserver.Server{paused, delayed, target} {
		s.Wait("select pg_last_wal_receive_lsn() >= '" + end + "'")
	}
	target.Wait("select pg_is_wal_replay_paused()")

	for _, c := range []struct {
		server *pgserver.Server
		rows   string
		paused bool
	}{{paused, "2", true}, {delayed, "2", false}, {target, "1", true}} {
		name := filepath.Base(c.server.Data)
		standby := of(c.server)
		if c.paused {
			state, err := promote.Look(t.Context(), standby.DB)
			require.NoError(t, err)
			require.True(t, state.Paused && state.InRecovery, name)
			require.Equal(t, c.server.Ask("pg_last_wal_replay_lsn()"), state.LSN.String())
		}
		if c.paused && w.Major <= 12 {
			_, err := promote.Promote(deadline(t, time.Minute), standby)
			var refused *promote.PausedError
			require.ErrorAs(t, err, &refused, name)
			require.Equal(t, "true", c.server.Ask("pg_is_wal_replay_paused()"), "nothing was done")
			standby.Resume = true
		}
		_, err := promote.Promote(deadline(t, time.Minute), standby)
		require.NoError(t, err, name)
		require.Equal(t, c.rows, c.server.Ask("select count(*) from t"), name)
	}
}

// A standby that accepts no connection can be promoted by those who know its major.
func testNoHotStandby(t *testing.T, primary *pgserver.Server) {
	t.Helper()
	w := primary.World
	s := w.Copy(primary, "standby")
	follow(t, s, primary)
	s.Start("-c", "hot_standby=off")
	pgserver.Until(t, "it streams", func() error {
		if primary.Ask("select count(*) from pg_stat_replication where state = 'streaming'") == "0" {
			return errors.New("not yet")
		}
		return nil
	})
	standby := of(s)
	_, err := promote.Promote(deadline(t, time.Minute), standby)
	require.ErrorContains(t, err, "look at the server", "its major is not known")
	standby.Major, standby.Way = pgconf.Major(w.Major), promote.PgCtl
	got, err := promote.Promote(deadline(t, time.Minute), standby)
	require.NoError(t, err)
	require.Equal(t, wal.Timeline(2), got.Timeline)
}

// Whoever waits may run out of time, or be killed: the promotion goes on, and the next one sees how it ends.
func testWaiterGivesUp(t *testing.T, primary *pgserver.Server) {
	t.Helper()
	w := primary.World
	hold := filepath.Join(w.Dir, "hold")
	require.NoError(t, os.WriteFile(hold, nil, 0o644))
	slow := []string{"recovery_end_command", "while [ -e " + hold + " ]; do sleep 0.05; done"}
	late, killed := follower(t, primary, "late", slow...), follower(t, primary, "killed", slow...)
	settle(late)
	settle(killed)

	_, err := promote.Promote(deadline(t, 700*time.Millisecond), of(late))
	var timeout *promote.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, timeout.State.InRecovery)

	waiter := exec.Command(os.Args[0])
	waiter.Env = append(os.Environ(), "PROMOTE_TEST_WAITER="+killed.Conninfo(), "PROMOTE_TEST_PGCTL="+w.Bin("pg_ctl"), "PROMOTE_TEST_DATA="+killed.Data)
	if c := w.Owner.Credential; c != nil {
		waiter.Env = append(waiter.Env, fmt.Sprintf("PROMOTE_TEST_OWNER=%d %d", c.Uid, c.Gid))
	}
	require.NoError(t, waiter.Start())
	pgserver.Until(t, "the request arrives", func() error {
		if !strings.Contains(killed.Log(), "received promote request") {
			return errors.New("not yet")
		}
		return nil
	})
	require.NoError(t, waiter.Process.Kill())
	require.ErrorContains(t, waiter.Wait(), "killed")

	done := make(chan error)
	go func() {
		_, err := promote.Promote(deadline(t, time.Minute), of(killed)) // it cannot know that it was asked before
		done <- err
	}()
	require.NoError(t, os.Remove(hold))
	if err := <-done; err != nil {
		require.ErrorIs(t, err, promote.ErrAlreadyPromoted)
	}
	for _, s := range []*pgserver.Server{late, killed} {
		got, err := promote.Wait(deadline(t, time.Minute), of(s))
		require.NoError(t, err)
		require.Equal(t, wal.Timeline(2), got.Timeline)
		require.Empty(t, got.Way)
		_, err = promote.Promote(deadline(t, time.Minute), of(s))
		require.ErrorIs(t, err, promote.ErrAlreadyPromoted)
		s.Stop()
		s.Up()
		require.False(t, s.Exists("promote"))
		require.Equal(t, "false", s.Ask("pg_is_in_recovery()"))
	}
}

// What an earlier life left there does not promote the standby again.
func TestClear(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := upstream(w)
		s := w.Copy(primary, "standby")
		trigger, want := filepath.Join(w.Dir, "trigger"), []string(nil)
		if w.Major <= 15 {
			follow(t, s, primary, triggerParameter(w.Major), trigger)
			want = []string{trigger}
		} else {
			follow(t, s, primary)
		}
		s.Write("promote", "")
		s.Write("fallback_promote", "")
		s.Up()
		settle(s)
		require.False(t, s.Exists("promote"), "the server removes it by itself")
		require.Equal(t, w.Major >= 14, s.Exists("fallback_promote"), "and this one as long as it means something")
		s.Stop()

		s.Write("promote", "")
		s.Write("fallback_promote", "")
		require.NoError(t, s.WriteFile(t.Context(), trigger, nil, 0o600))
		server := recovery.Server{DataDir: s.Data}
		removed, err := promote.Clear(t.Context(), recovery.Disk{}, server)
		require.NoError(t, err)
		require.Equal(t, append([]string{filepath.Join(s.Data, "promote"), filepath.Join(s.Data, "fallback_promote")}, want...), removed)
		removed, err = promote.Clear(t.Context(), recovery.Disk{}, server)
		require.NoError(t, err)
		require.Empty(t, removed)
		s.Up()
		settle(s)
		primary.Exec("insert into t values (1)")
		s.Wait("select count(*) = 1 from t")
		require.Equal(t, "true", s.Ask("pg_is_in_recovery()"))
	})
}

// judge says whether a stopped server may follow a primary.
func judge(t *testing.T, old, primary *pgserver.Server) recovery.Judgement {
	t.Helper()
	control, err := datadir.ReadControl(old.Data)
	require.NoError(t, err)
	position, err := wal.ParseLSN(primary.Ask("pg_current_wal_lsn()"))
	require.NoError(t, err)
	state, err := promote.Look(t.Context(), dialer(primary.Conninfo()))
	require.NoError(t, err)
	return recovery.Judge(recovery.Returning{Control: control, History: history(t, old, control.Timeline())},
		recovery.Leader{SystemID: control.SystemID, History: history(t, primary, state.Timeline), Position: position})
}

func history(t *testing.T, s *pgserver.Server, tli wal.Timeline) wal.History {
	t.Helper()
	if tli == 1 {
		return wal.History{Timeline: 1}
	}
	h, err := wal.ParseHistory(tli, []byte(s.Read("pg_wal/"+tli.HistoryName())))
	require.NoError(t, err)
	return h
}

// Two servers change roles and change back. Up to 11 the second time begins with a recovery.done, and with its trigger file.
func TestReturn(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		a := upstream(w)
		var settings []string
		trigger := filepath.Join(w.Dir, "trigger")
		if w.Major <= 15 {
			settings = []string{triggerParameter(w.Major), trigger}
		}
		if w.Major <= 11 {
			settings = append(settings, "archive_cleanup_command", "true")
		}
		b := follower(t, a, "b", settings...)
		swap := func(old, standby *pgserver.Server) {
			t.Helper()
			old.Wait("select count(*) = 1 from pg_stat_replication where state = 'streaming'") // so it gets the last record
			old.Stop()
			_, err := promote.Promote(deadline(t, time.Minute), of(standby))
			require.NoError(t, err)
			require.NoError(t, standby.WriteFile(t.Context(), trigger, nil, 0o600))
			server := recovery.Server{DataDir: old.Data}
			cfg := recovery.Config{PrimaryConninfo: dial(standby), TargetTimeline: recovery.TimelineLatest}

			before := old.Exists("recovery.done")
			err = promote.Return(t.Context(), recovery.Disk{}, server, recovery.Judgement{Verdict: recovery.Rewind, Reason: "it went on"}, cfg)
			require.ErrorIs(t, err, promote.ErrDiverged)
			require.ErrorContains(t, err, "it went on")
			require.False(t, old.Exists("standby.signal") || old.Exists("recovery.conf"))
			require.Equal(t, before, old.Exists("recovery.done"))

			judgement := judge(t, old, standby)
			for range 2 { // the second time changes nothing
				require.NoError(t, promote.Return(t.Context(), recovery.Disk{}, server, judgement, cfg))
				require.False(t, old.Exists("recovery.done"))
			}
			old.Up()
			settle(old)
			standby.Exec("insert into t values (1)")
			want := standby.Ask("select count(*) from t")
			old.Wait("select count(*) = " + want + " from t")
		}
		swap(a, b)
		swap(b, a)
		if w.Major <= 11 {
			require.Contains(t, b.Read("recovery.conf"), "archive_cleanup_command = 'true'", "a line that the config does not speak of")
		}
		if w.Major <= 15 {
			_, err := os.Stat(trigger)
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	})
}
