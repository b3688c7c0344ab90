package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

// Config says what to build, and how to reach what it is built from. Only Cluster is required.
type Config struct {
	// Cluster is what the machines shall be. Its Admin account is needed for slots and accounts, and for a new cluster it is the first
	// superuser, whose Secret then must be set.
	Cluster topology.Cluster

	// Host returns the machine of a node. It is asked once for each node. Nil means what Node.Machine says, with [host.Open].
	Host func(topology.Node) (host.Host, error)

	// Machines is what Node.Machine leaves open, such as the user of the servers on this machine. It counts where Host is nil.
	Machines host.OpenConfig

	// Basebackup is the absolute path, on every machine, of a program to clone with in place of pg_basebackup: that of
	// examples/basebackup, or one that takes the same arguments.
	Basebackup string

	// Secret returns what a reference stands for. Nil means [Secret]: variables of the environment, and files of this machine.
	Secret func(context.Context, topology.SecretRef) (string, error)

	// Address returns where this process reaches the server of a node, if that is not where the other nodes do: from outside of a
	// network of containers, or through a tunnel. Nil means Node.Address.
	Address func(topology.Node) (address string, port int)

	// Parallel is for how many nodes at a time the machines are looked at. Zero means 16.
	Parallel int

	// ObserveTimeout bounds what is asked of one node. Zero means a minute: a machine behind a slow line has some twenty questions to answer.
	ObserveTimeout time.Duration

	// Timeout bounds the wait for one thing to become so: a server to start or stop, a standby to stream, a change to be seen. Cloning
	// is bounded by the context alone. Zero means two minutes.
	Timeout time.Duration

	// Logger gets each change that is made. Nil means silence.
	Logger *slog.Logger

	// Progress is called before and after each step, by the goroutine that applies, and must not block. Nil means nobody asks.
	Progress func(Event)
}

// Builder brings machines to what a description says. One at a time works on a cluster: see [LockedError].
type Builder struct {
	cfg    Config
	shared *shared
}

// shared is what Builders for different descriptions of one cluster have in common.
type shared struct {
	mu    sync.Mutex
	hosts map[topology.NodeID]host.Host
	held  map[topology.NodeID]bool // whose machine is locked by us
}

// New checks the configuration; it does no IO.
func New(cfg Config) (*Builder, error) {
	if err := cfg.Cluster.Validate(); err != nil {
		return nil, fmt.Errorf("Cluster: %w", err)
	}
	if _, ok := cfg.Cluster.Primary(); !ok {
		return nil, errors.New("Cluster: there is no primary")
	}
	if cfg.Secret == nil {
		cfg.Secret = Secret
	}
	if cfg.Host == nil {
		cfg.Host = cfg.openMachine
	}
	if cfg.Address == nil {
		cfg.Address = topology.Node.Address
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 16
	}
	if cfg.ObserveTimeout <= 0 {
		cfg.ObserveTimeout = time.Minute
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Event) {}
	}
	return &Builder{cfg: cfg, shared: &shared{hosts: map[topology.NodeID]host.Host{}, held: map[topology.NodeID]bool{}}}, nil
}

// Cluster returns the description that the Builder works to: that of its Config, or what a verb has made of it.
func (b *Builder) Cluster() topology.Cluster { return b.cfg.Cluster }

// as returns a Builder for another description with the same connections and locks.
func (b *Builder) as(c topology.Cluster) *Builder {
	other := *b
	other.cfg.Cluster = c
	return &other
}

// host returns the machine of a node.
func (b *Builder) host(n topology.Node) (host.Host, error) {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	if h, ok := b.shared.hosts[n.ID]; ok {
		return b.tether(h), nil
	}
	h, err := b.cfg.Host(n)
	if err != nil {
		return nil, fmt.Errorf("reach the machine of node %s: %w", n.ID, err)
	}
	b.shared.hosts[n.ID] = h
	return b.tether(h), nil
}

// openMachine opens what Node.Machine names.
func (cfg Config) openMachine(n topology.Node) (host.Host, error) {
	return host.Open(n.Machine, cfg.Machines)
}
