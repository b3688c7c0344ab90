package topology

import (
	"slices"
	"time"
)

// Builder makes a [Cluster] in Go. Its methods return it, so that a cluster reads as a sentence; what is wrong, Build says. A
// Builder is for one cluster, and not for use by several goroutines.
//
//	c, err := topology.NewCluster("orders").
//		Replication("replicator", "env:REPLICATOR_PASSWORD", "/var/lib/postgresql/.pgpass").
//		Primary("db1", "10.0.0.1").Sync().
//		Standby("db2", "10.0.0.2", topology.Leader).Sync().
//		Standby("reports", "10.0.0.3", "db2").Delay(time.Hour).
//		Build()
type Builder struct{ c Cluster }

// NewCluster begins a cluster.
func NewCluster(name string) *Builder { return &Builder{c: Cluster{Name: name}} }

// Replication says with which role the nodes reach each other, where its password is, and in which file of each node it goes.
func (b *Builder) Replication(user string, secret SecretRef, passfile string) *Builder {
	b.c.Replication = Replication{User: user, Secret: secret, Passfile: passfile}
	return b
}

// Primary adds the node that is to be the primary.
func (b *Builder) Primary(id NodeID, host string) *Builder { return b.Node(Node{ID: id, Host: host}) }

// Standby adds a node that follows another one, or [Leader].
func (b *Builder) Standby(id NodeID, host string, upstream NodeID) *Builder {
	return b.Node(Node{ID: id, Host: host, Upstream: upstream})
}

// Witness adds a member without data.
func (b *Builder) Witness(id NodeID, host string) *Builder {
	return b.Node(Node{ID: id, Host: host, Witness: true})
}

// Node adds any node.
func (b *Builder) Node(n Node) *Builder {
	b.c.Nodes = append(b.c.Nodes, n)
	return b
}

// last is the node that was added last; before the first one, nobody's.
func (b *Builder) last() *Node {
	if len(b.c.Nodes) == 0 {
		return &Node{}
	}
	return &b.c.Nodes[len(b.c.Nodes)-1]
}

// Sync lets a primary wait for the node added last.
func (b *Builder) Sync() *Builder { b.last().Sync = true; return b }

// Delay makes the node added last replay that much later.
func (b *Builder) Delay(d time.Duration) *Builder { b.last().Delay = d; return b }

// Port is that of the node added last.
func (b *Builder) Port(port int) *Builder { b.last().Port = port; return b }

// Site is that of the node added last.
func (b *Builder) Site(site string) *Builder { b.last().Site = site; return b }

// On says how the machine of the node added last is reached, and where its data directory lies.
func (b *Builder) On(machine, dataDir string) *Builder {
	b.last().Machine, b.last().DataDir = machine, dataDir
	return b
}

// With changes what no method is there for: of the cluster as it is by then.
func (b *Builder) With(change func(*Cluster)) *Builder { change(&b.c); return b }

// Build returns the cluster, if [Cluster.Validate] finds nothing wrong with it.
func (b *Builder) Build() (Cluster, error) {
	c := b.c
	c.Nodes = slices.Clone(c.Nodes)
	if err := c.Validate(); err != nil {
		return Cluster{}, err
	}
	return c, nil
}
