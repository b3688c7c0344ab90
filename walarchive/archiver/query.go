package archiver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// SQL returns the query for a server of this version, in the form of server_version_num: 90400 for 9.4.0, 150004 for 15.4. Its columns
// are those that [Query] reads. Before 9.4 there is no pg_stat_archiver, which is an error.
func SQL(version int) (string, error) {
	if version < 90400 {
		return "", fmt.Errorf("server version %d has no pg_stat_archiver: PostgreSQL 9.4 or later is needed", version)
	}
	current, received, replayed := "pg_current_wal_lsn()", "pg_last_wal_receive_lsn()", "pg_last_wal_replay_lsn()"
	if version < 100000 {
		current, received, replayed = "pg_current_xlog_location()", "pg_last_xlog_receive_location()", "pg_last_xlog_replay_location()"
	}
	library := "''"
	if version >= 150000 {
		library = "current_setting('archive_library')"
	}
	ready := "current_setting('is_superuser') = 'on'"
	if version >= 120000 {
		ready = "has_function_privilege('pg_ls_archive_statusdir()', 'execute')"
	}
	return fmt.Sprintf(`SELECT clock_timestamp(), pg_is_in_recovery(), current_setting('archive_mode'),
	current_setting('archive_command') = '' AND %s = '',
	coalesce((CASE WHEN pg_is_in_recovery() THEN greatest(%s, %s) ELSE %s END)::text, '0/0'),
	current_setting('wal_segment_size'),
	archived_count, coalesce(last_archived_wal, ''), last_archived_time,
	failed_count, coalesce(last_failed_wal, ''), last_failed_time, stats_reset, %s
FROM pg_stat_archiver`, library, received, replayed, current, ready), nil
}

// readySQL counts the files that wait.
func readySQL(version int) string {
	switch {
	case version >= 120000:
		return `SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`
	case version >= 100000:
		return `SELECT count(*) FROM pg_ls_dir('pg_wal/archive_status') AS name WHERE name LIKE '%.ready'`
	}
	return `SELECT count(*) FROM pg_ls_dir('pg_xlog/archive_status') AS name WHERE name LIKE '%.ready'`
}

// Query asks the server.
func Query(ctx context.Context, conn *pgx.Conn) (Row, error) {
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return Row{}, fmt.Errorf("ask for the server's version: %w", err)
	}
	sql, err := SQL(version)
	if err != nil {
		return Row{}, err
	}
	r := Row{Ready: -1}
	var last, failed, reset *time.Time
	var position, segmentSize string
	var mayCount bool
	err = conn.QueryRow(ctx, sql).Scan(&r.Now, &r.InRecovery, &r.Mode, &r.NoCommand, &position, &segmentSize,
		&r.Archived, &r.LastArchived, &last, &r.Failed, &r.LastFailed, &failed, &reset, &mayCount)
	if err != nil {
		return Row{}, fmt.Errorf("ask for pg_stat_archiver: %w", err)
	}
	r.LastTime, r.FailedTime, r.StatsReset = orZero(last), orZero(failed), orZero(reset)
	if r.Position, err = wal.ParseLSN(position); err != nil {
		return Row{}, err
	}
	if r.SegmentSize, err = parseSegmentSize(segmentSize); err != nil {
		return Row{}, err
	}
	if mayCount {
		if err := conn.QueryRow(ctx, readySQL(version)).Scan(&r.Ready); err != nil {
			return Row{}, fmt.Errorf("count the files that wait: %w", err)
		}
	}
	return r, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// parseSegmentSize reads what SHOW wal_segment_size prints, such as 16MB.
func parseSegmentSize(s string) (uint32, error) {
	digits, unit := strings.TrimRight(s, "kMGB"), strings.TrimLeft(s, "0123456789")
	factor, ok := map[string]uint64{"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[unit]
	n, err := strconv.ParseUint(digits, 10, 16)
	if size := n * factor; ok && err == nil && size <= 1<<30 && wal.ValidSegmentSize(uint32(size)) {
		return uint32(size), nil
	}
	return 0, errors.New("wal_segment_size: cannot read " + strconv.Quote(s))
}
