package pgnode_test

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// fakeSystemd follows the contract of systemctl(1) and systemd.service(5) for one unit with Restart=on-failure that runs a real server. Its
// state is files in $DIR: wanted (somebody started it), boot, refused. A loop of its own starts a server that has ended without being told to.
const fakeSystemd = `set -u
active() { [ -s "$DATA/postmaster.pid" ] && kill -0 "$(head -n 1 "$DATA/postmaster.pid")" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$(head -n 1 "$DATA/postmaster.pid")/status"; }
begin() { "$BIN/pg_ctl" start -s -w -D "$DATA" -l "$DIR/journal" >/dev/null 2>&1 </dev/null; }
guard() {
	[ ! -e "$DIR/guard" ] || kill -0 "$(cat "$DIR/guard")" 2>/dev/null && [ -e "$DIR/guard" ] && return
	( while [ -e "$DIR/wanted" ]; do active || { echo x >>"$DIR/restarts"; begin; }; sleep 0.1; done; rm -f "$DIR/guard" ) >/dev/null 2>&1 </dev/null &
	echo $! >"$DIR/guard"
}
echo "$*" >>"$DIR/calls"
verb=
for a; do case $a in -*) ;; *) verb=$a; break ;; esac; done
if [ -e "$DIR/refused" ] && [ "$verb" != show ]; then echo "Failed to $verb unit: Access denied" >&2; exit 4; fi
case $verb in
show)
	state=inactive sub=dead pid=0
	if active; then state=active sub=running pid=$(head -n 1 "$DATA/postmaster.pid")
	elif [ -e "$DIR/wanted" ]; then state=activating sub=auto-restart
	elif [ -e "$DIR/failed" ]; then state=failed sub=failed; fi
	printf 'Restart=on-failure\nResult=success\nLoadState=loaded\nActiveState=%s\nSubState=%s\nMainPID=%s\nUnitFileState=%s\n' \
		"$state" "$sub" "$pid" "$(cat "$DIR/boot")" ;;
start) rm -f "$DIR/failed"; active || begin || { touch "$DIR/failed"; echo "Job for unit failed. See journalctl." >&2; exit 1; }; touch "$DIR/wanted"; guard ;;
stop) rm -f "$DIR/wanted"; case $* in
	*--no-block*) ! active || kill -INT "$(head -n 1 "$DATA/postmaster.pid")" ;;
	*) ! active || "$BIN/pg_ctl" stop -s -w -m fast -D "$DATA" ;; esac ;;
restart) rm -f "$DIR/wanted"; ! active || "$BIN/pg_ctl" stop -s -w -m fast -D "$DATA"; begin && touch "$DIR/wanted" && guard ;;
reset-failed) rm -f "$DIR/failed" ;;
enable) echo enabled >"$DIR/boot" ;;
disable) echo disabled >"$DIR/boot" ;;
*) echo "Unknown command verb $verb" >&2; exit 1 ;;
esac
exit 0`

// unit is a fake unit of systemd.
type unit struct {
	*pgnode.Node
	server *livepg.Server
	dir    string
}

func newUnit(t *testing.T) unit {
	t.Helper()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	u := unit{server: s, dir: in.TempDir(t)}
	head := fmt.Sprintf("#!/bin/sh\nDIR=%s DATA=%s BIN=%s\n", u.dir, s.DataDir(), in.BinDir)
	write(t, in, u.dir+"/systemctl", head+fakeSystemd, 0o700)
	write(t, in, u.dir+"/journalctl", head+`case $* in
*--show-cursor*) echo "-- cursor: c$(wc -c <"$DIR/journal")" ;;
*--after-cursor=c*) c=${*##*--after-cursor=c}; tail -c "+$((${c%% *} + 1))" "$DIR/journal" ;;
*) cat "$DIR/journal" ;;
esac`, 0o700)
	write(t, in, u.dir+"/sudo", "#!/bin/sh\nexit 1\n", 0o700)
	write(t, in, u.dir+"/boot", "enabled\n", 0o600)
	write(t, in, u.dir+"/journal", "", 0o600)
	h := hooked{in.Host, nil}
	h.run = func(ctx context.Context, c host.Cmd, _ func() (host.Result, error)) (host.Result, error) {
		c.Env = append(c.Env, "PATH="+u.dir+":/usr/bin:/bin")
		if c.Path == "systemctl" || c.Path == "journalctl" {
			c.Path = path.Join(u.dir, c.Path)
		}
		return in.Host.Run(ctx, c)
	}
	u.Node = newNode(t, pgnode.Config{
		Host: h, Manager: pgnode.Systemd, Unit: "postgresql.service", BinDir: in.BinDir, DataDir: s.DataDir(), Timeout: 20 * time.Second,
	})
	t.Cleanup(func() { // before the server's own
		_, _ = in.Host.Run(context.WithoutCancel(t.Context()), host.Cmd{Path: "sh", Args: []string{"-c", `rm -f "$1/wanted"`, "sh", u.dir}})
	})
	return u
}

