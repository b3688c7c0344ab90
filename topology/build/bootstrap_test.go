package build_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
)

// settled fails unless the cluster is what its description says, and nothing is to be done.
func (s *site) settled(t *testing.T) {
	t.Helper()
	o, err := s.builder(t).Observe(t.Context())
	require.NoError(t, err)
	plan := topology.NewPlan(s.cluster, o)
	require.Empty(t, plan.Refused)
	require.Empty(t, plan.Steps, plan.String())
	require.Equal(t, s.edges(), edges(t, o.Status))
}

// TestBootstrap makes a cluster of three levels out of nothing; the second time it finds nothing to do.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a+", "c<b")
	seen := &transcript{}
	pending, err := s.builder(t, s.spy(seen)).Bootstrap(t.Context(), build.BootstrapConfig{})
	require.NoError(t, err)
	require.Empty(t, pending)
	s.settled(t)
	before := s.files(t)
	pending, err = s.builder(t, mustNotWork(t)).Bootstrap(t.Context(), build.BootstrapConfig{})
	require.NoError(t, err)
	require.Empty(t, pending)
	require.Equal(t, before, s.files(t))
	noSecrets(t, seen.String())
}
