//go:build unix

package host_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/topology/host"
)

var run = host.Cmd{Path: "true"}

// background runs a command that first makes a file, and returns when it is there.
func background(ctx context.Context, t *testing.T, h host.Host, script string) <-chan error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "runs")
	done := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", `echo $$ >"$1".new; mv "$1".new "$1"; ` + script, "sh", file}})
		done <- err
	}()
	waitFor(t, "the command to run", func() bool { return exists(file) })
	return done
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "waited in vain for %s", what)
	}
}

func TestSSHConnectionLost(t *testing.T) {
	t.Parallel()
	server := shell(t)
	cfg := sshConfig(server)
	cfg.Timeout = 2 * time.Second
	h := newSSH(t, cfg)

	t.Run("server_killed_meanwhile", func(t *testing.T) {
		done := background(t.Context(), t, h, "sleep 300")
		server.Kill()
		require.ErrorAs(t, <-done, new(*host.UnknownError))
		_, err := h.Run(t.Context(), run)
		require.NoError(t, err, "over a new connection")
	})
	t.Run("server_killed_while_idle", func(t *testing.T) {
		for range 3 {
			_, err := h.Run(t.Context(), run)
			require.NoError(t, err)
			server.Kill()
		}
		require.LessOrEqual(t, server.Sessions(), 1)
	})
	t.Run("server_paused_meanwhile", func(t *testing.T) {
		done := background(t.Context(), t, h, "sleep 300")
		server.Pause()
		defer server.Kill()
		require.ErrorAs(t, <-done, new(*host.UnknownError))
		_, err := h.Run(t.Context(), run)
		require.NoError(t, err, "over a new connection")
	})
	t.Run("server_paused_before", func(t *testing.T) {
		_, err := h.Run(t.Context(), run)
		require.NoError(t, err)
		server.Pause()
		defer server.Kill()
		_, err = h.Run(t.Context(), run)
		require.NoError(t, err, "nothing had started, so it was tried again")
	})
	t.Run("server_refuses", func(t *testing.T) {
		server.Kill()
		server.Refuse(true)
		defer server.Refuse(false)
		_, err := h.Run(t.Context(), host.Cmd{Path: "touch", Args: []string{filepath.Join(t.TempDir(), "x")}})
		require.ErrorAs(t, err, new(*host.StartError))
		_, err = h.Exists(t.Context(), "/")
		require.Error(t, err, "not known is not no")
	})
	t.Run("one_connection", func(t *testing.T) {
		var all sync.WaitGroup
		for range 20 { // more than the sessions that OpenSSH allows
			all.Go(func() {
				_, err := h.Run(t.Context(), host.Cmd{Path: "sleep", Args: []string{"0.1"}})
				assert.NoError(t, err)
			})
		}
		all.Wait()
		require.Equal(t, 1, server.Sessions())
	})
	t.Run("closed", func(t *testing.T) {
		h := newSSH(t, cfg)
		done := background(t.Context(), t, h, "sleep 300")
		require.NoError(t, h.Close())
		require.ErrorAs(t, <-done, new(*host.UnknownError))
		_, err := h.Run(t.Context(), run)
		require.ErrorAs(t, err, new(*host.StartError))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// TestSSHContext ends the context in every phase.
func TestSSHContext(t *testing.T) {
	t.Parallel()
	reason := errors.New("the caller's reason")
	cancelled := func(t *testing.T, h host.Host) error {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(200*time.Millisecond, func() { cancel(reason) })
		_, err := h.Run(ctx, run)
		return err
	}
	started := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorAs(t, err, new(*host.StartError))
		require.ErrorIs(t, err, reason)
	}
	server := shell(t)
	t.Run("connecting", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer silent.Close()
		cfg := sshConfig(server)
		cfg.Port = silent.Addr().(*net.TCPAddr).Port
		started(t, cancelled(t, newSSH(t, cfg)))
		cfg.Timeout = 100 * time.Millisecond
		_, err = newSSH(t, cfg).Run(t.Context(), run)
		require.ErrorAs(t, err, new(*host.StartError))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	t.Run("opening_a_session", func(t *testing.T) {
		h := newSSH(t, sshConfig(server))
		_, err := h.Run(t.Context(), run)
		require.NoError(t, err)
		server.Pause()
		defer server.Resume()
		started(t, cancelled(t, h))
	})
	t.Run("in_the_login_shell", func(t *testing.T) {
		slow := sshtest.Run(t, sshtest.Config{Commands: true, Lines: []string{"ForceCommand sleep 1; sh -c \"$SSH_ORIGINAL_COMMAND\""}})
		h := newSSH(t, sshConfig(slow))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		connected := make(chan error)
		go func() {
			file := filepath.Join(t.TempDir(), "ran")
			_, err := h.Run(ctx, host.Cmd{Path: "touch", Args: []string{file}})
			time.Sleep(2 * time.Second) // it had the time to run
			if exists(file) {
				err = errors.Join(err, errors.New("it ran"))
			}
			connected <- err
		}()
		waitFor(t, "the connection", func() bool { return slow.Sessions() == 1 })
		time.AfterFunc(500*time.Millisecond, func() { cancel(reason) })
		err := <-connected
		started(t, err)
		require.NotContains(t, err.Error(), "it ran")
	})
	t.Run("waiting_for_its_turn", func(t *testing.T) {
		cfg := sshConfig(server)
		cfg.Sessions = 1
		h := newSSH(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := background(ctx, t, h, "sleep 300")
		started(t, cancelled(t, h))
		cancel()
		require.ErrorAs(t, <-done, new(*host.UnknownError))
	})
	t.Run("no_session_left_to_kill_with", func(t *testing.T) {
		narrow := shell(t, "MaxSessions 1")
		h := newSSH(t, sshConfig(narrow))
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := filepath.Join(t.TempDir(), "ended")
		done := background(ctx, t, h, `trap "touch `+ended+`; exit 0" TERM; sleep 300 & wait`)
		_, err := h.Run(t.Context(), run)
		require.ErrorAs(t, err, new(*host.StartError))
		require.ErrorContains(t, err, "MaxSessions")
		cancel(reason)
		err = <-done
		require.ErrorAs(t, err, new(*host.UnknownError))
		require.ErrorIs(t, err, reason)
		require.FileExists(t, ended, "it was ended over a connection of its own")
	})
}

func TestSSHVolume(t *testing.T) {
	t.Parallel()
	h := newSSH(t, sshConfig(shell(t)))
	in := make([]byte, 50<<20)
	_, err := rand.Read(in)
	require.NoError(t, err)
	res, err := h.Run(t.Context(), host.Cmd{Path: "sha256sum", Stdin: bytes.NewReader(in)})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%x  -\n", sha256.Sum256(in)), string(res.Stdout))

	const flood = 20 << 20
	res, err = h.Run(t.Context(), host.Cmd{
		Path: "sh", Args: []string{"-c", `head -c "$1" /dev/zero & head -c "$1" /dev/zero >&2; wait`, "sh", fmt.Sprint(flood)},
	})
	require.NoError(t, err)
	require.Equal(t, flood, len(res.Stdout))
	require.Equal(t, flood, len(res.Stderr))

	_, err = h.Run(t.Context(), host.Cmd{Path: "cat", Stdin: io.MultiReader(strings.NewReader("x"), brokenReader{})})
	require.ErrorAs(t, err, new(*host.UnknownError), "it did not get all of its input")
	require.ErrorIs(t, err, errBroken)
	waiting, end := io.Pipe()
	defer end.Close()
	_, err = h.Run(t.Context(), host.Cmd{Path: "true", Stdin: waiting})
	require.NoError(t, err, "it need not read its input")
	long := strings.Repeat("x", 100_000)
	res, err = h.Run(t.Context(), host.Cmd{Path: "printf", Args: []string{"%s%s%s", long, long, long}})
	require.NoError(t, err)
	require.Equal(t, 300_000, len(res.Stdout))
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func newKey(t *testing.T) (signer ssh.Signer, private ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err = ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer, private
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

func TestSSHLogin(t *testing.T) {
	server := shell(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOST_TEST_PASSPHRASE", "hunter2")
	pemText, err := os.ReadFile(server.KeyFile)
	require.NoError(t, err)
	private, err := ssh.ParseRawPrivateKey(pemText)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("hunter2"))
	require.NoError(t, err)
	locked := write(t, pem.EncodeToMemory(block))
	stranger, strangersKey := newKey(t)
	block, err = ssh.MarshalPrivateKey(strangersKey, "")
	require.NoError(t, err)
	strangersFile := write(t, pem.EncodeToMemory(block))
	otherKey := write(t, fmt.Appendf(nil, "[%s]:%d %s", sshtest.Host, server.Port, ssh.MarshalAuthorizedKey(stranger.PublicKey())))

	for name, tt := range map[string]struct {
		change func(c *host.SSHConfig)
		want   string // part of the message; empty for success
	}{
		"key":        {func(*host.SSHConfig) {}, ""},
		"locked_key": {func(c *host.SSHConfig) { c.KeyFiles, c.PassphraseEnv = []string{locked}, "HOST_TEST_PASSPHRASE" }, ""},
		"passphrase_file": {func(c *host.SSHConfig) {
			c.KeyFiles, c.PassphraseFile = []string{locked}, write(t, []byte("hunter2\n"))
		}, ""},
		"no_passphrase":    {func(c *host.SSHConfig) { c.KeyFiles = []string{locked} }, "it needs a passphrase"},
		"agent":            {func(c *host.SSHConfig) { c.KeyFiles, c.Agent = nil, serveAgent(t, private) }, ""},
		"strangers_key":    {func(c *host.SSHConfig) { c.KeyFiles = []string{strangersFile} }, "unable to authenticate"},
		"another_user":     {func(c *host.SSHConfig) { c.User = "nobody-of-that-name" }, "unable to authenticate"},
		"fingerprint":      {func(c *host.SSHConfig) { c.KnownHosts, c.HostKey = nil, ssh.FingerprintSHA256(server.HostKey) }, ""},
		"unknown_host":     {func(c *host.SSHConfig) { c.KnownHosts = []string{write(t, nil)} }, "not known"},
		"nothing_is_known": {func(c *host.SSHConfig) { c.KnownHosts = nil }, "known"},
		"other_host_key":   {func(c *host.SSHConfig) { c.KnownHosts = []string{otherKey} }, "somebody stands in between"},
		"other_fingerprint": {func(c *host.SSHConfig) {
			c.KnownHosts, c.HostKey = nil, ssh.FingerprintSHA256(stranger.PublicKey())
		}, "not the known one"},
		"nobody_listens": {func(c *host.SSHConfig) { c.Port = 1 }, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sshConfig(server)
			tt.change(&cfg)
			_, err := newSSH(t, cfg).Run(t.Context(), run)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorAs(t, err, new(*host.StartError))
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2")
			if strings.Contains(name, "host_key") {
				require.ErrorAs(t, err, new(*host.HostKeyError))
			}
		})
	}
	for want, change := range map[string]func(c *host.SSHConfig){
		"Host:":          func(c *host.SSHConfig) { c.Host = "" },
		"Port:":          func(c *host.SSHConfig) { c.Port = 70000 },
		"Sessions:":      func(c *host.SSHConfig) { c.Sessions = -1 },
		"Timeout:":       func(c *host.SSHConfig) { c.Timeout = -1 },
		"HostKey:":       func(c *host.SSHConfig) { c.HostKey = "SHA256:x" },
		"PassphraseEnv:": func(c *host.SSHConfig) { c.PassphraseEnv, c.PassphraseFile = "A", "b" },
	} {
		cfg := sshConfig(server)
		change(&cfg)
		_, err := host.NewSSH(cfg)
		require.ErrorContains(t, err, want)
	}
}

// serveAgent runs an ssh-agent that holds a key.
func serveAgent(t *testing.T, private any) (socket string) {
	t.Helper()
	keys := agent.NewKeyring()
	require.NoError(t, keys.Add(agent.AddedKey{PrivateKey: private}))
	socket = filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = agent.ServeAgent(keys, c)
			}()
		}
	}()
	return socket
}

// TestSSHServers has servers that do not, or not only, what they are asked to.
func TestSSHServers(t *testing.T) {
	t.Parallel()
	t.Run("sftp_only", func(t *testing.T) {
		_, err := newSSH(t, sshConfig(sshtest.Start(t))).Run(t.Context(), run)
		require.ErrorAs(t, err, new(*host.StartError))
	})
	t.Run("no_shell", func(t *testing.T) {
		server := shell(t, `ForceCommand echo "This account is not available."; exit 1`)
		_, err := newSSH(t, sshConfig(server)).Run(t.Context(), run)
		require.ErrorAs(t, err, new(*host.StartError))
		require.ErrorContains(t, err, "This account is not available.")
	})
	t.Run("talkative", func(t *testing.T) {
		server := shell(t, `ForceCommand echo hello; echo hello >&2; eval "$SSH_ORIGINAL_COMMAND"; echo bye`)
		res, err := newSSH(t, sshConfig(server)).Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", "printf out; printf err >&2"}})
		require.NoError(t, err)
		require.Equal(t, "out|err", string(res.Stdout)+"|"+string(res.Stderr))
	})
	t.Run("shell_killed", func(t *testing.T) {
		_, err := newSSH(t, sshConfig(shell(t))).Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", "kill -KILL $PPID"}})
		require.ErrorAs(t, err, new(*host.UnknownError))
	})
	for name, tt := range map[string]struct {
		behave func(in ssh.NewChannel)
		want   any
	}{
		"no_channels":       {func(in ssh.NewChannel) { _ = in.Reject(ssh.ResourceShortage, "full") }, new(*host.StartError)},
		"closes_first":      {func(in ssh.NewChannel) { accept(in, func(*fakeSession) {}) }, new(*host.StartError)},
		"no_exec":           {func(in ssh.NewChannel) { accept(in, func(s *fakeSession) { s.reply(false) }) }, new(*host.StartError)},
		"closes_after_exec": {func(in ssh.NewChannel) { accept(in, func(s *fakeSession) { s.reply(true) }) }, new(*host.StartError)},
		"closes_before_go":  {func(in ssh.NewChannel) { accept(in, func(s *fakeSession) { s.reply(true); s.say("start 1", false) }) }, new(*host.StartError)},
		"closes_after_go": {func(in ssh.NewChannel) {
			accept(in, func(s *fakeSession) { s.reply(true); s.say("start 1", true); s.waitForGo() })
		}, new(*host.UnknownError)},
		"half_an_end": {func(in ssh.NewChannel) {
			accept(in, func(s *fakeSession) { s.reply(true); s.say("start 1", true); s.waitForGo(); s.say("end 0", false) })
		}, new(*host.UnknownError)},
		"whole": {func(in ssh.NewChannel) {
			accept(in, func(s *fakeSession) { s.reply(true); s.say("start 1", true); s.waitForGo(); s.say("end 3", true) })
		}, new(*host.ExitError)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSSH(t, fakeSSH(t, tt.behave)).Run(t.Context(), run)
			require.ErrorAs(t, err, tt.want)
		})
	}
}

// fakeSSH is a server that lets everybody in.
func fakeSSH(t *testing.T, behave func(ssh.NewChannel)) host.SSHConfig {
	t.Helper()
	key, private := newKey(t)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	cfg := &ssh.ServerConfig{NoClientAuth: true}
	cfg.AddHostKey(key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, channels, requests, err := ssh.NewServerConn(c, cfg)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(requests)
				for in := range channels {
					go behave(in)
				}
			}()
		}
	}()
	return host.SSHConfig{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, HostKey: ssh.FingerprintSHA256(key.PublicKey()),
		KeyFiles: []string{write(t, pem.EncodeToMemory(block))}, Agent: "none",
	}
}

