package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// node returns the server of a node.
func (b *Builder) node(ctx context.Context, n topology.Node) (*pgnode.Node, error) {
	h, err := b.host(n)
	if err != nil {
		return nil, err
	}
	server, err := pgnode.Open(ctx, b.nodeConfig(n, h))
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.ID, err)
	}
	return server, nil
}

func (b *Builder) nodeConfig(n topology.Node, h host.Host) pgnode.Config {
	s := n.Service
	return pgnode.Config{
		Host: h, Manager: pgnode.Manager(s.Manager), BinDir: s.BinDir, DataDir: n.DataDir, Cluster: s.Cluster, Unit: s.Unit,
		Commands: s.Commands, Basebackup: b.cfg.Basebackup, Timeout: b.cfg.Timeout,
	}
}

// inspect looks at the machine of one node.
func (b *Builder) inspect(ctx context.Context, n topology.Node) topology.Inspection {
	i := topology.Inspection{Node: n.ID}
	if err := b.look(ctx, n, &i); err != nil {
		i = topology.Inspection{Node: n.ID, Err: err}
	}
	i.At = time.Now()
	return i
}

func (b *Builder) look(ctx context.Context, n topology.Node, i *topology.Inspection) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	seen, err := node.Inspect(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(seen.ControlErr, seen.StartErr, seen.SettingsErr, seen.HBAErr); err != nil && seen.Exists {
		return err
	}
	i.Exists, i.Major, i.Control, i.Start = seen.Exists, seen.Major, seen.Control, seen.Start
	i.Unfinished, i.Settings, i.HBA, i.HBAFile = seen.Unfinished, seen.Settings, seen.HBA, seen.HBAFile
	switch seen.Status.State {
	case pgnode.StateStopped:
		i.Processes = topology.Stopped
	case pgnode.StateUnknown:
		i.Processes, i.Doubt = topology.InDoubt, seen.Status.String()
	default:
		i.Processes = topology.Running
	}
	if i.Major != 0 {
		i.Passfile, err = b.passfileIsRight(ctx, n, i.Major)
	}
	return err
}
