// Package oracle runs the PostgreSQL servers that are installed on this machine, so that tests can ask them what a file
// means. It is for the tests of pgconf and the packages below it only.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Install is one set of PostgreSQL programs.
type Install struct {
	Major int
	Dir   string // holds postgres, initdb, psql
}

// Bin returns the path of a program.
func (i Install) Bin(name string) string { return filepath.Join(i.Dir, name) }

// Installs returns the newest-first list of what is found on PATH and in /usr/lib/postgresql, one for each major.
func Installs() []Install {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	dirs = append(filepath.SplitList(os.Getenv("PATH")), dirs...)
	var found []Install
	for _, dir := range dirs {
		postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")) // the other programs are beside the real one
		if err != nil {
			continue
		}
		dir = filepath.Dir(postgres)
		major, ok := majorOf(postgres)
		if ok && !slices.ContainsFunc(found, func(i Install) bool { return i.Major == major }) {
			found = append(found, Install{major, dir})
		}
	}
	slices.SortFunc(found, func(a, b Install) int { return b.Major - a.Major })
	return found
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func majorOf(postgres string) (int, bool) {
	out, err := exec.CommandContext(context.Background(), postgres, "--version").Output()
	m := versionText.FindSubmatch(out)
	if err != nil || m == nil {
		return 0, false
	}
	major, err := strconv.Atoi(string(m[1]))
	return major, err == nil && major >= 10
}

// Server is a running server with an empty cluster. It listens on a Unix socket only and trusts everyone. Its
// encoding is SQL_ASCII, so that any bytes come back as they are.
type Server struct {
	Install
	Data   string // data directory
	Socket string // folder of the socket
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
}

// User is the database superuser.
const User = "postgres"

// Conninfo returns the connection string of the superuser.
func (s *Server) Conninfo() string {
	return fmt.Sprintf("host=%s port=5432 user=%s dbname=postgres sslmode=disable", s.Socket, User)
}

// Path returns the path of a file in the data directory.
func (s *Server) Path(name string) string { return filepath.Join(s.Data, name) }

// Write replaces a file in the data directory. The server must be able to read it.
func (s *Server) Write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(s.Path(name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// pool starts one server for each major on first use, and keeps them until the tests of the package have run.
type pool struct {
	servers []*Server
	err     error
	started bool
}

var shared pool

// Run runs the tests of a package and ends the servers they started. It is all that TestMain does.
func Run(m *testing.M) int {
	defer shared.stop()
	return m.Run()
}

// Each runs a test once for each installed major. Without any, the test is skipped, or fails if CI is set.
// The servers are shared by all tests of a package: tests that use them are not parallel, and leave no file changed.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	shared.start()
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	if len(shared.servers) == 0 {
		const msg = "no PostgreSQL 10 or later on PATH or in /usr/lib/postgresql; install the package postgresql"
		if os.Getenv("CI") != "" {
			t.Fatal(msg)
		}
		t.Skip(msg)
	}
	for _, s := range shared.servers {
		t.Run(fmt.Sprintf("major=%d", s.Major), func(t *testing.T) { test(t, s) })
	}
}

func (p *pool) start() {
	if p.started {
		return
	}
	p.started = true
	for _, in := range Installs() {
		s, err := start(in)
		if err != nil {
			p.err = fmt.Errorf("start PostgreSQL %d of %s: %w", in.Major, in.Dir, err)
			return
		}
		p.servers = append(p.servers, s)
	}
}

func (p *pool) stop() {
	for _, s := range p.servers {
		s.stop()
	}
}

func start(in Install) (s *Server, err error) {
	base, err := os.MkdirTemp("", "pgoracle")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(base))
		}
	}()
	cred, err := credential(base)
	if err != nil {
		return nil, err
	}
	s = &Server{Install: in, Data: filepath.Join(base, "data"), Socket: base, exited: make(chan struct{})}
	initdb := s.command(cred, "initdb", "-D", s.Data, "-U", User, "-A", "trust", "-E", "SQL_ASCII", "--locale=C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(base, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = s.command(cred, "postgres", "-D", s.Data, "-c", "listen_addresses=", "-c", "port=5432",
		"-c", "unix_socket_directories="+s.Socket, "-c", "fsync=off", "-c", "shared_buffers=2MB", "-c", "max_connections=20")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.launch(); err != nil {
		return nil, err
	}
	if err := s.waitReady(); err != nil {
		text, _ := os.ReadFile(log.Name())
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return s, nil
}

// launch starts the server on a thread of its own, which ends with this process and not before, so that the server can
// be told to end with it too, even if the tests are killed.
func (s *Server) launch() error {
	dieWithParent(s.cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // the state is in cmd
			close(s.exited)
		}
	}()
	return <-started
}

// command prepares a program of the server that runs in the folder of the socket, as the unprivileged user if cred is set.
func (s *Server) command(cred *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), s.Bin(name), args...)
	cmd.Dir = s.Socket
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGHOST="+s.Socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	return cmd
}

// credential returns whom to run the server as, and gives that user the folder. It is nil if we are not root, whom
// the server refuses.
func credential(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("running as root, and there is neither a user postgres nor nobody to run the server as")
}

// waitReady waits until psql can ask a question.
func (s *Server) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := exec.CommandContext(ctx, s.Bin("psql"), "-XAtc", "select 1", s.Conninfo()).CombinedOutput()
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-s.exited:
			return fmt.Errorf("server ended: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("server not ready: %w: %s", ctx.Err(), strings.TrimSpace(string(out)))
		case <-tick.C:
		}
	}
}

// stop ends the server, at the latest after some seconds, and removes its files.
func (s *Server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	_ = os.RemoveAll(s.Socket)
}
