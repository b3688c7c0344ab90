package build_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

// await is a step that waits for what does not come, under the locks.
var await = topology.Plan{Steps: []topology.Step{{Node: "a", Action: topology.AwaitStreaming{Upstream: "b"}}}}

// TestLocked: the second of two is told who the first one is, and does nothing; when the first one ends, the way is free.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a")
	begun := make(chan struct{})
	first := s.builder(t, func(c *build.Config) {
		c.Progress = func(e build.Event) {
			if e.State == build.Begun {
				close(begun)
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- first.Apply(ctx, await) }()
	<-begun
	var locked *build.LockedError
	require.ErrorAs(t, s.builder(t, mustNotWork(t)).Apply(t.Context(), await), &locked)
	require.Equal(t, topology.NodeID("a"), locked.Node)
	require.Contains(t, locked.By, "process ")
	require.True(t, strings.HasPrefix(locked.File, s.node("a").DataDir), locked.File)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	var failed *build.StepError
	livepg.Until(t, "the lock to be free", func() error {
		short, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		err := s.builder(t).Apply(short, await)
		if !errors.As(err, &failed) {
			return err
		}
		return nil
	})
}

func mustNotWork(t *testing.T) func(*build.Config) {
	return func(c *build.Config) {
		c.Progress = func(e build.Event) { t.Errorf("a step without the lock: %v", e) }
	}
}

// TestLockOfKilled: a holder that is killed leaves no lock behind.
func TestLockOfKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a")
	child := s.child(t, childJob{Plan: "await"})
	livepg.Until(t, "the other process to have the lock", func() error {
		data, err := s.in.Host.ReadFile(t.Context(), s.node("b").DataDir+".understudy-lock")
		if err == nil && !strings.Contains(string(data), fmt.Sprintf("process %d,", child.Process.Pid)) {
			err = errors.New("nobody has it")
		}
		return err
	})
	var locked *build.LockedError
	require.ErrorAs(t, s.builder(t, mustNotWork(t)).Apply(t.Context(), await), &locked)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	livepg.Until(t, "the lock to be free", func() error {
		short, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		if err := s.builder(t).Apply(short, await); errors.As(err, &locked) {
			return err
		}
		return nil
	})
}

// TestLockLost: a step does not go on when the lock's holder on the machine has ended, because somebody else may begin.
func TestLockLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a")
	b := s.builder(t, func(c *build.Config) {
		c.Progress = func(e build.Event) {
			if e.State == build.Begun {
				_, err := s.in.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{
					"-c", `for p in /proc/[0-9]*; do [ "$(readlink "$p"/fd/9)" = "$1" ] && kill "${p#/proc/}"; done; true`, "sh", s.node("b").DataDir + ".understudy-lock",
				}})
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
	require.ErrorIs(t, b.Apply(t.Context(), await), build.ErrLockLost)
}

// childJob is what a process of its own does, to be killed.
type childJob struct {
	Cluster topology.Cluster
	User    string
	Plan    string // "await" or "bootstrap"

	// DieAfter kills it when so many steps are done; DieWithin kills it that long after the first step has begun.
	DieAfter  int
	DieWithin time.Duration
}

const childEnv = "UNDERSTUDY_TEST_BUILD_CHILD"

// child starts a process of its own that works on the site.
func (s *site) child(t *testing.T, job childJob) *exec.Cmd {
	t.Helper()
	who, err := s.in.Host.Run(t.Context(), host.Cmd{Path: "id", Args: []string{"-un"}})
	require.NoError(t, err)
	job.Cluster, job.User = s.cluster, strings.TrimSpace(string(who.Stdout))
	text, err := json.Marshal(job)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	_, err = cmd.StdinPipe() // it ends with this process
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd
}

// TestChild is not a test but what a process of its own does for one.
func TestChild(t *testing.T) {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	var job childJob
	require.NoError(t, json.Unmarshal([]byte(text), &job))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	user := job.User
	if os.Getuid() != 0 {
		user = ""
	}
	die := func() {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		t.Fatal("could not kill myself: ", err)
	}
	done, begun := 0, false
	b, err := build.New(build.Config{
		Cluster: job.Cluster, Secret: secret, Timeout: 30 * time.Second,
		Host: func(topology.Node) (host.Host, error) { return host.NewLocal(host.LocalConfig{User: user}), nil },
		Progress: func(e build.Event) {
			t.Log(e)
			if !begun && job.DieWithin > 0 {
				time.AfterFunc(job.DieWithin, die)
			}
			begun = true
			if e.State == build.Done {
				done++
			}
			if job.DieAfter > 0 && done == job.DieAfter {
				die()
			}
		},
	})
	require.NoError(t, err)
	switch job.Plan {
	case "await":
		require.NoError(t, b.Apply(t.Context(), await))
	case "bootstrap":
		_, err := b.Bootstrap(t.Context(), build.BootstrapConfig{})
		require.NoError(t, err)
	}
}
