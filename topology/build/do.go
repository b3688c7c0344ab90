package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-ha/understudy/topology"
)

// do does one step. Each action looks first whether it is done.
func (b *Builder) do(ctx context.Context, step topology.Step, may allowed) error {
	n, ok := b.cfg.Cluster.Node(step.Node)
	if !ok {
		return fmt.Errorf("node %q is not in the cluster: the plan belongs to another description", step.Node)
	}
	switch a := step.Action.(type) {
	case topology.Set:
		return b.set(ctx, n, values(a.Changes))
	case topology.Allow:
		return b.allow(ctx, n, a)
	case topology.WritePassfile:
		return b.writePassfile(ctx, n, a.Lines)
	case topology.Follow:
		return b.follow(ctx, n, a.Recovery)
	case topology.EnsureAccount:
		return b.ensureAccount(ctx, n, a)
	case topology.CreateSlot:
		return b.createSlot(ctx, n, a.Name)
	case topology.DropSlot:
		return b.dropSlot(ctx, n, a.Name)
	case topology.SetSync:
		return b.setSync(ctx, n, a.To)
	case topology.AwaitStreaming:
		return b.awaitStreaming(ctx, n, a.Upstream)
	case topology.Reload:
		return b.reload(ctx, n)
	case topology.Restart:
		return b.restart(ctx, n)
	case topology.Start:
		return b.start(ctx, n)
	case topology.Clone:
		return b.clone(ctx, n, a.From)
	case topology.Initialise:
		if !may.initialise {
			return errors.New("a new cluster is only made by Bootstrap: that no data is to be seen is no proof that there is none")
		}
		return b.initialise(ctx, n)
	default:
		return fmt.Errorf("a %T is nothing that this program can do", a)
	}
}

// values are what changes set.
func values(changes []topology.SettingChange) map[string]string {
	all := map[string]string{}
	for _, c := range changes {
		all[c.Name] = c.Value
	}
	return all
}
