package build

import (
	"context"
	"fmt"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// DetachConfig says what [Builder.Detach] may leave out.
type DetachConfig struct {
	// Gone says that the machine cannot be reached any more: nothing is done there. If it comes back, its server tries to stream, and
	// is refused.
	Gone bool
}

// Detach takes a standby out of the cluster and returns the new description: commits no longer wait for it, then it is stopped, then its
// slot goes, and then the others' access rules for it. Its data stays where it is; [Builder.Attach] takes it back. A node from which
// others stream is refused.
func (b *Builder) Detach(ctx context.Context, id topology.NodeID, cfg DetachConfig) (topology.Cluster, error) {
	n, upstream, err := b.leaf(id)
	if err != nil {
		return b.cfg.Cluster, err
	}
	return b.reshape(ctx, b.shapeWithout(id), func(ctx context.Context, next *Builder) error {
		if err := next.applySync(ctx); err != nil {
			return err
		}
		if !cfg.Gone {
			if err := b.stop(ctx, n); err != nil {
				return err
			}
		}
		return b.forget(ctx, next, n, upstream)
	})
}

// Retire takes a standby out of the cluster for good and returns the new description. It is Detach, and then its data directory is set
// aside under another name beside it; nothing is deleted. It refuses, at the latest when the server is stopped, if the data is not
// proven to be redundant.
func (b *Builder) Retire(ctx context.Context, id topology.NodeID) (topology.Cluster, error) {
	n, upstream, err := b.leaf(id)
	if err != nil {
		return b.cfg.Cluster, err
	}
	return b.reshape(ctx, b.shapeWithout(id), func(ctx context.Context, next *Builder) error {
		if err := b.checkRedundant(ctx, n); err != nil {
			return err
		}
		if err := next.applySync(ctx); err != nil {
			return err
		}
		if err := b.stop(ctx, n); err != nil {
			return err
		}
		if err := b.judgedRedundant(ctx, n); err != nil {
			return err
		}
		if err := b.setAside(ctx, n); err != nil {
			return err
		}
		return b.forget(ctx, next, n, upstream)
	})
}

// checkRedundant refuses a server that certainly is not redundant, before anything has changed.
func (b *Builder) checkRedundant(ctx context.Context, n topology.Node) error {
	i := b.inspect(ctx, n)
	switch {
	case i.Err != nil:
		return fmt.Errorf("look at node %s: %w", n.ID, i.Err)
	case i.Processes == topology.Stopped:
		return b.judgedRedundant(ctx, n)
	case i.Processes != topology.Running:
		return fmt.Errorf("whether a server runs on node %s is not certain: %s", n.ID, i.Doubt)
	}
	return b.alreadyFollows(ctx, n)
}

// judgedRedundant refuses what a stopped server has beyond the primary. Without a data directory there is nothing to lose.
func (b *Builder) judgedRedundant(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	if there, err := node.Exists(ctx); err != nil || !there {
		return err
	}
	judgement, err := b.judge(ctx, n)
	if err == nil && judgement.Verdict != recovery.Follow {
		err = &NotRedundantError{Node: n.ID, DataDir: n.DataDir, Verdict: judgement.Verdict, Why: judgement.Reason,
			Remedy: "it is left where it is; move it away by hand if nobody needs it"}
	}
	return err
}

// stop stops the server of a node. One that does not run is as good.
func (b *Builder) stop(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	return node.Stop(ctx, pgnode.StopFast)
}

// forget removes what the others have for a node that has left.
func (b *Builder) forget(ctx context.Context, next *Builder, n, upstream topology.Node) error {
	if b.cfg.Cluster.Slots && !n.ArchiveOnly {
		if err := b.dropSlot(ctx, upstream, string(n.ID)); err != nil {
			return err
		}
	}
	_, err := next.converge(ctx, allowed{})
	return err
}
