package pgnode_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/promote"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

func state(t *testing.T, n *pgnode.Node) pgnode.Status {
	t.Helper()
	s, err := n.Status(t.Context())
	require.NoError(t, err)
	return s
}

var built struct {
	sync.Once
	program string
	err     error
}

// basebackupProgram builds our own program, where the servers' user can run it.
func basebackupProgram(t *testing.T, in *livepg.Install) string {
	t.Helper()
	built.Do(func() {
		built.program = filepath.Join(in.TempDir(t), "basebackup")
		out, err := exec.Command("go", "build", "-o", built.program, "../../examples/basebackup").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
			return
		}
		built.err = os.Chmod(built.program, 0o755) //nolint:gosec // a program
	})
	require.NoError(t, built.err)
	return built.program
}

// with returns a node of the same server with another configuration.
func with(t *testing.T, s *livepg.Server, change func(*pgnode.Config)) *pgnode.Node {
	t.Helper()
	cfg := pgnode.Config{Host: s.In.Host, BinDir: s.In.BinDir, DataDir: s.DataDir(), LogFile: s.LogFile(), Timeout: 30 * time.Second}
	change(&cfg)
	return newNode(t, cfg)
}

// TestLifeOfAStandby goes, on servers of every major, from a clone by our own program through a cascade to a promotion, and looks at what
// status, log and inspection say on the way.
func TestLifeOfAStandby(t *testing.T) {
	t.Parallel()
	livepg.EachServer(t, func(t *testing.T, in *livepg.Install) {
		ctx := t.Context()
		program := basebackupProgram(t, in)
		a := in.Started(t, "a")
		require.Equal(t, pgnode.StatePrimary, state(t, a.Node).State)
		a.SQL(t, "INSERT INTO ledger VALUES (1)")
		follow := func(up *livepg.Server, id string) (*livepg.Server, pgnode.Standby) {
			f := in.Blank(t, "x")
			f.ID = "x_" + up.ID
			standby := f.Standby(t, livepg.Shape(up, f))
			n := with(t, f, func(c *pgnode.Config) { c.Basebackup = program })
			require.NoError(t, n.Clone(ctx, standby.Recovery.PrimaryConninfo, standby), id)
			return f, standby
		}
		b, standby := follow(a, "b")
		require.Equal(t, pgnode.StateStopped, state(t, b.Node).State)
		i, err := b.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, recovery.StartsStandby, i.Start.Outcome, "%v", i.Start)
		require.Equal(t, in.Major, int(i.Major))
		require.NoError(t, i.ControlErr)
		require.Empty(t, i.Unfinished)

		// It cannot follow with fewer connections than the primary has.
		require.NoError(t, b.Set(ctx, map[string]string{"max_connections": "15"}))
		var start *pgnode.StartError
		if err := b.Start(ctx); in.Major < 14 || err != nil { // from 14 on it may get as far as read-only connections, for a moment
			require.ErrorAs(t, err, &start)
			require.Equal(t, pgnode.LowParameters, start.Kind, "%v", start)
		}
		require.NoError(t, b.Fence(ctx))
		require.NoError(t, b.Set(ctx, map[string]string{"max_connections": standby.Settings["max_connections"]}))

		require.NoError(t, b.Start(ctx))
		ready, err := b.WaitReady(ctx, nil)
		require.NoError(t, err)
		require.True(t, ready.Streaming)
		require.Equal(t, pgnode.StateStandby, ready.Status.State)
		_, err = b.WaitReady(ctx, connect(t, b, livepg.Superuser))
		require.NoError(t, err)

		c, _ := follow(b, "c") // from a standby
		require.NoError(t, c.Start(ctx))
		_, err = c.WaitReady(ctx, nil)
		require.NoError(t, err)

		// The upstream goes away, and says no.
		require.NoError(t, a.Stop(ctx, pgnode.StopFast))
		require.NoError(t, b.Restart(ctx))
		require.Equal(t, pgnode.LogUnreachable, notReady(t, b, 5*time.Second).Reason)
		require.NoError(t, a.Start(ctx))
		_, err = b.WaitReady(ctx, nil)
		require.NoError(t, err, "it comes back")

		promoted, err := b.PromoteStandby(ctx, promote.Standby{DB: connect(t, b, livepg.Superuser), From: 1})
		require.NoError(t, err)
		require.EqualValues(t, 2, promoted.Timeline)
		require.EqualValues(t, 1, promoted.From, "the files are read as well")
		require.Eventually(t, func() bool { return state(t, b.Node).State == pgnode.StatePrimary }, 20*time.Second, 20*time.Millisecond)
		c.Wait(t, "SELECT timeline_id::text FROM pg_control_recovery(), pg_control_checkpoint() WHERE min_recovery_end_timeline >= 0", "1")
		kinds := map[pgnode.EventKind]string{}
		events, err := b.Log(ctx)
		require.NoError(t, err)
		for _, e := range events {
			kinds[e.Kind] = e.Subject
		}
		for _, want := range []pgnode.EventKind{
			pgnode.LogStarting, pgnode.LogStandbyMode, pgnode.LogConsistent, pgnode.LogReadOnly, pgnode.LogStreaming, pgnode.LogUnreachable,
			pgnode.LogReplicationEnded, pgnode.LogPromoteRequest, pgnode.LogNewTimeline, pgnode.LogRecoveryComplete, pgnode.LogReady,
			pgnode.LogStopping, pgnode.LogStopped, pgnode.LogLowParameters,
		} {
			require.Contains(t, kinds, want, "%v", events)
		}
		require.Equal(t, "2", kinds[pgnode.LogNewTimeline])

		// a had its own history meanwhile; a standby of b may not be one of a.
		a.SQL(t, "INSERT INTO ledger VALUES (2)")
		d := c
		require.NoError(t, d.Follow(ctx, d.Standby(t, livepg.Shape(a, d)).Recovery))
		require.NoError(t, d.Restart(ctx))
		if reason := notReady(t, d, 2*time.Second).Reason; reason != pgnode.LogTimelineFork {
			require.Equal(t, pgnode.EventKind(""), reason, "it may not have heard of the new timeline yet")
		}
	})
}

