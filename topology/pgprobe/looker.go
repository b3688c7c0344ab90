package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// looker looks for the row on one standby.
type looker struct {
	v       *verifier
	line    *line
	arrival Arrival
	table   bool // it is there
}

// watch looks on all standbys from now on. The function that it returns waits for the arrivals, if there is anything to wait for.
func (v *verifier) watch(ctx context.Context) func(wait bool) []Arrival {
	ctx, cancel := context.WithCancel(ctx)
	othersDone := make(chan struct{})
	var inTime, late sync.WaitGroup
	for _, n := range v.nodes {
		switch {
		case n.line == nil:
		case n.arrival.Late == "":
			inTime.Go(func() { n.look(ctx, nil) })
		default:
			late.Go(func() { n.look(ctx, othersDone) })
		}
	}
	return func(wait bool) []Arrival {
		if wait {
			defer time.AfterFunc(v.cfg.Timeout, cancel).Stop()
		} else {
			cancel()
		}
		inTime.Wait()
		close(othersDone)
		late.Wait()
		cancel()
		var arrivals []Arrival
		for _, n := range v.nodes {
			arrivals = append(arrivals, n.arrival)
		}
		return arrivals
	}
}

// look looks now and then until the row is there or the context ends; and once more after enough is closed.
func (n *looker) look(ctx context.Context, enough <-chan struct{}) {
	for last := false; ; {
		err := n.once(ctx)
		switch {
		case n.arrival.Visible:
			return
		case last || ctx.Err() != nil:
			n.arrival.Err = fmt.Errorf("%s: %w", n.arrival.Node, ErrNotVisible)
			return
		case err != nil:
			n.arrival.Err = fmt.Errorf("look for the row on %s: %w", n.arrival.Node, err)
			return
		}
		select {
		case <-ctx.Done():
		case <-enough:
			last = true
		case <-time.After(lookEvery):
		}
	}
}

// undefinedTable is an SQLSTATE (manual: "PostgreSQL Error Codes").
const undefinedTable = "42P01"

// once takes one look. The table is not asked for before it is there, since the server would log that as an error.
func (n *looker) once(ctx context.Context) error {
	conn := n.line.conn
	sql := "SELECT to_regclass(" + literal(n.v.table) + ") IS NOT NULL"
	if n.table {
		sql = "SELECT EXISTS (SELECT FROM " + n.v.table + " WHERE token = '" + n.v.result.Token + "')"
	}
	var found bool
	var received, replayed wal.LSN
	positions := spelled(majorOf(conn), ", pg_last_wal_receive_lsn()::text, pg_last_wal_replay_lsn()::text")
	err := conn.QueryRow(ctx, sql+positions).Scan(&found, position{&received}, position{&replayed})
	var refused *pgconn.PgError
	if n.table && errors.As(err, &refused) && refused.Code == undefinedTable {
		n.table = false // it was the table of an earlier proof, whose end has come here only now
		return nil
	}
	if err != nil {
		return err
	}
	seen := time.Now()
	n.v.mu.Lock()
	sent, end := n.v.result.Sent, n.v.result.LSN
	n.v.mu.Unlock()
	n.arrival.Replayed = replayed
	n.arrival.Received = end != 0 && max(received, replayed) >= end
	switch {
	case found && n.table:
		n.arrival.Visible, n.arrival.Received, n.arrival.Latency = true, true, seen.Sub(sent)
	case found:
		n.table = true
		return n.once(ctx)
	}
	return nil
}
