package build

import (
	"context"

	"github.com/understudy-ha/understudy/topology"
)

// Initialise makes a data directory as Bootstrap does.
func Initialise(ctx context.Context, b *Builder, id topology.NodeID) error {
	n, _ := b.cfg.Cluster.Node(id)
	return b.initialise(ctx, n)
}
