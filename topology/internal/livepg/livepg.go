// Package livepg gives the tests of topology and the packages below it real PostgreSQL servers on this machine.
//
// initdb runs once for each installed major; a test gets copies of that directory, each with a port and roles of its own. The
// servers run as an unprivileged user, because PostgreSQL refuses root. When the test process ends, however that happens, a
// guard kills what is left of them and removes their files.
package livepg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// The roles of every server. All have Password.
const (
	Superuser  = "postgres"
	Replicator = "replicator" // LOGIN REPLICATION
	Observer   = "observer"   // pg_monitor
	Nobody     = "nobody_special"
	Password   = "live-secret-9f"
)

// Install is one set of PostgreSQL programs with an initialised data directory to copy.
type Install struct {
	Major  int
	BinDir string
	Host   host.Host

	base     string
	template string
}

var shared struct {
	sync.Mutex
	base     string
	host     host.Host
	leash    io.Closer // the guard acts when it is closed
	guard    *exec.Cmd
	installs []*Install // with all programs
	servers  []*Install // others
	err      error
	ready    bool
}

// Run runs the tests of a package and cleans up after them. It is all that TestMain does.
func Run(m *testing.M) int {
	code := m.Run()
	if shared.leash != nil {
		_ = shared.leash.Close()
		_ = shared.guard.Wait()
	}
	return code
}

// Newest returns the newest installed major. Without any, the test is skipped, or fails if CI is set.
func Newest(t testing.TB) *Install {
	t.Helper()
	return installs(t)[0]
}

// Each runs a test for each installed major.
func Each(t *testing.T, test func(t *testing.T, in *Install)) {
	t.Helper()
	for _, in := range installs(t) {
		t.Run(fmt.Sprintf("major=%d", in.Major), func(t *testing.T) { test(t, in) })
	}
}

// EachServer runs a test for each major from 10 on, some at a time, with what [localpg.Servers] finds: pg_basebackup and pg_rewind may be
// absent.
func EachServer(t *testing.T, test func(t *testing.T, in *Install)) {
	t.Helper()
	localpg.EachServer(t, func(t *testing.T, found localpg.Install) { test(t, serverOf(t, found)) })
}

// OfMajor returns the install of one major, as EachServer has it.
func OfMajor(t *testing.T, major int) *Install {
	t.Helper()
	return serverOf(t, localpg.Server(t, major))
}

func serverOf(t *testing.T, found localpg.Install) *Install {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	makeReady(t)
	for _, in := range append(slices.Clone(shared.installs), shared.servers...) {
		if in.BinDir == found.Dir {
			return in
		}
	}
	in, err := addInstall(context.WithoutCancel(t.Context()), found)
	must(t, err)
	shared.servers = append(shared.servers, in)
	return in
}

func installs(t testing.TB) []*Install {
	t.Helper()
	localpg.Require(t)
	shared.Lock()
	defer shared.Unlock()
	makeReady(t)
	return shared.installs
}

// makeReady prepares what is installed, once.
func makeReady(t testing.TB) {
	t.Helper()
	if !shared.ready {
		shared.ready = true
		shared.err = prepare(context.WithoutCancel(t.Context()))
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
}

// guardScript waits for the end of its input. The servers' processes work below $1.
const guardScript = `cat >/dev/null
for round in 1 2 3; do
	for p in /proc/[0-9]*; do
		case $(readlink "$p/cwd" 2>/dev/null) in "$1"/*) kill -s KILL "${p#/proc/}" 2>/dev/null ;; esac
	done
done
rm -rf -- "$1"`

func prepare(ctx context.Context) error {
	var err error
	if shared.base, err = os.MkdirTemp(quickDir(), "understudy-live"); err != nil {
		return err
	}
	shared.guard = exec.Command("sh", "-c", guardScript, "sh", shared.base) //nolint:noctx // it outlives every context
	shared.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if shared.leash, err = shared.guard.StdinPipe(); err != nil {
		return err
	}
	if err := shared.guard.Start(); err != nil {
		return err
	}
	owner, err := localpg.Owner(shared.base)
	if err != nil {
		return err
	}
	cfg := host.LocalConfig{KillAfter: 2 * time.Second}
	if owner.Credential != nil {
		cfg.User = owner.Name
	}
	shared.host = host.NewLocal(cfg)
	for _, in := range localpg.Installs() {
		done, err := addInstall(ctx, in)
		if err != nil {
			return err
		}
		shared.installs = append(shared.installs, done)
	}
	return nil
}

// quickDir is where directories are copied fast: in memory, if there is plenty of it. Empty means the usual place.
func quickDir() string {
	const dir, enough = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return ""
	}
	return dir
}

