package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/localpg"
)

// patience is how long a server may take for anything.
const patience = 60 * time.Second

// Server is a data directory, and what runs in it.
type Server struct {
	World *World
	Data  string // the data directory
	Port  int    // in the name of its socket

	cmd    *exec.Cmd
	exited <-chan struct{}
}

// Log is what the server wrote since its last start.
func (s *Server) Log() string {
	data, _ := os.ReadFile(s.Data + ".log") // none before the first start
	return string(data)
}

// Args are the arguments with which Start starts the server.
func (s *Server) Args() []string {
	return []string{"-D", s.Data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.World.Dir, "-c", "port=" + strconv.Itoa(s.Port),
		"-c", "shared_buffers=8MB", "-c", "fsync=off", "-c", "wal_level=replica", "-c", "hot_standby=on", "-c", "max_wal_senders=10",
		"-c", "max_replication_slots=10", "-c", "wal_retrieve_retry_interval=100ms", "-c", "logging_collector=off"}
}

// Start starts the server, with more arguments if there are any; of two for one parameter the later counts. It does not wait until the
// server accepts connections. The server ends with the test.
func (s *Server) Start(args ...string) {
	t := s.World.t
	t.Helper()
	s.cmd = s.World.Command("postgres", append(s.Args(), args...)...)
	log, err := os.Create(s.Data + ".log")
	require.NoError(t, err)
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.exited, err = localpg.Launch(s.cmd)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Kill(syscall.SIGQUIT)
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(s.Data), s.Log())
		}
	})
}

// Up starts the server and waits until it answers.
func (s *Server) Up(args ...string) {
	s.World.t.Helper()
	s.Start(args...)
	s.Wait("select true")
}

// Kill signals the postmaster and waits for its end.
func (s *Server) Kill(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.World.t.Errorf("%s did not end within %v", s.Data, patience)
	}
}

// Stop ends the server in an orderly way, sessions or not (a fast shutdown).
func (s *Server) Stop() { s.Kill(syscall.SIGINT) }

// Signal sends a signal to the postmaster.
func (s *Server) Signal(sig syscall.Signal) {
	s.World.t.Helper()
	require.NoError(s.World.t, s.cmd.Process.Signal(sig))
}

// Promote ends recovery as pg_ctl promote does, and waits until the server accepts writes.
func (s *Server) Promote() {
	s.World.t.Helper()
	// Any signal of a child makes the postmaster look for the file, so it can be gone as soon as it is there.
	s.Write("promote", "")
	s.Signal(syscall.SIGUSR1)
	s.Wait("select not pg_is_in_recovery()")
}

// Exited is closed when the server that was last started has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// WantEnd waits until the server has ended by itself and returns its log.
func (s *Server) WantEnd() string {
	s.World.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		require.Fail(s.World.t, "the server did not end", "%s", s.Log())
	}
	return s.Log()
}

// Conninfo is the connection string of the superuser for the database postgres.
func (s *Server) Conninfo() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", s.World.Dir, s.Port, User)
}

// Do works with a session of the superuser.
func (s *Server) Do(work func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(s.World.t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.Conninfo())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return work(ctx, conn)
}

// Exec executes statements, each in a transaction of its own.
func (s *Server) Exec(statements ...string) {
	s.World.t.Helper()
	require.NoError(s.World.t, s.Do(func(ctx context.Context, conn *pgx.Conn) error {
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	}))
}

// Ask returns the one value of a query as text.
func (s *Server) Ask(sql string) string {
	s.World.t.Helper()
	var answer string
	require.NoError(s.World.t, s.Do(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select ("+sql+")::text").Scan(&answer)
	}), sql)
	return answer
}

// Wait waits until a query answers true.
func (s *Server) Wait(sql string) {
	t := s.World.t
	t.Helper()
	Until(t, sql, func() error {
		var yes bool
		err := s.Do(func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, sql).Scan(&yes) })
		if err == nil && !yes {
			return errors.New("not yet")
		}
		select {
		case <-s.exited:
			require.Fail(t, "the server ended", "%s", s.Log())
		default:
		}
		return err
	})
}

// Until tries until there is no error any more.
func Until(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		require.True(t, time.Now().Before(deadline), "%s: %v", what, err)
		time.Sleep(30 * time.Millisecond) // between two looks at a condition with a deadline
	}
}

// Write replaces a file in the data directory.
func (s *Server) Write(name, content string) {
	s.World.t.Helper()
	require.NoError(s.World.t, s.WriteFile(s.World.t.Context(), filepath.Join(s.Data, name), []byte(content), 0o600))
}

// Read returns the content of a file in the data directory.
func (s *Server) Read(name string) string {
	s.World.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Data, name))
	require.NoError(s.World.t, err)
	return string(data)
}

// Exists reports whether there is a file of that name in the data directory.
func (s *Server) Exists(name string) bool {
	s.World.t.Helper()
	_, err := os.Lstat(filepath.Join(s.Data, name))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(s.World.t, err)
	}
	return err == nil
}

// Remove removes a file from the data directory.
func (s *Server) Remove(name string) {
	s.World.t.Helper()
	require.NoError(s.World.t, os.Remove(filepath.Join(s.Data, name)))
}

// ReadFile and WriteFile reach the files of the machine as the packages under test do that work on other machines too; what is written
// belongs to the user of the server.
func (*Server) ReadFile(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

// WriteFile is described at ReadFile.
func (s *Server) WriteFile(_ context.Context, path string, data []byte, perm fs.FileMode) error {
	return errors.Join(atomicfile.Write(path, data, perm), s.World.give(path))
}
