package topology_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/topology"
)

// TestRender compares what every node of a cluster that asks for everything must say, for every major, with the golden files.
func TestRender(t *testing.T) {
	c := chain()
	c.Slots = true
	c.Archive.Restore = "cp /srv/archive/%f %p"
	c.Replication.Passfile, c.Replication.Secret = "/srv/pg/.pgpass", "env:REPLICATOR"
	c.Replication.Conninfo = map[string]string{"sslmode": "verify-full"}
	c.Monitor = topology.Account{Name: "observer", From: []string{"10.9.0.0/24"}}
	c.Clients = []topology.Client{{User: "app", Database: "orders", Addresses: []string{"10.1.0.0/16"}}}
	c.Settings = map[string]string{"shared_buffers": "1GB"}
	c.Nodes[2].Settings = map[string]string{"Work_Mem": "64MB"}
	for major := pgconf.V9_6; major <= pgconf.Newest; major++ {
		t.Run("major="+major.String(), func(t *testing.T) {
			var b strings.Builder
			for _, n := range c.Nodes {
				cfg, err := c.Render(n.ID, major)
				require.NoError(t, err)
				b.WriteString(configText(t, n.ID, major, cfg))
			}
			golden(t, fmt.Sprintf("testdata/render/%s.golden", major), b.String())
		})
	}
}

func configText(t *testing.T, id topology.NodeID, major pgconf.Major, cfg topology.NodeConfig) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "== %s\n", id)
	for _, s := range cfg.Settings {
		fmt.Fprintf(&b, "%s = '%s' # %s\n", s.Name, s.Value, s.Why)
	}
	fmt.Fprintf(&b, "%s\nslots %s\n", text(cfg.Access), cfg.Slots)
	if cfg.Recovery != nil {
		files, err := cfg.Recovery.Render(major)
		require.NoError(t, err)
		for _, f := range files {
			fmt.Fprintf(&b, "-- %s\n%s", f.Name, f.Data)
		}
	}
	for _, l := range cfg.Passfile {
		fmt.Fprintf(&b, "passfile %s:%s:%s:%s:<%s>\n", l.Host, l.Port, l.Database, l.User, l.Secret)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(filepath.FromSlash(name), []byte(got), 0o600))
	}
	want, err := os.ReadFile(filepath.FromSlash(name))
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestRenderRefuses is about what depends on the major; what does not, Validate refuses.
func TestRenderRefuses(t *testing.T) {
	with := func(change func(*topology.Cluster)) topology.Cluster {
		c := chain()
		change(&c)
		return c
	}
	tests := []struct {
		name  string
		c     topology.Cluster
		id    topology.NodeID
		major pgconf.Major
		want  string
	}{
		{"stranger", chain(), "x", 17, `node "x" is not in cluster "orders"`},
		{"witness", chain().Attached(topology.Node{ID: "w", Host: "w", Witness: true}), "w", 17, "node w is a witness"},
		{"old_major", chain(), "a", pgconf.V9_5, "node a: PostgreSQL 9.5: configurations are known from 9.6 to 18"},
		{"future_major", chain(), "a", 19, "PostgreSQL 19"},
		{"any_before_10", with(func(c *topology.Cluster) { c.Sync.Method = topology.Any }), "a", pgconf.V9_6, "knows no ANY"},
		{"unknown_parameter", with(func(c *topology.Cluster) { c.Settings = map[string]string{"work_mum": "1"} }), "a", 17, "work_mem"},
		{"not_yet_known", with(func(c *topology.Cluster) { c.Settings = map[string]string{"wal_summary_keep_time": "1d"} }), "a", 16,
			"wal_summary_keep_time"},
		{"value", with(func(c *topology.Cluster) { c.Nodes[1].Settings = map[string]string{"work_mem": "much"} }), "b", 17, "node b: "},
		{"connection_parameter", with(func(c *topology.Cluster) {
			c.Replication.Conninfo = map[string]string{"sslnegotiation": "direct"}
		}), "b", 16, "sslnegotiation"},
		{"replication_user", with(func(c *topology.Cluster) { c.Replication.User = "" }), "a", 17, "Replication.User is empty"},
		{"regular_expression", with(func(c *topology.Cluster) {
			c.Clients = []topology.Client{{User: "/.*", Database: "d", Addresses: []string{"10.0.0.1/32"}}}
		}), "a", 17, "regular expression"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.c.Render(tt.id, tt.major)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// TestRenderLaw: every node of a cluster gets the same settings but for its own port, name and synchronous standbys, so that any
// of them can be the primary and none has fewer resources than another; and rules that are the same on all of them.
func TestRenderLaw(t *testing.T) {
	own := []string{"port", "cluster_name", "synchronous_standby_names"}
	rapid.Check(t, func(t *rapid.T) {
		c := drawTree(t)
		major := pgconf.Major(rapid.IntRange(int(pgconf.V9_6), 18).Draw(t, "major"))
		strip := func(n topology.Node) topology.NodeConfig {
			cfg, err := c.Render(n.ID, major)
			require.NoError(t, err)
			for _, name := range own {
				require.Contains(t, cfg.Values(), name)
			}
			cfg.Settings = slices.DeleteFunc(cfg.Settings, func(s topology.Setting) bool { return slices.Contains(own, s.Name) })
			for _, s := range cfg.Settings {
				require.NotEmpty(t, s.Why)
			}
			cfg.Recovery, cfg.Slots = nil, nil
			return cfg
		}
		for _, n := range c.Nodes[1:] {
			require.Equal(t, strip(c.Nodes[0]), strip(n))
		}
	})
}

// TestAccessLaw: whatever the input, everyone authenticates with SCRAM over TCP, and no record is for everybody.
func TestAccessLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"all", "trust", "replication", "sameuser", "app", "*", "x y", "+g", "@f", ""})
		addresses := rapid.SliceOfN(rapid.SampledFrom([]string{"0.0.0.0/0", "::/0", "10.0.0.1/32", "all", "samehost"}), 0, 3)
		c := chain()
		c.Nodes[0].Host, c.Nodes[1].From = word.Draw(t, "host"), addresses.Draw(t, "from")
		c.Replication.User = word.Draw(t, "replicator")
		c.Monitor = topology.Account{Name: word.Draw(t, "monitor"), Database: word.Draw(t, "db"), From: addresses.Draw(t, "from")}
		for range rapid.IntRange(0, 3).Draw(t, "clients") {
			c.Clients = append(c.Clients, topology.Client{
				User: word.Draw(t, "user"), Database: word.Draw(t, "database"), Addresses: addresses.Draw(t, "addresses"),
			})
		}
		cfg, err := c.Render("a", 17)
		if err != nil {
			require.Empty(t, cfg.Access)
			return
		}
		for _, r := range cfg.Access {
			require.Equal(t, hba.Host, r.Type)
			require.Equal(t, hba.ScramSHA256, r.Method)
			require.NotContains(t, r.Users, hba.All)
			require.NotContains(t, r.Databases, hba.All)
			require.NotEqual(t, hba.All, r.Address)
			require.NoError(t, r.ValidateFor(10))
		}
	})
}

