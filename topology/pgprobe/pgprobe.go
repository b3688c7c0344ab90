package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/topology"
)

// ErrNotMonitor says that the role may not see the details of replication.
var ErrNotMonitor = topology.ErrNotMonitor

// Config says how to reach the nodes.
type Config struct {
	// Connect holds a connection string (keyword/value or URI) for each node to observe. It may hold a password, which is
	// never part of an error. What it leaves out is taken from the environment and the password file, as by libpq. Required.
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
	if len(cfg.Connect) == 0 {
		return nil, errors.New("Connect is empty: there is no node to observe")
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Connect)) {
		c, err := pgx.ParseConfig(cfg.Connect[id])
		if err != nil {
			return nil, fmt.Errorf("node %s: connection string: %s", id, complaint(err))
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

// complaint returns what is wrong with a connection string, without any part of it: the text of the error shows the string with
// the passwords that it recognises left out, and its details may quote the rest.
func complaint(err error) string {
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return "cannot be read"
	}
	text := pgconn.NewParseConfigError("", "", nil).Error()
	bare := *parse
	bare.ConnString = ""
	msg := strings.TrimPrefix(bare.Error(), text)
	if detail := parse.Unwrap(); detail != nil {
		msg = strings.TrimSuffix(msg, " ("+detail.Error()+")")
	}
	return msg
}

// Close closes all connections. The Prober may go on to be used; it connects again.
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

// Observe asks every node at once. It returns when all have answered or run into the time limit. The observations are in the order
// of the nodes' names.
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
		n.drop(ctx)
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
func (n *node) drop(ctx context.Context) {
	if n.conn != nil {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		_ = n.conn.Close(gone) // the connection is of no more use, whatever Close says
		n.conn = nil
	}
}
