package pgnode_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

func TestLifecycle(t *testing.T) {
	t.Parallel()
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		ctx := t.Context()
		s := in.Primary(t, "a")
		there, err := s.Exists(ctx)
		require.NoError(t, err)
		require.True(t, there)
		noProcesses(t, s.Node)
		_, err = s.Reload(ctx, nil)
		require.ErrorContains(t, err, "does not run")
		require.ErrorContains(t, s.Promote(ctx), "does not run")
		require.NoError(t, s.Kill(ctx), "killing nothing")

		require.NoError(t, s.Start(ctx))
		pids, err := s.Processes(ctx)
		require.NoError(t, err)
		require.Contains(t, pids, postmaster(t, s))
		require.Greater(t, len(pids), 3)
		require.Equal(t, "f", s.SQL(t, "SELECT pg_is_in_recovery()"))
		control, err := s.Control(ctx)
		require.NoError(t, err)
		require.Equal(t, datadir.StateInProduction, control.State)

		var start *pgnode.StartError
		require.ErrorAs(t, s.Start(ctx), &start, "a second start")
		require.Equal(t, pgnode.Runs, start.Kind)
		require.ErrorIs(t, start, pgnode.ErrRuns)
		require.ErrorContains(t, s.Promote(ctx), "not in standby mode")
		_, err = s.SetAside(ctx, time.Now())
		require.ErrorContains(t, err, "stop it first")
		require.Equal(t, "1", s.SQL(t, "SELECT 1"), "none of that has disturbed it")

		require.NoError(t, s.Set(ctx, map[string]string{"work_mem": "7MB"}))
		reloaded, err := s.Reload(ctx, nil)
		require.NoError(t, err)
		require.Equal(t, pgnode.Reloaded{Outcome: pgnode.Accepted, Changed: []string{"work_mem"}}, reloaded)
		s.Wait(t, "SHOW work_mem", "7MB")

		require.NoError(t, s.Stop(ctx, pgnode.StopFast))
		noProcesses(t, s.Node)
		require.NoError(t, s.Stop(ctx, pgnode.StopFast), "stopping a stopped server")
		control, err = s.Control(ctx)
		require.NoError(t, err)
		require.Equal(t, datadir.StateShutDown, control.State)
		require.Equal(t, in.Major, mustMajor(t, s.Node))
	})
}

func mustMajor(t *testing.T, n *pgnode.Node) int {
	t.Helper()
	major, err := n.Major(t.Context())
	require.NoError(t, err)
	return major
}

// TestStopLeavesNothing: what Stop has stopped can be set aside at once, in every mode.
func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	s := livepg.Newest(t).Primary(t, "a")
	for i, mode := range []pgnode.StopMode{pgnode.StopFast, pgnode.StopImmediate, pgnode.StopFast} {
		require.NoError(t, s.Start(t.Context()))
		require.NoError(t, s.Stop(t.Context(), mode))
		at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
		aside, err := s.SetAside(t.Context(), at)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%s.aside-20260101T00000%dZ", s.DataDir(), i), aside)
		again, err := s.SetAside(t.Context(), at)
		require.NoError(t, err)
		require.Empty(t, again, "there is nothing left to set aside")
		require.NoError(t, s.In.Host.Rename(t.Context(), aside, s.DataDir()))
	}
}

