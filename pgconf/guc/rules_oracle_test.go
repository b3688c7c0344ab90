package guc_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// cluster is a data directory whose server is started to see whether it does start.
type cluster struct {
	localpg.Install
	dir   string // holds data and the socket
	port  int
	owner localpg.Account
}

func newCluster(t *testing.T, in localpg.Install) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgrules") // short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	owner, err := localpg.Owner(dir)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cluster{Install: in, dir: dir, port: l.Addr().(*net.TCPAddr).Port, owner: owner}
	require.NoError(t, l.Close())
	out, err := c.command(t.Context(), "initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "--locale=C", "-N").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return c
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Bin(name), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner.Credential}
	return cmd
}

// minimum is what the server of a test needs, before the settings that are tried.
const minimum = "shared_buffers = 2MB\nfsync = off\nlisten_addresses = ''\n"

// start starts the server with the settings and stops it again. It returns whether it ran, and what it said. A server that neither
// ends nor lets anybody in counts as running after patience.
func (c *cluster) start(t *testing.T, settings string, patience time.Duration) (bool, string) {
	t.Helper()
	text := minimum + "port = " + strconv.Itoa(c.port) + "\nunix_socket_directories = '" + c.dir + "'\n" + settings + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(c.data(), "postgresql.conf"), []byte(text), 0o644)) //nolint:gosec // the server reads it
	cmd := c.command(t.Context(), "postgres", "-D", c.data())
	var said syncBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for running := false; !running; {
		select {
		case <-ended:
			return false, said.String()
		case <-deadline:
			running = true
		case <-tick.C:
			running = strings.Contains(said.String(), "ready to accept")
		}
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
	return true, said.String()
}

// startCodes are those that say that a server does not start.
var startCodes = []guc.Code{
	guc.WALLevelTooLow, guc.NoConnectionsLeft, guc.SendersExceedConnections, guc.WALSizeTooSmall, guc.TwoTargets, guc.SyncSyntax,
	guc.WrongMajor, guc.ListenAddress,
}

func stops(problems []guc.Problem) bool {
	return slices.ContainsFunc(problems, func(p guc.Problem) bool { return p.Severity == guc.Error && slices.Contains(startCodes, p.Code) })
}

// started are the settings of the situations that keep a server of some major from starting, and some more.
func started(t *testing.T) []string {
	t.Helper()
	all := []string{
		"port = 5433", "wal_level = logical\narchive_mode = on\narchive_command = 'true'", "max_connections = 14\nmax_wal_senders = 10",
		"max_connections = 11\nmax_wal_senders = 10", "max_connections = 4\nmax_wal_senders = 0", "max_connections = 3\nmax_wal_senders = 0",
		"min_wal_size = 32MB\nmax_wal_size = 32MB", "synchronous_standby_names = '5 (a)'", "listen_addresses = '127.0.0.1, 10.0.0.0/8'",
		"wal_level = minimal\nmax_wal_senders = 0\nmax_replication_slots = 10", "wal_keep_segments = 3", "wal_keep_size = 48MB",
	}
	for i := range situations {
		s := situation(t, i)
		for m := pgconf.Major(10); m <= pgconf.Newest; m++ {
			s.Major = m
			problems := slices.DeleteFunc(guc.Check(s), func(p guc.Problem) bool { return p.Code == guc.WrongMajor })
			if stops(problems) && !strings.Contains(situations[i].settings, "many") {
				all = append(all, situations[i].settings)
				break
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestOracleRules(t *testing.T) {
	all := started(t)
	require.Greater(t, len(all), 25)
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		c := newCluster(t, s.Install)
		stopped := 0
		for _, text := range all {
			settings := settingsOf(t, minimum+text)
			want := !stops(guc.Check(guc.Situation{Major: pgconf.Major(s.Major), Settings: settings}))
			for _, set := range settings {
				want = want && guc.Validate(pgconf.Major(s.Major), set.Name, set.Value) == nil
			}
			got, said := c.start(t, text, 30*time.Second)
			require.Equal(t, want, got, "%s\n%s", text, said)
			if !got {
				stopped++
			}
		}
		t.Logf("%d configurations, %d of them keep the server from starting", len(all), stopped)
		c.tryMinimal(t)
		c.tryStandby(t)
	})
}

// tryStandby makes a standby of the cluster and starts it with less than its primary had, of one parameter after the other.
func (c *cluster) tryStandby(t *testing.T) {
	t.Helper()
	primary := "max_connections = 101\nmax_prepared_transactions = 2\nmax_locks_per_transaction = 65\nmax_worker_processes = 9\nmax_wal_senders = 11\n"
	ran, said := c.start(t, primary, 30*time.Second)
	require.True(t, ran, said)
	c.becomeStandby(t)
	for _, less := range []string{
		"", "max_connections = 100", "max_prepared_transactions = 1", "max_locks_per_transaction = 64", "max_worker_processes = 8",
		"max_wal_senders = 10", "max_connections = 100\nhot_standby = off", "max_locks_per_transaction = 1000",
	} {
		own := primary + less
		problems := guc.Check(guc.Situation{
			Major: pgconf.Major(c.Major), Settings: settingsOf(t, own), Standby: true, Primary: settingsOf(t, primary),
		})
		want := !slices.ContainsFunc(problems, func(p guc.Problem) bool {
			return p.Severity == guc.Error && (p.Code == guc.StandbyBelowPrimary || p.Code == guc.PrimaryWALLevel)
		})
		patience := 30 * time.Second
		if strings.Contains(less, "hot_standby") {
			patience = time.Second // nobody is ever let in
		}
		got, said := c.start(t, own, patience)
		require.Equal(t, want, got, "%s\n%s", less, said)
	}
}

// tryMinimal makes a standby of the cluster whose primary wrote too little WAL, and undoes that.
func (c *cluster) tryMinimal(t *testing.T) {
	t.Helper()
	const primary = "wal_level = minimal\nmax_wal_senders = 0\n"
	ran, said := c.start(t, primary, 30*time.Second)
	require.True(t, ran, said)
	role := c.becomeStandby(t)
	for _, own := range []string{"hot_standby = on", "hot_standby = off"} {
		problems := guc.Check(guc.Situation{Major: pgconf.Major(c.Major), Settings: settingsOf(t, own), Standby: true, Primary: settingsOf(t, primary)})
		want := !slices.ContainsFunc(problems, func(p guc.Problem) bool { return p.Severity == guc.Error && p.Code == guc.PrimaryWALLevel })
		got, said := c.start(t, own, 2*time.Second)
		require.Equal(t, want, got, "%s\n%s", own, said)
	}
	require.NoError(t, os.Remove(role))
}

// becomeStandby makes the server start as a standby. It returns the file that says so.
func (c *cluster) becomeStandby(t *testing.T) string {
	t.Helper()
	name, text := "standby.signal", ""
	if c.Major < 12 {
		name, text = "recovery.conf", "standby_mode = on\n"
	}
	file := filepath.Join(c.data(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o666)) //nolint:gosec // the server reads it
	return file
}
