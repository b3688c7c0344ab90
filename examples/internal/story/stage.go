package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/command"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgnode"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// The roles of the story. The superuser administers; the others can do what they are for and no more.
const (
	superuser  = "postgres"
	replicator = "replicator" // LOGIN REPLICATION: streams and clones
	rewinder   = "rewinder"   // may call what pg_rewind needs on a running server (11 and later)
	observer   = "observer"   // pg_monitor
	writer     = "writer"     // the client
	database   = "quickstart" // the client's database
)

// rewindRole is who pg_rewind connects as: in 10 only a superuser may read files through the server.
func (s *stage) rewindRole() string {
	if s.cfg.Major < 11 {
		return superuser
	}
	return rewinder
}

// patience is how long anything that should happen soon may take.
const patience = time.Minute

// stage is a story while it plays.
type stage struct {
	cfg        Config
	shape      topology.Cluster
	nodes      map[topology.NodeID]*pgnode.Node
	passwords  map[string]string // by role
	probe      *pgprobe.Prober
	driver     *failover.Driver
	state      failover.State
	clock      clock
	client     *client
	stopClient func()
	report     Report

	archiveCommand, restoreCommand string

	emitting    sync.Mutex
	step, steps int
}

// newStage checks the configuration and makes everything that needs no server.
func newStage(cfg Config) (*stage, error) {
	if cfg.Rows <= 0 {
		cfg.Rows = 200
	}
	if cfg.Tick <= 0 {
		cfg.Tick = 200 * time.Millisecond
	}
	if cfg.Policy.FailAfter <= 0 {
		cfg.Policy.FailAfter = time.Second
	}
	s := &stage{
		cfg: cfg, shape: cfg.shape(), nodes: map[topology.NodeID]*pgnode.Node{}, passwords: map[string]string{},
		report: Report{Major: cfg.Major}, stopClient: func() {},
	}
	if err := s.shape.Validate(); err != nil {
		return nil, err
	}
	for _, role := range []string{superuser, replicator, rewinder, observer, writer} {
		s.passwords[role] = secret()
	}
	for _, n := range s.shape.Nodes {
		server := cfg.Servers[n.ID]
		node, err := pgnode.New(pgnode.Config{
			Host: server.Host, BinDir: cfg.BinDir, DataDir: server.dataDir(), LogFile: server.Dir + "/server.log", Timeout: patience,
		})
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", n.ID, err)
		}
		s.nodes[n.ID] = node
	}
	if err := s.buildCommands(); err != nil {
		return nil, err
	}
	probe, err := s.newProbe()
	if err != nil {
		return nil, err
	}
	s.probe = probe
	s.driver = &failover.Driver{Policy: cfg.Policy, World: s, Tick: cfg.Tick, OnDecision: s.decided}
	return s, nil
}

// buildCommands builds what the servers run to archive and to restore WAL.
func (s *stage) buildCommands() (err error) {
	on := command.Server{Major: pgconf.Major(s.cfg.Major)}
	words := func(verb string, placeholders ...command.Placeholder) []command.Word {
		argv := command.Words(append(slices.Clone(s.cfg.Archiver), verb, "--archive", s.cfg.Archive)...)
		for _, p := range placeholders {
			argv = append(argv, command.Word{p})
		}
		return argv
	}
	if s.archiveCommand, err = on.Build(command.Archive, words("push", command.Path)...); err != nil {
		return err
	}
	s.restoreCommand, err = on.Build(command.Restore, words("fetch", command.File, command.Path)...)
	return err
}

// leave stops everything, also after the context has ended: servers must not outlive the story.
func (s *stage) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	s.stopClient()
	errs := []error{s.probe.Close(ctx)}
	for _, n := range s.shape.Nodes {
		errs = append(errs, s.nodes[n.ID].Fence(ctx))
	}
	if _, ok := s.shape.Node(Master); !ok {
		errs = append(errs, s.nodes[Master].Fence(ctx))
	}
	return errors.Join(errs...)
}

// newProbe connects to every node as the observer.
func (s *stage) newProbe() (*pgprobe.Prober, error) {
	connect := map[topology.NodeID]string{}
	for id := range s.nodes {
		connect[id] = s.dial(id, observer, "postgres").With("connect_timeout", "2").Text()
	}
	return pgprobe.New(pgprobe.Config{Connect: connect, Timeout: time.Second})
}

// dial is how this process connects to a node.
func (s *stage) dial(id topology.NodeID, role, db string) conninfo.Info {
	server := s.cfg.Servers[id]
	return new(conninfo.Info).With("host", server.Dial).With("port", strconv.Itoa(server.DialPort)).
		With("user", role).With("password", s.passwords[role]).With("dbname", db).With("sslmode", "disable")
}