func (u unit) state(t *testing.T) pgnode.Status {
	t.Helper()
	s, err := u.Status(t.Context())
	require.NoError(t, err)
	return s
}

func (u unit) calls(t *testing.T) string {
	t.Helper()
	return string(read(t, u.server.In, u.dir+"/calls"))
}

func TestSystemd(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	ctx := t.Context()
	require.NoError(t, u.Start(ctx))
	s := u.state(t)
	require.Equal(t, pgnode.StatePrimary, s.State, "%v", s)
	require.Equal(t, "active", s.Unit.Active)
	require.Equal(t, s.PID, s.Unit.MainPID)
	require.NoError(t, u.Restart(ctx))
	require.NotEqual(t, s.PID, u.state(t).PID)
	require.NoError(t, u.Set(ctx, map[string]string{"work_mem": "6MB"}))
	r, err := u.Reload(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, pgnode.Reloaded{Outcome: pgnode.Accepted, Changed: []string{"work_mem"}}, r, "by the journal")

	// Killed, it comes back; stopped or fenced, it does not.
	require.NoError(t, u.Kill(ctx))
	livepg.Until(t, "systemd to start it again", func() error {
		if s, err := u.Status(ctx); err != nil || s.State != pgnode.StatePrimary {
			return fmt.Errorf("%v, %w", s, err)
		}
		return nil
	})
	for name, end := range map[string]func() error{
		"fence":     func() error { return u.Fence(ctx) },
		"fast":      func() error { return u.Stop(ctx, pgnode.StopFast) },
		"smart":     func() error { return u.Stop(ctx, pgnode.StopSmart) },
		"immediate": func() error { return u.Stop(ctx, pgnode.StopImmediate) },
	} {
		require.NoError(t, end(), name)
		require.Equal(t, pgnode.StateStopped, u.state(t).State, name)
		require.False(t, exists(t, u.server.In, u.dir+"/wanted"), "%s: it would be started again", name)
		noProcesses(t, u.Node)
		require.NoError(t, u.Start(ctx), name)
	}

	require.NoError(t, u.Fence(ctx))
	write(t, u.server.In, u.dir+"/journal", "FATAL:  this is of an earlier start\n", 0o600)
	require.NoError(t, u.Set(ctx, map[string]string{"wal_level": "minimal"}))
	var start *pgnode.StartError
	require.ErrorAs(t, u.Start(ctx), &start)
	require.Equal(t, pgnode.FaultyConfig, start.Kind, "%v", start)
	require.NotContains(t, start.Error(), "earlier start")
}

// TestSystemd_noRight: who may not stop the unit must not believe that it stays stopped.
func TestSystemd_noRight(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	ctx := t.Context()
	require.NoError(t, u.Start(ctx))
	write(t, u.server.In, u.dir+"/refused", "", 0o600)
	err := u.Fence(ctx)
	require.ErrorContains(t, err, "may start it again")
	require.ErrorContains(t, err, "Access denied")
	sh(t, u.server.In, `rm "$1/refused"`, u.dir)
	require.NoError(t, u.Fence(ctx))
	write(t, u.server.In, u.dir+"/refused", "", 0o600)
	var start *pgnode.StartError
	require.ErrorAs(t, u.Start(ctx), &start)
	require.Equal(t, pgnode.NoRight, start.Kind, "%v", start)
}

