package topology_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/topology"
)

// node is a node with its id as host.
func node(id, upstream topology.NodeID) topology.Node {
	return topology.Node{ID: id, Host: string(id), Upstream: upstream}
}

func sync(n topology.Node) topology.Node {
	n.Sync = true
	return n
}

func cluster(nodes ...topology.Node) topology.Cluster {
	return topology.Cluster{
		Name: "orders", Nodes: nodes,
		Replication: topology.Replication{User: "replicator", Passfile: "/srv/pg/.pgpass"},
	}
}

// chain is the cluster of the examples: b follows a, c follows b.
func chain() topology.Cluster {
	c := cluster(node("a", ""), sync(node("b", "a")), sync(node("c", "b")))
	c.Archive.Command = "walarchive push --archive /srv/archive %p"
	return c
}

func TestValidate(t *testing.T) {
	at := func(id topology.NodeID, host string, port int) topology.Node {
		return topology.Node{ID: id, Host: host, Port: port}
	}
	tests := []struct {
		name string
		c    topology.Cluster
		want []string // one for each error, nil for none
	}{
		{"one_node", cluster(node("a", "")), nil},
		{"chain", chain(), nil},
		{"star", cluster(node("a", ""), node("b", "a"), node("c", "a")), nil},
		{"children_before_parents", cluster(node("c", "b"), node("b", "a"), node("a", "")), nil},
		{"one_host_two_ports", cluster(at("a", "h", 1), topology.Node{ID: "b", Host: "h", Port: 2, Upstream: "a"}), nil},
		{"ipv6", cluster(at("a", "fd00::1", 5432)), nil},

		{"empty", cluster(), []string{"0 nodes have no upstream"}},
		{"two_roots", cluster(node("a", ""), node("b", "")), []string{"2 nodes have no upstream"}},
		{"unknown_upstream_once", cluster(node("a", ""), node("b", "x"), node("c", "b")),
			[]string{`node b: upstream "x" is not a node`}},
		{"own_upstream", cluster(node("a", ""), node("b", "b")), []string{"node b: its upstreams lead back to it"}},
		{"cycle_of_two_and_a_tail", cluster(node("a", ""), node("b", "c"), node("c", "b"), node("d", "c")),
			[]string{"node b: its upstreams lead back", "node c: its upstreams lead back"}},
		{"all_in_a_cycle", cluster(node("a", "b"), node("b", "a")),
			[]string{"0 nodes have no upstream", "node a: its upstreams", "node b: its upstreams"}},
		{"duplicate_id", cluster(node("a", ""), at("a", "other", 0)),
			[]string{`node id "a" is used twice`, "2 nodes have no upstream"}},
		{"duplicate_address", cluster(at("a", "h", 0), topology.Node{ID: "b", Host: "h", Port: 5432, Upstream: "a"}),
			[]string{"nodes a and b share the address h:5432"}},

		{"id_empty", cluster(at("", "h", 0)), []string{`node id "": use a-z`}},
		{"id_upper_case", cluster(node("Master", "")), []string{`node id "Master"`}},
		{"id_digit_first", cluster(node("1a", "")), []string{`node id "1a"`}},
		{"id_dash", cluster(node("a-b", "")), []string{`node id "a-b"`}},
		{"id_trailing_newline", cluster(at("a\n", "h", 0)), []string{`node id "a\n"`}},
		{"id_not_ascii", cluster(node("ä", "")), []string{`node id "ä"`}},
		{"id_63", cluster(node(topology.NodeID(strings.Repeat("a", 63)), "")), nil},
		{"id_64", cluster(node(topology.NodeID(strings.Repeat("a", 64)), "")), []string{"at most 63"}},
		{"id_of_a_backup", cluster(node("pg_basebackup", "")), []string{"PostgreSQL's own programs"}},
		{"id_of_any_receiver", cluster(node("walreceiver", "")), []string{"PostgreSQL's own programs"}},

		{"no_host", cluster(at("a", "", 0)), []string{"node a: Host is empty"}},
		{"host_list", cluster(at("a", "h1,h2", 0)), []string{`host "h1,h2" is not one`}},
		{"host_with_blank", cluster(at("a", "h port=1", 0)), []string{"is not one"}},
		{"host_is_socket", cluster(at("a", "/tmp", 0)), []string{"Unix socket"}},
		{"ipv6_in_brackets", cluster(at("a", "[fd00::1]", 0)), []string{"is not one"}},
		{"port_negative", cluster(at("a", "h", -1)), []string{"port -1"}},
		{"port_too_high", cluster(at("a", "h", 65536)), []string{"port 65536"}},
		{"everything_wrong", cluster(at("A", "", 70000), node("b", "x")),
			[]string{`node id "A"`, "node A: Host is empty", `node b: upstream "x"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.c.Validate()
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			got := strings.Split(err.Error(), "\n")
			require.Len(t, got, len(tt.want), "%v", err)
			for i, want := range tt.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

// shape draws a cluster as "a b<a* c<b": upstream after <, a star for Sync.
func shape(c topology.Cluster) string {
	words := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		w := string(n.ID)
		if n.Upstream != "" {
			w += "<" + string(n.Upstream)
		}
		if n.Sync {
			w += "*"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func TestShapes(t *testing.T) {
	star := cluster(node("a", ""), sync(node("b", "a")), node("c", "a"), node("d", "b"))
	tests := []struct {
		name string
		got  topology.Cluster
		want string
	}{
		{"promote_the_middle_of_a_chain", chain().Promoted("b"), "b c<b*"},
		{"promote_the_end_of_a_chain", chain().Promoted("c"), "b<c* c"},
		{"promote_takes_the_siblings_along", star.Promoted("b"), "b c<b d<b"},
		{"promote_a_grandchild", star.Promoted("d"), "b<d* c<d d"},
		{"promote_the_primary_changes_nothing", chain().Promoted("a"), "a b<a* c<b*"},
		{"promote_a_stranger_changes_nothing", chain().Promoted("x"), "a b<a* c<b*"},
		{"promote_nobody_changes_nothing", chain().Promoted(""), "a b<a* c<b*"},
		{"move", star.Moved("c", "d"), "a b<a* c<d d<b"},
		{"move_a_stranger", star.Moved("x", "d"), "a b<a* c<a d<b"},
		{"attach", chain().Promoted("b").Attached(node("a", "c")), "b c<b* a<c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, shape(tt.got))
			require.Equal(t, "orders", tt.got.Name)
		})
	}
	require.Equal(t, "a b<a* c<a d<b", shape(star), "a method changed its receiver")
	require.Equal(t, "a b<a* c<b*", shape(chain()))
}

func TestRelations(t *testing.T) {
	c := cluster(node("a", ""), sync(node("b", "a")), node("c", "a"), sync(node("d", "a")), sync(node("e", "b")))
	ids := func(nodes []topology.Node) string {
		var s []string
		for _, n := range nodes {
			s = append(s, string(n.ID))
		}
		return strings.Join(s, " ")
	}
	tests := []struct {
		id             topology.NodeID
		children, sync string
	}{
		{"a", "b c d", "b d"}, {"b", "e", "d e"}, {"c", "", "b d"}, {"x", "", ""}, {"", "", ""},
	}
	for _, tt := range tests {
		t.Run("of_"+string(tt.id), func(t *testing.T) {
			require.Equal(t, tt.children, ids(c.Children(tt.id)))
			var names []string
			for _, id := range c.SyncNames(tt.id) {
				names = append(names, string(id))
			}
			require.Equal(t, tt.sync, strings.Join(names, " "))
		})
	}
	primary, ok := c.Primary()
	require.True(t, ok)
	require.Equal(t, topology.NodeID("a"), primary.ID)
	_, ok = cluster(node("a", "b")).Primary()
	require.False(t, ok)
	_, ok = c.Node("x")
	require.False(t, ok)
}

func TestNodeText(t *testing.T) {
	require.Equal(t, "a (h:5432)", topology.Node{ID: "a", Host: "h"}.String())
	require.Equal(t, "a ([fd00::1]:6000)", topology.Node{ID: "a", Host: "fd00::1", Port: 6000}.String())
}

// drawTree draws a valid cluster.
func drawTree(t *rapid.T) topology.Cluster {
	n := rapid.IntRange(1, 7).Draw(t, "nodes")
	c := cluster()
	for i := range n {
		next := node(topology.NodeID(string(rune('a'+i))), "")
		if i > 0 {
			next.Upstream = c.Nodes[rapid.IntRange(0, i-1).Draw(t, "upstream")].ID
		}
		next.Sync = rapid.Bool().Draw(t, "sync")
		c.Nodes = append(c.Nodes, next)
	}
	c.Nodes = rapid.Permutation(c.Nodes).Draw(t, "order")
	return c
}

// TestPromotedLaw: whoever is promoted, the shape stays a valid cluster with that primary and without the old one, and
// nobody moves who did not follow the old primary.
func TestPromotedLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawTree(t)
		require.NoError(t, c.Validate())
		old, _ := c.Primary()
		id := rapid.SampledFrom(c.Nodes).Draw(t, "promoted").ID
		got := c.Promoted(id)
		require.NoError(t, got.Validate())
		now, _ := got.Primary()
		require.Equal(t, id, now.ID)
		if id == old.ID {
			require.Equal(t, c, got)
			return
		}
		require.Len(t, got.Nodes, len(c.Nodes)-1)
		for _, n := range got.Nodes {
			before, ok := c.Node(n.ID)
			require.True(t, ok)
			switch {
			case n.ID == id:
			case before.Upstream == old.ID:
				require.Equal(t, id, n.Upstream)
			default:
				require.Equal(t, before, n)
			}
		}
		back := got.Attached(topology.Node{ID: old.ID, Host: old.Host, Upstream: id})
		require.NoError(t, back.Validate())
		require.Len(t, back.Nodes, len(c.Nodes))
	})
}

// Every fault says which field it is about.
func TestValidateNamesFields(t *testing.T) {
	c := cluster(node("A", ""), node("b", "x"), topology.Node{ID: "c", Upstream: "b"}, node("b", ""))
	var fields []string
	for _, err := range c.Validate().(interface{ Unwrap() []error }).Unwrap() {
		var fault *topology.FieldError
		require.ErrorAs(t, err, &fault)
		fields = append(fields, fault.Field)
	}
	require.Equal(t, []string{"Nodes[0].ID", "Nodes[2].Host", "Nodes[3].ID", "Nodes[3].Host", "Nodes", "Nodes[1].Upstream"}, fields)
}
