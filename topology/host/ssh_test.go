//go:build unix

package host_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/host/hosttest"
)

// shell runs an sshd that lets its user run commands.
func shell(t *testing.T, lines ...string) *sshtest.Server {
	t.Helper()
	return sshtest.Run(t, sshtest.Config{Commands: true, Lines: lines})
}

func sshConfig(server *sshtest.Server) host.SSHConfig {
	return host.SSHConfig{
		Host: sshtest.Host, Port: server.Port, User: server.User,
		KnownHosts: []string{server.KnownHosts}, KeyFiles: []string{server.KeyFile}, Agent: "none", KillAfter: time.Second,
	}
}

func newSSH(t *testing.T, cfg host.SSHConfig) *host.SSH {
	t.Helper()
	h, err := host.NewSSH(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

func TestSSH(t *testing.T) {
	t.Parallel()
	server := shell(t)
	hosttest.Run(t, func(t *testing.T) (host.Host, string) { return newSSH(t, sshConfig(server)), t.TempDir() })
}

// TestSSHUser logs in as another user, whose shell is not root's.
func TestSSHUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("this user cannot let another one in, so there is nothing to test")
		return
	}
	t.Parallel()
	server := sshtest.Run(t, sshtest.Config{Commands: true, User: "postgres"})
	h := newSSH(t, sshConfig(server))
	hosttest.Run(t, func(t *testing.T) (host.Host, string) { return h, publicDir(t) })
}