// TestStopWaits: pg_ctl returns when postmaster.pid is gone; Stop only when the processes are.
func TestStopWaits(t *testing.T) {
	t.Parallel()
	s := livepg.Newest(t).Started(t, "a")
	stopped := make(chan error, 1)
	n := over(t, s, "pg_ctl", func(_ context.Context, _ host.Cmd, next func() (host.Result, error)) (host.Result, error) {
		time.AfterFunc(300*time.Millisecond, func() {
			_, err := next()
			stopped <- err
		})
		return host.Result{}, nil
	})
	require.NoError(t, n.Stop(t.Context(), pgnode.StopFast))
	noProcesses(t, n)
	require.NoError(t, <-stopped)
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	fails := func(t *testing.T, want string) *pgnode.StartError {
		t.Helper()
		err := s.Start(t.Context())
		var start *pgnode.StartError
		require.ErrorAs(t, err, &start)
		require.Contains(t, err.Error(), want)
		require.Equal(t, s.DataDir(), start.DataDir)
		noProcesses(t, s.Node)
		return start
	}
	conf := s.DataDir() + "/postgresql.conf"
	good, err := in.Host.ReadFile(t.Context(), conf)
	require.NoError(t, err)

	t.Run("bad_value", func(t *testing.T) {
		write(t, in, conf, string(good)+"shared_buffers = 'a lot'\n", 0o600)
		start := fails(t, `invalid value for parameter "shared_buffers": "a lot"`)
		var exit *host.ExitError
		require.ErrorAs(t, start, &exit)
	})
	t.Run("not_a_configuration", func(t *testing.T) {
		write(t, in, conf, "= = =\n", 0o600)
		start := fails(t, "syntax error")
		require.NotContains(t, strings.Join(start.Log, "\n"), "a lot", "the words of an earlier start")
	})
	write(t, in, conf, string(good), 0o600)
	t.Run("port_in_use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
		require.NoError(t, err)
		defer l.Close()
		_ = fails(t, "Address already in use")
	})
	t.Run("no_data_directory", func(t *testing.T) {
		aside, err := s.SetAside(t.Context(), time.Now())
		require.NoError(t, err)
		start := fails(t, "it wrote nothing to its log")
		require.Empty(t, start.Log)
		require.NoError(t, in.Host.Rename(t.Context(), aside, s.DataDir()))
	})
	t.Run("context_ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Start(ctx), context.Canceled)
	})
	require.NoError(t, s.Start(t.Context()), "nothing of that lasts")
}

// TestStalePidFile: after a crash the number in postmaster.pid may be that of any other process, which pg_ctl would signal.
func TestStalePidFile(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	innocent := bystander(t, in)
	write(t, in, s.DataDir()+"/postmaster.pid", fmt.Sprintf("%d\n%s\n1\n5432\n\n\n\nready   \n", innocent, s.DataDir()), 0o600)

	require.NoError(t, s.Stop(t.Context(), pgnode.StopImmediate), "there is nothing to stop")
	_, err := s.Reload(t.Context(), nil)
	require.ErrorContains(t, err, "none of its processes")
	require.ErrorContains(t, s.Promote(t.Context()), "none of its processes")
	noProcesses(t, s.Node)
	require.True(t, alive(innocent))
	require.Error(t, s.Start(t.Context()), "the server itself cannot know better")

	require.NoError(t, s.Fence(t.Context()))
	require.True(t, alive(innocent))
	require.False(t, exists(t, in, s.DataDir()+"/postmaster.pid"))
	require.NoError(t, s.Start(t.Context()))
}

func TestFence(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	tests := []struct {
		name  string
		crash func(t *testing.T, s *livepg.Server)
	}{
		{"running", func(*testing.T, *livepg.Server) {}},
		{"postmaster_stopped_by_a_signal", func(t *testing.T, s *livepg.Server) {
			signal(t, s, syscall.SIGSTOP, postmaster(t, s))
		}},
		{"all_processes_stopped_by_a_signal", func(t *testing.T, s *livepg.Server) {
			pids, err := s.Processes(t.Context())
			require.NoError(t, err)
			for _, pid := range pids {
				signal(t, s, syscall.SIGSTOP, pid)
			}
		}},
		{"orphaned_backend", func(t *testing.T, s *livepg.Server) { orphan(t, s) }},
		{"orphaned_backend_without_a_pid_file", func(t *testing.T, s *livepg.Server) {
			orphan(t, s)
			require.NoError(t, in.Host.Remove(t.Context(), s.DataDir()+"/postmaster.pid"))
		}},
		{"pid_file_of_somebody_else", func(t *testing.T, s *livepg.Server) {
			write(t, in, s.DataDir()+"/postmaster.pid", "1\n", 0o600)
		}},
		{"directory_moved_away", func(t *testing.T, s *livepg.Server) {
			require.NoError(t, in.Host.Rename(t.Context(), s.DataDir(), s.DataDir()+".moved"))
		}},
		{"directory_replaced", func(t *testing.T, s *livepg.Server) {
			require.NoError(t, in.Host.Rename(t.Context(), s.DataDir(), s.DataDir()+".moved"))
			require.NoError(t, in.Host.MkdirAll(t.Context(), s.DataDir(), 0o700))
		}},
		{"directory_deleted", func(t *testing.T, s *livepg.Server) { command(t, in, "rm", "-rf", s.DataDir()) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := in.Started(t, "a")
			before, err := s.Processes(t.Context())
			require.NoError(t, err)
			tt.crash(t, s)
			now, err := s.Processes(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, now)

			require.NoError(t, s.Fence(t.Context()))
			for _, pid := range append(before, now...) {
				require.False(t, alive(pid), "process %d", pid)
			}
			noProcesses(t, s.Node)
			require.False(t, exists(t, in, s.DataDir()+"/postmaster.pid"))
			require.NoError(t, s.Fence(t.Context()), "again")
			_, err = net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
			require.Error(t, err, "somebody still listens")
		})
	}
}

