package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// User is the superuser of every server.
const User = "postgres"

// World is a folder of servers of one major that an unprivileged user owns. It is also the folder of their sockets and logs.
type World struct {
	localpg.Install
	Dir   string
	Owner localpg.Account

	t        testing.TB
	lastPort int
}

// templates holds what initdb made, by folder of the programs, until Run ends.
var templates struct {
	sync.Mutex
	running bool
	base    string
	made    map[string]string
}

// Run runs the tests of a package, a [testing.M], and removes what they shared. It is all that TestMain does.
func Run(m interface{ Run() int }) int {
	templates.running, templates.made = true, map[string]string{}
	defer func() { _ = os.RemoveAll(templates.base) }()
	return m.Run()
}

// Each runs a test in a world of each major; see [localpg.EachServer].
func Each(t *testing.T, test func(t *testing.T, w *World)) {
	t.Helper()
	localpg.EachServer(t, func(t *testing.T, in localpg.Install) { test(t, New(t, in)) })
}

// New makes a world that ends with the test.
func New(t testing.TB, in localpg.Install) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgserver") // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	owner, err := localpg.Owner(dir)
	require.NoError(t, err)
	return &World{Install: in, Dir: dir, Owner: owner, t: t, lastPort: 5431}
}

// Command prepares a program of the server that runs as the owner, in the world's folder, and reaches its servers as the superuser.
func (w *World) Command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), w.Bin(program), args...)
	cmd.Dir = w.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGHOST="+w.Dir, "PGUSER="+User)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.Owner.Credential}
	return cmd
}

// RunCommand runs a program of the server, which must succeed, and returns what it printed.
func (w *World) RunCommand(program string, args ...string) string {
	w.t.Helper()
	out, err := w.Command(program, args...).CombinedOutput()
	require.NoError(w.t, err, "%s: %s", program, out)
	return string(out)
}

// Server returns a server whose data directory, of that name in the world's folder, is yet to be made.
func (w *World) Server(name string) *Server {
	w.lastPort++
	return &Server{World: w, Data: filepath.Join(w.Dir, name), Port: w.lastPort}
}

// Initdb returns a server with a fresh data directory: data checksums, UTF8, locale C, everybody trusted. All of one major have the
// same system identifier.
func (w *World) Initdb(name string) *Server {
	w.t.Helper()
	s := w.Server(name)
	w.CopyTree(w.template(), s.Data)
	return s
}

func (w *World) template() string {
	w.t.Helper()
	templates.Lock()
	defer templates.Unlock()
	require.True(w.t, templates.running, "the package needs a TestMain that calls pgserver.Run")
	if dir, ok := templates.made[w.Install.Dir]; ok {
		return dir
	}
	if templates.base == "" {
		base, err := os.MkdirTemp("", "pgtemplate")
		require.NoError(w.t, err)
		templates.base = base
		_, err = localpg.Owner(base)
		require.NoError(w.t, err)
	}
	dir := filepath.Join(templates.base, fmt.Sprint(w.Major))
	w.RunCommand("initdb", "-D", dir, "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C", "-k", "-N")
	templates.made[w.Install.Dir] = dir
	return dir
}

// Copy returns a server that is a complete copy of a running one, made with the server's functions for backups. It is nobody's standby
// until it is made one; started as it is, it recovers and becomes a primary.
func (w *World) Copy(upstream *Server, name string) *Server {
	w.t.Helper()
	s := w.Server(name)
	start, stop := "select pg_backup_start('copy', true)", "select labelfile from pg_backup_stop(false)"
	if w.Major < 15 {
		start, stop = "select pg_start_backup('copy', true, false)", "select labelfile from pg_stop_backup(false, false)"
	}
	require.NoError(w.t, upstream.Do(func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, start); err != nil {
			return err
		}
		w.copyTree(upstream.Data, s.Data, func(name string) bool {
			return name == "postmaster.pid" || name == "postmaster.opts" || strings.HasPrefix(name, "pg_wal/") || strings.HasPrefix(name, "pg_replslot/")
		})
		var label string
		if err := conn.QueryRow(ctx, stop).Scan(&label); err != nil {
			return err
		}
		s.Write("backup_label", label)
		w.CopyTree(filepath.Join(upstream.Data, "pg_wal"), filepath.Join(s.Data, "pg_wal"))
		return nil
	}))
	return s
}

// CopyTree copies a folder with all that is in it, for the owner of the world. Links are copied as links; what vanishes meanwhile is
// left out.
func (w *World) CopyTree(from, to string) {
	w.t.Helper()
	w.copyTree(from, to, func(string) bool { return false })
}

func (w *World) copyTree(from, to string, leaveOut func(name string) bool) {
	w.t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != from {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || leaveOut(filepath.ToSlash(name)) {
			return err
		}
		target := filepath.Join(to, name)
		err = copyEntry(path, target, entry)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(err, w.give(target))
	})
	require.NoError(w.t, err)
}

func copyEntry(from, to string, entry fs.DirEntry) error {
	switch {
	case entry.IsDir():
		if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case entry.Type()&fs.ModeSymlink != 0:
		goal, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(goal, to)
	case !entry.Type().IsRegular():
		return nil // a socket
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// give gives a file to the owner of the world.
func (w *World) give(path string) error {
	if w.Owner.Credential == nil {
		return nil
	}
	err := os.Lchown(path, int(w.Owner.Credential.Uid), int(w.Owner.Credential.Gid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a socket was left out
	}
	return err
}
