package story

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ledger is the client's own account of which rows were acknowledged. It never takes the server's word afterwards.
type ledger struct {
	mu       sync.Mutex
	acked    []int64
	doubtful []int64
	lastAck  time.Time
	gapFrom  time.Time // last acknowledgement before the current connection broke
	gaps     []gap
}

// gap is a time without an acknowledged write.
type gap struct{ from, to time.Time }

func (l *ledger) ack(id int64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, id)
	if !l.gapFrom.IsZero() {
		l.gaps = append(l.gaps, gap{from: l.gapFrom, to: at})
		l.gapFrom = time.Time{}
	}
	l.lastAck = at
}

func (l *ledger) doubt(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubtful = append(l.doubtful, id)
}

// broke notes that writing does not work at the moment.
func (l *ledger) broke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gapFrom.IsZero() {
		l.gapFrom = l.lastAck
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// copies returns what was acknowledged, what is in doubt and the times without writes, up to now.
func (l *ledger) copies() (acked, doubtful []int64, gaps []gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acked), slices.Clone(l.doubtful), slices.Clone(l.gaps)
}

// client commits numbered rows all the time, on whichever node takes writes.
type client struct {
	cfg    *pgx.ConnConfig // every node, target_session_attrs=read-write
	ledger ledger
}

// writeTimeout bounds one commit. A commit that takes longer counts as doubtful, never as failed.
const writeTimeout = 10 * time.Second

// run writes until the context ends.
func (c *client) run(ctx context.Context) {
	var conn *pgx.Conn
	defer func() { closeNow(conn) }()
	for id := int64(1); ctx.Err() == nil; {
		if conn == nil {
			if conn = c.connect(ctx); conn == nil {
				c.ledger.broke()
				wait(ctx, 20*time.Millisecond)
				continue
			}
		}
		err := insert(ctx, conn, id)
		if err == nil {
			c.ledger.ack(id, time.Now())
			id++
			continue
		}
		c.ledger.doubt(id)
		c.ledger.broke()
		id++ // never reuse a number whose fate is unknown
		closeNow(conn)
		conn = nil
	}
}

// connect returns a connection that takes writes, or nil.
func (c *client) connect(ctx context.Context) *pgx.Conn {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, c.cfg)
	if err != nil {
		return nil
	}
	return conn
}

// insert commits one row. The server's answer is the only thing that counts as an acknowledgement. A commit that has begun is
// waited for even if the client is told to stop, so that stopping leaves no doubt behind.
func insert(ctx context.Context, conn *pgx.Conn, id int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	tag, err := conn.Exec(ctx, "INSERT INTO ledger (id) VALUES ($1)", id)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("%d rows inserted", tag.RowsAffected())
	}
	return nil
}

// closeNow closes a connection without waiting for the server.
func closeNow(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	_ = conn.Close(ctx) // it is of no more use, whatever Close says
}

// wait pauses, or returns early when the context ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// until asks again and again until cond returns nil, at most for [patience]; then the last answer is part of the error.
func until(ctx context.Context, what string, cond func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %v", patience))
	defer cancel()
	var last error
	for {
		err := cond(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), last)
		}
		wait(ctx, 50*time.Millisecond)
	}
}
