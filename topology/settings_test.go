package topology_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/topology"
)

var replication = topology.Replication{
	User: "replicator", Passfile: "/srv/pg/.pgpass", ArchiveCommand: "walarchive push --archive /srv/archive %p",
}

// TestSettings compares the settings of every node of the chain, for every major, with the golden files.
func TestSettings(t *testing.T) {
	for major := 10; major <= 18; major++ {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			var b strings.Builder
			for _, n := range chain().Nodes {
				fmt.Fprintf(&b, "# %s\n", n.ID)
				settings, err := chain().NodeSettings(n.ID, major, replication)
				require.NoError(t, err)
				for _, name := range slices.Sorted(maps.Keys(settings)) {
					fmt.Fprintf(&b, "%s = '%s'\n", name, settings[name])
				}
			}
			golden(t, fmt.Sprintf("testdata/settings-%d.golden", major), b.String())
		})
	}
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

func TestSettingsRefuses(t *testing.T) {
	_, err := chain().NodeSettings("x", 17, replication)
	require.ErrorContains(t, err, `node "x" is not in cluster "orders"`)
	_, err = chain().NodeSettings("a", 9, replication)
	require.ErrorContains(t, err, "PostgreSQL 9")
}

func TestSettingsWithoutArchive(t *testing.T) {
	settings, err := chain().NodeSettings("a", 17, topology.Replication{User: "replicator"})
	require.NoError(t, err)
	for name := range settings {
		require.False(t, strings.HasPrefix(name, "archive"), name)
	}
}

// TestSettingsLaw: every node of a cluster gets the same but for its own port, name and synchronous standbys, so that any of
// them can be the primary and none has fewer resources than another.
func TestSettingsLaw(t *testing.T) {
	own := []string{"port", "cluster_name", "synchronous_standby_names"}
	rapid.Check(t, func(t *rapid.T) {
		c, major := drawTree(t), rapid.IntRange(10, 18).Draw(t, "major")
		strip := func(n topology.Node) map[string]string {
			s, err := c.NodeSettings(n.ID, major, replication)
			require.NoError(t, err)
			for _, name := range own {
				require.Contains(t, s, name)
				delete(s, name)
			}
			return s
		}
		for _, n := range c.Nodes[1:] {
			require.Equal(t, strip(c.Nodes[0]), strip(n))
		}
	})
}

// syncVectors are shared with the test on real servers.
var syncVectors = []struct {
	name  string
	n     int
	names []topology.NodeID
	want  string
}{
	{"nobody", 1, nil, ""},
	{"one", 1, []topology.NodeID{"b"}, `FIRST 1 ("b")`},
	{"one_of_two", 1, []topology.NodeID{"b", "c"}, `FIRST 1 ("b", "c")`},
	{"two_of_three", 2, []topology.NodeID{"b", "c", "d"}, `FIRST 2 ("b", "c", "d")`},
	{"more_than_there_are", 3, []topology.NodeID{"b"}, `FIRST 3 ("b")`},
	{"zero_counts_as_one", 0, []topology.NodeID{"b"}, `FIRST 1 ("b")`},
	{"negative_counts_as_one", -4, []topology.NodeID{"b"}, `FIRST 1 ("b")`},
	{"keywords", 1, []topology.NodeID{"first", "any", "all"}, `FIRST 1 ("first", "any", "all")`},
	{"quote_in_name", 1, []topology.NodeID{`a"b`}, `FIRST 1 ("a""b")`},
	{"blank_dash_comma", 1, []topology.NodeID{"a b", "a-b", "a,b", "(", "1"}, `FIRST 1 ("a b", "a-b", "a,b", "(", "1")`},
}

func TestSyncStandbyNames(t *testing.T) {
	for _, tt := range syncVectors {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, topology.SyncStandbyNames(tt.n, tt.names))
		})
	}
}

