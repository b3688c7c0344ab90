// Package pgprobe observes PostgreSQL servers over SQL.
//
// A [Prober] opens one connection a node, keeps it, and asks everything [topology.Observation] holds in one statement, so
// that the figures of a node belong to one moment. All nodes of a cluster are asked at the same time, each within its own
// time limit, so one that hangs does not delay what is known of the others.
//
//	p, err := pgprobe.New(pgprobe.Config{Connect: map[topology.NodeID]string{"master": dsn, …}, Timeout: time.Second})
//	defer p.Close(ctx)
//	tree := topology.Derive(cluster, p.Observe(ctx))
//
// The role needs membership in pg_monitor (or superuser) to see the details of replication; without it the lags read as
// unknown. Nothing is written to the servers. A node that does not answer is an observation with Err: it is unknown,
// which is not the same as down.
package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Config says how to reach the nodes.
type Config struct {
	// Connect holds a connection string (keyword/value or URI) for each node to observe. It may hold a password, which is
	// never part of an error.
	Connect map[topology.NodeID]string

	// Timeout bounds one observation of one node, with connecting. Zero means 2 s.
	Timeout time.Duration
}

// Prober observes nodes. It is safe for use by one goroutine at a time.
type Prober struct {
	timeout time.Duration
	nodes   []*node
}

type node struct {
	id   topology.NodeID
	cfg  *pgx.ConnConfig
	conn *pgx.Conn
}

// New checks the connection strings; it does not connect.
func New(cfg Config) (*Prober, error) {
	p := &Prober{timeout: cfg.Timeout}
	if p.timeout <= 0 {
		p.timeout = 2 * time.Second
	}
	for id, s := range cfg.Connect {
		c, err := pgx.ParseConfig(s)
		if err != nil {
			return nil, fmt.Errorf("node %s: connection string: %w", id, err)
		}
		if c.RuntimeParams["application_name"] == "" {
			c.RuntimeParams["application_name"] = "understudy_probe"
		}
		// The statement may change with a promotion in the middle; nothing is worth caching.
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
		p.nodes = append(p.nodes, &node{id: id, cfg: c})
	}
	return p, nil
}

// Close closes all connections.
func (p *Prober) Close(ctx context.Context) error {
	var errs []error
	for _, n := range p.nodes {
		if n.conn != nil {
			errs = append(errs, n.conn.Close(ctx))
			n.conn = nil
		}
	}
	return errors.Join(errs...)
}

// Observe asks every node at once. It returns when all have answered or run into the time limit.
func (p *Prober) Observe(ctx context.Context) topology.Status {
	s := topology.Status{Nodes: make([]topology.Observation, len(p.nodes))}
	var wg sync.WaitGroup
	for i, n := range p.nodes {
		wg.Go(func() { s.Nodes[i] = n.observe(ctx, p.timeout) })
	}
	wg.Wait()
	s.At = time.Now()
	return s
}

// observe never returns half an observation: what fails in the middle fails whole.
func (n *node) observe(ctx context.Context, timeout time.Duration) topology.Observation {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o, err := n.ask(ctx)
	if err != nil {
		n.drop()
		o = topology.Observation{Err: err}
	}
	o.Node, o.At = n.id, time.Now()
	return o
}

func (n *node) ask(ctx context.Context) (topology.Observation, error) {
	if n.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, n.cfg)
		if err != nil {
			return topology.Observation{}, fmt.Errorf("connect: %w", err)
		}
		n.conn = conn
	}
	return query(ctx, n.conn)
}

// drop closes a connection that failed without waiting for the server.
func (n *node) drop() {
	if n.conn != nil {
		gone, cancel := context.WithTimeout(context.Background(), 0)
		defer cancel()
		_ = n.conn.Close(gone) // the connection is of no more use, whatever Close says
		n.conn = nil
	}
}

