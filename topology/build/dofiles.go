package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

// disk is the files of one server on its machine.
type disk struct {
	host   host.Host
	server recovery.Server
}

// disk returns the files of a node's server. Its data directory must be there.
func (b *Builder) disk(ctx context.Context, n topology.Node) (disk, error) {
	h, err := b.host(n)
	if err != nil {
		return disk{}, err
	}
	server, err := b.files(ctx, n)
	if err != nil {
		return disk{}, err
	}
	return openDisk(ctx, h, server)
}

// openDisk learns the major from the data directory.
func openDisk(ctx context.Context, h host.Host, server recovery.Server) (disk, error) {
	name := path.Join(server.DataDir, datadir.VersionFile)
	data, err := h.ReadFile(ctx, name)
	if err != nil {
		return disk{}, fmt.Errorf("read the major of the data directory: %w", err)
	}
	server.Major, err = datadir.ParseVersion(name, data)
	return disk{h, server}, err
}

// set makes values those that the server uses. Values of ALTER SYSTEM for the same parameters are taken back, since they would win.
func (b *Builder) set(ctx context.Context, n topology.Node, values map[string]string) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	return d.set(ctx, values)
}

func (d disk) set(ctx context.Context, values map[string]string) error {
	conf, err := loadConf(ctx, d.host, d.server)
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
	return writeConf(ctx, d.host, conf)
}

// allow edits pg_hba.conf.
func (b *Builder) allow(ctx context.Context, n topology.Node, a topology.Allow) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	_, err = d.allow(ctx, a.Add, a.Remove)
	return err
}

func (d disk) allow(ctx context.Context, add, remove []hba.Record) (changed bool, err error) {
	conf, err := loadConf(ctx, d.host, d.server)
	if err != nil {
		return false, err
	}
	name := hbaFile(conf, d.server)
	have, err := d.host.ReadFile(ctx, name)
	if err != nil {
		return false, fmt.Errorf("read the access rules: %w", err)
	}
	want, err := d.rules(ctx, name, have, add, remove)
	if err != nil {
		return false, err
	}
	if bytes.Equal(have, want) {
		return false, nil
	}
	if err := d.host.WriteFile(ctx, name, want, 0o600); err != nil {
		return false, fmt.Errorf("write the access rules: %w", err)
	}
	return true, nil
}

// rules returns the content of pg_hba.conf after edits that touch nobody else's lines.
func (d disk) rules(ctx context.Context, name string, have []byte, add, remove []hba.Record) ([]byte, error) {
	file, err := hba.ParseFor(name, have, d.server.Major)
	if err != nil {
		return nil, err
	}
	cfg := hba.EnsureConfig{FS: newMachine(ctx, d.host)}
	for _, r := range remove {
		if _, err := file.RemoveRule(r, cfg); err != nil {
			return nil, fmt.Errorf("remove the rule %v: %w", r, err)
		}
	}
	for _, r := range add {
		if _, err := file.EnsureRule(r, cfg); err != nil {
			return nil, fmt.Errorf("add the rule %v: %w", r, err)
		}
	}
	return file.Bytes(), nil
}

// follow writes the recovery settings of a standby. On a server that is stopped it clears away what an earlier life left; on one that
// runs, only what ALTER SYSTEM set for the same parameters.
func (b *Builder) follow(ctx context.Context, n topology.Node, cfg recovery.Config) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	pids, err := node.Processes(ctx)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return recovery.TakeOver(ctx, d.host, d.server, cfg)
	}
	return d.followRunning(ctx, cfg)
}

func (d disk) followRunning(ctx context.Context, cfg recovery.Config) error {
	start, err := recovery.Read(ctx, d.host, d.server)
	if err != nil {
		return err
	}
	if start.Outcome != recovery.StartsStandby {
		return fmt.Errorf("it runs and is no standby (%s): what runs is not turned into another thing; stop it first", start.Outcome)
	}
	err = recovery.Apply(ctx, d.host, d.server, cfg)
	var conflict *recovery.ConflictError
	for range followParameters { // each round takes one back
		if !errors.As(err, &conflict) || path.Base(conflict.File) != autoConf {
			return err
		}
		if err := d.alterSystemReset(ctx, conflict.Name); err != nil {
			return err
		}
		err = recovery.Apply(ctx, d.host, d.server, cfg)
	}
	return err
}

const (
	autoConf         = "postgresql.auto.conf"
	followParameters = 20 // more than there are that say how a server recovers
)

func (d disk) alterSystemReset(ctx context.Context, name string) error {
	conf, err := loadConf(ctx, d.host, d.server)
	if err != nil {
		return err
	}
	if err := conf.AlterSystemReset(name); err != nil {
		return err
	}
	return writeConf(ctx, d.host, conf)
}