// notReady returns why a standby is not, after a time.
func notReady(t *testing.T, s *livepg.Server, after time.Duration) *pgnode.NotReadyError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	_, err := s.WaitReady(ctx, nil)
	var not *pgnode.NotReadyError
	require.ErrorAs(t, err, &not)
	require.NotContains(t, err.Error(), livepg.Password)
	return not
}

// TestWaitReady_obstacles makes each of what keeps a standby from following, on a server of every major.
func TestWaitReady_obstacles(t *testing.T) {
	t.Parallel()
	livepg.EachServer(t, func(t *testing.T, in *livepg.Install) {
		ctx := t.Context()
		a, other := in.Started(t, "a"), in.Blank(t, "other")
		require.NoError(t, other.Init(ctx, pgnode.InitConfig{Superuser: livepg.Superuser, Password: livepg.Password}))
		otherStandby := other.Standby(t, livepg.Shape(a, other))
		require.NoError(t, other.Configure(ctx, otherStandby.Settings, otherStandby.Access))
		require.NoError(t, other.Start(ctx))
		other.SQL(t, fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION PASSWORD '%s'", livepg.Replicator, livepg.Password))

		b := in.Blank(t, "b")
		standby := b.Standby(t, livepg.Shape(a, b))
		n := with(t, b, func(c *pgnode.Config) { c.Basebackup = basebackupProgram(t, in) })
		require.NoError(t, n.Clone(ctx, standby.Recovery.PrimaryConninfo, standby))
		for _, tt := range []struct {
			name   string
			change func(*recovery.Config)
			want   pgnode.EventKind
		}{
			{"wrong_password", func(c *recovery.Config) {
				c.PrimaryConninfo = c.PrimaryConninfo.With("passfile", in.Passfile(t, "wrong"))
			}, pgnode.LogAuthFailed},
			{"no_rule", func(c *recovery.Config) { c.PrimaryConninfo = c.PrimaryConninfo.With("user", "stranger") }, pgnode.LogAuthFailed},
			{"no_slot", func(c *recovery.Config) { c.PrimarySlotName = "nowhere" }, pgnode.LogNoSlot},
			{"refused", func(c *recovery.Config) { c.PrimaryConninfo = c.PrimaryConninfo.With("port", "1") }, pgnode.LogUnreachable},
			{"wrong_system", func(c *recovery.Config) {
				c.PrimaryConninfo = c.PrimaryConninfo.With("port", fmt.Sprint(other.Port))
			}, pgnode.LogWrongSystem},
		} {
			t.Run(tt.name, func(t *testing.T) {
				cfg := standby.Recovery
				tt.change(&cfg)
				require.NoError(t, b.Follow(ctx, cfg))
				require.NoError(t, b.Restart(ctx))
				not := notReady(t, b, 5*time.Second)
				require.Equal(t, tt.want, not.Reason, "%v", not)
				require.NotEmpty(t, not.Events)
			})
		}
		require.NoError(t, b.Stop(ctx, pgnode.StopFast))
		require.Equal(t, pgnode.StateStopped, notReady(t, b, 20*time.Second).Status.State, "at once")
	})
}

// TestStatus_notFooled: left-over files and dead processes make nothing run.
func TestStatus_notFooled(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	pidFile := s.DataDir() + "/postmaster.pid"
	other := bystander(t, in)
	write(t, in, pidFile, fmt.Sprintf("%d\n%s\n1\n5432\n\n\n\nready   \n", other, s.DataDir()), 0o600)
	st := state(t, s.Node)
	require.Equal(t, pgnode.StateStopped, st.State)
	require.Contains(t, st.String(), fmt.Sprintf("the process %d that it names is none of the server's", other))
	write(t, in, pidFile, "", 0o600)
	require.Equal(t, pgnode.StateStopped, state(t, s.Node).State)
	require.NoError(t, in.Host.Remove(t.Context(), pidFile))

	require.NoError(t, s.Start(t.Context()))
	good := string(read(t, in, pidFile))
	for name, tt := range map[string]struct {
		text string
		want pgnode.State
	}{
		"starting": {strings.Replace(good, "ready   ", "starting", 1), pgnode.StateStarting},
		"stopping": {strings.Replace(good, "ready   ", "stopping", 1), pgnode.StateStopping},
		"standby":  {strings.Replace(good, "ready   ", "standby ", 1), pgnode.StateStandby},
		"ready":    {good, pgnode.StatePrimary},
		"stranger": {strings.Replace(good, strings.SplitN(good, "\n", 2)[0], fmt.Sprint(other), 1), pgnode.StateUnknown},
	} {
		write(t, in, pidFile, tt.text, 0o600)
		st := state(t, s.Node)
		require.Equal(t, tt.want, st.State, "%s: %v", name, st)
	}
	write(t, in, pidFile, good, 0o600)
	st = state(t, s.Node)
	require.Equal(t, s.Port, st.Port)
	require.WithinDuration(t, time.Now(), st.Since, time.Hour)
	require.NoError(t, s.Kill(t.Context()))
	livepg.Until(t, "the end", func() error {
		if st := state(t, s.Node); st.State != pgnode.StateStopped {
			return fmt.Errorf("%v", st)
		}
		return nil
	})
}

// TestRetire: neither we nor others start it, on any major, until it is taken back.
func TestRetire(t *testing.T) {
	t.Parallel()
	livepg.EachServer(t, func(t *testing.T, in *livepg.Install) {
		ctx := t.Context()
		s := in.Primary(t, "a")
		at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		if in.Major < 12 {
			write(t, in, s.DataDir()+"/recovery.conf", "standby_mode = on", 0o600)
		}
		require.NoError(t, s.Unretire(ctx), "it was not retired")
		require.NoError(t, s.Retire(ctx, at, "b took over\nas 'told'"))
		require.NoError(t, s.Retire(ctx, at.Add(time.Hour), "again"))
		r, retired, err := s.Retired(ctx)
		require.NoError(t, err)
		require.True(t, retired)
		require.Equal(t, pgnode.Retirement{At: at, Reason: "b took over as 'told'"}, r)
		i, err := s.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, r, *i.Retirement)
		require.Equal(t, recovery.RefusesToStart, i.Start.Outcome, "%v", i.Start)
		require.ErrorIs(t, s.Start(ctx), pgnode.ErrRetired)
		_, err = in.Host.Run(ctx, host.Cmd{Path: in.BinDir + "/pg_ctl", Args: []string{"start", "-w", "-s", "-D", s.DataDir(), "-l", s.LogFile()}})
		require.ErrorAs(t, err, new(*host.ExitError), "somebody starts it by hand")
		noProcesses(t, s.Node)
		require.ErrorIs(t, s.Follow(ctx, recovery.Config{RestoreCommand: "false"}), pgnode.ErrRetired)
		require.NoError(t, s.Unretire(ctx))
		if in.Major < 12 {
			require.Equal(t, "standby_mode = on\n", string(read(t, in, s.DataDir()+"/recovery.conf")))
			require.NoError(t, in.Host.Remove(ctx, s.DataDir()+"/recovery.conf"))
		}
		require.False(t, exists(t, in, s.DataDir()+"/recovery.conf"))
		require.NoError(t, s.Start(ctx))
	})
}

