package build

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// CloneConfig says what to make a standby of. The zero value is a copy of its upstream.
type CloneConfig struct {
	// From is the running node to copy. Empty means the upstream.
	From topology.NodeID

	// Backup is the absolute path, on the standby's machine, of a base backup: a data directory with its backup_label that no server was
	// ever started in, without tablespaces. It is copied, and the archive gives the WAL since, so Archive must be able to restore.
	Backup string
}

// Clone makes the data directory of a standby of the cluster that has none, starts it, and waits until it streams. The access rules and
// the slot come first. A data directory that is there is refused: see [Builder.Attach]. Synchronous replication is not touched.
func (b *Builder) Clone(ctx context.Context, id topology.NodeID, cfg CloneConfig) error {
	n, upstream, err := b.standby(id)
	if err != nil {
		return err
	}
	source := upstream
	if cfg.From != "" {
		var ok bool
		if source, ok = b.cfg.Cluster.Node(cfg.From); !ok || source.Witness || source.ID == id {
			return fmt.Errorf("node %q is nothing to clone %s from", cfg.From, id)
		}
	}
	return b.locked(ctx, func(ctx context.Context) error {
		if err := b.mustHold(id); err != nil {
			return err
		}
		i := b.inspect(ctx, n)
		switch {
		case i.Err != nil:
			return fmt.Errorf("look at node %s: %w", id, i.Err)
		case i.Exists || i.Processes != topology.Stopped:
			return &NotRedundantError{Node: id, DataDir: n.DataDir, Why: "it is there already", Remedy: "attach it, or set it aside first"}
		}
		if err := b.receive(ctx, n, upstream, source, i.Major); err != nil {
			return err
		}
		if cfg.Backup != "" {
			err = b.fromBackup(ctx, n, cfg.Backup)
		} else {
			err = b.copyFrom(ctx, n, source.ID)
		}
		if err != nil {
			return err
		}
		if err := b.start(ctx, n); err != nil {
			return err
		}
		return b.awaitRole(ctx, n)
	})
}

// standby returns a node that is one, with its upstream.
func (b *Builder) standby(id topology.NodeID) (n, upstream topology.Node, err error) {
	n, ok := b.cfg.Cluster.Node(id)
	if !ok {
		return n, upstream, fmt.Errorf("node %q is not in the cluster", id)
	}
	upstream, ok = b.cfg.Cluster.Upstream(id)
	if !ok {
		return n, upstream, fmt.Errorf("node %s is no standby", id)
	}
	return n, upstream, nil
}

// receive makes peers ready for a new standby: they let it in, and its upstream keeps WAL for it.
func (b *Builder) receive(ctx context.Context, n, upstream, source topology.Node, major pgconf.Major) error {
	rendered, err := b.cfg.Cluster.Render(n.ID, major)
	if err != nil {
		return err
	}
	if len(rendered.Passfile) > 0 {
		if err := b.writePassfile(ctx, n, rendered.Passfile); err != nil {
			return err
		}
	}
	peers := []topology.Node{upstream}
	if source.ID != upstream.ID {
		peers = append(peers, source)
	}
	for _, peer := range peers {
		if err := b.letIn(ctx, peer); err != nil {
			return fmt.Errorf("make %s ready for %s: %w", peer.ID, n.ID, err)
		}
	}
	if b.cfg.Cluster.Slots && !n.ArchiveOnly {
		return b.createSlot(ctx, upstream, string(n.ID))
	}
	return nil
}

// letIn gives a node its access rules.
func (b *Builder) letIn(ctx context.Context, n topology.Node) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	rendered, err := b.cfg.Cluster.Render(n.ID, d.server.Major)
	if err != nil {
		return err
	}
	changed, err := d.allow(ctx, rendered.Access, nil)
	if err != nil || !changed {
		return err
	}
	return b.reload(ctx, n)
}

// copyFrom makes a data directory with pg_basebackup.
func (b *Builder) copyFrom(ctx context.Context, n topology.Node, from topology.NodeID) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	major, err := node.Major(ctx)
	if err != nil {
		return err
	}
	rendered, err := b.cfg.Cluster.Render(n.ID, pgconf.Major(major))
	if err != nil {
		return err
	}
	if rendered.Recovery == nil {
		return errors.New("it is to be the primary, which is no copy")
	}
	source, err := b.cfg.Cluster.Moved(n.ID, from).UpstreamConninfo(n.ID)
	if err != nil {
		return err
	}
	if err := b.prepareDebian(ctx, n, node); err != nil {
		return err
	}
	return node.Clone(ctx, source, pgnode.Standby{Settings: rendered.Values(), Access: rendered.Access, Recovery: *rendered.Recovery})
}

