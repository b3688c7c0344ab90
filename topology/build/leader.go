package build

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// NotRedundantError says that a node holds data of which nobody has proven that the primary has it, too. It is left alone.
type NotRedundantError struct {
	Node    topology.NodeID
	DataDir string
	Verdict recovery.Verdict // how it could join the primary; empty where that is not to be judged
	Why     string
	Remedy  string
}

func (e *NotRedundantError) Error() string {
	return fmt.Sprintf("%s on node %s may hold what the primary does not have: %s; %s", e.DataDir, e.Node, e.Why, e.Remedy)
}

// leader is what the primary says of itself, asked after the other server was stopped.
func (b *Builder) leader(ctx context.Context) (recovery.Leader, error) {
	var leader recovery.Leader
	primary, _ := b.cfg.Cluster.Primary()
	var id, position, file string
	err := b.session(ctx, primary, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT system_identifier::text, pg_current_wal_lsn()::text, pg_walfile_name(pg_current_wal_lsn())
			FROM pg_control_system()`).Scan(&id, &position, &file)
	})
	if err != nil {
		return leader, err
	}
	if leader.SystemID, err = wal.ParseSystemID(id); err != nil {
		return leader, err
	}
	if leader.Position, err = wal.ParseLSN(position); err != nil {
		return leader, err
	}
	tli, err := wal.ParseTimeline(file[:8])
	if err != nil {
		return leader, err
	}
	leader.History, err = b.history(ctx, primary, tli)
	return leader, err
}

// history reads the history of a timeline on a node's machine; the first one has none.
func (b *Builder) history(ctx context.Context, n topology.Node, tli wal.Timeline) (wal.History, error) {
	if tli == 1 {
		return wal.History{Timeline: tli}, nil
	}
	d, err := b.disk(ctx, n)
	if err != nil {
		return wal.History{}, err
	}
	data, err := d.host.ReadFile(ctx, d.path(datadir.WALDir(d.server.Major)+"/"+tli.HistoryName()))
	if err != nil {
		return wal.History{}, fmt.Errorf("read the history of timeline %d: %w", tli, err)
	}
	return wal.ParseHistory(tli, data)
}
