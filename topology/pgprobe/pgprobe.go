package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-ha/understudy/topology"
)

// ErrNotMonitor says that the role may not see the details of replication.
var ErrNotMonitor = topology.ErrNotMonitor

// HangingError says that a node was not asked, because an earlier attempt to do so has neither succeeded nor failed yet: there is never
// more than one. It counts as [context.DeadlineExceeded].
type HangingError struct {
	Since time.Time // when that attempt began
}

func (e *HangingError) Error() string {
	return "an attempt to observe it hangs since " + e.Since.Format(time.RFC3339)
}

// Unwrap returns [context.DeadlineExceeded].
func (*HangingError) Unwrap() error { return context.DeadlineExceeded }

// Config says how to reach the nodes.
type Config struct {
	// Connect holds a connection string (keyword/value or URI) for each node to observe. It may hold a password, which is
	// never part of an error. What it leaves out is taken from the environment and the password file, as by libpq. Required.
	Connect map[topology.NodeID]string

	// Timeout bounds one observation, with connecting: all nodes that have not answered by then did not answer. Zero means 2 s.
	Timeout time.Duration

	// Parallel is how many nodes are asked at the same time. One that is slow makes room for the others before Timeout, so that every
	// node is asked, and has at least Timeout × Parallel / number of nodes to answer. Zero means 64.
	Parallel int

	// Dial makes the network connections, if there is another way than a direct one, such as a tunnel. The network is "tcp" or
	// "unix". A Dial that does not return when its context ends keeps its node from being observed, and no other.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Prober observes nodes. It is safe for concurrent use; a node is asked by one call after the other.
type Prober struct {
	timeout  time.Duration
	parallel int
	nodes    []*node // by name
}

// New checks the connection strings; it does not connect.
func New(cfg Config) (*Prober, error) {
	p := &Prober{timeout: cfg.Timeout, parallel: cfg.Parallel}
	if p.timeout <= 0 {
		p.timeout = 2 * time.Second
	}
	if p.parallel <= 0 {
		p.parallel = 64
	}
	if len(cfg.Connect) == 0 {
		return nil, errors.New("Connect is empty: there is no node to observe")
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Connect)) {
		c, err := parse(cfg.Connect[id])
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", id, err)
		}
		if cfg.Dial != nil {
			c.DialFunc = cfg.Dial
		}
		setDefault(c, "application_name", "understudy_probe")
		setDefault(c, "search_path", "pg_catalog")
		// A server that is out of reach ends by itself what nobody waits for any more: no request to cancel is ever sent.
		setDefault(c, "statement_timeout", strconv.FormatInt(max(p.timeout.Milliseconds(), 1), 10))
		p.nodes = append(p.nodes, &node{id: id, cfg: c})
	}
	return p, nil
}

// maxMessage is the size of a message above which a server is not believed, in bytes.
const maxMessage = 16 << 20

// parse reads a connection string. What it does not say is set so that statements mean the same whatever the role's settings are.
func parse(text string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, errors.New("connection string: " + complaint(err))
	}
	setDefault(c, "datestyle", "ISO")
	setDefault(c, "timezone", "UTC")
	setDefault(c, "client_encoding", "UTF8")
	c.MaxProtocolMessageBodyLen = maxMessage
	// The statement may change with a promotion in the middle; nothing is worth caching.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	return c, nil
}

func setDefault(c *pgx.ConnConfig, parameter, value string) {
	if c.RuntimeParams[parameter] == "" {
		c.RuntimeParams[parameter] = value
	}
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

// Close ends all attempts and closes all connections. The Prober may go on to be used; it connects again. The error names nodes whose
// attempt did not end before the context did.
func (p *Prober) Close(ctx context.Context) error {
	errs := make([]error, len(p.nodes))
	var wg sync.WaitGroup
	for i, n := range p.nodes {
		wg.Go(func() { errs[i] = n.close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Observe asks every node. It returns when all have answered, and at the latest when the time limit has passed, whatever nodes
// and network do. The observations are in the order of the nodes' names.
func (p *Prober) Observe(ctx context.Context) topology.Status {
	limit := time.Now().Add(p.timeout)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(limit) {
		limit = sooner
	}
	s := topology.Status{Nodes: make([]topology.Observation, len(p.nodes))}
	room := make(chan struct{}, p.parallel)
	rounds := (len(p.nodes) + p.parallel - 1) / p.parallel
	share := time.Until(limit) / time.Duration(rounds)
	var wg sync.WaitGroup
	for i, n := range p.nodes {
		wg.Go(func() {
			room <- struct{}{}
			leave := sync.OnceFunc(func() { <-room })
			defer leave()
			defer time.AfterFunc(share, leave).Stop()
			s.Nodes[i] = n.observe(ctx, limit)
		})
	}
	wg.Wait()
	s.At = time.Now()
	return s
}

// ObserveNode asks one node.
func (p *Prober) ObserveNode(ctx context.Context, id topology.NodeID) topology.Observation {
	for _, n := range p.nodes {
		if n.id == id {
			return n.observe(ctx, time.Now().Add(p.timeout))
		}
	}
	return failed(id, fmt.Errorf("node %q is not in Config.Connect", id))
}
