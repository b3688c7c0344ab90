package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology"
)

// starOf is a cluster in which all but the first stand below it and are synchronous.
func starOf(rule topology.SyncRule, ids ...topology.NodeID) topology.Cluster {
	c := cluster(node("a", ""))
	for _, id := range ids {
		c = c.Attached(sync(node(id, "a")))
	}
	c.Sync.SyncRule = rule
	return c
}

// syncVectors are shared with the test on real servers: what a, the primary, waits for, from 10 on.
var syncVectors = []struct {
	name string
	c    topology.Cluster
	want string
}{
	{"nobody", starOf(topology.SyncRule{}), ""},
	{"one", starOf(topology.SyncRule{}, "b"), `FIRST 1 ("b")`},
	{"one_of_two", starOf(topology.SyncRule{Method: topology.First, Number: 1}, "b", "c"), `FIRST 1 ("b", "c")`},
	{"two_of_three", starOf(topology.SyncRule{Number: 2}, "b", "c", "d"), `FIRST 2 ("b", "c", "d")`},
	{"any", starOf(topology.SyncRule{Method: topology.Any}, "b", "c"), `ANY 1 ("b", "c")`},
	{"any_two", starOf(topology.SyncRule{Method: topology.Any, Number: 2}, "b", "c"), `ANY 2 ("b", "c")`},
	{"keywords", starOf(topology.SyncRule{}, "first", "any", "all"), `FIRST 1 ("first", "any", "all")`},
}

func TestSyncNamesFor(t *testing.T) {
	for _, tt := range syncVectors {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.c.SyncNamesFor("a", 10)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	got, err := starOf(topology.SyncRule{Number: 2}, "b", "c").SyncNamesFor("a", pgconf.V9_6)
	require.NoError(t, err)
	require.Equal(t, `2 ("b", "c")`, got)
}
