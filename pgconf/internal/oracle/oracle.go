// Package oracle runs PostgreSQL servers of all majors from 10 on, so that tests can ask them what a file means. It is for the tests
// of pgconf and the packages below it only.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// Server is a running server with an empty cluster. It listens on a Unix socket only and trusts everyone. Its
// encoding is SQL_ASCII, so that any bytes come back as they are.
type Server struct {
	localpg.Install
	Data   string // data directory
	Socket string // folder of the socket
	Port   int
	args   []string // it was started with
	cmd    *exec.Cmd
	exited <-chan struct{} // closed when it has ended
}

// User is the database superuser.
const User = "postgres"

// Conninfo returns the connection string of the superuser.
func (s *Server) Conninfo() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", s.Socket, s.Port, User)
}

// Args returns the arguments that the server was started with.
func (s *Server) Args() []string { return slices.Clone(s.args) }

// Path returns the path of a file in the data directory.
func (s *Server) Path(name string) string { return filepath.Join(s.Data, name) }

// Write replaces a file in the data directory. It belongs to whom the server runs as, who can read and write it.
func (s *Server) Write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(s.Path(name), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := localpg.Owner(s.Path(name)); err != nil {
		t.Fatal(err)
	}
}

// Keep puts files in the data directory back when the test has ended, and waits until the server has read them again: a later test
// finds the server as it was. What a test makes after Keep is cleaned up before.
func (s *Server) Keep(t testing.TB, names ...string) {
	t.Helper()
	contents := map[string][]byte{}
	for _, name := range names {
		content, err := os.ReadFile(s.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		contents[name] = content
	}
	t.Cleanup(func() {
		for name, content := range contents {
			s.Write(t, name, content)
		}
		if err := s.Reload(); err != nil {
			t.Error(err)
		}
	})
}

// pool starts a server of a major on first use, and keeps it until the tests of the package have run.
type pool struct {
	sync.Mutex
	servers map[int]*Server // by major; nil is one that did not start
}

var shared = pool{servers: map[int]*Server{}}

// Run runs the tests of a package and ends the servers they started. It is all that TestMain does.
func Run(m *testing.M) int {
	defer shared.stop()
	return m.Run()
}

// Each runs a test with a server of each major; see [localpg.EachServer]. The servers are shared by all tests of a package: tests that
// use them are not parallel to each other, and leave no file changed.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	localpg.EachServer(t, func(t *testing.T, in localpg.Install) { test(t, shared.get(t, in)) })
}

// get returns the server of a major. One that did not start is not tried again: it fails every test that asks for it.
func (p *pool) get(t *testing.T, in localpg.Install) *Server {
	t.Helper()
	p.Lock()
	s, tried := p.servers[in.Major]
	p.Unlock()
	if tried {
		if s == nil {
			t.Fatalf("PostgreSQL %d did not start, see above", in.Major)
		}
		return s
	}
	s, err := start(in, 5432)
	p.Lock()
	p.servers[in.Major] = s
	p.Unlock()
	if err != nil {
		t.Fatalf("start PostgreSQL %d of %s: %v", in.Major, in.Dir, err)
	}
	return s
}

func (p *pool) stop() {
	for _, s := range p.servers {
		if s != nil {
			s.stop()
		}
	}
}

// start starts a server. Of two arguments for one parameter the later one counts.
func start(in localpg.Install, port int, args ...string) (s *Server, err error) {
	base, err := os.MkdirTemp("", "pgoracle")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(base))
		}
	}()
	owner, err := localpg.Owner(base)
	if err != nil {
		return nil, err
	}
	s = &Server{Install: in, Data: filepath.Join(base, "data"), Socket: base, Port: port}
	initdb := s.command(owner, "initdb", "-D", s.Data, "-U", User, "-A", "trust", "-E", "SQL_ASCII", "--locale=C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.args = append([]string{"-D", s.Data, "-c", "listen_addresses=", "-c", fmt.Sprintf("port=%d", port),
		"-c", "unix_socket_directories=" + s.Socket, "-c", "fsync=off", "-c", "shared_buffers=2MB", "-c", "max_connections=20"}, args...)
	if err := s.run(owner, s.args); err != nil {
		s.end(syscall.SIGQUIT)
		return nil, err
	}
	return s, nil
}

// run starts the server and waits until it answers. If it does not, the error holds its log.
func (s *Server) run(owner localpg.Account, args []string) error {
	log, err := os.Create(filepath.Join(s.Socket, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = s.command(owner, "postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.exited, err = localpg.Launch(s.cmd)
	if err == nil {
		err = s.waitReady()
	}
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		err = fmt.Errorf("%w\n%s", err, text)
	}
	return err
}

// command prepares a program of the server that runs in the folder of the socket, as its owner.
func (s *Server) command(owner localpg.Account, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), s.Bin(name), args...)
	cmd.Dir = s.Socket
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGHOST="+s.Socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.Credential}
	return cmd
}

// waitReady waits until the server lets the superuser in.
func (s *Server) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.Conninfo())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("server ended: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("server not ready: %w", err)
		case <-tick.C:
		}
	}
}

// Reload makes the server read its files, and waits until it has and lets the superuser in.
func (s *Server) Reload() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		loaded, err := s.loaded(ctx)
		if err == nil && loaded.After(began) {
			return s.waitReady() // the postmaster takes that time before it reads pg_hba.conf; a further session comes after it
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server does not read its files again: %w", errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// loaded returns when the server last read its files, as a new session knows it.
func (s *Server) loaded(ctx context.Context) (at time.Time, err error) {
	conn, err := pgx.Connect(ctx, s.Conninfo())
	if err != nil {
		return at, err
	}
	err = conn.QueryRow(ctx, "select pg_conf_load_time()").Scan(&at)
	return at, errors.Join(err, conn.Close(ctx))
}

// Psql returns the path of an installed psql, the newest: libpq's word on a server of any major. Without one, the test is skipped, or
// fails if CI is set.
func Psql(t testing.TB) string {
	t.Helper()
	return localpg.Require(t)[0].Bin("psql")
}

// Stop ends the server, so that the test may give it other files and start it with them: see Start. When the test has ended and its
// later clean-ups have run, the server runs as before.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(syscall.SIGINT) // it writes all down, so that it starts quickly
	t.Cleanup(func() {
		if err := s.Start(s.args...); err != nil {
			t.Fatal(err)
		}
	})
}

// Start starts a server after Stop, or once again, with arguments that leave its socket, port and data directory as they are. If it
// does not start, the error holds its log.
func (s *Server) Start(args ...string) error {
	s.end(syscall.SIGINT)
	owner, err := localpg.Owner(s.Socket)
	if err != nil {
		return err
	}
	return s.run(owner, args)
}

// end ends the server if it runs, at the latest after some seconds.
func (s *Server) end(by syscall.Signal) {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(by)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// stop ends the server and removes its files.
func (s *Server) stop() {
	s.end(syscall.SIGQUIT)
	_ = os.RemoveAll(s.Socket)
}