// The statements work unchanged on majors 10 to 18. The timeline of a primary comes from the name of the WAL file it
// writes, since pg_control shows a new timeline only after the next checkpoint; that of a standby from its receiver, or else
// from pg_control.
const (
	selfSQL = `
SELECT current_setting('server_version_num')::int,
       (SELECT system_identifier FROM pg_control_system()),
       r.recovering,
       r.recovering OR current_setting('default_transaction_read_only')::bool,
       CASE WHEN NOT r.recovering THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
            ELSE greatest((SELECT received_tli FROM pg_stat_wal_receiver),
                          (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                          (SELECT timeline_id FROM pg_control_checkpoint())) END,
       CASE WHEN NOT r.recovering THEN pg_current_wal_lsn()::text
            ELSE greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text END,
       CASE WHEN r.recovering THEN pg_last_wal_replay_lsn()::text END,
       CASE WHEN r.recovering THEN pg_last_xact_replay_timestamp() END,
       current_setting('synchronous_standby_names')
  FROM (SELECT pg_is_in_recovery() AS recovering) r`

	sendersSQL = `
SELECT coalesce(application_name, ''), coalesce(state, ''), coalesce(sync_state, ''),
       sent_lsn::text, write_lsn::text, flush_lsn::text, replay_lsn::text,
       coalesce(extract(epoch FROM replay_lag), 0)::float8
  FROM pg_stat_replication ORDER BY 1`

	receiverSQL = `
SELECT status, coalesce(conninfo, ''), coalesce(received_tli, 0) FROM pg_stat_wal_receiver WHERE pid IS NOT NULL`
)

// query runs the statements of one observation.
func query(ctx context.Context, conn *pgx.Conn) (topology.Observation, error) {
	o, err := querySelf(ctx, conn)
	if err != nil {
		return o, fmt.Errorf("query server state: %w", err)
	}
	if o.Senders, err = querySenders(ctx, conn); err != nil {
		return o, fmt.Errorf("query pg_stat_replication: %w", err)
	}
	if o.InRecovery {
		if o.Receiver, err = queryReceiver(ctx, conn); err != nil {
			return o, fmt.Errorf("query pg_stat_wal_receiver: %w", err)
		}
	}
	return o, nil
}

func querySelf(ctx context.Context, conn *pgx.Conn) (topology.Observation, error) {
	var (
		o                  topology.Observation
		system             int64
		timeline           pgtype.Int4
		position, replayed pgtype.Text
		replayedAt         pgtype.Timestamptz
	)
	err := conn.QueryRow(ctx, selfSQL).Scan(&o.Version, &system, &o.InRecovery, &o.ReadOnly, &timeline,
		&position, &replayed, &replayedAt, &o.SyncNames)
	if err != nil {
		return o, err
	}
	o.SystemID = wal.SystemID(uint64(system))
	o.Timeline = wal.Timeline(uint32(timeline.Int32))
	o.ReplayedAt = replayedAt.Time
	if o.Position, err = lsn(position); err != nil {
		return o, err
	}
	o.Replayed, err = lsn(replayed)
	return o, err
}

func querySenders(ctx context.Context, conn *pgx.Conn) ([]topology.Sender, error) {
	rows, err := conn.Query(ctx, sendersSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (topology.Sender, error) {
		var (
			s         topology.Sender
			positions [4]pgtype.Text
			lag       float64
		)
		err := row.Scan(&s.Name, &s.State, &s.SyncState, &positions[0], &positions[1], &positions[2], &positions[3], &lag)
		if err != nil {
			return s, err
		}
		s.ReplayLag = time.Duration(lag * float64(time.Second))
		for i, to := range []*wal.LSN{&s.Sent, &s.Written, &s.Flushed, &s.Replayed} {
			if *to, err = lsn(positions[i]); err != nil {
				return s, err
			}
		}
		return s, nil
	})
}

func queryReceiver(ctx context.Context, conn *pgx.Conn) (*topology.Receiver, error) {
	var (
		r        topology.Receiver
		info     string
		timeline int32
	)
	err := conn.QueryRow(ctx, receiverSQL).Scan(&r.Status, &info, &timeline)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.Timeline = wal.Timeline(uint32(timeline))
	r.Host, r.Port = upstream(info)
	return &r, nil
}

// lsn reads a pg_lsn column; NULL is zero.
func lsn(t pgtype.Text) (wal.LSN, error) {
	if !t.Valid {
		return 0, nil
	}
	return wal.ParseLSN(t.String)
}
