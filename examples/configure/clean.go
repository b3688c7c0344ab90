package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// clean takes a node out of the cluster and sets its data directory aside, when somebody has confirmed that.
func (p *program) clean(ctx context.Context) error {
	f, err := p.load()
	if err != nil {
		return err
	}
	n, ok := f.cluster.Node(topology.NodeID(p.Clean.Node))
	if !ok {
		return usage("%s has no node %q; it has %s", f.path, p.Clean.Node, names(f.cluster.Nodes))
	}
	if below := f.cluster.Children(n.ID); len(below) > 0 {
		return refuse("%s stream from %s: clean them first, or give them another upstream", names(below), n.ID)
	}
	server, err := p.server(ctx, n)
	if err != nil {
		return err
	}
	if err := p.confirm(ctx, n, server); err != nil || p.DryRun {
		return err
	}
	if n.Upstream == "" {
		return p.cleanLast(ctx, f, n, server)
	}
	return p.retire(ctx, f, n)
}

func names(nodes []topology.Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, string(n.ID))
	}
	return strings.Join(all, ", ")
}

func (p *program) server(ctx context.Context, n topology.Node) (*pgnode.Node, error) {
	return pgnode.Open(ctx, pgnode.Config{
		Host: host.NewLocal(host.LocalConfig{User: p.owner()}), Manager: pgnode.Manager(n.Service.Manager),
		Cluster: n.Service.Cluster, BinDir: n.Service.BinDir, DataDir: n.DataDir,
	})
}

// confirm says what will be set aside, and wants the system identifier. Without data there is nothing to lose.
func (p *program) confirm(ctx context.Context, n topology.Node, server *pgnode.Node) error {
	there, err := server.Exists(ctx)
	if err != nil {
		return err
	}
	if !there {
		fmt.Fprintf(p.out, "node %s: there is no data in %s\n", n, server.DataDir())
		return nil
	}
	control, err := server.Control(ctx)
	if err != nil {
		return err
	}
	identifier := control.SystemID.String()
	fmt.Fprintf(p.out, "node %s: its server will be stopped, and %s, of the cluster with the system identifier %s, renamed to %s.aside-TIME\n",
		n, server.DataDir(), identifier, server.DataDir())
	if p.DryRun {
		return nil
	}
	given := p.Clean.Yes
	if given == "" {
		given, err = p.terminal.ask("Type the system identifier to go on: ")
		if err != nil {
			return refuse("not confirmed: give --yes and the system identifier: %w", err)
		}
	}
	if given != identifier {
		return refuse("not confirmed: that is not the system identifier of %s; nothing has changed", n.ID)
	}
	return nil
}

// retire takes a standby out.
func (p *program) retire(ctx context.Context, f file, n topology.Node) (err error) {
	b, err := p.builder(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	c, err := b.Retire(ctx, n.ID)
	if err != nil {
		return err
	}
	if err := f.save(c); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "node %s is no part of the cluster any more; its data lies aside\n", n.ID)
	return nil
}

// cleanLast takes the last node out, and the cluster file with it.
func (p *program) cleanLast(ctx context.Context, f file, n topology.Node, server *pgnode.Node) error {
	if len(f.cluster.Nodes) > 1 {
		return refuse("node %s is the primary, and not the last node: there is %s as well", n.ID, names(f.cluster.Nodes))
	}
	if err := server.Stop(ctx, pgnode.StopFast); err != nil {
		return err
	}
	now := time.Now().UTC()
	aside, err := server.SetAside(ctx, now)
	if err != nil {
		return err
	}
	suffix := ".aside-" + now.Format("20060102T150405")
	if err := f.setAside(suffix); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "node %s was the last one: its data is in %s, and the cluster file is %s\n", n.ID, aside, f.path+suffix)
	return nil
}