func TestSystemd_retire(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	ctx := t.Context()
	require.NoError(t, u.Retire(ctx, time.Now(), "b took over"))
	require.NoError(t, u.Retire(ctx, time.Now(), "b took over"))
	require.Equal(t, "disabled\n", string(read(t, u.server.In, u.dir+"/boot")))
	require.ErrorIs(t, u.Start(ctx), pgnode.ErrRetired)
	require.NoError(t, u.Unretire(ctx))
	require.NoError(t, u.Unretire(ctx))
	require.Equal(t, "enabled\n", string(read(t, u.server.In, u.dir+"/boot")))
	require.NoError(t, u.Start(ctx))
	require.NoError(t, u.Stop(ctx, pgnode.StopFast))

	write(t, u.server.In, u.dir+"/boot", "disabled\n", 0o600)
	require.NoError(t, u.Retire(ctx, time.Now(), "b took over"))
	require.NoError(t, u.Unretire(ctx))
	require.Equal(t, "disabled\n", string(read(t, u.server.In, u.dir+"/boot")), "as it was")
	require.Equal(t, 1, strings.Count(u.calls(t), "disable "))
}

// TestSystemd_otherServer: a unit whose process is none of the server's is not the one to trust.
func TestSystemd_otherServer(t *testing.T) {
	t.Parallel()
	u := newUnit(t)
	require.NoError(t, u.server.Start(t.Context()))
	other := bystander(t, u.server.In)
	sh(t, u.server.In, `printf '#!/bin/sh\nprintf "LoadState=loaded\\nActiveState=active\\nMainPID=%s\\n"\n' "$2" >"$1/systemctl"`, u.dir, fmt.Sprint(other))
	s := u.state(t)
	require.Equal(t, pgnode.StateUnknown, s.State)
	require.ErrorContains(t, s.Problem, "another server")
}

// TestCommands: a user's own commands do what they are there for, pg_ctl the rest.
func TestCommands(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	dir := in.TempDir(t)
	ctl := func(verb string) string {
		return fmt.Sprintf(`echo %s "$@" >>%s/calls; exec %s/pg_ctl %[1]s -s -D "$PGDATA"`, verb, dir, in.BinDir)
	}
	ctx := t.Context()
	n := newNode(t, pgnode.Config{
		Host: in.Host, Manager: pgnode.Commands, BinDir: in.BinDir, DataDir: s.DataDir(), Timeout: 20 * time.Second,
		Commands: map[string]string{
			"start":  ctl("start") + " -W -l " + s.LogFile() + " >/dev/null", // it does not wait
			"stop":   ctl("stop") + ` -m "$1"`,
			"status": ctl("status") + " >/dev/null",
		},
	})
	require.NoError(t, n.Start(ctx))
	st, err := n.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, pgnode.StatePrimary, st.State, "%v", st)
	require.Contains(t, st.String(), "the status command says that it runs")
	r, err := n.Reload(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, pgnode.Accepted, r.Outcome)
	require.NoError(t, n.Restart(ctx))
	require.NoError(t, n.Stop(ctx, pgnode.StopSmart))
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Fence(ctx))
	calls := string(read(t, in, dir+"/calls"))
	for _, want := range []string{"start\n", "stop fast\n", "stop smart\n", "stop immediate\n"} {
		require.Contains(t, calls, want)
	}

	// A command that lies, or fails, is not believed.
	liar := newNode(t, pgnode.Config{
		Host: in.Host, Manager: pgnode.Commands, BinDir: in.BinDir, DataDir: s.DataDir(), Timeout: time.Second,
		Commands: map[string]string{"start": "true", "status": "true", "promote": "exit 3"},
	})
	require.ErrorAs(t, liar.Start(ctx), new(*pgnode.StartError))
	st, err = liar.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, pgnode.StateUnknown, st.State)
	require.NoError(t, s.Start(ctx))
	require.ErrorContains(t, liar.Promote(ctx), "promote command: sh on ")
}
