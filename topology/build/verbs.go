package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-ha/understudy/topology"
)

// reshape runs work on the way to another description, and takes that for its own when the work is done. All nodes of both are locked.
func (b *Builder) reshape(ctx context.Context, shape topology.Cluster, work func(context.Context, *Builder) error) (topology.Cluster, error) {
	if err := shape.Validate(); err != nil {
		return b.cfg.Cluster, err
	}
	both := shape
	for _, n := range b.cfg.Cluster.Nodes {
		if _, stays := shape.Node(n.ID); !stays {
			both = both.Attached(n)
		}
	}
	next := b.as(shape)
	if err := b.as(both).locked(ctx, func(ctx context.Context) error { return work(ctx, next) }); err != nil {
		return b.cfg.Cluster, err
	}
	b.cfg.Cluster = shape
	return shape, nil
}

// leaf returns a standby that may go: nobody streams from it.
func (b *Builder) leaf(id topology.NodeID) (n, upstream topology.Node, err error) {
	n, upstream, err = b.standby(id)
	if err != nil {
		return n, upstream, err
	}
	for _, child := range b.cfg.Cluster.Children(id) {
		err = errors.Join(err, fmt.Errorf("node %s streams from %s: give it another upstream first", child.ID, id))
	}
	return n, upstream, err
}

// shapeWithout returns the description without a node.
func (b *Builder) shapeWithout(id topology.NodeID) topology.Cluster {
	shape := b.cfg.Cluster
	shape.Nodes = slices.DeleteFunc(slices.Clone(shape.Nodes), func(n topology.Node) bool { return n.ID == id })
	return shape
}

// applySync does what a description asks of synchronous replication, and nothing else.
func (b *Builder) applySync(ctx context.Context) error {
	plan, err := b.Plan(ctx)
	if err != nil {
		return err
	}
	plan.Steps = slices.DeleteFunc(plan.Steps, func(s topology.Step) bool {
		_, sync := s.Action.(topology.SetSync)
		return !sync
	})
	return b.apply(ctx, plan, allowed{})
}
