package build_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
)

// TestSteps does the steps of a cluster that somebody has planned by hand, twice.
func TestSteps(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a+")
	rendered, err := s.cluster.Render("b", pgconf.Major(s.in.Major))
	require.NoError(t, err)
	b := s.builder(t)
	plan := topology.Plan{Steps: []topology.Step{
		{Node: "a", Action: topology.Start{}},
		{Node: "a", Action: topology.EnsureAccount{Account: topology.Account{Name: "replicator", Secret: "env:REPLICATION"}, Use: topology.ForReplication}},
		{Node: "a", Action: topology.EnsureAccount{Account: s.cluster.Monitor, Use: topology.ForMonitoring}},
		{Node: "b", Action: topology.WritePassfile{Lines: rendered.Passfile}},
		{Node: "a", Action: topology.CreateSlot{Name: "b"}},
		{Node: "b", Action: topology.Clone{From: "a"}},
		{Node: "b", Action: topology.AwaitStreaming{Upstream: "a"}},
		{Node: "a", Action: topology.SetSync{To: `FIRST 1 ("b")`}},
	}}
	require.NoError(t, build.Initialise(t.Context(), b, "a"))
	require.NoError(t, b.Apply(t.Context(), plan))
	require.Equal(t, "sync", s.sql(t, "a", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'b'"))
	before := s.files(t)
	require.NoError(t, b.Apply(t.Context(), plan))
	require.Equal(t, before, s.files(t))
	require.NoError(t, b.Apply(t.Context(), topology.Plan{Steps: []topology.Step{
		{Node: "a", Action: topology.Reload{}}, {Node: "b", Action: topology.Restart{}}, {Node: "a", Action: topology.Restart{}},
		{Node: "b", Action: topology.AwaitStreaming{Upstream: "a"}},
	}}))
	o, err := b.Observe(t.Context())
	require.NoError(t, err)
	for _, i := range o.Inspections {
		require.NoError(t, i.Err)
		require.True(t, i.Passfile)
	}
	for _, n := range o.Status.Nodes {
		require.NoError(t, n.Err)
	}
}
