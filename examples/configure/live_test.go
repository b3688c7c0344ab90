package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/clusterfile"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// site is where a test sets its cluster up.
type site struct {
	file  string
	owner string // who owns the servers; empty for this user
	ports []int
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{file: filepath.Join(dir, "c.yaml")}
	for dir := dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // the servers' user has to get there
	}
	require.NoError(t, os.Mkdir(s.file+".secrets", 0o700))
	for _, name := range []string{"admin", "replication"} {
		require.NoError(t, os.WriteFile(filepath.Join(s.file+".secrets", name), []byte(secretOf(name)+"\n"), 0o600))
	}
	var listeners []net.Listener // all at once, so that no port comes twice
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners = append(listeners, l)
		s.ports = append(s.ports, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range listeners {
		require.NoError(t, l.Close())
	}
	return s
}

func secretOf(name string) string { return "s3cr3t-" + name }

// run runs the program for this site. Secrets never show.
func (s *site) run(t *testing.T, person terminal, args ...string) (code int, output string) {
	t.Helper()
	args = append([]string{"-f", s.file}, args...)
	if s.owner != "" {
		args = append(args, "--user", s.owner)
	}
	code, output = configure(t, person, args...)
	require.NotContains(t, output, "s3cr3t")
	return code, output
}

func (s *site) cluster(t *testing.T) topology.Cluster {
	t.Helper()
	data, err := os.ReadFile(s.file)
	require.NoError(t, err)
	c, err := clusterfile.Parse(s.file, data)
	require.NoError(t, err)
	return c
}

// node is a server of the site.
func (s *site) node(ctx context.Context, t *testing.T, n topology.Node) *pgnode.Node {
	t.Helper()
	node, err := pgnode.Open(ctx, pgnode.Config{
		Host: host.NewLocal(host.LocalConfig{User: s.owner}), Manager: pgnode.Manager(n.Service.Manager),
		Cluster: n.Service.Cluster, BinDir: n.Service.BinDir, DataDir: n.DataDir,
	})
	require.NoError(t, err)
	return node
}

// fenced ends the server of a node with the test.
func (s *site) fenced(t *testing.T, n topology.Node) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, s.node(ctx, t, n).Fence(ctx))
	})
}

// ask asks a server, as the superuser.
func (s *site) ask(t *testing.T, port int, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres password=%s dbname=postgres sslmode=disable",
		port, secretOf("admin")))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(ctx))
	var answer string
	require.NoError(t, conn.QueryRow(ctx, sql).Scan(&answer))
	return answer
}

const (
	downstreams = "SELECT coalesce(string_agg(application_name || ' ' || state, ','), 'nobody') FROM pg_stat_replication"
	identifier  = "SELECT system_identifier::text FROM pg_control_system()"
)

// wantNothing runs the program and wants it to find nothing to do, and to change no byte of the cluster file.
func (s *site) wantNothing(t *testing.T, args ...string) {
	t.Helper()
	before, err := os.ReadFile(s.file)
	require.NoError(t, err)
	code, output := s.run(t, nobody{}, args...)
	require.Equal(t, exitOK, code)
	require.Contains(t, output, "nothing to do")
	after, err := os.ReadFile(s.file)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
}

// chain sets up master, cascade and downstream; place says where a node goes.
func (s *site) chain(t *testing.T, place func(role string) []string) {
	t.Helper()
	for i, role := range []string{"master", "cascade", "downstream"} {
		args := append([]string{role, "--port", fmt.Sprint(s.ports[i])}, place(role)...)
		if role == "cascade" {
			before := s.cluster(t)
			code, output := s.run(t, nobody{}, append([]string{"--dry-run"}, args...)...)
			require.Equal(t, exitOK, code)
			require.Contains(t, output, "cascade")
			require.Equal(t, before, s.cluster(t))
		}
		code, _ := s.run(t, nobody{}, args...)
		require.Equal(t, exitOK, code)
		s.wantNothing(t, args...)
	}
	s.wantNothing(t, "downstream") // what the file says need not be said again
	require.Equal(t, "cascade streaming", s.ask(t, s.ports[0], downstreams))
	require.Equal(t, "downstream streaming", s.ask(t, s.ports[1], downstreams))
	require.Equal(t, "nobody", s.ask(t, s.ports[2], downstreams))
	require.Equal(t, `FIRST 1 ("cascade")`, s.ask(t, s.ports[0], "SHOW synchronous_standby_names"))
}

