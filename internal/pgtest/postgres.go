package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/topology/host"
)

// settings are for servers that start fast and live short.
const settings = `
listen_addresses = '*'
port = 5432
unix_socket_directories = '/tmp'
shared_buffers = 16MB
max_connections = 40
wal_level = replica
hot_standby = on
wal_log_hints = on
max_wal_senders = 10
max_replication_slots = 10
log_min_messages = info
logging_collector = off
`

const hba = `local all         all     scram-sha-256
host  all         all all scram-sha-256
host  replication all all scram-sha-256
`

// StartPrimary creates a server with initdb, as superuser postgres with [Cluster.Password], adds the lines to its
// postgresql.conf, and starts it. Everyone with a password gets in.
func (n *Node) StartPrimary(t testing.TB, lines ...string) {
	t.Helper()
	ctx, secret := t.Context(), "/tmp/pgtest-password"
	n.must(t, "initdb", n.host.WriteFile(ctx, secret, []byte(n.cluster.Password+"\n"), 0o600))
	n.run(t, "initdb", "-D", n.DataDir(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile="+secret,
		"-E", "UTF8", "--locale=C", "-N")
	n.must(t, "initdb", n.host.Remove(ctx, secret))

	file := n.DataDir() + "/postgresql.conf"
	conf, err := n.host.ReadFile(ctx, file)
	n.must(t, "configure", err)
	conf = append(conf, settings+strings.Join(append(lines, ""), "\n")...)
	n.must(t, "configure", n.host.WriteFile(ctx, file, conf, 0o600))
	n.must(t, "configure", n.host.WriteFile(ctx, n.DataDir()+"/pg_hba.conf", []byte(hba), 0o600))
	n.StartPostgres(t)
}

// StartStandby clones the server of up with pg_basebackup -R, which writes what makes it a standby of up, and starts it.
func (n *Node) StartStandby(t testing.TB, up *Node) {
	t.Helper()
	n.run(t, "pg_basebackup", "-D", n.DataDir(), "-h", up.Name, "-U", "postgres", "-R", "-X", "stream", "-c", "fast")
	if n.cluster.Major < 12 {
		// The image has a newer pg_basebackup, and that writes connection options that the server's own libpq refuses
		// (channel_binding came with 13).
		conf := fmt.Sprintf("standby_mode = 'on'\nprimary_conninfo = 'host=%s port=%d user=postgres password=%s'\n",
			up.Name, Port, n.cluster.Password)
		n.must(t, "write recovery.conf", n.host.WriteFile(t.Context(), n.DataDir()+"/recovery.conf", []byte(conf), 0o600))
	}
	n.StartPostgres(t)
}

// StartPostgres starts the server in [Node.DataDir] and waits until it accepts connections.
func (n *Node) StartPostgres(t testing.TB) {
	t.Helper()
	n.run(t, "pg_ctl", "-D", n.DataDir(), "-l", n.LogFile(), "-w", "start")
}

// run runs one of the server's programs as postgres.
func (n *Node) run(t testing.TB, program string, args ...string) string {
	t.Helper()
	res, err := n.host.Run(t.Context(), host.Cmd{
		Path: n.Bin(program), Args: args, Env: []string{"PGPASSWORD=" + n.cluster.Password}, Dir: "/",
	})
	n.must(t, program, err)
	return string(res.Stdout)
}

func (n *Node) must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %s: %v", n.Name, what, err)
	}
}

// ConnString is a connection URI of the superuser for use in the test process. It has the password in it.
func (n *Node) ConnString() string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", n.cluster.Password), Host: n.Addr(), Path: "/postgres",
		RawQuery: "sslmode=disable&connect_timeout=10",
	}
	return u.String()
}

// Query runs SQL as the superuser over a new connection and returns the first column of the last statement's first row as
// text, or "" if there is no row or the value is null.
func (n *Node) Query(ctx context.Context, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, n.ConnString())
	if err != nil {
		return "", err
	}
	defer func() {
		// Saying goodbye must not depend on what is left of ctx, nor on a server that is frozen.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 || len(last.Rows[0]) == 0 {
		return "", nil
	}
	return string(last.Rows[0][0]), nil
}

// MustQuery is Query with a time limit of 30 s; an error fails the test.
func (n *Node) MustQuery(t testing.TB, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	value, err := n.Query(ctx, sql)
	if err != nil {
		t.Fatalf("%s: %s: %v", n.Name, sql, err)
	}
	return value
}

// WaitQuery waits until the query gives that value.
func (n *Node) WaitQuery(t testing.TB, timeout time.Duration, sql, want string) {
	t.Helper()
	WaitFor(t, timeout, fmt.Sprintf("%q on %s to give %q", sql, n.Name, want), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		got, err := n.Query(ctx, sql)
		if err == nil && got != want {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}
