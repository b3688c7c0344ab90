package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NodeID names a node within its cluster. It is also the node's application_name, by which its upstream knows it, so it is
// restricted to what every major takes unquoted: a letter or underscore, then letters, digits and underscores, lower case,
// at most 63 bytes. The names under which PostgreSQL's own programs stream are not allowed: a backup would pass for the node,
// and could even acknowledge commits in its place.
type NodeID string

var nodeIDPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// reserved are the application names that PostgreSQL's own replication clients have by default.
var reserved = []NodeID{"walreceiver", "pg_basebackup", "pg_receivewal", "pg_recvlogical"}

// Node is one server of a cluster.
type Node struct {
	ID NodeID

	// Host is the name or address by which the other nodes reach the server. An IPv6 address stands without brackets.
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
func (n Node) String() string { return string(n.ID) + " (" + n.hostPort() + ")" }

func (n Node) hostPort() string {
	host, port := n.Address()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// Cluster is the desired shape: a tree of nodes with one primary at its root.
type Cluster struct {
	Name  string
	Nodes []Node
}

// Validate reports everything that keeps the cluster from being a tree with one primary and distinct nodes, one error for each
// fault.
func (c Cluster) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := map[NodeID]bool{}
	addresses := map[string]NodeID{}
	roots := 0
	for _, n := range c.Nodes {
		if why := n.ID.check(); why != "" {
			refuse("node id %q: %s", n.ID, why)
		}
		if seen[n.ID] {
			refuse("node id %q is used twice", n.ID)
		}
		seen[n.ID] = true
		address := n.hostPort()
		if other, taken := addresses[address]; taken {
			refuse("nodes %s and %s share the address %s", other, n.ID, address)
		}
		addresses[address] = n.ID
		if why := n.checkAddress(); why != "" {
			refuse("node %s: %s", n.ID, why)
		}
		if n.Upstream == "" {
			roots++
		}
	}
	if roots != 1 {
		refuse("%d nodes have no upstream: exactly one must, the primary", roots)
	}
	for _, n := range c.Nodes {
		if why := c.checkUpstream(n); why != "" {
			refuse("node %s: %s", n.ID, why)
		}
	}
	return errors.Join(errs...)
}

// check says what is wrong with a name.
func (id NodeID) check() string {
	switch {
	case !nodeIDPattern.MatchString(string(id)):
		return "use a-z, 0-9 and _, a letter or _ first, at most 63 characters"
	case slices.Contains(reserved, id):
		return "PostgreSQL's own programs stream under this name; use another"
	}
	return ""
}

// checkAddress says what keeps libpq from taking the address for exactly one server.
func (n Node) checkAddress() string {
	host, port := n.Address()
	switch {
	case host == "":
		return "Host is empty"
	case strings.ContainsAny(host, ", \t\r\n\x00[]"):
		return fmt.Sprintf("host %q is not one name or address", host)
	case host[0] == '/' || host[0] == '@':
		return fmt.Sprintf("host %q is a Unix socket, which other machines cannot reach", host)
	case port < 1 || port > 65535:
		return fmt.Sprintf("port %d is not one", port)
	}
	return ""
}

// checkUpstream says what keeps a node from having the primary above it: an unknown upstream, or a cycle that it is part of.
func (c Cluster) checkUpstream(n Node) string {
	at := n
	for range c.Nodes {
		if at.Upstream == "" {
			return ""
		}
		up, ok := c.Node(at.Upstream)
		switch {
		case !ok && at.ID == n.ID:
			return fmt.Sprintf("upstream %q is not a node of the cluster", at.Upstream)
		case !ok:
			return "" // said of the node above
		case up.ID == n.ID:
			return "its upstreams lead back to it"
		}
		at = up
	}
	return "" // said of the nodes of the cycle above
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
// the old primary's other children stream from the new one. Call [Cluster.Attached] when the old primary comes back. If id is
// no standby of the cluster, the shape stays as it is.
func (c Cluster) Promoted(id NodeID) Cluster {
	shape := Cluster{Name: c.Name}
	if n, ok := c.Node(id); !ok || n.Upstream == "" {
		shape.Nodes = slices.Clone(c.Nodes)
		return shape
	}
	old, _ := c.Primary()
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

// Moved returns the shape with node id below another upstream. Whether that is still a tree, [Cluster.Validate] tells.
func (c Cluster) Moved(id, upstream NodeID) Cluster {
	shape := Cluster{Name: c.Name, Nodes: slices.Clone(c.Nodes)}
	for i := range shape.Nodes {
		if shape.Nodes[i].ID == id {
			shape.Nodes[i].Upstream = upstream
		}
	}
	return shape
}

// Attached returns the shape with n added. Whether it fits in, [Cluster.Validate] tells.
func (c Cluster) Attached(n Node) Cluster {
	return Cluster{Name: c.Name, Nodes: append(slices.Clone(c.Nodes), n)}
}