// TestAsides: they are listed, and removed one by one.
func TestAsides(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	ctx := t.Context()
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	first, err := s.SetAside(ctx, at)
	require.NoError(t, err)
	sh(t, in, `cp -a "$1" "$1.copy" && cp -a "$1" "$2" && mkdir "$2.aside-20260203T040507Z" && ln -s "$1" "$2.aside-20260203T040508Z" && touch "$2.aside-yesterday"`, first, s.DataDir())
	second, err := s.SetAside(ctx, at.Add(time.Hour))
	require.NoError(t, err)
	list, err := s.Asides(ctx)
	require.NoError(t, err)
	require.Len(t, list, 4)
	require.Equal(t, pgnode.Aside{Path: first, At: at}, list[0])
	require.Equal(t, pgnode.Aside{Path: second, At: at.Add(time.Hour)}, list[3])
	for _, name := range []string{
		s.DataDir(), first + ".copy", first + "/", first + "/../x", s.DataDir() + ".aside-yesterday", s.DataDir() + ".aside-20260203T040507Z",
		s.DataDir() + ".aside-20260203T040508Z", s.DataDir() + ".aside-20260203T040509Z", "/", "",
	} {
		require.Error(t, s.RemoveAside(ctx, name), name)
	}
	running := newNode(t, pgnode.Config{Host: in.Host, BinDir: in.BinDir, DataDir: second, LogFile: s.LogFile()})
	require.NoError(t, running.Start(ctx))
	require.ErrorContains(t, s.RemoveAside(ctx, second), "a server runs in")
	require.NoError(t, running.Fence(ctx))
	require.NoError(t, s.RemoveAside(ctx, second))
	require.True(t, exists(t, in, first))
	require.False(t, exists(t, in, second))
}

