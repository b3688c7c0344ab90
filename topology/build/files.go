package build

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// disk is the files of one server on its machine, in place or being made.
type disk struct {
	host   host.Host
	node   *pgnode.Node
	server recovery.Server // with its major
}

// disk returns the files of a node's server. Its data directory must be there.
func (b *Builder) disk(ctx context.Context, n topology.Node) (disk, error) {
	node, err := b.node(ctx, n)
	if err != nil {
		return disk{}, err
	}
	return b.diskOf(ctx, n, node)
}

func (b *Builder) diskOf(ctx context.Context, n topology.Node, node *pgnode.Node) (disk, error) {
	h, err := b.host(n)
	if err != nil {
		return disk{}, err
	}
	d := disk{host: h, node: node}
	if d.server, err = node.Server(ctx); err != nil {
		return d, err
	}
	name := d.path(datadir.VersionFile)
	data, err := h.ReadFile(ctx, name)
	if err != nil {
		return d, fmt.Errorf("read the major of the data directory: %w", err)
	}
	d.server.Major, err = datadir.ParseVersion(name, data)
	return d, err
}

// path is where a file of the data directory lies.
func (d disk) path(name string) string { return path.Join(d.server.DataDir, name) }

// load reads the configuration.
func (d disk) load(ctx context.Context) (*pgconf.Config, error) {
	return pgconf.Load(d.node.FS(ctx), d.server.ConfigFile,
		pgconf.Options{Major: d.server.Major, DataDir: d.server.DataDir, Args: d.server.Args})
}

// save writes what edits have changed, each file atomically.
func (d disk) save(ctx context.Context, c *pgconf.Config) error {
	for _, change := range c.Changed() {
		if err := d.host.WriteFile(ctx, change.File, change.After, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", change.File, err)
		}
	}
	return nil
}

// set makes values those that the server uses. Values of ALTER SYSTEM for the same parameters are taken back, since they would win.
func (d disk) set(ctx context.Context, values map[string]string) error {
	conf, err := d.load(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if s, ok := conf.Get(name); ok && s.Origin == pgconf.FromAutoConf && s.Value != values[name] {
			if err := conf.AlterSystemReset(name); err != nil {
				return err
			}
		}
	}
	if err := conf.SetAll(values); err != nil {
		return err
	}
	return d.save(ctx, conf)
}

// allow edits pg_hba.conf. Lines of others stay.
func (d disk) allow(ctx context.Context, add, remove []hba.Record) (changed bool, err error) {
	cfg := hba.EnsureConfig{FS: d.node.FS(ctx)}
	_, changed, err = d.node.EditHBA(ctx, func(f *hba.File) error {
		for _, r := range remove {
			if _, err := f.RemoveRule(r, cfg); err != nil {
				return fmt.Errorf("remove the rule %v: %w", r, err)
			}
		}
		for _, r := range add {
			if _, err := f.EnsureRule(r, cfg); err != nil {
				return fmt.Errorf("add the rule %v: %w", r, err)
			}
		}
		return nil
	})
	return changed, err
}

// alterSystemReset takes back what ALTER SYSTEM set.
func (d disk) alterSystemReset(ctx context.Context, name string) error {
	conf, err := d.load(ctx)
	if err != nil {
		return err
	}
	if err := conf.AlterSystemReset(name); err != nil {
		return err
	}
	return d.save(ctx, conf)
}

// pause waits, or returns why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
