package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// server is the running server that makes the WAL. It keeps all of it.
type server struct {
	localpg.Install
	base string // also the folder of its socket
	cmd  *exec.Cmd
	gone <-chan struct{}
}

// startServer starts a new cluster in a folder.
func startServer(ctx context.Context, base string) (_ *server, err error) {
	found := localpg.Servers()
	i := slices.IndexFunc(found, supported)
	if i < 0 {
		return nil, errors.New("no PostgreSQL from 13 on on this machine; install the package postgresql")
	}
	if j := slices.IndexFunc(found, complete); j >= 0 {
		i = j // the peers that come with it can be measured, and those that Debian packages know its major
	}
	if err := os.Mkdir(base, 0o755); err != nil { //nolint:gosec // another user has to get in
		return nil, err
	}
	owner, err := localpg.Owner(base)
	if err != nil {
		return nil, err
	}
	s := &server{Install: found[i], base: base}
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(s.Bin(name), args...) //nolint:noctx // stop ends it
		cmd.Dir = base
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.Credential}
		return cmd
	}
	if out, err := program("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-k", "-N").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.cmd = program("postgres", "-D", s.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories="+base, "-c", "fsync=off",
		"-c", "synchronous_commit=off", "-c", "wal_level=replica", "-c", "archive_mode=on", "-c", "archive_command=true",
		"-c", "wal_keep_size=64GB", "-c", "max_wal_size=64GB", "-c", "checkpoint_timeout=1d", "-c", "autovacuum=off")
	if s.gone, err = localpg.Launch(s.cmd); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// supported says whether the server knows what we ask of it: wal_keep_size.
func supported(in localpg.Install) bool { return in.Major >= 13 }

// complete says whether the programs of the client are there, too.
func complete(in localpg.Install) bool {
	for _, name := range []string{"pg_archivecleanup", "pg_receivewal"} {
		if _, err := os.Stat(in.Bin(name)); err != nil {
			return false
		}
	}
	return supported(in)
}

func (s *server) data() string { return filepath.Join(s.base, "data") }

// conninfo is the connection string of the superuser.
func (s *server) conninfo() string {
	return "host=" + s.base + " port=5432 user=postgres dbname=postgres sslmode=disable"
}

// ready waits until the server answers.
func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.conninfo())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.gone:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the server does not get ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the server.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // or it has ended
	<-s.gone
}

// tables are those of pgbench, scale 10, and a procedure that does its transactions.
const tables = `
create table accounts (aid int primary key, bid int, abalance int, filler char(84));
create table tellers (tid int primary key, bid int, tbalance int, filler char(84));
create table branches (bid int primary key, bbalance int, filler char(88));
create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
insert into branches select i, 0, '' from generate_series(1, 10) i;
insert into tellers select i, 1 + (i - 1) / 10, 0, '' from generate_series(1, 100) i;
create procedure work(transactions int, accounts int) language plpgsql as $$
declare
  a int; t int; b int; d int;
begin
  for i in 1..transactions loop
    a := 1 + floor(random() * accounts); t := 1 + floor(random() * 100); b := 1 + floor(random() * 10);
    d := floor(random() * 10001) - 5000;
    update accounts set abalance = abalance + d where aid = a;
    update tellers set tbalance = tbalance + d where tid = t;
    update branches set bbalance = bbalance + d where bid = b;
    insert into history values (t, b, a, d, clock_timestamp());
    commit;
  end loop;
end $$`

const (
	segmentSize = wal.DefaultSegmentSize
	accounts    = 1_000_000
	// perCheckpoint is how many segments are between two checkpoints, after each of which pages are logged as a whole once.
	perCheckpoint = 16
	// switchedWAL is how many bytes of WAL a segment holds that was switched.
	switchedWAL = 200 << 10
)

// load makes WAL: that many full segments, then some that were switched. It returns their names.
func (s *server) load(ctx context.Context, full, switched int) (fullNames, switchedNames []string, err error) {
	conn, err := pgx.Connect(ctx, s.conninfo())
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(ctx)
	l := loader{conn}
	rows := min(accounts, full*accounts/perCheckpoint) // fewer for a quick look
	if err := l.exec(ctx, tables, fmt.Sprintf("insert into accounts select i, 1 + i %% 10, 0, '' from generate_series(1, %d) i", rows)); err != nil {
		return nil, nil, err
	}
	if err := l.exec(ctx, "select pg_switch_wal()"); err != nil {
		return nil, nil, err
	}
	for made := range full {
		if made%perCheckpoint == 0 {
			if err := l.exec(ctx, "checkpoint"); err != nil {
				return nil, nil, err
			}
		}
		name, err := l.fill(ctx, rows, segmentSize)
		if err != nil {
			return nil, nil, err
		}
		fullNames = append(fullNames, name)
	}
	for range switched {
		if err := l.exec(ctx, "select pg_switch_wal()"); err != nil {
			return nil, nil, err
		}
		name, err := l.fill(ctx, rows, switchedWAL)
		if err != nil {
			return nil, nil, err
		}
		switchedNames = append(switchedNames, name)
	}
	return fullNames, switchedNames, l.exec(ctx, "select pg_switch_wal()")
}

// loader makes WAL.
type loader struct{ conn *pgx.Conn }

func (l loader) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := l.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%.40s: %w", sql, err)
		}
	}
	return nil
}

// fill works until the current segment holds that many bytes, or is full, and returns its name.
func (l loader) fill(ctx context.Context, rows, size int) (string, error) {
	first, _, err := l.position(ctx)
	if err != nil {
		return "", err
	}
	transactions := max(10, size/32768) // whose pages may all be logged as a whole
	for {
		if err := l.exec(ctx, fmt.Sprintf("call work(%d, %d)", transactions, rows)); err != nil {
			return "", err
		}
		now, filled, err := l.position(ctx)
		if err != nil || now != first || filled >= size {
			return first, err
		}
	}
}

// position returns the segment that is being written, and how much of it has been.
func (l loader) position(ctx context.Context) (name string, filled int, err error) {
	err = l.conn.QueryRow(ctx, "select file_name, file_offset::int from pg_walfile_name_offset(pg_current_wal_insert_lsn())").Scan(&name, &filled)
	return name, filled, err
}
