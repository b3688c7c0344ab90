package clusterfile_test

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
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/clusterfile"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// Each set-up is built from its file, on addresses and directories of this machine: what streams is what the file says, there is
// nothing left to do, and WAL is in the archive where the file wants it.
func TestSetupsStream(t *testing.T) {
	programs := t.TempDir()
	for _, program := range []string{"walarchive", "basebackup"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(programs, program),
			"github.com/understudy-ha/understudy/examples/"+program)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	passable(t, programs)
	for _, major := range []int{13, 17} {
		for _, name := range setups {
			t.Run(fmt.Sprintf("%s-%d", name, major), func(t *testing.T) {
				newStage(t, localpg.Server(t, major), programs).build(t, name)
			})
		}
	}
}

// passable lets the servers' user into a directory of the test.
func passable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // nothing is secret there
	}
}

// stage is a directory with servers.
type stage struct {
	in       localpg.Install
	programs string // the folder of ours
	dir      string
	local    *host.Local
	port     int
}

func newStage(t *testing.T, in localpg.Install, programs string) *stage {
	t.Helper()
	s := &stage{in: in, programs: programs, dir: t.TempDir()}
	passable(t, s.dir)
	owner, err := localpg.Owner(s.dir)
	require.NoError(t, err)
	cfg := host.LocalConfig{}
	if owner.Credential != nil {
		cfg.User = owner.Name
	}
	s.local = host.NewLocal(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.port = l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	return s
}

// cluster reads a set-up with the places of this machine in place of its own.
func (s *stage) cluster(t *testing.T, name string) topology.Cluster {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "setups", name+".yaml"))
	require.NoError(t, err)
	text := strings.NewReplacer(
		"/usr/local/bin/walarchive", filepath.Join(s.programs, "walarchive"),
		"sftp://postgres@{child_host}/var/lib/postgresql/wal_archive", "file://"+s.dir+"/{child_host}",
		"/var/lib/postgresql/wal_archive", s.dir+"/{host}",
		"/share/primary_wal", s.dir+"/archive", "/mnt/db_archive", s.dir+"/archive", "/var/backups/pgsql/archive", s.dir+"/archive",
		"/var/lib/postgresql/.", s.dir+"/data/.", "/var/lib/pgsql/.", s.dir+"/data/.",
		"192.168.1.", "127.0.1.", "192.0.2.", "127.0.2.", "172.16.254.", "127.0.3.",
	).Replace(string(data))
	c, err := clusterfile.Parse(name, []byte(text))
	require.NoError(t, err)
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.Machine, n.Port, n.From = "", s.port, []string{"127.0.0.1/32"}
		n.DataDir, n.Service = filepath.Join(s.dir, "data", string(n.ID)), topology.Service{BinDir: s.in.Dir}
		n.Settings = map[string]string{"listen_addresses": n.Host}
		require.NoError(t, s.local.MkdirAll(t.Context(), filepath.Join(s.dir, n.Host), 0o700))
	}
	for _, dir := range []string{"archive", "data"} {
		require.NoError(t, s.local.MkdirAll(t.Context(), filepath.Join(s.dir, dir), 0o700))
	}
	c.Settings = map[string]string{
		"unix_socket_directories": "", "shared_buffers": "8MB", "fsync": "off", "max_connections": "20", "autovacuum": "off",
		"wal_retrieve_retry_interval": "100ms",
	}
	return c
}

func (s *stage) build(t *testing.T, name string) {
	t.Helper()
	c := s.cluster(t, name)
	b, err := build.New(build.Config{
		Cluster: c, Basebackup: filepath.Join(s.programs, "basebackup"),
		Host: func(topology.Node) (host.Host, error) { return s.local, nil },
		Secret: func(_ context.Context, ref topology.SecretRef) (string, error) {
			return "secret of " + string(ref), nil
		},
		Progress: func(e build.Event) { t.Log(e) },
	})
	require.NoError(t, err)
	for _, n := range c.Nodes {
		t.Cleanup(func() { s.end(t, n) })
	}
	_, err = b.Bootstrap(t.Context(), build.BootstrapConfig{})
	require.NoError(t, err)

	o, err := b.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, desired(c), actual(topology.Derive(c, o.Status)))
	plan, err := b.Plan(t.Context())
	require.NoError(t, err)
	require.Empty(t, plan.Steps, "%s", plan)
	require.Empty(t, plan.Refused)

	primary, _ := c.Primary()
	s.wantArchived(t, c, primary)
	require.NoError(t, b.Close())
}

// desired are the upstreams that a description says, actual those that are observed.
func desired(c topology.Cluster) map[topology.NodeID]topology.NodeID {
	all := map[topology.NodeID]topology.NodeID{}
	for _, n := range c.Nodes {
		up, _ := c.Upstream(n.ID)
		all[n.ID] = up.ID
	}
	return all
}

func actual(tree topology.Tree) map[topology.NodeID]topology.NodeID {
	all := map[topology.NodeID]topology.NodeID{}
	for _, p := range tree.Places() {
		if p.Link == nil {
			all[p.Node.ID] = ""
		}
		for _, child := range p.Children {
			all[child.Node.ID] = p.Node.ID
		}
	}
	return all
}

// wantArchived waits until the primary has archived a segment, and nothing has failed.
func (s *stage) wantArchived(t *testing.T, c topology.Cluster, primary topology.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	info, err := c.Conninfo(primary.ID, c.Admin)
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, info.With("password", "secret of "+string(c.Admin.Secret)).With("sslmode", "disable").Text())
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "CREATE TABLE orders (id int)") // waits for the synchronous standby, if there is one
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "SELECT pg_switch_wal()")
	require.NoError(t, err)
	for archived := 0; archived == 0; time.Sleep(50 * time.Millisecond) {
		var failed int
		require.NoError(t, conn.QueryRow(ctx, "SELECT archived_count, failed_count FROM pg_stat_archiver").Scan(&archived, &failed))
		require.Zero(t, failed)
	}
	where := filepath.Join(s.dir, "archive")
	if children := c.Children(primary.ID); c.Archive.URL == "" && len(children) > 0 && c.Archive.Restore != "" {
		where = filepath.Join(s.dir, children[0].Host)
	}
	found, err := s.local.Run(ctx, host.Cmd{Path: "find", Args: []string{where, "-type", "f", "-name", "0000000100000000*"}})
	require.NoError(t, err)
	require.NotEmpty(t, found.Stdout)
}

// end makes sure that no process of a server is left.
func (s *stage) end(t *testing.T, n topology.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	node, err := pgnode.New(pgnode.Config{Host: s.local, BinDir: s.in.Dir, DataDir: n.DataDir})
	require.NoError(t, err)
	require.NoError(t, node.Fence(ctx))
	if t.Failed() {
		log, err := s.local.ReadFile(ctx, node.LogFile())
		t.Logf("log of %s: %s %v", n.ID, log, err)
	}
}