type fakeSession struct {
	ssh.Channel
	requests <-chan *ssh.Request
	tag      string
}

func accept(in ssh.NewChannel, do func(*fakeSession)) {
	channel, requests, err := in.Accept()
	if err != nil {
		return
	}
	do(&fakeSession{Channel: channel, requests: requests})
	_ = channel.Close()
	ssh.DiscardRequests(requests)
}

// reply answers the request to run something, and reads the tag.
func (s *fakeSession) reply(ok bool) {
	_ = (<-s.requests).Reply(ok, nil)
	if ok {
		s.tag = s.readUntil("understudy-") + s.readUntil("\n")
		s.tag = "understudy-" + strings.TrimSpace(s.tag[strings.LastIndex(s.tag, "understudy-")+len("understudy-"):])
	}
}

func (s *fakeSession) readUntil(end string) string {
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte(end)); got = append(got, b...) {
		if _, err := s.Read(b); err != nil {
			return string(got)
		}
	}
	return string(got)
}

func (s *fakeSession) waitForGo() { s.readUntil("\ngo\n") }

func (s *fakeSession) say(mark string, both bool) {
	fmt.Fprintf(s.Stderr(), "%s %s\n", s.tag, mark)
	if both {
		fmt.Fprintf(s, "%s %s\n", s.tag, mark)
	}
}