// cleanAll takes the chain away again, node by node, each only with the right identifier and not with one of these.
func (s *site) cleanAll(t *testing.T, wrong ...string) {
	t.Helper()
	id := s.ask(t, s.ports[0], identifier)
	c := s.cluster(t)

	for _, upstream := range []string{"master", "cascade"} {
		code, output := s.run(t, nobody{}, "clean", upstream, "--yes", id)
		require.Equal(t, exitRefused, code)
		require.Contains(t, output, "clean them first")
	}
	code, output := s.run(t, nobody{}, "clean", "downstream")
	require.Equal(t, exitRefused, code)
	require.Contains(t, output, "renamed to")
	for _, wrong := range append(wrong, id+"0") {
		code, _ = s.run(t, &answers{given: []string{wrong}}, "clean", "downstream")
		require.Equal(t, exitRefused, code)
		code, _ = s.run(t, nobody{}, "clean", "downstream", "--yes", wrong)
		require.Equal(t, exitRefused, code)
	}
	code, _ = s.run(t, nobody{}, "--dry-run", "clean", "downstream", "--yes", id)
	require.Equal(t, exitOK, code)
	require.Equal(t, "downstream streaming", s.ask(t, s.ports[1], downstreams), "nothing has changed")

	person := &answers{given: []string{id}}
	code, _ = s.run(t, person, "clean", "downstream")
	require.Equal(t, exitOK, code)
	require.Equal(t, []string{"Type the system identifier to go on: "}, person.asked)
	require.Equal(t, "nobody", s.ask(t, s.ports[1], downstreams))
	s.wantNothing(t, "apply")

	for _, name := range []string{"cascade", "master"} {
		code, _ = s.run(t, nobody{}, "clean", name, "--yes", id)
		require.Equal(t, exitOK, code, name)
	}
	for _, n := range c.Nodes {
		node := s.node(t.Context(), t, n)
		there, err := node.Exists(t.Context())
		require.NoError(t, err)
		require.False(t, there)
		aside, err := filepath.Glob(node.DataDir() + ".aside-*/PG_VERSION")
		require.NoError(t, err)
		require.NotEmpty(t, aside, "nothing is deleted") // Debian's tools make data for a standby, too, which lies aside as well
	}
	require.NoFileExists(t, s.file)
	aside, err := filepath.Glob(s.file + ".aside-*")
	require.NoError(t, err)
	require.Len(t, aside, 1)
}

// Plain data directories.
func TestPlain(t *testing.T) {
	in := localpg.Require(t)[0]
	s := newSite(t)
	data := filepath.Join(filepath.Dir(s.file), "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	owner, err := localpg.Owner(data)
	require.NoError(t, err)
	if owner.Credential != nil {
		s.owner = owner.Name
	}
	place := func(role string) []string {
		return []string{"--data-dir", filepath.Join(data, role), "--bin-dir", in.Dir}
	}
	for _, role := range []string{"master", "cascade", "downstream"} {
		s.fenced(t, topology.Node{DataDir: filepath.Join(data, role), Service: topology.Service{BinDir: in.Dir}})
	}
	s.chain(t, place)
	s.cleanAll(t, "y", "yes", "downstream", "0")
}

// Clusters of Debian's, made by its own tools.
func TestDebian(t *testing.T) {
	if _, err := exec.LookPath("pg_createcluster"); err != nil {
		localpg.Missing(t, "no pg_createcluster; install the package postgresql-common")
	}
	if os.Geteuid() != 0 {
		localpg.Missing(t, "the clusters belong to the user postgres; run the test as root")
	}
	in := localpg.Require(t)[0]
	s := newSite(t)
	s.owner = "postgres"
	suffix := strings.ReplaceAll(filepath.Base(filepath.Dir(filepath.Dir(s.file))), "-", "")
	name := func(role string) string { return fmt.Sprintf("%d/%s%s", in.Major, role, suffix) }
	for _, role := range []string{"master", "cascade", "downstream"} {
		t.Cleanup(func() { dropCluster(t, name(role)) })
		s.fenced(t, topology.Node{Service: topology.Service{Manager: topology.Debian, Cluster: name(role)}})
	}
	s.chain(t, func(role string) []string { return []string{"--cluster", name(role)} })
	s.cleanAll(t)
}

// dropCluster removes what a test has made of a Debian cluster.
func dropCluster(t *testing.T, cluster string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	version, name, _ := strings.Cut(cluster, "/")
	out, err := exec.CommandContext(ctx, "pg_dropcluster", "--stop", version, name).CombinedOutput()
	t.Logf("pg_dropcluster %s: %s %v", cluster, out, err)
	left, _ := filepath.Glob("/var/lib/postgresql/" + cluster + "*") // the pattern is well-formed
	for _, dir := range append(left, "/etc/postgresql/"+cluster) {
		require.NoError(t, os.RemoveAll(dir))
	}
	passfiles, _ := filepath.Glob("/var/lib/postgresql/.c.pgpass*")
	for _, name := range passfiles {
		require.NoError(t, os.Remove(name))
	}
}
