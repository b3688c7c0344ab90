//go:build unix

package host_test

import (
	"fmt"
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

	"github.com/understudy-ha/understudy/internal/pgtest"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/host/hosttest"
)

func TestLocal(t *testing.T) {
	t.Parallel()
	hosttest.Run(t, func(t *testing.T) (host.Host, string) {
		return host.NewLocal(host.LocalConfig{KillAfter: time.Second}), t.TempDir()
	})
}

// TestLocalUser runs everything as another user, which only root can.
func TestLocalUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("this user cannot become another one, so there is nothing to test")
		return
	}
	t.Parallel()
	hosttest.Run(t, func(t *testing.T) (host.Host, string) {
		return host.NewLocal(host.LocalConfig{User: "nobody", KillAfter: time.Second}), publicDir(t)
	})
}

// TestContainerProtocol runs the suite against a docker command line that starts the commands on this machine: what the
// wrapper and the scripts do, without an engine.
func TestContainerProtocol(t *testing.T) {
	t.Parallel()
	hosttest.Run(t, func(t *testing.T) (host.Host, string) {
		return host.NewContainer(host.ContainerConfig{
			Docker: fakeDocker(t, `exec setsid --wait "$@"`), Container: "c1", KillAfter: time.Second,
		}), t.TempDir()
	})
}

// TestContainer runs the suite in a real container.
func TestContainer(t *testing.T) {
	t.Parallel()
	node := pgtest.NewCluster(t, pgtest.Config{}).Nodes[0]
	i := 0
	hosttest.Run(t, func(t *testing.T) (host.Host, string) {
		h := host.NewContainer(host.ContainerConfig{
			Container: node.ContainerName(), User: "postgres", KillAfter: time.Second,
		})
		i++
		dir := path.Join(node.DiskDir(), strconv.Itoa(i)) // goes away with the container
		require.NoError(t, h.MkdirAll(t.Context(), dir, 0o755))
		return h, dir
	})

	h := host.NewContainer(host.ContainerConfig{Container: node.ContainerName(), User: "postgres"})
	t.Run("disk_full", func(t *testing.T) {
		file := path.Join(node.DiskDir(), "f")
		require.NoError(t, h.WriteFile(t.Context(), file, []byte("old"), 0o600))
		node.FillDisk(t, 64<<10)
		defer node.FreeDisk(t)
		err := h.WriteFile(t.Context(), file, make([]byte, 1<<20), 0o600)
		require.ErrorIs(t, err, syscall.ENOSPC)
		got, err := h.ReadFile(t.Context(), file)
		require.NoError(t, err)
		require.Equal(t, "old", string(got))
		res, err := h.Run(t.Context(), host.Cmd{Path: "find", Args: []string{node.DiskDir(), "-name", "*.tmp-*"}})
		require.NoError(t, err)
		require.Empty(t, string(res.Stdout))
	})
	t.Run("never_copies", func(t *testing.T) {
		from, to := path.Join(node.DiskDir(), "f"), "/tmp/f"
		require.ErrorIs(t, h.Rename(t.Context(), from, to), syscall.EXDEV)
		there, err := h.Exists(t.Context(), to)
		require.NoError(t, err)
		require.False(t, there)
	})
	t.Run("no_such_user", func(t *testing.T) {
		h := host.NewContainer(host.ContainerConfig{Container: node.ContainerName(), User: "no-such-user"})
		_, err := h.Run(t.Context(), host.Cmd{Path: "true"})
		require.ErrorAs(t, err, new(*host.StartError))
	})
	t.Run("frozen", func(t *testing.T) {
		node.Pause(t)
		defer node.Unpause(t)
		_, err := h.Run(t.Context(), host.Cmd{Path: "true"})
		require.ErrorAs(t, err, new(*host.StartError))
	})
	t.Run("machine_dies_meanwhile", func(t *testing.T) {
		done := make(chan error, 1)
		go func() {
			_, err := h.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", `touch /tmp/runs; exec sleep 300`}})
			done <- err
		}()
		pgtest.WaitFor(t, 20*time.Second, "the command to run", func() error {
			_, err := h.ReadFile(t.Context(), "/tmp/runs")
			return err
		})
		node.Kill(t)
		require.ErrorAs(t, <-done, new(*host.UnknownError))
		_, err := h.Run(t.Context(), host.Cmd{Path: "true"})
		require.ErrorAs(t, err, new(*host.StartError), "not running")
	})
	t.Run("no_such_container", func(t *testing.T) {
		h := host.NewContainer(host.ContainerConfig{Container: "understudy-no-such-container"})
		_, err := h.Run(t.Context(), host.Cmd{Path: "true"})
		require.ErrorAs(t, err, new(*host.StartError))
		_, err = h.Exists(t.Context(), "/")
		require.Error(t, err, "not known is not no")
	})
}