// addInstall makes the template of a major: initialised, configured and with its roles.
func addInstall(ctx context.Context, found localpg.Install) (*Install, error) {
	in := &Install{Major: found.Major, BinDir: found.Dir, Host: shared.host, base: shared.base}
	s, err := in.server(fmt.Sprintf("template%d", in.Major))
	if err != nil {
		return nil, err
	}
	if err := s.makeTemplate(ctx); err != nil {
		return nil, fmt.Errorf("prepare PostgreSQL %d in %s: %w", in.Major, in.BinDir, err)
	}
	in.template = s.DataDir()
	return in, nil
}

func (in *Install) node(name string) (*pgnode.Node, error) {
	return pgnode.New(pgnode.Config{
		Host: in.Host, BinDir: in.BinDir, DataDir: filepath.Join(in.base, name), Timeout: 30 * time.Second,
	})
}

// Server is one server. Its Node does the work; it is fenced when the test ends.
type Server struct {
	*pgnode.Node
	In   *Install
	ID   topology.NodeID
	Port int
}

func (in *Install) server(name string) (*Server, error) {
	node, err := in.node(name)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	return &Server{Node: node, In: in, ID: topology.NodeID(name), Port: port}, err
}

// freePort picks a port that nothing listens on now, below the range from which outgoing connections take theirs.
func freePort() (int, error) {
	for range 200 {
		port := 15000 + rand.IntN(17000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)) //nolint:noctx // it is closed at once
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 15000 and 32000")
}