// orphan kills the postmaster of a server alone and leaves a backend behind that cannot notice.
func orphan(t *testing.T, s *livepg.Server) {
	t.Helper()
	main := postmaster(t, s)
	pids, err := s.Processes(t.Context())
	require.NoError(t, err)
	var backend int
	for _, pid := range pids {
		if pid != main {
			backend = pid
		}
	}
	signal(t, s, syscall.SIGSTOP, backend)
	signal(t, s, syscall.SIGKILL, main)
	livepg.Until(t, "only the backend to be left", func() error {
		pids, err := s.Processes(t.Context())
		if err == nil && (len(pids) != 1 || pids[0] != backend) {
			err = fmt.Errorf("processes %v", pids)
		}
		return err
	})
	require.ErrorContains(t, s.Stop(t.Context(), pgnode.StopImmediate), "none of its processes")
	_, err = s.SetAside(t.Context(), time.Now())
	require.ErrorContains(t, err, "stop it first")
}

// TestFenceOfNothing: a server that was never there is certainly fenced.
func TestFenceOfNothing(t *testing.T) {
	t.Parallel()
	s := livepg.Newest(t).Blank(t, "a")
	require.NoError(t, s.Fence(t.Context()))
	require.NoError(t, s.Stop(t.Context(), pgnode.StopFast))
}

// TestFenceBySymlink: the data directory is a symbolic link, or lies behind one.
func TestFenceBySymlink(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	link := func(t *testing.T, s *livepg.Server) *pgnode.Node {
		name := s.DataDir() + ".link"
		command(t, in, "ln", "-s", s.DataDir(), name)
		return newNode(t, pgnode.Config{Host: in.Host, BinDir: in.BinDir, DataDir: name})
	}
	t.Run("server_by_its_real_name", func(t *testing.T) {
		s := in.Started(t, "a")
		n := link(t, s)
		require.NoError(t, n.Fence(t.Context()))
		noProcesses(t, s.Node)
	})
	t.Run("server_by_the_link", func(t *testing.T) {
		s := in.Primary(t, "a")
		n := link(t, s)
		require.NoError(t, n.Start(t.Context()))
		require.NoError(t, s.Fence(t.Context()))
		noProcesses(t, n)
	})
	t.Run("dangling", func(t *testing.T) {
		s := in.Started(t, "a")
		n := link(t, s)
		require.NoError(t, in.Host.Rename(t.Context(), s.DataDir(), s.DataDir()+".elsewhere"))
		var doubt *pgnode.DoubtError
		require.ErrorAs(t, n.Fence(t.Context()), &doubt, "a disk may be gone that the server still has")
		require.NoError(t, in.Host.Rename(t.Context(), s.DataDir()+".elsewhere", s.DataDir()))
	})
}

