package main

import (
	"context"
	"fmt"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
)

// change is what the verbs below have in common.
type change struct {
	source
	machines
	consent
}

// do asks, works on the cluster, and shows what it is then.
func (k change) do(out *streams, question string, work func(topology.Cluster, *build.Builder) error) error {
	c, err := k.load(out)
	if err != nil {
		return err
	}
	b, err := k.builder(c, progress(out.Err))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := k.ask(k.source, &streams{out.In, out.Err, out.Err}, question); err != nil {
		return err
	}
	return work(c, b)
}

type bootstrapCommand struct {
	change
	RestartPrimary bool `help:"A primary that is there already may be restarted, where a parameter needs that."`
}

// Run makes a cluster.
func (k *bootstrapCommand) Run(ctx context.Context, out *streams) error {
	return k.do(out, "Make the primary if it is not there, and clone every standby that has no data?",
		func(_ topology.Cluster, b *build.Builder) error {
			pending, err := b.Bootstrap(ctx, build.BootstrapConfig{RestartPrimary: k.RestartPrimary})
			if err != nil {
				return err
			}
			if len(pending) > 0 {
				fmt.Fprintf(out.Out, "This waits for a restart of the primary:\n%s", topology.Plan{Steps: pending})
				return codeError{code: exitWarning}
			}
			fmt.Fprintln(out.Out, "The cluster is as described.")
			return nil
		})
}

type cloneCommand struct {
	change
	Node   topology.NodeID `arg:"" help:"Standby of the description without a data directory."`
	From   topology.NodeID `placeholder:"NODE" help:"Copy this one. Default: the upstream."`
	Backup string          `placeholder:"DIR" help:"Copy this base backup of its machine, and take the WAL since from the archive."`
}

// Run clones a standby.
func (k *cloneCommand) Run(ctx context.Context, out *streams) error {
	return k.do(out, fmt.Sprintf("Make the data directory of %s, and start it?", k.Node), func(c topology.Cluster, b *build.Builder) error {
		if _, err := node(c, k.Node); err != nil {
			return err
		}
		return b.Clone(ctx, k.Node, build.CloneConfig{From: k.From, Backup: k.Backup})
	})
}

type attachCommand struct {
	change
	Node    topology.NodeID `arg:"" help:"Node of the description that is to take part."`
	Rewind  bool            `help:"pg_rewind may be used: what the node wrote after its history parted from the primary's is lost."`
	Replace bool            `help:"Its data directory may be set aside, under another name, and cloned anew."`
}

// Run brings a node in, or back.
func (k *attachCommand) Run(ctx context.Context, out *streams) error {
	return k.do(out, fmt.Sprintf("Make %s a standby of the cluster?", k.Node), func(c topology.Cluster, b *build.Builder) error {
		n, err := node(c, k.Node)
		if err != nil {
			return err
		}
		_, err = b.Attach(ctx, n, build.AttachConfig{Rewind: k.Rewind, Replace: k.Replace})
		return err
	})
}

type detachCommand struct {
	change
	Node topology.NodeID `arg:"" help:"Standby from which nobody streams."`
	Gone bool            `help:"Its machine is lost: nothing is done there."`
}

// Run takes a standby out, and prints the description without it.
func (k *detachCommand) Run(ctx context.Context, out *streams) error {
	return k.do(out, fmt.Sprintf("Stop %s and take it out of the cluster? Its data stays.", k.Node),
		func(_ topology.Cluster, b *build.Builder) error {
			c, err := b.Detach(ctx, k.Node, build.DetachConfig{Gone: k.Gone})
			if err != nil {
				return err
			}
			return describe(c, k.source, out)
		})
}

type retireCommand struct {
	change
	Node topology.NodeID `arg:"" help:"Standby from which nobody streams."`
}

// Run takes a standby out for good, and prints the description without it.
func (k *retireCommand) Run(ctx context.Context, out *streams) error {
	return k.do(out, fmt.Sprintf("Stop %s, take it out of the cluster, and set its data directory aside under another name?", k.Node),
		func(_ topology.Cluster, b *build.Builder) error {
			c, err := b.Retire(ctx, k.Node)
			if err != nil {
				return err
			}
			return describe(c, k.source, out)
		})
}

type reparentCommand struct {
	change
	Node     topology.NodeID `arg:"" help:"Standby to move, with everything below it."`
	Upstream topology.NodeID `arg:"" help:"Node to stream from, or leader."`
}

// Run moves a standby, and prints the description with it there.
func (k *reparentCommand) Run(ctx context.Context, out *streams) error {
	return k.do(out, fmt.Sprintf("Let %s stream from %s?", k.Node, k.Upstream), func(_ topology.Cluster, b *build.Builder) error {
		c, err := b.Reparent(ctx, k.Node, k.Upstream)
		if err != nil {
			return err
		}
		return describe(c, k.source, out)
	})
}
