package build

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
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

// files says where the files of a node's server lie.
func (b *Builder) files(ctx context.Context, n topology.Node) (recovery.Server, error) {
	node, err := b.node(ctx, n)
	if err != nil {
		return recovery.Server{}, err
	}
	return recovery.Server{DataDir: node.DataDir(), ConfigFile: node.ConfigFile()}, nil
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
	h, err := b.host(n)
	if err != nil {
		return err
	}
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	if err := lookAtProcesses(ctx, node, i); err != nil {
		return err
	}
	for _, suffix := range []string{".cloning", ".rewinding"} {
		there, err := h.Exists(ctx, node.DataDir()+suffix)
		if err != nil {
			return err
		}
		if there {
			i.Unfinished = append(i.Unfinished, node.DataDir()+suffix)
		}
	}
	if i.Exists, err = node.Exists(ctx); err != nil {
		return err
	}
	if i.Exists {
		err = b.lookAtFiles(ctx, n, h, node, i)
	} else {
		var major int
		major, err = node.Major(ctx)
		i.Major = pgconf.Major(major)
	}
	if err != nil {
		return err
	}
	i.Passfile, err = b.passfileIsRight(ctx, n, i.Major)
	return err
}

func lookAtProcesses(ctx context.Context, node *pgnode.Node, i *topology.Inspection) error {
	pids, err := node.Processes(ctx)
	var doubt *pgnode.DoubtError
	switch {
	case errors.As(err, &doubt):
		i.Processes, i.Doubt = topology.InDoubt, doubt.Reason
	case err != nil:
		return err
	case len(pids) > 0:
		i.Processes = topology.Running
	default:
		i.Processes = topology.Stopped
	}
	return nil
}

func (b *Builder) lookAtFiles(ctx context.Context, n topology.Node, h host.Host, node *pgnode.Node, i *topology.Inspection) error {
	server, err := b.files(ctx, n)
	if err != nil {
		return err
	}
	if i.Start, err = recovery.Read(ctx, h, server); err != nil {
		return err
	}
	i.Major = i.Start.Major
	if i.Control, err = node.Control(ctx); err != nil {
		return err
	}
	server.Major = i.Major
	conf, err := loadConf(ctx, h, server)
	if err != nil {
		return err
	}
	i.Settings = map[string]pgconf.EffectiveSetting{}
	for _, s := range conf.Effective() {
		i.Settings[s.Name] = s
	}
	i.HBAFile = hbaFile(conf, server)
	if i.HBA, err = h.ReadFile(ctx, i.HBAFile); err != nil {
		return fmt.Errorf("read the access rules: %w", err)
	}
	return nil
}

// hbaFile is where the access rules of a server stand.
func hbaFile(conf *pgconf.Config, server recovery.Server) string {
	if s, ok := conf.Get("hba_file"); ok && s.Value != "" {
		if path.IsAbs(s.Value) {
			return s.Value
		}
		return path.Join(server.DataDir, s.Value)
	}
	return path.Join(server.DataDir, "pg_hba.conf")
}
