package pgnode_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// hooked is a host on which a test can step in before or after a command.
type hooked struct {
	host.Host
	run func(ctx context.Context, c host.Cmd, next func() (host.Result, error)) (host.Result, error)
}

func (h hooked) Run(ctx context.Context, c host.Cmd) (host.Result, error) {
	return h.run(ctx, c, func() (host.Result, error) { return h.Host.Run(ctx, c) })
}

// over returns a node of the same server on a host where a program is stepped in for.
func over(t *testing.T, s *livepg.Server, program string, run func(context.Context, host.Cmd, func() (host.Result, error)) (host.Result, error)) *pgnode.Node {
	t.Helper()
	return newNode(t, pgnode.Config{BinDir: s.In.BinDir, DataDir: s.DataDir(), Host: hooked{s.In.Host,
		func(ctx context.Context, c host.Cmd, next func() (host.Result, error)) (host.Result, error) {
			if path.Base(c.Path) != program {
				return next()
			}
			return run(ctx, c, next)
		}}})
}

func newNode(t *testing.T, cfg pgnode.Config) *pgnode.Node {
	t.Helper()
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	return n
}

// bystander is a process that has nothing to do with PostgreSQL, of the same user as the servers.
func bystander(t *testing.T, in *livepg.Install) int {
	t.Helper()
	dir := in.TempDir(t)
	go func() {
		_, _ = in.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{
			"-c", `echo $$ >"$1/pid.new" && mv "$1/pid.new" "$1/pid" && exec sleep 100`, "sh", dir}})
	}()
	var pid int
	livepg.Until(t, "the bystander", func() error {
		data, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			return err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err
	})
	return pid
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// postmaster returns the number in postmaster.pid.
func postmaster(t *testing.T, s *livepg.Server) int {
	t.Helper()
	data, err := s.In.Host.ReadFile(t.Context(), s.DataDir()+"/postmaster.pid")
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	return pid
}

// signal sends a signal as the servers' user.
func signal(t *testing.T, s *livepg.Server, sig syscall.Signal, pid int) {
	t.Helper()
	_, err := s.In.Host.Run(t.Context(), host.Cmd{Path: "kill", Args: []string{"-" + strconv.Itoa(int(sig)), strconv.Itoa(pid)}})
	require.NoError(t, err)
}

func requireRoot(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("only root can become another user, so there is nothing to test")
		return false
	}
	return true
}

// noProcesses is the state that Stop and Fence promise.
func noProcesses(t *testing.T, n *pgnode.Node) {
	t.Helper()
	pids, err := n.Processes(t.Context())
	require.NoError(t, err)
	require.Empty(t, pids)
}

// files lists a directory tree with sizes and times, to see that nobody touched it.
func files(t *testing.T, in *livepg.Install, dir string) string {
	t.Helper()
	r, err := in.Host.Run(t.Context(), host.Cmd{Path: "find", Args: []string{dir, "-printf", "%p %s %T@ %m\n"}})
	require.NoError(t, err)
	return string(r.Stdout)
}

func exists(t *testing.T, in *livepg.Install, name string) bool {
	t.Helper()
	found, err := in.Host.Exists(t.Context(), name)
	require.NoError(t, err)
	return found
}

func write(t *testing.T, in *livepg.Install, name, text string, perm fs.FileMode) {
	t.Helper()
	require.NoError(t, in.Host.WriteFile(t.Context(), name, []byte(text), perm))
}

func command(t *testing.T, in *livepg.Install, name string, args ...string) {
	t.Helper()
	_, err := in.Host.Run(t.Context(), host.Cmd{Path: name, Args: args})
	require.NoError(t, err)
}

// procArgs returns the command lines of all processes.
func procArgs() string {
	var all strings.Builder
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if data, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")); err == nil {
			all.Write(data)
			all.WriteByte('\n')
		}
	}
	return all.String()
}
