package build

import (
	"context"

	"github.com/understudy-ha/understudy/topology"
)

// Plan observes the cluster and returns what has to be done. It changes nothing: shown to a person, it is the dry run.
func (b *Builder) Plan(ctx context.Context) (topology.Plan, error) {
	o, err := b.Observe(ctx)
	if err != nil {
		return topology.Plan{}, err
	}
	return topology.NewPlan(b.cfg.Cluster, o), nil
}