// TestContainerDoubt has docker fail in every way that must not be mistaken for another.
func TestContainerDoubt(t *testing.T) {
	for name, tt := range map[string]struct {
		docker string
		want   any
	}{
		"refuses":             {`echo 'Error response from daemon: Container c1 is not running' >&2; exit 1`, new(*host.StartError)},
		"no_engine":           {`echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1`, new(*host.StartError)},
		"no_shell_inside":     {`echo 'OCI runtime exec failed: exec failed: "sh": not found'; exit 126`, new(*host.StartError)},
		"says_nothing":        {`exit 1`, new(*host.UnknownError)},
		"says_nothing_0":      {`exit 0`, new(*host.UnknownError)},
		"lost_after_start":    {`"$@" 2>&1 | head -n 1 >&2; echo 'unexpected EOF' >&2; exit 1`, new(*host.UnknownError)},
		"lost_before_end":     {`"$@" 2>&1 >/dev/null | grep ' start ' >&2; exit 0`, new(*host.UnknownError)},
		"lost_within_mark":    {`"$@" 2>&1 >/dev/null | head -c 45 >&2; exit 0`, new(*host.UnknownError)},
		"lost_output":         {`"$@" | head -c 50`, new(*host.UnknownError)},
		"lost_header":         {`head -c 50 | "$@"`, new(*host.StartError)},
		"other_code_than_end": {`"$@"; exit 0`, new(*host.ExitError)},
	} {
		t.Run(name, func(t *testing.T) {
			h := host.NewContainer(host.ContainerConfig{Docker: fakeDocker(t, tt.docker), Container: "c1"})
			res, err := h.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", "exit 7"}})
			require.ErrorAs(t, err, tt.want)
			if name != "other_code_than_end" {
				require.Equal(t, -1, res.ExitCode)
			}
		})
	}
	h := host.NewContainer(host.ContainerConfig{Docker: "/no/such/docker", Container: "c1"})
	_, err := h.Run(t.Context(), host.Cmd{Path: "true"})
	require.ErrorAs(t, err, new(*host.StartError))
	_, err = host.NewContainer(host.ContainerConfig{}).Run(t.Context(), host.Cmd{Path: "true"})
	require.ErrorAs(t, err, new(*host.StartError))
}

// TestShells has the wrapper run by every kind of shell, with every byte.
func TestShells(t *testing.T) {
	var every []byte
	for i := 1; i < 256; i++ {
		every = append(every, byte(i))
	}
	odd := string(every) + "\n\n" + string(every) + "\n"
	for _, shell := range []string{"dash", "bash", "bash --posix", "busybox sh", "ksh", "mksh", "zsh --emulate sh"} {
		if _, err := exec.LookPath(strings.Fields(shell)[0]); err != nil {
			continue
		}
		t.Run(shell, func(t *testing.T) {
			h := host.NewContainer(host.ContainerConfig{Docker: fakeDocker(t, "shift; exec "+shell+` "$@"`), Container: "c1"})
			for _, locale := range []string{"C", "C.UTF-8"} {
				res, err := h.Run(t.Context(), host.Cmd{
					Path: "sh", Args: []string{"-c", `printf %s "$1"; printf %s "$VALUE" >&2; cat`, "sh", odd},
					Env: []string{"VALUE=" + odd, "LC_ALL=" + locale}, Stdin: strings.NewReader("go\n1\nx\n"),
				})
				require.NoError(t, err)
				require.Equal(t, odd+"go\n1\nx\n", string(res.Stdout))
				require.Equal(t, odd, string(res.Stderr))
			}
		})
	}
}