func (s *Server) makeTemplate(ctx context.Context) (err error) {
	if err := s.Init(ctx, pgnode.InitConfig{Superuser: Superuser, Password: Password}); err != nil {
		return err
	}
	if err := s.configure(ctx, s.cluster()); err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop(context.WithoutCancel(ctx), pgnode.StopFast)) }()
	conn, err := pgx.Connect(ctx, s.Dial(Superuser).Text())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		CREATE ROLE %[1]s LOGIN REPLICATION PASSWORD '%[4]s';
		CREATE ROLE %[2]s LOGIN IN ROLE pg_monitor PASSWORD '%[4]s';
		CREATE ROLE %[3]s LOGIN PASSWORD '%[4]s';
		CREATE TABLE ledger (id bigint PRIMARY KEY)`, Replicator, Observer, Nobody, Password))
	return errors.Join(err, conn.Close(ctx))
}

// cluster is one in which the server is alone.
func (s *Server) cluster() topology.Cluster {
	return topology.Cluster{Nodes: []topology.Node{{ID: s.ID, Host: "127.0.0.1", Port: s.Port}}}
}

// config returns what the server's machine must say in a cluster, made to start fast and live short.
func (s *Server) config(c topology.Cluster, passfile string) (topology.NodeConfig, error) {
	c.Replication = topology.Replication{User: Replicator, Passfile: passfile}
	c.Clients = clients()
	c.Settings = map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "8MB", "max_connections": "20",
		"fsync": "off", "autovacuum": "off", "wal_retrieve_retry_interval": "100ms",
	}
	return c.Render(s.ID, pgconf.Major(s.In.Major))
}

// Settings returns the server's settings in a cluster.
func (s *Server) Settings(c topology.Cluster) (map[string]string, error) {
	cfg, err := s.config(c, "")
	return cfg.Values(), err
}

// Standby returns what makes the server a standby in a cluster.
func (s *Server) Standby(t testing.TB, c topology.Cluster) pgnode.Standby {
	t.Helper()
	cfg, err := s.config(c, s.Passfile(t))
	must(t, err)
	return pgnode.Standby{Settings: cfg.Values(), Access: cfg.Access, Recovery: *cfg.Recovery}
}

func clients() []topology.Client {
	var all []topology.Client
	for _, role := range []string{Superuser, Observer, Nobody} {
		all = append(all, topology.Client{User: role, Database: "postgres", Addresses: []string{"127.0.0.1/32"}})
	}
	return all
}

// Passfile returns the password file of all roles.
func (s *Server) Passfile(t testing.TB) string {
	t.Helper()
	return s.In.Passfile(t, Password)
}

// Passfile writes a password file for everyone and returns its name.
func (in *Install) Passfile(t testing.TB, password string) string {
	t.Helper()
	name := filepath.Join(in.TempDir(t), "passfile")
	must(t, in.Host.WriteFile(t.Context(), name, []byte("*:*:*:*:"+password+"\n"), 0o600))
	return name
}

func (s *Server) configure(ctx context.Context, c topology.Cluster) error {
	cfg, err := s.config(c, "")
	if err != nil {
		return err
	}
	return s.Configure(ctx, cfg.Values(), cfg.Access)
}

// TempDir returns a new directory that belongs to the servers' user.
func (in *Install) TempDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(in.base, fmt.Sprintf("dir-%d", rand.Uint32()))
	must(t, in.Host.MkdirAll(t.Context(), dir, 0o700))
	return dir
}

// Blank returns a server without a data directory.
func (in *Install) Blank(t testing.TB, id topology.NodeID) *Server {
	t.Helper()
	s, err := in.server(fmt.Sprintf("%s-%d", id, rand.Uint32()))
	must(t, err)
	s.ID = id
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := s.Fence(ctx); err != nil {
			t.Errorf("fence %s: %v", s.ID, err)
		}
		if t.Failed() {
			if log, err := in.Host.ReadFile(ctx, s.LogFile()); err == nil {
				t.Logf("log of %s:\n%s", s.ID, log)
			}
		}
		remove := host.Cmd{Path: "sh", Args: []string{"-c", `rm -rf -- "$1" "$1".*`, "sh", s.DataDir()}}
		if _, err := in.Host.Run(ctx, remove); err != nil {
			t.Errorf("remove %s: %v", s.ID, err)
		}
	})
	return s
}

// Primary returns a server that is stopped and would start as a primary.
func (in *Install) Primary(t testing.TB, id topology.NodeID) *Server {
	t.Helper()
	s := in.Blank(t, id)
	_, err := in.Host.Run(t.Context(), host.Cmd{Path: "cp", Args: []string{"-a", "--reflink=auto", in.template, s.DataDir()}})
	must(t, err)
	must(t, s.configure(t.Context(), s.cluster()))
	return s
}

// Started returns a running primary.
func (in *Install) Started(t testing.TB, id topology.NodeID) *Server {
	t.Helper()
	s := in.Primary(t, id)
	must(t, s.Start(t.Context()))
	return s
}

// Shape is the cluster in which each server follows the one before it.
func Shape(servers ...*Server) topology.Cluster {
	var c topology.Cluster
	for i, s := range servers {
		n := topology.Node{ID: s.ID, Host: "127.0.0.1", Port: s.Port}
		if i > 0 {
			n.Upstream = servers[i-1].ID
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

// Follower clones a running server, starts the clone as its standby and waits until it streams.
func (s *Server) Follower(t testing.TB, id topology.NodeID) *Server {
	t.Helper()
	f := s.In.Blank(t, id)
	standby := f.Standby(t, Shape(s, f))
	must(t, f.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby))
	must(t, f.Start(t.Context()))
	f.WaitStreaming(t)
	return f
}

// WaitStreaming waits until the server's WAL receiver streams.
func (s *Server) WaitStreaming(t testing.TB) {
	t.Helper()
	s.Wait(t, "SELECT coalesce((SELECT status FROM pg_stat_wal_receiver), 'none')", "streaming")
}

// Reloaded reloads the server, which must take all of its files.
func (s *Server) Reloaded(t testing.TB) {
	t.Helper()
	r, err := s.Reload(t.Context(), nil)
	must(t, err)
	if r.Outcome != pgnode.Accepted {
		t.Fatalf("reload of %s: %+v", s.ID, r)
	}
}

// Dial returns how this process connects to the server.
func (s *Server) Dial(role string) conninfo.Info {
	return new(conninfo.Info).With("host", "127.0.0.1").With("port", strconv.Itoa(s.Port)).With("user", role).
		With("password", Password).With("dbname", "postgres").With("sslmode", "disable").With("connect_timeout", "5")
}

// SQL runs statements as the superuser and returns the first column of the last one's first row, as text.
func (s *Server) SQL(t testing.TB, sql string) string {
	t.Helper()
	value, err := s.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.ID, sql, err)
	}
	return value
}

// SQLAs is SQL as another role, with its password.
func (s *Server) SQLAs(t testing.TB, role, password, sql string) string {
	t.Helper()
	value, err := s.query(t.Context(), s.Dial(role).With("password", password), sql)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.ID, sql, err)
	}
	return value
}

// Query is SQL with an error, within 10 s.
func (s *Server) Query(ctx context.Context, sql string) (string, error) {
	return s.query(ctx, s.Dial(Superuser), sql)
}

func (s *Server) query(ctx context.Context, info conninfo.Info, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, info.Text())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 {
		return "", nil
	}
	return string(last.Rows[0][0]), nil
}

// WaitSQLAs is Wait as another role, with its password.
func (s *Server) WaitSQLAs(t testing.TB, role, password, sql, want string) {
	t.Helper()
	s.wait(t, s.Dial(role).With("password", password), sql, want)
}

// Wait waits until a query gives that value.
func (s *Server) Wait(t testing.TB, sql, want string) {
	t.Helper()
	s.wait(t, s.Dial(Superuser), sql, want)
}

func (s *Server) wait(t testing.TB, info conninfo.Info, sql, want string) {
	t.Helper()
	Until(t, fmt.Sprintf("%s: %s to be %q", s.ID, sql, want), func() error {
		got, err := s.query(t.Context(), info, sql)
		if err == nil && got != want {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}

// Until waits until a condition holds, for 30 s at most.
func Until(t testing.TB, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("waited for %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
