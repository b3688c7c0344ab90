//go:build unix

package host_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/host/hosttest"
)

func TestLocal(t *testing.T) {
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
	hosttest.Run(t, func(t *testing.T) (host.Host, string) {
		return host.NewLocal(host.LocalConfig{User: "nobody", KillAfter: time.Second}), publicDir(t)
	})
}

// TestContainerProtocol runs the suite against a docker command line that starts the commands on this machine: what the
// wrapper and the scripts do, without an engine.
func TestContainerProtocol(t *testing.T) {
	hosttest.Run(t, func(t *testing.T) (host.Host, string) {
		return host.NewContainer(host.ContainerConfig{
			Docker: fakeDocker(t, `exec setsid "$@"`), Container: "c1", KillAfter: time.Second,
		}), t.TempDir()
	})
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
