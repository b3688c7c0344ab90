package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// The statements work unchanged on majors 10 to 18. The timeline of a primary comes from the name of the WAL file it
// writes, since pg_control shows a new timeline only after the next checkpoint; that of a standby from its receiver, or else
// from pg_control. sender_host and sender_port came with 11.
const (
	receiverSQL = `
SELECT coalesce(status, ''), coalesce(conninfo, ''), coalesce(received_tli, 0),
       coalesce(to_jsonb(r) ->> 'sender_host', ''), coalesce((to_jsonb(r) ->> 'sender_port')::int, 0)
  FROM pg_stat_wal_receiver r WHERE pid IS NOT NULL`

	selfSQL = `
SELECT pg_has_role('pg_read_all_stats', 'USAGE'),
       current_setting('server_version_num')::int,
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
)

// query runs the statements of one observation. The order counts; see the package.
func query(ctx context.Context, conn *pgx.Conn) (topology.Observation, error) {
	receiver, err := queryReceiver(ctx, conn)
	if err != nil {
		return topology.Observation{}, fmt.Errorf("query pg_stat_wal_receiver: %w", err)
	}
	o, err := querySelf(ctx, conn)
	if err != nil {
		return o, fmt.Errorf("query server state: %w", err)
	}
	if o.Senders, err = querySenders(ctx, conn); err != nil {
		return o, fmt.Errorf("query pg_stat_replication: %w", err)
	}
	if o.InRecovery { // it may have been promoted in between
		o.Receiver = receiver
	}
	return o, nil
}

func querySelf(ctx context.Context, conn *pgx.Conn) (topology.Observation, error) {
	var (
		o                  topology.Observation
		monitor            bool
		system             int64
		timeline           pgtype.Int4
		position, replayed pgtype.Text
		replayedAt         pgtype.Timestamptz
	)
	err := conn.QueryRow(ctx, selfSQL).Scan(&monitor, &o.Version, &system, &o.InRecovery, &o.ReadOnly, &timeline,
		&position, &replayed, &replayedAt, &o.SyncNames)
	if err != nil {
		return o, err
	}
	if !monitor {
		return o, ErrNotMonitor
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
	err := conn.QueryRow(ctx, receiverSQL).Scan(&r.Status, &info, &timeline, &r.Host, &r.Port)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.Timeline = wal.Timeline(uint32(timeline))
	if r.Host == "" {
		r.Host, r.Port = upstream(info)
	}
	return &r, nil
}

// upstream returns host and port of the connection string in pg_stat_wal_receiver, in which the server has masked the
// password. Unreadable text, or a list of hosts, gives none: it is a detail of the picture, not worth losing the observation.
func upstream(text string) (host string, port int) {
	info, err := conninfo.Parse(text)
	if err != nil {
		return "", 0
	}
	server, ok := info.Server()
	if !ok {
		return "", 0
	}
	if server.Host == "" {
		server.Host = server.Addr.String()
	}
	return server.Host, int(server.Port)
}

// lsn reads a pg_lsn column; NULL is zero.
func lsn(t pgtype.Text) (wal.LSN, error) {
	if !t.Valid {
		return 0, nil
	}
	return wal.ParseLSN(t.String)
}
