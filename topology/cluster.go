package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// NodeID names a node within its cluster. It is also the node's application_name, by which its upstream knows it, so it is
// restricted to what every major takes unquoted: a letter or underscore, then letters, digits and underscores, lower case,
// at most 63 bytes.
type NodeID string

var nodeIDPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Node is one server of a cluster.
type Node struct {
	ID NodeID

	// Host is the name or address by which the other nodes reach the server.
	Host string

	// Port is its TCP port. Zero means 5432.
	Port int

	// Upstream is the node it streams from. Empty means none: it is the primary.
	Upstream NodeID

	// Sync makes the upstream, whenever that is the primary, wait for this node before it acknowledges a commit.
	// Synchronous replication counts only nodes directly below the primary.
	Sync bool
}

// Address is host and port as the other nodes use them.
func (n Node) Address() (host string, port int) {
	if n.Port == 0 {
		return n.Host, 5432
	}
	return n.Host, n.Port
}

// String returns "id (host:port)".
func (n Node) String() string {
	host, port := n.Address()
	return string(n.ID) + " (" + host + ":" + strconv.Itoa(port) + ")"
}

// Cluster is the desired shape: a tree of nodes with one primary at its root.
type Cluster struct {
	Name  string
	Nodes []Node
}

// Validate reports everything that keeps the cluster from being a tree with one primary and distinct nodes.
func (c Cluster) Validate() error {
	var errs []error
	seen := map[NodeID]bool{}
	addresses := map[string]NodeID{}
	roots := 0
	for _, n := range c.Nodes {
		if !nodeIDPattern.MatchString(string(n.ID)) {
			errs = append(errs, fmt.Errorf("node id %q: use a-z, 0-9 and _, a letter or _ first, at most 63 characters", n.ID))
		}
		if seen[n.ID] {
			errs = append(errs, fmt.Errorf("node id %q is used twice", n.ID))
		}
		seen[n.ID] = true
		host, port := n.Address()
		if n.Host == "" || port < 1 || port > 65535 {
			errs = append(errs, fmt.Errorf("node %s: address %s:%d is not one", n.ID, host, port))
		}
		address := host + ":" + strconv.Itoa(port)
		if other, taken := addresses[address]; taken {
			errs = append(errs, fmt.Errorf("nodes %s and %s share the address %s", other, n.ID, address))
		}
		addresses[address] = n.ID
		if n.Upstream == "" {
			roots++
		}
	}
	if roots != 1 {
		errs = append(errs, fmt.Errorf("%d nodes have no upstream: exactly one must, the primary", roots))
	}
	for _, n := range c.Nodes {
		if err := c.checkAncestors(n); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// checkAncestors walks up from n and refuses unknown upstreams and cycles.
func (c Cluster) checkAncestors(n Node) error {
	at := n
	for range c.Nodes {
		if at.Upstream == "" {
			return nil
		}
		up, ok := c.Node(at.Upstream)
		if !ok {
			return fmt.Errorf("node %s: upstream %q is not a node of the cluster", at.ID, at.Upstream)
		}
		at = up
	}
	return fmt.Errorf("node %s: its upstreams form a cycle", n.ID)
}

// Node returns the node with that id.
func (c Cluster) Node(id NodeID) (Node, bool) {
	for _, n := range c.Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return Node{}, false
}

// Primary returns the node without an upstream.
func (c Cluster) Primary() (Node, bool) {
	for _, n := range c.Nodes {
		if n.Upstream == "" {
			return n, true
		}
	}
	return Node{}, false
}

// Children returns the nodes that stream from id, in the cluster's order.
func (c Cluster) Children(id NodeID) []Node {
	var children []Node
	for _, n := range c.Nodes {
		if n.Upstream == id && id != "" {
			children = append(children, n)
		}
	}
	return children
}

// SyncNames returns the nodes that id waits for while it is the primary.
func (c Cluster) SyncNames(id NodeID) []NodeID {
	var names []NodeID
	for _, n := range c.Children(id) {
		if n.Sync {
			names = append(names, n.ID)
		}
	}
	return names
}

// Promoted returns the shape after standby id took over: it has no upstream, the old primary is no longer in the tree, and
// the old primary's other children stream from the new one. Call [Cluster.Attached] when the old primary comes back.
func (c Cluster) Promoted(id NodeID) Cluster {
	old, _ := c.Primary()
	shape := Cluster{Name: c.Name}
	for _, n := range c.Nodes {
		switch {
		case n.ID == id:
			n.Upstream, n.Sync = "", false
		case n.ID == old.ID:
			continue
		case n.Upstream == old.ID:
			n.Upstream = id
		}
		shape.Nodes = append(shape.Nodes, n)
	}
	return shape
}

// Moved returns the shape with node id below another upstream.
func (c Cluster) Moved(id, upstream NodeID) Cluster {
	shape := Cluster{Name: c.Name, Nodes: slices.Clone(c.Nodes)}
	for i := range shape.Nodes {
		if shape.Nodes[i].ID == id {
			shape.Nodes[i].Upstream = upstream
		}
	}
	return shape
}

// Attached returns the shape with n added.
func (c Cluster) Attached(n Node) Cluster {
	return Cluster{Name: c.Name, Nodes: append(slices.Clone(c.Nodes), n)}
}
