package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf"
)

// server is a PostgreSQL server that is asked how it reads files.
type server struct {
	major  pgconf.Major
	sample []byte // the postgresql.conf that initdb made
	base   string
	cmd    *exec.Cmd
	conn   *pgx.Conn
}

// startServer starts a new cluster of the newest major there is.
func startServer(ctx context.Context) (_ *server, err error) {
	found := localpg.Servers()
	if len(found) == 0 {
		return nil, errors.New("no PostgreSQL server; scripts/servers fetches some")
	}
	in := found[0]
	base, err := os.MkdirTemp("", "benchmark")
	if err != nil {
		return nil, err
	}
	s := &server{major: pgconf.Major(in.Major), base: base}
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
		cmd := exec.CommandContext(ctx, in.Bin(name), args...)
		cmd.Dir = base
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.Credential}
		return cmd
	}
	initdb := program("initdb", "-D", s.path(""), "-U", "postgres", "-A", "trust", "-E", "SQL_ASCII", "--locale=C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.sample, err = os.ReadFile(s.path("postgresql.conf")); err != nil {
		return nil, err
	}
	s.cmd = program("postgres", "-D", s.path(""), "-c", "listen_addresses=", "-c", "unix_socket_directories="+base, "-c", "fsync=off")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *server) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, "host="+s.base+" port=5432 user=postgres dbname=postgres sslmode=disable")
		if err == nil {
			s.conn = conn
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not get ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) path(name string) string { return filepath.Join(s.base, "data", name) }

// stop ends the server and removes its files.
func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait() // the exit code of a server that was told to quit
	}
	_ = os.RemoveAll(s.base)
}

// conf returns how the server reads a postgresql.conf.
func (s *server) conf(ctx context.Context, content []byte) (string, error) {
	if err := os.WriteFile(s.path("postgresql.conf"), content, 0o644); err != nil { //nolint:gosec // the server reads it
		return "", err
	}
	rows, err := s.conn.Query(ctx, `
		SELECT coalesce(lower(name), ''), coalesce(setting, ''), coalesce(error LIKE '%syntax error%', false)
		FROM pg_file_settings WHERE sourcefile = $1 ORDER BY seqno`, s.path("postgresql.conf"))
	if err != nil {
		return "", err
	}
	values := map[string]string{}
	var name, value string
	var wrong, anyWrong bool
	_, err = pgx.ForEachRow(rows, []any{&name, &value, &wrong}, func() error {
		values[name] = value
		anyWrong = anyWrong || wrong
		return nil
	})
	if anyWrong {
		return failed, err
	}
	return normalConf(values), err
}

// hba returns how the server reads a pg_hba.conf.
func (s *server) hba(ctx context.Context, content []byte) (string, error) {
	if err := os.WriteFile(s.path("pg_hba.conf"), content, 0o644); err != nil { //nolint:gosec // the server reads it
		return "", err
	}
	rows, err := s.conn.Query(ctx, `
		SELECT coalesce(type, ''), database, user_name, coalesce(address, ''), coalesce(netmask, ''), coalesce(auth_method, ''), options,
			error IS NOT NULL FROM pg_hba_file_rules ORDER BY line_number`)
	if err != nil {
		return "", err
	}
	var all []rule
	var r rule
	var wrong, anyWrong bool
	_, err = pgx.ForEachRow(rows, []any{&r.kind, &r.databases, &r.users, &r.address, &r.mask, &r.method, &r.options, &wrong}, func() error {
		all = append(all, r)
		anyWrong = anyWrong || wrong
		r = rule{}
		return nil
	})
	if anyWrong {
		return failed, err
	}
	return normalHBA(all), err
}
