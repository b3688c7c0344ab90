package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// world is a folder of servers that the unprivileged user owns; it is also the folder of their sockets.
type world struct {
	localpg.Install
	t     *testing.T
	dir   string
	owner localpg.Account
	last  int // port
}

func newWorld(t *testing.T, in localpg.Install) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "recovery") // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	owner, err := localpg.Owner(dir)
	require.NoError(t, err)
	return &world{Install: in, t: t, dir: dir, owner: owner, last: 5431}
}

func (w *world) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.Bin(program), args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGHOST="+w.dir, "PGUSER=postgres")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.owner.Credential}
	return cmd
}

func (w *world) run(program string, args ...string) {
	w.t.Helper()
	out, err := w.command(program, args...).CombinedOutput()
	require.NoError(w.t, err, "%s: %s", program, out)
}

// initdb makes a data directory, with checksums.
func (w *world) initdb(name string) *server {
	w.t.Helper()
	s := w.server(name)
	w.run("initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-k", "-N")
	return s
}

// copyOf makes a copy of a running server with pg_basebackup, of this major or a later one that is installed.
func (w *world) copyOf(upstream *server, name string) *server {
	w.t.Helper()
	found := append([]localpg.Install{w.Install}, localpg.Installs()...)
	i := slices.IndexFunc(found, func(i localpg.Install) bool {
		_, err := os.Stat(i.Bin("pg_basebackup"))
		return err == nil && i.Major >= w.Major
	})
	if i < 0 {
		localpg.Missing(w.t, fmt.Sprintf("no pg_basebackup for PostgreSQL %d", w.Major))
	}
	s := w.server(name)
	cmd := w.command("pg_basebackup", "-D", s.data, "-p", strconv.Itoa(upstream.port), "-X", "stream", "-c", "fast", "-N")
	cmd.Path = found[i].Bin("pg_basebackup")
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "%s", out)
	return s
}

func (w *world) server(name string) *server {
	w.last++
	return &server{w: w, data: filepath.Join(w.dir, name), port: w.last}
}

// server is a data directory, and what runs in it.
type server struct {
	w      *world
	data   string
	port   int
	cmd    *exec.Cmd
	exited chan struct{}
}

// log is what the server wrote since its last start.
func (s *server) log() string {
	data, _ := os.ReadFile(s.data + ".log")
	return string(data)
}

// start starts the server; it does not wait until it accepts connections.
func (s *server) start() {
	s.w.t.Helper()
	s.cmd = s.w.command("postgres", "-D", s.data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+s.w.dir, "-c", "port="+strconv.Itoa(s.port),
		"-c", "shared_buffers=8MB", "-c", "fsync=off", "-c", "wal_level=replica", "-c", "hot_standby=on", "-c", "max_wal_senders=10",
		"-c", "max_replication_slots=10", "-c", "wal_retrieve_retry_interval=100ms", "-c", "logging_collector=off")
	log, err := os.Create(s.data + ".log")
	require.NoError(s.w.t, err)
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	dieWithParent(s.cmd.SysProcAttr)
	s.exited = make(chan struct{})
	started := make(chan error)
	go func() { // on a thread of its own, which ends with this process
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
			close(s.exited)
		}
	}()
	require.NoError(s.w.t, <-started)
	s.w.t.Cleanup(func() {
		s.kill(syscall.SIGQUIT)
		if s.w.t.Failed() {
			s.w.t.Logf("log of %s:\n%s", filepath.Base(s.data), s.log())
		}
	})
}

// kill signals the postmaster and waits for its end.
func (s *server) kill(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.w.t.Errorf("%s did not end within 30 s", s.data)
	}
}

func (s *server) stop() { s.kill(syscall.SIGINT) }

// wantEnd waits until the server has ended by itself and returns its log.
func (s *server) wantEnd() string {
	s.w.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		require.Fail(s.w.t, "the server did not end")
	}
	return s.log()
}

// up starts the server and waits until it answers.
func (s *server) up() {
	s.w.t.Helper()
	s.start()
	s.wait("select true")
}

func (s *server) conninfo() conninfo.Info {
	return info("host", s.w.dir, "port", strconv.Itoa(s.port), "user", "postgres")
}

func (s *server) do(work func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(s.w.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.conninfo().With("dbname", "postgres").With("sslmode", "disable").Text())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return work(ctx, conn)
}

func (s *server) exec(statements ...string) {
	s.w.t.Helper()
	require.NoError(s.w.t, s.do(func(ctx context.Context, conn *pgx.Conn) error {
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	}))
}

// ask returns the one value of a query as text.
func (s *server) ask(sql string) string {
	s.w.t.Helper()
	var answer string
	require.NoError(s.w.t, s.do(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select ("+sql+")::text").Scan(&answer)
	}), sql)
	return answer
}

// wait waits until a query answers true.
func (s *server) wait(sql string) {
	s.w.t.Helper()
	waitUntil(s.w.t, sql, func() error {
		var yes bool
		err := s.do(func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, sql).Scan(&yes) })
		if err == nil && !yes {
			return errors.New("not yet")
		}
		select {
		case <-s.exited:
			require.Fail(s.w.t, "the server ended", "%s", s.log())
		default:
		}
		return err
	})
}

func waitUntil(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		require.True(t, time.Now().Before(deadline), "%s: %v", what, err)
		time.Sleep(30 * time.Millisecond) // between two looks at a condition with a deadline
	}
}

// write replaces a file in the data directory.
func (s *server) write(name, content string) {
	s.w.t.Helper()
	require.NoError(s.w.t, s.WriteFile(s.w.t.Context(), filepath.Join(s.data, name), []byte(content), 0o600))
}

func (s *server) read(name string) string {
	s.w.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.data, name))
	require.NoError(s.w.t, err)
	return string(data)
}

func (s *server) exists(name string) bool {
	s.w.t.Helper()
	_, err := os.Lstat(filepath.Join(s.data, name))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(s.w.t, err)
	}
	return err == nil
}

func (s *server) remove(name string) {
	s.w.t.Helper()
	require.NoError(s.w.t, os.Remove(filepath.Join(s.data, name)))
}

func (s *server) apply(cfg recovery.Config) {
	s.w.t.Helper()
	require.NoError(s.w.t, recovery.Apply(s.w.t.Context(), s, s.data, s.w.Major, cfg))
}

func (s *server) control() datadir.Control {
	s.w.t.Helper()
	c, err := datadir.ReadControl(s.data)
	require.NoError(s.w.t, err)
	return c
}

// ReadFile implements [recovery.Files].
func (*server) ReadFile(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

// WriteFile implements [recovery.Files]; the file belongs to the user of the server.
func (s *server) WriteFile(_ context.Context, path string, data []byte, perm fs.FileMode) error {
	if err := atomicfile.Write(path, data, perm); err != nil {
		return err
	}
	if s.w.owner.Credential == nil {
		return nil
	}
	return os.Lchown(path, int(s.w.owner.Credential.Uid), int(s.w.owner.Credential.Gid))
}
