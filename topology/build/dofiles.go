package build

import (
	"context"
	"errors"
	"path"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
)

func (b *Builder) set(ctx context.Context, n topology.Node, values map[string]string) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	return d.set(ctx, values)
}

func (b *Builder) allow(ctx context.Context, n topology.Node, a topology.Allow) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	_, err = d.allow(ctx, a.Add, a.Remove)
	return err
}

// followParameters are more than there are that say how a server recovers.
const followParameters = 20

// follow writes the recovery settings of a standby. On a server that is stopped it clears away what an earlier life left; on one that
// runs, only what ALTER SYSTEM set for the same parameters.
func (b *Builder) follow(ctx context.Context, n topology.Node, cfg recovery.Config) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	for range followParameters { // each round takes one back
		err = d.node.Follow(ctx, cfg)
		var conflict *recovery.ConflictError
		if !errors.As(err, &conflict) || path.Base(conflict.File) != pgconf.AutoConf {
			return err
		}
		if err := d.alterSystemReset(ctx, conflict.Name); err != nil {
			return err
		}
	}
	return err
}
