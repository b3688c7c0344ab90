package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// AttachConfig says what [Builder.Attach] may do with data that the machine holds already. The zero value reuses what certainly may follow
// and refuses everything else.
type AttachConfig struct {
	// Rewind allows pg_rewind: what the server wrote after its history parted from that of the primary is lost.
	Rewind bool

	// Replace allows to set the data directory aside, under another name beside it, and to clone.
	Replace bool
}

// Attach adds a node to the cluster and returns the new description. Its peers are made ready first: access rules, then the slot. A
// machine without data gets a clone. Data that is there is judged ([recovery.Judge]): if it certainly may follow, it does; if it must be
// rewound or cloned, it may hold what the primary does not have, so that is only done if the AttachConfig says so. Data of another
// cluster is refused in any case, and so is a server that runs and does not follow.
//
// A node that is in the description already is brought back in the same way; then n.ID is all that counts.
func (b *Builder) Attach(ctx context.Context, n topology.Node, cfg AttachConfig) (topology.Cluster, error) {
	shape := b.cfg.Cluster
	if known, ok := shape.Node(n.ID); ok {
		n = known
	} else {
		shape = shape.Attached(n)
	}
	if _, _, err := b.as(shape).standby(n.ID); err != nil {
		return b.cfg.Cluster, err
	}
	return b.reshape(ctx, shape, func(ctx context.Context, next *Builder) error {
		if err := next.settle(ctx, n, cfg); err != nil {
			return err
		}
		_, err := next.converge(ctx, allowed{})
		return err
	})
}

// settle makes of what a machine holds something that a plan may work with: nothing, or a standby of this cluster.
func (b *Builder) settle(ctx context.Context, n topology.Node, cfg AttachConfig) error {
	if err := b.mustHold(n.ID); err != nil {
		return err
	}
	i := b.inspect(ctx, n)
	switch {
	case i.Err != nil:
		return fmt.Errorf("look at node %s: %w", n.ID, i.Err)
	case i.Processes == topology.Running:
		return b.alreadyFollows(ctx, n)
	case i.Processes != topology.Stopped:
		return fmt.Errorf("whether a server runs on node %s is not certain: %s", n.ID, i.Doubt)
	case !i.Exists:
		return b.setAside(ctx, n) // what a rewind that was interrupted left
	}
	return b.settleStopped(ctx, n, i, cfg)
}

// alreadyFollows refuses a running server that is no standby of this cluster.
func (b *Builder) alreadyFollows(ctx context.Context, n topology.Node) error {
	why, err := b.strays(ctx, n)
	if err == nil && why != "" {
		err = &NotRedundantError{Node: n.ID, DataDir: n.DataDir, Why: "its server runs, and " + why,
			Remedy: "find out who uses it; when nobody does, stop it and attach it again"}
	}
	return err
}

