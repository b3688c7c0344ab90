// Package sshtest runs a real OpenSSH server for tests: on the loopback interface, as the user who runs the tests, with keys
// and a configuration of its own, for one login key.
package sshtest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// Server is a running server. Home is where its user's shell looks for .bashrc, if that user is the one who runs the tests. It starts one sshd for each connection, as inetd would do.
type Server struct {
	Port       int
	User       string
	HostKey    ssh.PublicKey
	KnownHosts string // a file that names HostKey
	KeyFile    string // a private key that may log in
	Home       string

	sshd, config, log string
	listener          *net.TCPListener

	mu       sync.Mutex
	sessions []*exec.Cmd
	refusing bool
	wg       sync.WaitGroup
}

// Host is where every Server listens.
const Host = "127.0.0.1"

// Config says what a server lets its user do.
type Config struct {
	// User is the operating-system user who logs in. Empty means the one who runs the tests; only root can let in another.
	User string
	// Commands lets the user run commands. Otherwise there is SFTP only.
	Commands bool
	// SFTP are options of the SFTP server, as in sftp-server(8), such as "-P", "hardlink" for one that does not know hard links.
	SFTP []string
	// Lines are more lines of sshd_config.
	Lines []string
}

// Start starts a server for SFTP with these options that is stopped at the end of the test. See [Run].
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	return Run(t, Config{SFTP: options})
}

// Run starts a server that is stopped at the end of the test. Without an sshd, the test is skipped, or fails in CI.
func Run(t testing.TB, cfg Config) *Server {
	t.Helper()
	sshd := find(t)
	dir := t.TempDir()
	u, err := user.Current()
	require.NoError(t, err)
	s := &Server{
		User: u.Username, KnownHosts: filepath.Join(dir, "known_hosts"), KeyFile: filepath.Join(dir, "login"),
		Home: dir, sshd: sshd, config: filepath.Join(dir, "sshd_config"), log: filepath.Join(dir, "log"),
	}
	login := writeKey(t, s.KeyFile)
	s.HostKey = writeKey(t, filepath.Join(dir, "host"))
	sftp := "internal-sftp " + strings.Join(cfg.SFTP, " ")
	lines := []string{
		"HostKey " + filepath.Join(dir, "host"), "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "PidFile none", "Subsystem sftp " + sftp,
	}
	if !cfg.Commands {
		lines = append(lines, "ForceCommand "+sftp)
	}
	keys := filepath.Join(dir, "authorized_keys")
	if cfg.User == "" {
		lines = append(lines, "UsePAM no", "SetEnv HOME="+dir) // without what this user's shell does first
	} else {
		s.User = cfg.User
		keys = filepath.Join(openDir(t), "authorized_keys")
		lines = append(lines, "UsePAM yes") // without it, sshd refuses accounts that have no password, as those of services
	}
	write(t, keys, string(ssh.MarshalAuthorizedKey(login)))
	require.NoError(t, os.Chmod(keys, 0o644))
	write(t, s.config, strings.Join(slices.Concat(lines, []string{"AuthorizedKeysFile " + keys}, cfg.Lines), "\n")+"\n")
	if os.Getuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755), "the privilege separation directory of Debian's sshd")
	}
	s.listener, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	s.Port = s.listener.Addr().(*net.TCPAddr).Port
	address := net.JoinHostPort(Host, strconv.Itoa(s.Port))
	write(t, s.KnownHosts, fmt.Sprintf("[%s]:%d %s", Host, s.Port, ssh.MarshalAuthorizedKey(s.HostKey)))
	s.wg.Go(s.serve)
	t.Cleanup(func() {
		require.NoError(t, s.listener.Close())
		s.Kill()
		s.wg.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(s.log)
			t.Logf("log of the sshd at %s:\n%s", address, bytes.TrimSpace(log[max(0, len(log)-5000):]))
		}
	})
	return s
}

// openDir is a directory into which any user may look.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sshtest-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func find(t testing.TB) string {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	localpg.Missing(t, "no sshd: install the package openssh-server (scripts/setup test)")
	return ""
}

func writeKey(t testing.TB, file string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "test")
	require.NoError(t, err)
	write(t, file, string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return key
}

func write(t testing.TB, file, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
}

func (s *Server) serve() {
	for {
		conn, err := s.listener.AcceptTCP()
		if err != nil {
			return
		}
		s.start(conn)
		_ = conn.Close()
	}
}

// start gives the connection to an sshd of its own.
func (s *Server) start(conn *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusing {
		return
	}
	socket, err := conn.File()
	if err != nil {
		return
	}
	defer socket.Close()
	cmd := exec.Command(s.sshd, "-i", "-E", s.log, "-f", s.config) //nolint:noctx // Kill ends it
	cmd.Stdin, cmd.Stdout = socket, socket
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Start() != nil {
		return
	}
	s.sessions = append(s.sessions, cmd)
	s.wg.Go(func() {
		_ = cmd.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions = slices.DeleteFunc(s.sessions, func(c *exec.Cmd) bool { return c == cmd })
	})
}

// Refuse makes the server close new connections at once, or accept them again.
func (s *Server) Refuse(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = refuse
}

// Sessions is the number of connections.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Kill kills all processes of all sessions, as kill -9 does. New connections are served again.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Pause stops all processes of all sessions, so that connections stay open and nobody answers, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cmd := range s.sessions {
		for _, pid := range family(cmd.Process.Pid) {
			_ = syscall.Kill(pid, sig) // it may have ended
		}
	}
}

// family is a process and all its descendants. An sshd forks for a session, and again for the SFTP server.
func family(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // state, parent, ...
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
