package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Reparent makes a standby stream from another node, with everything below it, and returns the new description. The new upstream must
// answer, be of the same history, and still have the WAL that the standby needs next, or there must be an archive. Its slot is created
// first, the standby is pointed there by a reload (up to 12: by a restart), and when it streams, its old slot is dropped. A node below
// itself is refused by [topology.Cluster.Validate].
func (b *Builder) Reparent(ctx context.Context, id, upstream topology.NodeID) (topology.Cluster, error) {
	n, _, err := b.standby(id)
	if err != nil {
		return b.cfg.Cluster, err
	}
	return b.reshape(ctx, b.cfg.Cluster.Moved(id, upstream), func(ctx context.Context, next *Builder) error {
		to, _ := next.cfg.Cluster.Upstream(id)
		if err := next.checkUpstream(ctx, n, to); err != nil {
			return fmt.Errorf("%s cannot stream from %s: %w", id, to.ID, err)
		}
		_, err := next.converge(ctx, allowed{})
		return err
	})
}

// checkUpstream refuses an upstream from which a standby could not stream.
func (b *Builder) checkUpstream(ctx context.Context, n, upstream topology.Node) error {
	o, err := b.Observe(ctx)
	if err != nil {
		return err
	}
	standby, _ := o.Status.Node(n.ID)
	above, _ := o.Status.Node(upstream.ID)
	switch {
	case standby.Err != nil:
		return fmt.Errorf("%s does not answer: %w", n.ID, standby.Err)
	case above.Err != nil:
		return fmt.Errorf("%s does not answer: %w", upstream.ID, above.Err)
	case !standby.InRecovery:
		return fmt.Errorf("%s is no standby: it accepts writes", n.ID)
	case standby.SystemID != above.SystemID:
		return fmt.Errorf("they are of different clusters (%v and %v)", standby.SystemID, above.SystemID)
	}
	if err := b.sameHistory(ctx, upstream, standby, above); err != nil {
		return err
	}
	if n.ArchiveOnly || above.Position < standby.Position {
		return nil // it will get there, as it is of the same history
	}
	return b.hasWAL(ctx, upstream, standby)
}

// sameHistory refuses an upstream whose history does not contain what the standby has.
func (b *Builder) sameHistory(ctx context.Context, upstream topology.Node, standby, above topology.Observation) error {
	if above.Timeline == standby.Timeline {
		return nil
	}
	if above.Timeline < standby.Timeline {
		return fmt.Errorf("%s is on timeline %d, %s already on %d", upstream.ID, above.Timeline, standby.Node, standby.Timeline)
	}
	history, err := b.history(ctx, upstream, above.Timeline)
	if err != nil {
		return err
	}
	end, ok := history.SwitchPoint(standby.Timeline)
	if !ok || end < standby.Position {
		return fmt.Errorf("%s has WAL of timeline %d up to %v, which is not in the history of %s", standby.Node, standby.Timeline,
			standby.Position, upstream.ID)
	}
	return nil
}

// hasWAL refuses an upstream that has removed the segment that the standby would ask for, unless an archive has it.
func (b *Builder) hasWAL(ctx context.Context, upstream topology.Node, standby topology.Observation) error {
	if a := b.cfg.Cluster.Archive; a.Restore != "" || a.URL != "" {
		return nil
	}
	return b.session(ctx, upstream, func(ctx context.Context, conn *pgx.Conn) error {
		var size uint32
		if err := conn.QueryRow(ctx, "SELECT bytes_per_wal_segment FROM pg_control_init()").Scan(&size); err != nil {
			return err
		}
		// A segment has the name of the timeline that it was written on.
		name := wal.SegmentOf(standby.Timeline, standby.Position, size).Name(size)
		var there bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_ls_waldir() WHERE length(name) = 24 AND substr(name, 9) = $1)", name[8:]).Scan(&there)
		if err == nil && !there {
			err = errors.New("it no longer has the WAL file " + name + ", and there is no archive; clone the standby")
		}
		return err
	})
}