// TestFenceInDoubt: what cannot be seen is not certain.
func TestFenceInDoubt(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	doubts := func(t *testing.T, n *pgnode.Node, want string) {
		t.Helper()
		var doubt *pgnode.DoubtError
		require.ErrorAs(t, n.Fence(t.Context()), &doubt)
		require.Contains(t, doubt.Error(), want)
		require.ErrorAs(t, n.Stop(t.Context(), pgnode.StopFast), &doubt)
		_, err := n.SetAside(t.Context(), time.Now())
		require.ErrorAs(t, err, &doubt)
	}
	t.Run("another_user_looks", func(t *testing.T) {
		if !requireRoot(t) {
			return
		}
		s := in.Started(t, "a")
		other := host.NewLocal(host.LocalConfig{User: "daemon"})
		command(t, in, "chmod", "a+x", filepath.Dir(s.DataDir()))
		doubts(t, newNode(t, pgnode.Config{Host: other, BinDir: in.BinDir, DataDir: s.DataDir()}), "cannot see the processes of its owner")
		require.Equal(t, "1", s.SQL(t, "SELECT 1"))
	})
	t.Run("root_without_the_right_to_look", func(t *testing.T) {
		if !requireRoot(t) {
			return
		}
		s := in.Started(t, "a")
		root := hooked{host.NewLocal(host.LocalConfig{}),
			func(_ context.Context, c host.Cmd, _ func() (host.Result, error)) (host.Result, error) {
				c.Args = append([]string{"--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", c.Path}, c.Args...)
				c.Path = "setpriv"
				return host.NewLocal(host.LocalConfig{}).Run(t.Context(), c)
			}}
		doubts(t, newNode(t, pgnode.Config{Host: root, BinDir: in.BinDir, DataDir: s.DataDir()}), "cannot be read")
		require.Equal(t, "1", s.SQL(t, "SELECT 1"))
	})
	t.Run("directory_behind_a_closed_one", func(t *testing.T) {
		s := in.Started(t, "a")
		closed := s.DataDir() + ".closed"
		require.NoError(t, in.Host.MkdirAll(t.Context(), closed, 0o700))
		command(t, in, "ln", "-s", s.DataDir(), closed+"/data")
		command(t, in, "chmod", "0", closed)
		defer command(t, in, "chmod", "700", closed)
		n := newNode(t, pgnode.Config{Host: in.Host, BinDir: in.BinDir, DataDir: closed + "/data"})
		doubts(t, n, "Permission denied")
	})
	t.Run("host_does_not_answer", func(t *testing.T) {
		s := in.Started(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Fence(ctx), context.Canceled)
		require.Equal(t, "1", s.SQL(t, "SELECT 1"))
	})
	t.Run("list_cut_off", func(t *testing.T) {
		s := in.Started(t, "a")
		n := over(t, s, "sh", func(_ context.Context, _ host.Cmd, next func() (host.Result, error)) (host.Result, error) {
			r, err := next()
			r.Stdout = r.Stdout[:len(r.Stdout)/2]
			return r, err
		})
		require.ErrorContains(t, n.Fence(t.Context()), "not complete")
	})
}

// TestFenceSparesOthers: another server and a shell that sits in the data directory survive.
func TestFenceSparesOthers(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a, b := in.Started(t, "a"), in.Started(t, "b")
	shell := exec.CommandContext(t.Context(), "sleep", "100")
	shell.Dir = a.DataDir()
	if os.Getuid() != 0 {
		shell.Dir = "/"
	}
	require.NoError(t, shell.Start())
	defer func() { _ = shell.Process.Kill(); _ = shell.Wait() }()
	require.NoError(t, a.Fence(t.Context()))
	require.Equal(t, "1", b.SQL(t, "SELECT 1"))
	require.True(t, alive(shell.Process.Pid))
}

// TestKill: after SIGKILL the server is as after a crash, and comes back from it.
func TestKill(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Started(t, "a")
	s.SQL(t, "INSERT INTO ledger VALUES (1)")
	require.NoError(t, s.Kill(t.Context()))
	livepg.Until(t, "the end of the processes", func() error {
		pids, err := s.Processes(t.Context())
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v", pids)
		}
		return err
	})
	control, err := s.Control(t.Context())
	require.NoError(t, err)
	require.Equal(t, datadir.StateInProduction, control.State)
	require.True(t, exists(t, in, path.Join(s.DataDir(), "postmaster.pid")))
	require.NoError(t, s.Fence(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	require.Equal(t, "1", s.SQL(t, "SELECT count(*) FROM ledger"))
}

func TestPromote(t *testing.T) {
	t.Parallel()
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		a := in.Started(t, "a")
		b := a.Follower(t, "b")
		require.NoError(t, a.Fence(t.Context()))
		require.NoError(t, b.Promote(t.Context()))
		b.SQL(t, "INSERT INTO ledger VALUES (1)") // it accepts writes at once
		require.ErrorContains(t, b.Promote(t.Context()), "not in standby mode")
	})
}