// TestTruncatedInput breaks the connection in the middle of the content: the rest of the script still runs.
func TestTruncatedInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "postgresql.conf")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	h := host.NewContainer(host.ContainerConfig{Docker: fakeDocker(t, `head -c 5000 | "$@"`), Container: "c1"})
	require.ErrorContains(t, h.WriteFile(t.Context(), file, make([]byte, 10000), 0o600), "of 10000 bytes")
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// TestContainerArguments: other users of this machine can read the docker command's arguments.
func TestContainerArguments(t *testing.T) {
	docker := fakeDocker(t, `exec "$@"`)
	h := host.NewContainer(host.ContainerConfig{Docker: docker, Container: "c1"})
	res, err := h.Run(t.Context(), host.Cmd{
		Path: "sh", Args: []string{"-c", `cat; echo $SECRET`}, Env: []string{"SECRET=hunter2"}, Stdin: strings.NewReader("hunter3\n"),
	})
	require.NoError(t, err)
	require.Equal(t, "hunter3\nhunter2\n", string(res.Stdout))
	require.NoError(t, h.WriteFile(t.Context(), filepath.Join(t.TempDir(), "f"), []byte("hunter4"), 0o600))
	args, err := os.ReadFile(docker + ".args")
	require.NoError(t, err)
	require.Contains(t, string(args), "c1")
	require.NotContains(t, string(args), "hunter")
}

func TestLocalUserUnknown(t *testing.T) {
	_, err := host.NewLocal(host.LocalConfig{User: "no-such-user"}).Run(t.Context(), host.Cmd{Path: "true"})
	require.ErrorAs(t, err, new(*host.StartError))
}

// TestLocalProcessGroup: Ctrl-C at the terminal goes to the foreground process group, to which a command must not belong.
func TestLocalProcessGroup(t *testing.T) {
	res, err := host.NewLocal(host.LocalConfig{}).Run(t.Context(), host.Cmd{
		Path: "sh", Args: []string{"-c", `sed 's/^[0-9]* (.*) . [0-9]* //' /proc/$$/stat; echo $$`},
	})
	require.NoError(t, err)
	var pgrp, session, pid int
	_, err = fmt.Sscan(string(res.Stdout), &pgrp, &session)
	require.NoError(t, err)
	lines := strings.Fields(string(res.Stdout))
	pid, err = strconv.Atoi(lines[len(lines)-1])
	require.NoError(t, err)
	require.Equal(t, pid, pgrp)
	require.NotEqual(t, syscall.Getpgrp(), pgrp)
}

// publicDir is a directory that any user may write to.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "understudy-host-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

// fakeDocker returns a docker command line that understands "exec" and then runs the script with the command as its
// arguments.
func fakeDocker(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "docker")
	require.NoError(t, os.WriteFile(file, []byte(`#!/bin/sh
printf '%s\n' "$@" >>"$0.args"
[ "$1" = exec ] || exit 125
shift
while :; do
	case $1 in
	-i) shift ;;
	-u|-e) shift 2 ;;
	--) shift; break ;;
	*) exit 125 ;;
	esac
done
[ "$1" = c1 ] || { echo "Error response from daemon: No such container: $1" >&2; exit 1; }
shift
`+script+"\n"), 0o755))
	return file
}