// TestClone_tablespaces: each has a place, or there is no clone.
func TestClone_tablespaces(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	from := in.TempDir(t)
	a.SQL(t, fmt.Sprintf("CREATE TABLESPACE side LOCATION '%s'", from))
	a.SQL(t, "CREATE TABLE far (id int) TABLESPACE side")
	a.SQL(t, "INSERT INTO far VALUES (7)")
	conn := connect(t, a, livepg.Superuser)
	ctx := t.Context()
	for _, program := range []string{"", basebackupProgram(t, in)} {
		b := in.Blank(t, "b")
		standby := b.Standby(t, livepg.Shape(a, b))
		none := with(t, b, func(c *pgnode.Config) { c.Basebackup = program })
		var missing *pgnode.TablespaceError
		require.ErrorAs(t, none.CheckTablespaces(ctx, conn), &missing)
		require.Equal(t, []string{from}, missing.Locations)
		require.Error(t, none.Clone(ctx, standby.Recovery.PrimaryConninfo, standby), "its place is in use")
		require.False(t, exists(t, in, b.DataDir()))

		to := in.TempDir(t)
		n := with(t, b, func(c *pgnode.Config) { c.Basebackup, c.Tablespaces = program, map[string]string{from: to} })
		require.NoError(t, n.CheckTablespaces(ctx, conn))
		require.NoError(t, n.Clone(ctx, standby.Recovery.PrimaryConninfo, standby))
		require.NoError(t, n.Start(ctx))
		b.Wait(t, "SELECT id FROM far", "7")
		require.ErrorContains(t, n.CheckTablespaces(ctx, conn), "is not empty")
	}
}

// TestOwnConfig: a plain server whose configuration lies elsewhere, with a blank and a quote in its path.
func TestOwnConfig(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	dir := in.TempDir(t) + "/it's mine"
	ctx := t.Context()
	require.NoError(t, in.Host.MkdirAll(ctx, dir, 0o700))
	sh(t, in, `cp "$1/postgresql.conf" "$1/pg_hba.conf" "$2" && printf "hba_file = '%s/pg_hba.conf'\ninclude_dir = 'more'\n" "$(printf %s "$2" | sed "s/'/''/g")" >>"$2/postgresql.conf" &&
		mkdir "$2/more" "$2/more/sub.conf.d" && echo "work_mem = '3MB' # why" >"$2/more/a.conf"`, s.DataDir(), dir)
	n := with(t, s, func(c *pgnode.Config) { c.ConfigFile = dir + "/postgresql.conf" })
	require.NoError(t, n.Set(ctx, map[string]string{"work_mem": "4MB", "maintenance_work_mem": "5MB"}))
	require.Equal(t, "work_mem = '4MB' # why\n", strings.ReplaceAll(string(read(t, in, dir+"/more/a.conf")), "4MB  ", "4MB"))
	name, changed, err := n.EditHBA(ctx, func(f *hba.File) error { return f.Append(f.Records()[0]) })
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, dir+"/pg_hba.conf", name)
	_, changed, err = n.EditHBA(ctx, func(*hba.File) error { return context.Canceled })
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, changed)
	require.NoError(t, n.Start(ctx))
	require.Equal(t, "4MB", s.SQL(t, "SHOW work_mem"))
	require.Equal(t, dir+"/postgresql.conf", s.SQL(t, "SHOW config_file"))
	require.Equal(t, "5MB", s.SQL(t, "SHOW maintenance_work_mem"))
}