func text(records []hba.Record) string {
	lines := make([]string, 0, len(records))
	for _, r := range records {
		lines = append(lines, r.Text())
	}
	return strings.Join(lines, "\n")
}

func TestConninfo(t *testing.T) {
	c := chain()
	c.Nodes[0].Host, c.Nodes[0].Port = "fd00::1", 6000
	c.Replication.Conninfo = map[string]string{"sslmode": "verify-full", "sslcert": "/k/replicator.crt"}
	odd := chain()
	odd.Replication.Passfile = `/a b'\`
	nobody := chain()
	nobody.Replication.User = ""
	witness := chain().Attached(topology.Node{ID: "w", Host: "w", Witness: true})
	follow := func(c topology.Cluster, id topology.NodeID) func() (conninfo.Info, error) {
		return func() (conninfo.Info, error) { return c.UpstreamConninfo(id) }
	}
	account := func(id topology.NodeID, a topology.Account) func() (conninfo.Info, error) {
		return func() (conninfo.Info, error) { return c.Conninfo(id, a) }
	}
	tests := []struct {
		name    string
		call    func() (conninfo.Info, error)
		want    string
		problem string
	}{
		{"full", follow(c, "b"), "host=fd00::1 port=6000 user=replicator passfile=/srv/pg/.pgpass application_name=b connect_timeout=5 " +
			"sslcert=/k/replicator.crt sslmode=verify-full", ""},
		{"odd_passfile", follow(odd, "b"), `host=a port=5432 user=replicator passfile='/a b\'\\' application_name=b connect_timeout=5`, ""},
		{"primary", follow(c, "a"), "", "node a has no upstream"},
		{"stranger", follow(c, "x"), "", `node "x" is not in cluster`},
		{"witness", follow(witness, "w"), "", "node w is a witness"},
		{"no_user", follow(nobody, "b"), "", "Replication.User is empty"},
		{"account", account("a", topology.Account{Name: "observer", Secret: "env:MARKER"}),
			"host=fd00::1 port=6000 user=observer dbname=postgres connect_timeout=5 sslmode=verify-full", ""},
		{"account_database", account("b", topology.Account{Name: "o", Database: "d"}),
			"host=b port=5432 user=o dbname=d connect_timeout=5 sslmode=verify-full", ""},
		{"no_account", account("b", topology.Account{}), "", "the account has no name"},
		{"account_on_stranger", account("x", topology.Account{Name: "o"}), "", `node "x" is not in cluster`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := tt.call()
			if tt.problem != "" {
				require.ErrorContains(t, err, tt.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, info.Text())
		})
	}
}
