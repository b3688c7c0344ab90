package pgprobe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgtest"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// TestMajors builds a cluster of two machines on each major with pgnode, observes it, lets the standby take over and the old
// primary come back by pg_rewind, or as a clone where the image has no pg_rewind, and observes each time.
func TestMajors(t *testing.T) {
	for _, major := range []int{11, 13, 17, 18} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, major)
			p.begin(t)
			p.expect(t, "a primary read-write, b standby streaming, sync", 1)
			require.NoError(t, p.a.Kill(t.Context()))
			require.NoError(t, p.a.Fence(t.Context()))
			p.expect(t, "a unknown no answer, b standby detached", 1)

			require.NoError(t, p.b.Promote(t.Context()))
			p.expect(t, "a unknown no answer, b primary read-write", 2)
			p.sql(t, p.cluster.Node("b"), "CHECKPOINT")

			p.shape = p.shape.Promoted("b").Attached(topology.Node{ID: "a", Host: "a", Upstream: "b"})
			p.comeBack(t)
			require.NoError(t, p.a.Start(t.Context()))
			p.expect(t, "b primary read-write, a standby streaming", 2)
		})
	}
}

// passfile is the password file inside the machines.
const passfile = "/srv/postgresql/passfile"

// pair is a cluster of two machines.
type pair struct {
	major   int
	cluster *pgtest.Cluster
	shape   topology.Cluster
	a, b    *pgnode.Node
}

func newPair(t *testing.T, major int) *pair {
	t.Helper()
	p := &pair{major: major, cluster: pgtest.NewCluster(t, pgtest.Config{Major: major, Nodes: []string{"a", "b"}})}
	anywhere := []string{"0.0.0.0/0"}
	p.shape = topology.Cluster{
		Nodes:       []topology.Node{{ID: "a", Host: "a", From: anywhere}, {ID: "b", Host: "b", From: anywhere, Upstream: "a", Sync: true}},
		Replication: topology.Replication{User: livepg.Replicator, Passfile: passfile},
		Monitor:     topology.Account{Name: livepg.Observer},
		Admin:       topology.Account{Name: livepg.Superuser},
		Settings:    map[string]string{"shared_buffers": "8MB", "fsync": "off", "max_connections": "20"},
	}
	node := func(name string) *pgnode.Node {
		m := p.cluster.Node(name)
		require.NoError(t, m.Host().WriteFile(t.Context(), passfile, []byte("*:*:*:*:"+livepg.Password+"\n"), 0o600))
		n, err := pgnode.New(pgnode.Config{Host: m.Host(), BinDir: m.BinDir(), DataDir: m.DataDir(), LogFile: m.LogFile()})
		require.NoError(t, err)
		return n
	}
	p.a, p.b = node("a"), node("b")
	return p
}

// begin creates the primary, and then its standby.
func (p *pair) begin(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, p.a.Init(ctx, pgnode.InitConfig{Superuser: livepg.Superuser, Password: livepg.Password}))
	cfg := p.config(t, "a")
	settings := cfg.Values()
	settings["synchronous_standby_names"] = "" // nobody is there yet
	require.NoError(t, p.a.Configure(ctx, settings, cfg.Access))
	require.NoError(t, p.a.Start(ctx))
	p.sql(t, p.cluster.Node("a"), fmt.Sprintf(`CREATE ROLE %[1]s LOGIN REPLICATION PASSWORD '%[3]s';
		CREATE ROLE %[2]s LOGIN IN ROLE pg_monitor PASSWORD '%[3]s'`, livepg.Replicator, livepg.Observer, livepg.Password))
	standby := p.standby(t, "b")
	require.NoError(t, p.b.Clone(ctx, standby.Recovery.PrimaryConninfo, standby))
	require.NoError(t, p.b.Start(ctx))
	require.NoError(t, p.a.Set(ctx, cfg.Values()))
	reloaded, err := p.a.Reload(ctx, nil)
	require.NoError(t, err)
	require.NoError(t, reloaded.Err())
}

// comeBack makes a a standby of b.
func (p *pair) comeBack(t *testing.T) {
	t.Helper()
	standby := p.standby(t, "a")
	if p.a.CanRewind(t.Context()) {
		source := new(conninfo.Info).With("host", "b").With("user", livepg.Superuser).With("dbname", "postgres").With("passfile", passfile)
		require.NoError(t, p.a.Rewind(t.Context(), source, standby))
		return
	}
	_, err := p.a.SetAside(t.Context(), time.Now())
	require.NoError(t, err)
	require.NoError(t, p.a.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby))
}

func (p *pair) config(t *testing.T, id topology.NodeID) topology.NodeConfig {
	t.Helper()
	cfg, err := p.shape.Render(id, pgconf.Major(p.major))
	require.NoError(t, err)
	return cfg
}

func (p *pair) standby(t *testing.T, id topology.NodeID) pgnode.Standby {
	t.Helper()
	cfg := p.config(t, id)
	return pgnode.Standby{Settings: cfg.Values(), Access: cfg.Access, Recovery: *cfg.Recovery}
}

func dial(m *pgtest.Node, role string) string {
	host, port, _ := net.SplitHostPort(m.Addr())
	return new(conninfo.Info).With("host", host).With("port", port).With("user", role).With("password", livepg.Password).
		With("dbname", "postgres").With("sslmode", "disable").Text()
}

func (p *pair) sql(t *testing.T, m *pgtest.Node, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dial(m, livepg.Superuser))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.PgConn().Exec(t.Context(), statements).ReadAll()
	require.NoError(t, err)
}

// expect waits until the cluster looks like that, all nodes that answer are of its major and on a timeline.
func (p *pair) expect(t *testing.T, want string, timeline int) {
	t.Helper()
	probe := connected(t, 5*time.Second, map[topology.NodeID]string{
		"a": dial(p.cluster.Node("a"), livepg.Observer), "b": dial(p.cluster.Node("b"), livepg.Observer),
	})
	defer func() { _ = probe.Close(context.WithoutCancel(t.Context())) }()
	pgtest.WaitFor(t, 30*time.Second, want, func() error {
		s := probe.Observe(t.Context())
		if got := roles(topology.Derive(p.shape, s)); got != want {
			return errors.New(got)
		}
		for _, o := range s.Nodes {
			if o.Err == nil && (o.Version/10000 != p.major || int(o.Timeline) != timeline || o.Position == 0) {
				return fmt.Errorf("%+v", o)
			}
		}
		return nil
	})
}
