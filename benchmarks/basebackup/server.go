package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// server is what is copied.
type server struct {
	localpg.Install
	major    int
	manifest string
	base     string
	cmd      *exec.Cmd
}

// startServer starts a new cluster with tables of about that size.
func startServer(ctx context.Context, c config) (_ *server, err error) {
	found := localpg.Installs()
	i := slices.IndexFunc(found, func(in localpg.Install) bool {
		_, err := os.Stat(in.Bin("pg_basebackup"))
		return err == nil && in.Major >= 13
	})
	if i < 0 {
		return nil, errors.New("no PostgreSQL from 13 on with pg_basebackup on this machine; install the package postgresql")
	}
	base, err := os.MkdirTemp(c.dir, "benchmark")
	if err != nil {
		return nil, err
	}
	s := &server{Install: found[i], major: found[i].Major, manifest: c.manifest, base: base}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	owner, err := localpg.Owner(base)
	if err != nil {
		return nil, err
	}
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(s.Bin(name), args...) //nolint:noctx // stop ends it
		cmd.Dir = base
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.Credential}
		return cmd
	}
	if out, err := program("initdb", "-D", s.path("data"), "-U", "postgres", "-A", "trust", "-k", "-N").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.cmd = program("postgres", "-D", s.path("data"), "-c", "listen_addresses=", "-c", "unix_socket_directories="+base,
		"-c", "max_wal_size=8GB", "-c", "autovacuum=off", "-c", "wal_level=replica")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.fill(ctx, c.sizeMiB); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *server) conninfo() string {
	return "host=" + s.base + " port=5432 user=postgres dbname=postgres sslmode=disable"
}

// rowsPerMiB is how many rows of the table are a MiB.
const rowsPerMiB = 7800

// fill makes the tables: rows like those of pgbench_accounts, in several tables, as a database has.
func (s *server) fill(ctx context.Context, sizeMiB int) error {
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(waiting, s.conninfo())
	for err != nil {
		select {
		case <-waiting.Done():
			return fmt.Errorf("the server does not get ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
		conn, err = pgx.Connect(waiting, s.conninfo())
	}
	defer conn.Close(ctx)
	const tables = 4
	for i := range tables {
		_, err := conn.Exec(ctx, fmt.Sprintf(
			"create table accounts%d as select i aid, i %% 100 bid, 0 abalance, repeat(md5(i::text), 3)::char(84) filler from generate_series(1, %d) i",
			i, sizeMiB*rowsPerMiB/tables))
		if err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "checkpoint")
	return err
}

func (s *server) path(name string) string { return filepath.Join(s.base, name) }

// stop ends the server and removes everything.
func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait() // the exit code of a server that was told to quit
	}
	_ = os.RemoveAll(s.base)
}

// ours and theirs are the programs.
func (s *server) ours(ctx context.Context, target string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	text, _ := json.Marshal(order{Source: s.conninfo(), Target: target, Manifest: s.manifest}) // strings
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	return cmd
}

func (s *server) theirs(ctx context.Context, target string) *exec.Cmd {
	return exec.CommandContext(ctx, s.Bin("pg_basebackup"), "-D", target, "-d", s.conninfo(), "-X", "stream", "-c", "fast",
		"--manifest-checksums="+s.manifest)
}

// highWater reads VmHWM of a process's status.
func highWater(status string) int64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64) // zero if it is nothing
			return kB << 10
		}
	}
	return 0
}