// sql runs statements on a node as the superuser.
func (s *stage) sql(ctx context.Context, id topology.NodeID, db string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.dial(id, superuser, db).Text())
	if err != nil {
		return fmt.Errorf("connect to %s: %w", id, err)
	}
	defer closeNow(conn)
	return do(conn)
}

func (s *stage) exec(ctx context.Context, id topology.NodeID, db string, statements ...string) error {
	return s.sql(ctx, id, db, func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				verb, _, _ := strings.Cut(statement, " PASSWORD") // what follows is a secret
				return fmt.Errorf("on %s: %s: %w", id, verb, err)
			}
		}
		return nil
	})
}

// passfile is where each node keeps the passwords it needs as a client of the others.
func (s *stage) passfile(id topology.NodeID) string { return s.cfg.Servers[id].Dir + "/pgpass" }

// config returns what a node's machine must say in the present shape.
func (s *stage) config(id topology.NodeID) (topology.NodeConfig, error) {
	shape := s.shape
	shape.Replication = topology.Replication{User: replicator, Passfile: s.passfile(id)}
	shape.Archive = topology.Archive{Command: s.archiveCommand, Restore: s.restoreCommand}
	var peers []string
	for _, server := range s.cfg.Servers {
		peers = append(peers, server.From)
	}
	shape.Clients = []topology.Client{
		{User: superuser, Database: "postgres", Addresses: s.cfg.ClientFrom},
		{User: superuser, Database: database, Addresses: s.cfg.ClientFrom},
		{User: observer, Database: "postgres", Addresses: s.cfg.ClientFrom},
		{User: writer, Database: database, Addresses: s.cfg.ClientFrom},
		{User: s.rewindRole(), Database: "postgres", Addresses: peers},
	}
	shape.Settings = map[string]string{
		"listen_addresses":            s.listen(id),
		"unix_socket_directories":     "", // nobody needs them, and long paths make them fail
		"wal_retrieve_retry_interval": "500ms",
		"log_min_messages":            "warning",
		"shared_buffers":              "32MB",
	}
	return shape.Render(id, pgconf.Major(s.cfg.Major))
}

// listen is the address a node listens on: loopback for servers on this machine, all addresses inside a container, whose
// network is its own.
func (s *stage) listen(id topology.NodeID) string {
	if strings.HasPrefix(s.cfg.Servers[id].Peer, "127.") {
		return s.cfg.Servers[id].Peer
	}
	return "*"
}

// standby returns what makes a node the standby it is in the present shape.
func (s *stage) standby(id topology.NodeID) (pgnode.Standby, error) {
	cfg, err := s.config(id)
	if err != nil {
		return pgnode.Standby{}, err
	}
	return pgnode.Standby{Settings: cfg.Values(), Access: cfg.Access, Recovery: *cfg.Recovery}, nil
}

// Observe implements [failover.World].
func (s *stage) Observe(ctx context.Context) topology.Status { return s.probe.Observe(ctx) }

// Do implements [failover.World].
func (s *stage) Do(ctx context.Context, e failover.Effect) error {
	node := s.nodes[e.Target()]
	switch e := e.(type) {
	case failover.Fence:
		return node.Fence(ctx)
	case failover.Promote:
		if o, _ := s.Observe(ctx).Node(e.Node); o.Err == nil && !o.InRecovery {
			return nil // it has taken place
		}
		return node.Promote(ctx)
	case failover.Attach:
		return s.attach(ctx, e)
	default:
		return fmt.Errorf("unknown effect %T", e)
	}
}

// attach moves a standby below another node. In the story's chain nobody has to move, but the machine may ask for it.
func (s *stage) attach(ctx context.Context, e failover.Attach) error {
	s.shape = s.shape.Moved(e.Node, e.Upstream)
	standby, err := s.standby(e.Node)
	if err != nil {
		return err
	}
	node := s.nodes[e.Node]
	if err := node.Stop(ctx, pgnode.StopFast); err != nil {
		return err
	}
	if err := node.Follow(ctx, standby.Recovery); err != nil {
		return err
	}
	return node.Start(ctx)
}

// clock notes when the failover machine entered its phases.
type clock struct {
	mu      sync.Mutex
	entries map[failover.Phase]time.Time
}

func (c *clock) entered(p failover.Phase, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[failover.Phase]time.Time{}
	}
	c.entries[p] = at
}

func (c *clock) at(p failover.Phase) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[p]
}
