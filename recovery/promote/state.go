package promote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// DB asks a server. [*pgx.Conn] is one, and so is a pool of pgxpool.
type DB interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// State is what a server says of itself.
type State struct {
	Major      pgconf.Major
	InRecovery bool
	Timeline   wal.Timeline // that it writes; zero in recovery
	LSN        wal.LSN      // where it writes; in recovery, up to where it has replayed
	Paused     bool         // replay is paused, or is about to be
}

// String describes the state for a message.
func (s State) String() string {
	switch {
	case s.Major == 0:
		return "never seen"
	case !s.InRecovery:
		return fmt.Sprintf("a primary on timeline %d at %v", s.Timeline, s.LSN)
	case s.Paused:
		return fmt.Sprintf("in recovery, replay paused at %v", s.LSN)
	}
	return fmt.Sprintf("in recovery, replayed up to %v", s.LSN)
}

// Look asks a server whether it is in recovery, and where it stands.
func Look(ctx context.Context, db DB) (State, error) {
	s, err := look(ctx, db)
	if s.InRecovery && hasCode(err, "55000") { // object_not_in_prerequisite_state: recovery ended in between
		s, err = look(ctx, db)
	}
	if err != nil {
		return State{}, fmt.Errorf("look at the server: %w", err)
	}
	return s, nil
}

func look(ctx context.Context, db DB) (State, error) {
	var s State
	var number int
	if err := db.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, pg_is_in_recovery()").Scan(&number, &s.InRecovery); err != nil {
		return s, err
	}
	s.Major = majorOf(number)
	var lsn, file string
	var err error
	if s.InRecovery {
		err = db.QueryRow(ctx, s.sql("SELECT coalesce(pg_last_wal_replay_lsn()::text, '0/0'), pg_is_wal_replay_paused()")).Scan(&lsn, &s.Paused)
	} else {
		// The name of a WAL file begins with the timeline; pg_control shows a new one only after the next checkpoint.
		err = db.QueryRow(ctx, s.sql("SELECT pg_current_wal_lsn()::text, pg_walfile_name(pg_current_wal_lsn())")).Scan(&lsn, &file)
	}
	if err != nil {
		return s, err
	}
	if s.LSN, err = wal.ParseLSN(lsn); err != nil || s.InRecovery {
		return s, err
	}
	name, err := wal.ParseFileName(file)
	s.Timeline = name.Timeline
	return s, err
}

// hasCode reports whether the server refused with this SQLSTATE.
func hasCode(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}

// majorOf returns the major of a server_version_num: 170002, 90603.
func majorOf(number int) pgconf.Major {
	if number >= 100000 {
		return pgconf.Major(number / 10000)
	}
	return pgconf.V9_0 + pgconf.Major(number/100%100)
}

// sql returns a statement with the names that it had before 10. 9.0 knows no pause.
func (s State) sql(statement string) string {
	if s.Major >= 10 {
		return statement
	}
	if s.Major == pgconf.V9_0 {
		statement = strings.ReplaceAll(statement, "pg_is_wal_replay_paused()", "false")
	}
	return strings.NewReplacer("_wal_lsn", "_xlog_location", "_wal_replay_lsn", "_xlog_replay_location", "walfile", "xlogfile", "_wal_", "_xlog_").Replace(statement)
}

// write makes the server assign a transaction ID, which takes a server that accepts writes and leaves no trace that a standby would have
// to confirm: it does not wait for synchronous_standby_names.
func write(ctx context.Context, db DB) error {
	var id int64
	if err := db.QueryRow(ctx, "SELECT txid_current()").Scan(&id); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
