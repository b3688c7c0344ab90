package sftp_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/walarchive/store/sftp"
)

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func otherKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return key
}

func TestHostKey(t *testing.T) {
	server := sshtest.Start(t)
	dir := memory(t)
	line := func(key ssh.PublicKey) string {
		return fmt.Sprintf("[%s]:%d %s", sshtest.Host, server.Port, ssh.MarshalAuthorizedKey(key))
	}
	right, wrong := server.HostKey, otherKey(t)
	for name, test := range map[string]struct {
		knownHosts, hostKey string
		want                string // part of the message; empty for success
	}{
		"known":             {knownHosts: line(right)},
		"known_with_others": {knownHosts: "other.example " + string(ssh.MarshalAuthorizedKey(wrong)) + line(right)},
		"unknown":           {knownHosts: "# nothing\n", want: "not known"},
		"changed":           {knownHosts: line(wrong), want: "somebody stands in between"},
		"revoked":           {knownHosts: line(right) + "@revoked * " + string(ssh.MarshalAuthorizedKey(right)), want: "revoked"},
		"fingerprint":       {hostKey: ssh.FingerprintSHA256(right)},
		"other_fingerprint": {hostKey: ssh.FingerprintSHA256(wrong), want: "not the known one (" + ssh.FingerprintSHA256(wrong)},
		"key":               {hostKey: string(ssh.MarshalAuthorizedKey(right))},
		"other_key":         {hostKey: string(ssh.MarshalAuthorizedKey(wrong)), want: "not the known one"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(server, dir)
			cfg.KnownHosts, cfg.HostKey = nil, test.hostKey
			if test.hostKey == "" {
				cfg.KnownHosts = []string{write(t, test.knownHosts)}
			}
			s, err := sftp.Open(t.Context(), cfg)
			if test.want == "" {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				return
			}
			var e *sftp.HostKeyError
			require.ErrorAs(t, err, &e)
			require.Equal(t, ssh.FingerprintSHA256(right), e.Fingerprint)
			require.ErrorContains(t, err, e.Fingerprint)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestHostKey_nothing_known_is_no_trust(t *testing.T) {
	server := sshtest.Start(t)
	t.Setenv("HOME", t.TempDir())
	cfg := config(server, memory(t))
	cfg.KnownHosts = nil
	_, err := sftp.Open(t.Context(), cfg)
	require.Error(t, err, "there may be an /etc/ssh/ssh_known_hosts, but this server is not in it")
	cfg.KnownHosts = []string{filepath.Join(t.TempDir(), "missing")}
	_, err = sftp.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "KnownHosts")
}

const passphrase = "correct-horse-battery"

func TestLogin(t *testing.T) {
	server := sshtest.Start(t)
	dir := memory(t)
	text, err := os.ReadFile(server.KeyFile)
	require.NoError(t, err)
	private, err := ssh.ParseRawPrivateKey(text)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	require.NoError(t, err)
	locked := write(t, string(pem.EncodeToMemory(block)))
	socket := serveAgent(t, private)
	stranger := strangersKey(t)
	t.Setenv("SFTP_TEST_PASSPHRASE", passphrase+"x")
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOME", t.TempDir())
	readable := write(t, string(text))
	require.NoError(t, os.Chmod(readable, 0o640))

	for name, test := range map[string]struct {
		change func(c *sftp.Config)
		want   string // part of the message; empty for success
	}{
		"key_file":            {func(c *sftp.Config) {}, ""},
		"second_key_file":     {func(c *sftp.Config) { c.KeyFiles = []string{stranger, server.KeyFile} }, ""},
		"strangers_key":       {func(c *sftp.Config) { c.KeyFiles = []string{stranger} }, "unable to authenticate"},
		"passphrase_file":     {func(c *sftp.Config) { c.KeyFiles, c.PassphraseFile = []string{locked}, write(t, passphrase+"\n") }, ""},
		"wrong_passphrase":    {func(c *sftp.Config) { c.KeyFiles, c.PassphraseEnv = []string{locked}, "SFTP_TEST_PASSPHRASE" }, "incorrect"},
		"no_passphrase":       {func(c *sftp.Config) { c.KeyFiles = []string{locked} }, "it needs a passphrase"},
		"passphrase_unset":    {func(c *sftp.Config) { c.PassphraseEnv = "SFTP_TEST_NOT_SET" }, "SFTP_TEST_NOT_SET is not set"},
		"readable_key_file":   {func(c *sftp.Config) { c.KeyFiles = []string{readable} }, "chmod 600"},
		"missing_key_file":    {func(c *sftp.Config) { c.KeyFiles = []string{"/nonexistent"} }, "/nonexistent"},
		"no_key_file":         {func(c *sftp.Config) { c.KeyFiles = []string{write(t, "nonsense")} }, "private key"},
		"agent":               {func(c *sftp.Config) { c.KeyFiles, c.Agent = nil, socket }, ""},
		"agent_after_files":   {func(c *sftp.Config) { c.KeyFiles, c.Agent = []string{stranger}, socket }, ""},
		"no_such_agent":       {func(c *sftp.Config) { c.Agent = "/nonexistent" }, "ssh-agent at /nonexistent"},
		"nothing_at_all":      {func(c *sftp.Config) { c.KeyFiles = nil }, "no key to log in with"},
		"another_user":        {func(c *sftp.Config) { c.User = "nobody-of-that-name" }, "unable to authenticate"},
		"nobody_listens":      {func(c *sftp.Config) { c.Port = 1 }, "connection refused"},
		"not_a_host":          {func(c *sftp.Config) { c.Host = "a/b" }, "Host:"},
		"path_is_missing":     {func(c *sftp.Config) { c.Path = "" }, "Path:"},
		"path_is_a_file":      {func(c *sftp.Config) { c.Path = stranger }, "is not a directory"},
		"two_passphrases":     {func(c *sftp.Config) { c.PassphraseEnv, c.PassphraseFile = "a", "b" }, "PassphraseEnv:"},
		"two_kinds_of_trust":  {func(c *sftp.Config) { c.HostKey = "SHA256:x" }, "HostKey:"},
		"host_key_is_no_key":  {func(c *sftp.Config) { c.KnownHosts, c.HostKey = nil, "x" }, "HostKey:"},
		"mode_without_writer": {func(c *sftp.Config) { c.Mode = 0o444 }, "Mode:"},
		"negative_timeout":    {func(c *sftp.Config) { c.Timeout = -1 }, "Timeout:"},
		"port_too_high":       {func(c *sftp.Config) { c.Port = 70000 }, "Port:"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(server, dir)
			test.change(&cfg)
			s, err := sftp.Open(t.Context(), cfg)
			if test.want == "" {
				require.NoError(t, err)
				require.NoError(t, s.Create(t.Context(), name, strings.NewReader("x")))
				require.NoError(t, s.Close())
			} else {
				require.ErrorContains(t, err, test.want)
			}
			require.NotContains(t, fmt.Sprint(err, s, cfg), passphrase)
		})
	}
}

func strangersKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	return write(t, string(pem.EncodeToMemory(block)))
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

// TestOpen_nobody_answers connects to what takes connections and says nothing.
func TestOpen_nobody_answers(t *testing.T) {
	server := sshtest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	cfg := config(server, "/")
	cfg.Port = l.Addr().(*net.TCPAddr).Port
	cfg.Timeout = 100 * time.Millisecond
	_, err = sftp.Open(t.Context(), cfg)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	cfg.Timeout = time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the caller's reason")
	time.AfterFunc(50*time.Millisecond, func() { cancel(reason) })
	_, err = sftp.Open(ctx, cfg)
	require.ErrorIs(t, err, reason)
}

func TestPath_relative_to_the_home(t *testing.T) {
	server := sshtest.Start(t)
	cfg := config(server, ".")
	s := open(t, cfg)
	_, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("sftp://%s@%s:%d/~/.", server.User, sshtest.Host, server.Port), s.String())
}

func ExampleConfig_String() {
	fmt.Println(sftp.Config{Host: "backup.example.com", User: "archive", Path: "/srv/wal/main", PassphraseEnv: "SSH_PASSPHRASE"})
	// Output: sftp://archive@backup.example.com/srv/wal/main
}

func TestConfig_secrets_stay_where_they_are(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %+v %s", sftp.Config{Host: "h", Path: "/p"}, sftp.Config{Host: "::1", Port: 2222, Path: "p"}, &sftp.Config{Host: "h"})
	require.Equal(t, "sftp://h/p sftp://[::1]:2222/~/p sftp://h/~/", b.String())
}