// prepareDebian makes the configuration of a Debian cluster that does not exist yet. The data that comes with it is set aside.
func (b *Builder) prepareDebian(ctx context.Context, n topology.Node, node *pgnode.Node) error {
	if n.Service.Manager != topology.Debian {
		return nil
	}
	h, err := b.host(n)
	if err != nil {
		return err
	}
	if there, err := h.Exists(ctx, node.ConfigFile()); err != nil || there {
		return err
	}
	if err := b.init(ctx, n, node); err != nil {
		return err
	}
	return b.setAside(ctx, n)
}

// fromBackup makes a data directory of a base backup, under another name until it is a configured standby.
func (b *Builder) fromBackup(ctx context.Context, n topology.Node, backup string) error {
	if !path.IsAbs(backup) {
		return fmt.Errorf("Backup %q is not an absolute path", backup)
	}
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	h, err := b.host(n)
	if err != nil {
		return err
	}
	at, err := b.elsewhere(n, backup)
	if err != nil {
		return err
	}
	source, err := b.diskOf(ctx, n, at)
	if err != nil {
		return err
	}
	rendered, err := b.cfg.Cluster.Render(n.ID, source.server.Major)
	if err != nil {
		return err
	}
	if rendered.Recovery == nil || rendered.Recovery.RestoreCommand == "" {
		return errors.New("the cluster has no archive to restore from, so nothing follows on a backup")
	}
	if err := b.checkBackup(ctx, source); err != nil {
		return fmt.Errorf("backup %s: %w", backup, err)
	}
	copied, err := b.draft(ctx, n, node.DataDir()+".incoming")
	if err != nil {
		return err
	}
	// -p keeps modes; a file that another program removes meanwhile is an error, since nobody may work in a backup.
	if _, err := h.Run(ctx, host.Cmd{Path: "cp", Args: []string{"-Rp", "--", backup, copied.DataDir()}}); err != nil {
		return fmt.Errorf("copy the backup: %w", err)
	}
	if _, err := h.Run(ctx, host.Cmd{Path: "chmod", Args: []string{"0700", copied.DataDir()}}); err != nil {
		return err
	}
	d, err := b.diskOf(ctx, n, copied)
	if err != nil {
		return err
	}
	// The role first, so that at no time could anyone start it as a primary.
	if err := recovery.TakeOver(ctx, h, d.server, *rendered.Recovery); err != nil {
		return err
	}
	if err := d.set(ctx, rendered.Values()); err != nil {
		return err
	}
	if _, err := d.allow(ctx, rendered.Access, nil); err != nil {
		return err
	}
	return h.Rename(ctx, copied.DataDir(), node.DataDir())
}

// checkBackup refuses what is no base backup of this cluster.
func (b *Builder) checkBackup(ctx context.Context, d disk) error {
	for _, file := range []struct {
		name string
		want bool
		why  string
	}{
		{datadir.LabelFile, true, "it is no base backup, or a server was started in it"},
		{datadir.TablespaceMapFile, false, "it has tablespaces, which are not restored here"},
		{datadir.PostmasterFile, false, "a server was started in it"},
	} {
		there, err := d.host.Exists(ctx, d.path(file.name))
		if err != nil {
			return err
		}
		if there != file.want {
			return fmt.Errorf("%s is there: %t: %s", file.name, there, file.why)
		}
	}
	data, err := d.host.ReadFile(ctx, d.path(datadir.ControlFile))
	if err != nil {
		return err
	}
	control, err := datadir.ParseControl(datadir.ControlFile, data)
	if err != nil {
		return err
	}
	leader, err := b.leader(ctx)
	if err == nil && leader.SystemID != control.SystemID {
		err = fmt.Errorf("it is of another cluster (%v, not %v)", control.SystemID, leader.SystemID)
	}
	return err
}

// elsewhere returns a server of the node's machine in another data directory.
func (b *Builder) elsewhere(n topology.Node, dir string) (*pgnode.Node, error) {
	h, err := b.host(n)
	if err != nil {
		return nil, err
	}
	bin := n.Service.BinDir
	if version, _, _ := strings.Cut(n.Service.Cluster, "/"); bin == "" {
		bin = path.Join("/usr/lib/postgresql", version, "bin")
	}
	return pgnode.New(pgnode.Config{Host: h, BinDir: bin, DataDir: dir, Timeout: b.cfg.Timeout})
}

// draft returns a data directory under another name, which it sets aside if an interrupted call left it. It is not for starting.
func (b *Builder) draft(ctx context.Context, n topology.Node, name string) (*pgnode.Node, error) {
	draft, err := b.elsewhere(n, name)
	if err != nil {
		return nil, err
	}
	// What still runs there was to end with the process that began it, and will in a moment.
	err = b.until(ctx, "the end of what works in "+name, func(ctx context.Context) error {
		_, err := draft.SetAside(ctx, time.Now())
		return err
	})
	return draft, err
}