func TestUpstreamConninfo(t *testing.T) {
	c := cluster(topology.Node{ID: "a", Host: "fd00::1", Port: 6000}, node("b", "a"))
	tests := []struct {
		name    string
		c       topology.Cluster
		id      topology.NodeID
		r       topology.Replication
		want    string
		problem string
	}{
		{"full", c, "b", replication,
			"host=fd00::1 port=6000 user=replicator passfile=/srv/pg/.pgpass application_name=b connect_timeout=5", ""},
		{"no_passfile", c, "b", topology.Replication{User: "replicator"},
			"host=fd00::1 port=6000 user=replicator application_name=b connect_timeout=5", ""},
		{"odd_passfile", c, "b", topology.Replication{User: "r", Passfile: `/a b'\`},
			`host=fd00::1 port=6000 user=r passfile='/a b\'\\' application_name=b connect_timeout=5`, ""},
		{"default_port", chain(), "b", topology.Replication{User: "r"},
			"host=a port=5432 user=r application_name=b connect_timeout=5", ""},
		{"primary", c, "a", replication, "", "node a has no upstream"},
		{"stranger", c, "x", replication, "", `node "x" is not in cluster`},
		{"no_user", c, "b", topology.Replication{}, "", "Replication.User is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := tt.c.UpstreamConninfo(tt.id, tt.r)
			if tt.problem != "" {
				require.ErrorContains(t, err, tt.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, info.Text())
		})
	}
}

func TestAccess(t *testing.T) {
	tests := []struct {
		name    string
		user    string
		peers   []string
		clients []topology.Client
		want    string
		problem string
	}{
		{
			name: "peers_and_clients", user: "replicator", peers: []string{"10.0.0.1/32", "10.0.0.2/32", "fd00::/64"},
			clients: []topology.Client{
				{User: "app", Database: "orders", Addresses: []string{"10.1.0.0/16"}},
				{User: "monitor", Database: "postgres", Addresses: []string{"10.0.0.9/32"}},
			},
			want: `
host    replication     replicator      10.0.0.1/32             scram-sha-256
host    replication     replicator      10.0.0.2/32             scram-sha-256
host    replication     replicator      fd00::/64               scram-sha-256
host    orders          app             10.1.0.0/16             scram-sha-256
host    postgres        monitor         10.0.0.9/32             scram-sha-256`,
		},
		{
			name: "twice_is_once", user: "r", peers: []string{"127.0.0.1/32", "127.0.0.1/32", "10.0.0.7/24", "10.0.0.0/24"},
			clients: []topology.Client{
				{User: "app", Database: "d", Addresses: []string{"127.0.0.1/32", "127.0.0.1/32"}},
				{User: "app", Database: "d", Addresses: []string{"127.0.0.1/32"}},
			},
			want: `
host    replication     r               127.0.0.1/32            scram-sha-256
host    replication     r               10.0.0.7/24             scram-sha-256
host    d               app             127.0.0.1/32            scram-sha-256`,
		},
		{
			name: "keywords_are_names", user: "all", peers: []string{"10.0.0.1/32"},
			clients: []topology.Client{{User: "+ops", Database: "replication", Addresses: []string{"10.0.0.1/32"}},
				{User: "all", Database: "all", Addresses: []string{"10.0.0.1/32"}}},
			want: `
host    replication     "all"           10.0.0.1/32             scram-sha-256
host    "replication"   "+ops"          10.0.0.1/32             scram-sha-256
host    "all"           "all"           10.0.0.1/32             scram-sha-256`,
		},
		{name: "nobody", user: "r", want: "\n"},
		{name: "address_without_length", user: "r", peers: []string{"10.0.0.1"}, problem: `address "10.0.0.1" for r is not in CIDR form`},
		{name: "length_too_long", user: "r", peers: []string{"10.0.0.1/33"}, problem: "not in CIDR form"},
		{name: "host_name", user: "r", peers: []string{"db1/32"}, problem: "not in CIDR form"},
		{name: "keyword_all", user: "r", peers: []string{"all"}, problem: "not in CIDR form"},
		{name: "client_address", user: "r", clients: []topology.Client{{User: "app", Database: "d", Addresses: []string{"samenet"}}},
			problem: `address "samenet" for app`},
		{name: "no_replication_user", peers: []string{"10.0.0.1/32"}, problem: "Replication.User is empty"},
		{name: "no_client_user", user: "r", clients: []topology.Client{{Database: "d"}}, problem: "both names are needed"},
		{name: "no_client_database", user: "r", clients: []topology.Client{{User: "app"}}, problem: "both names are needed"},
		{name: "regular_expression", user: "r", clients: []topology.Client{
			{User: "/.*", Database: "d", Addresses: []string{"10.0.0.1/32"}}}, problem: "regular expression"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			records, err := topology.Access(topology.Replication{User: tt.user}, tt.peers, tt.clients)
			if tt.problem != "" {
				require.ErrorContains(t, err, tt.problem)
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.TrimPrefix(tt.want, "\n"), text(records))
		})
	}
}

func text(records []hba.Record) string {
	lines := make([]string, 0, len(records))
	for _, r := range records {
		lines = append(lines, r.Text())
	}
	return strings.Join(lines, "\n")
}

// TestAccessLaw: whatever the input, everyone authenticates with SCRAM over TCP, and no record is for everybody.
func TestAccessLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"all", "trust", "replication", "sameuser", "app", "*", "x y", "+g", "@f", ""})
		addresses := rapid.SliceOfN(rapid.SampledFrom([]string{"0.0.0.0/0", "::/0", "10.0.0.1/32", "all", "samehost"}), 0, 3)
		var clients []topology.Client
		for range rapid.IntRange(0, 3).Draw(t, "clients") {
			clients = append(clients, topology.Client{
				User: word.Draw(t, "user"), Database: word.Draw(t, "database"), Addresses: addresses.Draw(t, "addresses"),
			})
		}
		records, err := topology.Access(topology.Replication{User: word.Draw(t, "replicator")}, addresses.Draw(t, "peers"), clients)
		if err != nil {
			require.Empty(t, records)
			return
		}
		for _, r := range records {
			require.Equal(t, hba.Host, r.Type)
			require.Equal(t, hba.ScramSHA256, r.Method)
			require.NotContains(t, r.Users, hba.All)
			require.NotContains(t, r.Databases, hba.All)
			require.NotEqual(t, hba.All, r.Address)
			require.NoError(t, r.ValidateFor(10))
		}
	})
}
