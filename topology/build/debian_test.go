package build_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/debiantest"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/clusterfile"
	"github.com/understudy-ha/understudy/topology/host"
)

// debian is a cluster of Debian's clusters, worked on over SSH as their owner.
type debian struct {
	machine *debiantest.Machine
	cluster topology.Cluster
	builder *build.Builder
}

// newDebian reads a description in YAML, of nodes "id" or "id<upstream", with a + behind it for synchronous ones. Only the
// configuration of the standbys is there, as pg_createcluster makes it.
func newDebian(t *testing.T, nodes ...string) *debian {
	t.Helper()
	d := &debian{machine: debiantest.Start(t)}
	var text strings.Builder
	fmt.Fprintf(&text, `name: orders
slots: true
replication: {user: replicator, secret: "env:REPLICATION", passfile: %s/passfile, conninfo: {sslmode: disable}}
admin: {name: postgres, secret: "env:ADMIN"}
monitor: {name: observer, secret: "env:MONITOR"}
settings: {listen_addresses: 127.0.0.1, shared_buffers: 8MB, work_mem: 7MB, fsync: "off", wal_retrieve_retry_interval: 100ms}
nodes:
`, d.machine.Dir)
	for _, node := range nodes {
		node, sync := strings.CutSuffix(node, "+")
		id, upstream, standby := strings.Cut(node, "<")
		name, port := d.machine.Cluster(t)
		fmt.Fprintf(&text, "  - {id: %s, host: 127.0.0.1, port: %d, machine: %q, service: {manager: debian, cluster: %s}, sync: %t",
			id, port, d.machine.Name(), name, sync)
		if standby {
			d.machine.Configuration(t, name, port)
			fmt.Fprintf(&text, ", upstream: %s", upstream)
		}
		text.WriteString("}\n")
	}
	var err error
	d.cluster, err = clusterfile.Parse("orders.yaml", []byte(text.String()))
	require.NoError(t, err)
	d.builder, err = build.New(build.Config{
		Cluster: d.cluster, Secret: secret, Timeout: time.Minute, ObserveTimeout: time.Minute,
		Machines: host.OpenConfig{SSH: d.machine.Login()},
		Progress: func(e build.Event) { t.Log(e) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.builder.Close()) })
	return d
}

func (d *debian) node(t *testing.T, id topology.NodeID) topology.Node {
	t.Helper()
	n, ok := d.cluster.Node(id)
	require.True(t, ok)
	return n
}

// files are the digests of all configuration files.
func (d *debian) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, n := range d.cluster.Nodes {
		for _, name := range append(d.machine.Files(t, n.Service.Cluster), d.cluster.Replication.Passfile) {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			all[name] = fmt.Sprintf("%x", sha256.Sum256(data))
		}
	}
	return all
}

func (d *debian) sql(t *testing.T, id topology.NodeID, sql string) string {
	t.Helper()
	n := d.node(t, id)
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable password=%s",
		n.Port, secrets["env:ADMIN"]))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var result string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&result))
	return result
}

// ctl runs pg_ctlcluster by hand, as the owner.
func (d *debian) ctl(t *testing.T, id topology.NodeID, action string) {
	t.Helper()
	version, name, _ := strings.Cut(d.node(t, id).Service.Cluster, "/")
	out, err := exec.CommandContext(t.Context(), "su", debiantest.Owner, "-s", "/bin/sh", "-c",
		fmt.Sprintf("cd / && pg_ctlcluster %s %s %s </dev/null >/dev/null 2>&1", version, name, action)).CombinedOutput()
	require.NoError(t, err, string(out))
}

// edit changes, by hand, what a pattern finds in the configuration files of a node.
func (d *debian) edit(t *testing.T, id topology.NodeID, pattern, replacement string) {
	t.Helper()
	found := regexp.MustCompile("(?m)" + pattern)
	edited := 0
	for _, name := range d.machine.Files(t, d.node(t, id).Service.Cluster) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		if !found.Match(data) || strings.HasSuffix(name, "pg_ident.conf") {
			continue
		}
		edited++
		require.NoError(t, os.WriteFile(name, found.ReplaceAll(data, []byte(replacement)), 0o600)) // the owner stays
	}
	require.Positive(t, edited, "%s is in no file", pattern)
}

// complete asserts that nothing is left to do, and that doing it changes no byte.
func (d *debian) complete(t *testing.T) {
	t.Helper()
	before := d.files(t)
	plan, err := d.builder.Plan(t.Context())
	require.NoError(t, err)
	require.Empty(t, plan.Steps)
	require.Empty(t, plan.Refused)
	require.NoError(t, d.builder.Apply(t.Context(), plan))
	require.Equal(t, before, d.files(t))
}

// TestDebian builds trees of Debian's clusters from YAML alone, through pg_ctlcluster over SSH, and finds and closes what is changed by
// hand.
func TestDebian(t *testing.T) {
	for name, nodes := range map[string][]string{
		"three_levels": {"alpha", "beta<alpha+", "gamma<beta"},
		"five_nodes":   {"alpha", "beta<alpha+", "gamma<alpha+", "delta<beta", "epsilon<delta"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time goes into pg_ctlcluster's waiting
			d := newDebian(t, nodes...)
			pending, err := d.builder.Bootstrap(t.Context(), build.BootstrapConfig{})
			require.NoError(t, err)
			require.Empty(t, pending)
			for _, n := range d.cluster.Nodes[1:] {
				up, _ := d.cluster.Upstream(n.ID)
				require.Equal(t, "streaming", d.sql(t, up.ID,
					fmt.Sprintf("SELECT coalesce((SELECT state FROM pg_stat_replication WHERE application_name = '%s'), 'nothing')", n.ID)))
			}
			d.complete(t)
			if name == "three_levels" {
				d.drifts(t)
			}
		})
	}
}

// drifts changes things by hand, and has each change found and closed.
func (d *debian) drifts(t *testing.T) {
	for _, drift := range []struct {
		name string
		by   func(t *testing.T)
	}{
		{"setting", func(t *testing.T) {
			d.edit(t, "gamma", `^work_mem = .*$`, "work_mem = '1MB'")
			d.ctl(t, "gamma", "reload")
		}},
		{"access", func(t *testing.T) {
			d.edit(t, "alpha", `^host\s+replication\s.*\n`, "")
			d.ctl(t, "alpha", "reload")
		}},
		{"upstream", func(t *testing.T) {
			d.edit(t, "gamma", `^(primary_conninfo = .*\bport=)\d+`, fmt.Sprintf("${1}%d", d.node(t, "alpha").Port))
			d.ctl(t, "gamma", "reload")
		}},
		{"slot", func(t *testing.T) {
			d.ctl(t, "gamma", "stop")
			d.sql(t, "beta", "SELECT pg_drop_replication_slot('gamma')::text")
		}},
		{"stopped", func(t *testing.T) { d.ctl(t, "beta", "stop") }},
	} {
		t.Run(drift.name, func(t *testing.T) {
			drift.by(t)
			plan, err := d.builder.Plan(t.Context())
			require.NoError(t, err)
			t.Log(plan)
			require.NotEmpty(t, plan.Steps)
			require.NoError(t, d.builder.Apply(t.Context(), plan))
			d.complete(t)
			require.Equal(t, "7MB", d.sql(t, "gamma", "SHOW work_mem"))
		})
	}
}
