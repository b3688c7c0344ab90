package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/topology"
)

// grace is how long an attempt may take to notice that its time is over.
const grace = 100 * time.Millisecond

// node is one server, with the connection to it that is kept.
type node struct {
	id  topology.NodeID
	cfg *pgx.ConnConfig

	mu   sync.Mutex
	busy *attempt // that has not ended
	line *line    // nil without a connection; whoever is busy with it has it
}

// attempt is one try to observe a node.
type attempt struct {
	began, limit time.Time
	cancel       context.CancelFunc
	ended        chan struct{}
}

// observe never returns half an observation: what fails in the middle fails whole. It returns grace after the limit at the latest,
// though the attempt may go on.
func (n *node) observe(ctx context.Context, limit time.Time) topology.Observation {
	ctx, cancel := context.WithDeadline(ctx, limit)
	a := &attempt{began: time.Now(), limit: limit, cancel: cancel, ended: make(chan struct{})}
	if err := n.begin(ctx, a); err != nil {
		cancel()
		return failed(n.id, err)
	}
	answer := make(chan topology.Observation, 1)
	go func() {
		o := n.try(ctx)
		cancel()
		n.end(a)
		answer <- o
	}()
	select {
	case o := <-answer:
		return o
	case <-ctx.Done():
	}
	select {
	case o := <-answer:
		return o
	case <-time.After(grace):
		return failed(n.id, &HangingError{Since: a.began})
	}
}

func failed(id topology.NodeID, err error) topology.Observation {
	return topology.Observation{Node: id, At: time.Now(), Err: err}
}

// begin makes a the node's attempt, once an earlier one has ended. That one is waited for as long as it has time itself.
func (n *node) begin(ctx context.Context, a *attempt) error {
	for {
		n.mu.Lock()
		earlier := n.busy
		if earlier == nil {
			n.busy = a
		}
		n.mu.Unlock()
		if earlier == nil {
			return nil
		}
		select {
		case <-earlier.ended:
		case <-ctx.Done():
			return fmt.Errorf("wait for another observation: %w", ctx.Err())
		case <-time.After(time.Until(earlier.limit.Add(grace))):
			return &HangingError{Since: earlier.began}
		}
	}
}

func (n *node) end(a *attempt) {
	n.mu.Lock()
	n.busy = nil
	n.mu.Unlock()
	close(a.ended)
}

// try asks the node. If the connection that was kept turns out to be broken, that says nothing about the node: it connects again.
func (n *node) try(ctx context.Context) topology.Observation {
	kept := n.line != nil
	o, err := n.ask(ctx)
	if err != nil && kept && n.line == nil && ctx.Err() == nil {
		o, err = n.ask(ctx)
	}
	if err != nil {
		return failed(n.id, err)
	}
	o.Node = n.id
	return o
}

// ask leaves no connection behind that is of no more use.
func (n *node) ask(ctx context.Context) (topology.Observation, error) {
	if n.line == nil {
		l, err := connect(ctx, n.cfg)
		if err != nil {
			return topology.Observation{}, fmt.Errorf("connect: %w", err)
		}
		n.line = l
	}
	o, err := query(ctx, n.line.conn)
	var refused *pgconn.PgError
	if err != nil && !errors.As(err, &refused) && !errors.Is(err, ErrNotMonitor) || n.line.conn.IsClosed() {
		n.line.cut()
		n.line = nil
	}
	return o, err
}

// close ends the attempt that is under way and the connection.
func (n *node) close(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	if n.busy != nil {
		n.busy.cancel()
	}
	n.mu.Unlock()
	a := &attempt{began: time.Now(), limit: time.Now().Add(goodbye + grace), cancel: cancel, ended: make(chan struct{})}
	if err := n.begin(ctx, a); err != nil {
		return fmt.Errorf("close the connection to node %s: %w", n.id, err)
	}
	defer n.end(a)
	if n.line != nil {
		n.line.hangUp(ctx)
		n.line = nil
	}
	return nil
}

// goodbye is how long a server may take to notice that it is no longer needed.
const goodbye = 500 * time.Millisecond

// line is a connection to a server, and what it is made of.
type line struct {
	conn *pgx.Conn

	mu    sync.Mutex
	wires []net.Conn
	made  bool
}

// connect makes a connection. When it fails, nothing is left of it.
func connect(ctx context.Context, cfg *pgx.ConnConfig) (*line, error) {
	var l line
	cfg = cfg.Copy()
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return l.dial(ctx, dial, network, address)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		l.cut()
		return nil, err
	}
	l.mu.Lock()
	l.conn, l.made = conn, true
	l.mu.Unlock()
	return &l, nil
}

var errNoCancel = errors.New("no request to cancel is sent")

// dial notes what it opens. After the connection is made, the driver would dial again only to cancel a statement: one more connection
// that may hang. The server's own time limit for statements does that.
func (l *line) dial(ctx context.Context, dial pgconn.DialFunc, network, address string) (net.Conn, error) {
	l.mu.Lock()
	made := l.made
	l.mu.Unlock()
	if made {
		return nil, errNoCancel
	}
	wire, err := dial(ctx, network, address)
	if err == nil {
		l.mu.Lock()
		l.wires = append(l.wires, wire)
		l.mu.Unlock()
	}
	return wire, err
}

// cut ends the connection without a word, at once.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, wire := range l.wires {
		_ = wire.Close() // it may be closed
	}
	l.wires = nil
}

// hangUp takes leave of the server, which may not listen any more.
func (l *line) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	_ = l.conn.Close(ctx) // it is of no more use, whatever Close says
	l.cut()
}