// strays says why a running server is not redundant: nothing if it is a standby of this cluster that has no more WAL than the primary.
func (b *Builder) strays(ctx context.Context, n topology.Node) (why string, err error) {
	var id, position string
	var recovering bool
	err = b.session(ctx, n, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT system_identifier::text, pg_is_in_recovery(),
			coalesce(CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END, '0/0')::text
			FROM pg_control_system()`).Scan(&id, &recovering, &position)
	})
	if err != nil {
		return "", err
	}
	leader, err := b.leader(ctx)
	switch {
	case err != nil:
		return "", err
	case id != leader.SystemID.String():
		return fmt.Sprintf("its data is of another cluster (%s, not %s)", id, leader.SystemID), nil
	case !recovering:
		return "it accepts writes itself", nil
	}
	return b.isAhead(ctx, position)
}

// isAhead compares a standby's position with that of the primary, by the primary's word.
func (b *Builder) isAhead(ctx context.Context, position string) (why string, err error) {
	primary, _ := b.cfg.Cluster.Primary()
	var ahead bool
	err = b.session(ctx, primary, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT $1::pg_lsn > pg_current_wal_lsn()", position).Scan(&ahead)
	})
	if ahead {
		why = "it has WAL up to " + position + ", which is more than the primary has"
	}
	return why, err
}

func (b *Builder) settleStopped(ctx context.Context, n topology.Node, i topology.Inspection, cfg AttachConfig) error {
	leader, err := b.leader(ctx)
	if err != nil {
		return err
	}
	refuse := &NotRedundantError{Node: n.ID, DataDir: n.DataDir}
	if i.Control.SystemID != leader.SystemID {
		refuse.Why = fmt.Sprintf("it belongs to another cluster (%v, not %v)", i.Control.SystemID, leader.SystemID)
		refuse.Remedy = "move it away if nobody needs it"
		return refuse
	}
	judgement, err := b.judge(ctx, n)
	if err != nil {
		return err
	}
	b.cfg.Logger.InfoContext(ctx, "data judged", "node", n.ID, "verdict", judgement.Verdict, "reason", judgement.Reason)
	switch {
	case judgement.Verdict == recovery.Follow:
		return b.takeRole(ctx, n)
	case judgement.Verdict == recovery.Rewind && cfg.Rewind:
		if err := b.rewind(ctx, n); err != nil {
			return err
		}
		return b.takeRole(ctx, n)
	case cfg.Replace:
		return b.setAside(ctx, n)
	}
	refuse.Verdict, refuse.Why = judgement.Verdict, judgement.Reason
	refuse.Remedy = "if nobody needs that, allow to set it aside and clone"
	if judgement.Verdict == recovery.Rewind {
		refuse.Remedy = "if nobody needs that, allow to rewind it, or to set it aside and clone"
	}
	return refuse
}

// takeRole makes a stopped server a standby and starts it. What it needs of its peers comes first.
func (b *Builder) takeRole(ctx context.Context, n topology.Node) error {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	rendered, err := b.cfg.Cluster.Render(n.ID, d.server.Major)
	if err != nil {
		return err
	}
	upstream, _ := b.cfg.Cluster.Upstream(n.ID)
	if err := b.receive(ctx, n, upstream, upstream, d.server.Major); err != nil {
		return err
	}
	if err := b.follow(ctx, n, *rendered.Recovery); err != nil { // the role first, so that at no time it would start as a primary
		return err
	}
	if err := d.set(ctx, rendered.Values()); err != nil {
		return err
	}
	if _, err := d.allow(ctx, rendered.Access, nil); err != nil {
		return err
	}
	if err := b.start(ctx, n); err != nil {
		return err
	}
	return b.awaitRole(ctx, n)
}

func (b *Builder) setAside(ctx context.Context, n topology.Node) error {
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	aside, err := node.SetAside(ctx, time.Now())
	if err == nil && aside != "" {
		b.cfg.Logger.InfoContext(ctx, "data set aside", "node", n.ID, "directory", aside)
	}
	return err
}

// rewind takes back what a stopped server has beyond the primary's history.
func (b *Builder) rewind(ctx context.Context, n topology.Node) (err error) {
	d, err := b.disk(ctx, n)
	if err != nil {
		return err
	}
	node, err := b.node(ctx, n)
	if err != nil {
		return err
	}
	rendered, err := b.cfg.Cluster.Render(n.ID, d.server.Major)
	if err != nil {
		return err
	}
	primary, _ := b.cfg.Cluster.Primary()
	// Up to 15 pg_rewind compares timelines by the last checkpoint, which right after a promotion is still the old one's.
	err = b.session(ctx, primary, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CHECKPOINT")
		return err
	})
	if err != nil {
		return fmt.Errorf("checkpoint on the primary: %w", err)
	}
	source, err := b.cfg.Cluster.Conninfo(primary.ID, b.cfg.Cluster.Admin)
	if err != nil {
		return err
	}
	name := node.DataDir() + ".rewind-passfile"
	if err := b.writeRewindPassfile(ctx, d, name); err != nil {
		return err
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // the password must not stay
		defer cancel()
		if rmErr := d.host.Remove(after, name); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	return node.Rewind(ctx, source.With("passfile", name),
		pgnode.Standby{Settings: rendered.Values(), Access: rendered.Access, Recovery: *rendered.Recovery})
}

func (b *Builder) writeRewindPassfile(ctx context.Context, d disk, name string) error {
	password, err := b.secret(ctx, b.cfg.Cluster.Admin.Secret)
	if err != nil || password == "" {
		return err
	}
	file, err := conninfo.ParsePassfile(name, nil)
	if err != nil {
		return err
	}
	entry := conninfo.PassEntry{Host: conninfo.Any, Port: conninfo.Any, Database: conninfo.Any, User: b.cfg.Cluster.Admin.Name, Password: password}
	if err := file.Ensure(entry); err != nil {
		return err
	}
	return d.host.WriteFile(ctx, name, file.Bytes(), 0o600)
}
