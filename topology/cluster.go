package topology

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NodeID names a node within its cluster. It is also the node's application_name, by which its upstream knows it, so it is
// restricted to what every major takes unquoted: a letter or underscore, then letters, digits and underscores, lower case,
// at most 63 bytes. The names under which PostgreSQL's own programs stream are not allowed: a backup would pass for the node,
// and could even acknowledge commits in its place.
type NodeID string

var nodeIDPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Leader stands for whichever node is the primary, as the Upstream of a node that follows it wherever it goes. No node may have
// this name.
const Leader NodeID = "leader"

// reserved are names that no node may have, with the reason.
var reserved = map[NodeID]string{
	"walreceiver":    streamer,
	"pg_basebackup":  streamer,
	"pg_receivewal":  streamer,
	"pg_recvlogical": streamer,
	Leader:           "this word stands for whichever node is the primary; use another",
}

// streamer is said of the application names that PostgreSQL's own replication clients have by default.
const streamer = "PostgreSQL's own programs stream under this name; use another"

// Node is one server of a cluster, or a [Node.Witness].
type Node struct {
	ID NodeID

	// Host is the name or address by which the other nodes reach the server. An IPv6 address stands without brackets.
	Host string

	// Port is its TCP port. Zero means 5432.
	Port int

	// From are the addresses or networks, in CIDR form, from which the node connects to the others, if Host is not that: behind a
	// translation of addresses, or with several networks.
	From []string

	// Upstream is the node it streams from: fixed, by name, or [Leader]. Empty means none: it is the primary.
	Upstream NodeID

	// Sync lets the primary, whichever that is, wait for this node before it acknowledges a commit, as [Cluster.Sync] says.
	// Synchronous replication counts only nodes directly below the primary.
	Sync bool

	// Delay is how long after its commit a transaction is replayed here, in whole milliseconds. A delayed standby is never
	// synchronous and never promoted. Zero means at once.
	Delay time.Duration

	// ArchiveOnly makes a standby take its WAL from the archive alone and connect to nobody. Upstream then is the node below which
	// it is shown, and from which it may be cloned.
	ArchiveOnly bool

	// Witness is a member without data: it only helps the others to a majority. It has no upstream, no data directory and no server.
	Witness bool

	// Site is the place whose loss takes the node along: a room, a data centre. Empty is a site as well.
	Site string

	// Priority orders candidates for promotion that are equally far: the highest wins. Negative means never.
	Priority int

	// Tags are for people and their tools.
	Tags map[string]string

	// Machine says how commands and files reach the node's machine: "local", which empty means as well, "ssh://user@host:port" or
	// "docker://container".
	Machine string

	// DataDir is the data directory on that machine, absolute. Empty for a cluster of Debian's, whose configuration names it.
	DataDir string

	// Service is what starts and stops the server. The zero value is pg_ctl.
	Service Service

	// Settings are parameters of postgresql.conf for this node alone. They win over those of the cluster.
	Settings map[string]string
}

// Manager is what starts and stops a server.
type Manager string

// The managers.
const (
	PgCtl    Manager = "pg_ctl"   // pg_ctl in Service.BinDir; the empty Manager is the same
	Debian   Manager = "debian"   // pg_ctlcluster of postgresql-common, for Service.Cluster
	Systemd  Manager = "systemd"  // systemctl, for Service.Unit
	Commands Manager = "commands" // the user's own, in Service.Commands
)

// Service is how a server is started and stopped.
type Service struct {
	Manager Manager

	// BinDir holds the programs of the server's major, absolute. Empty for Debian, where the major tells.
	BinDir string

	// Cluster is the name of a Debian cluster, as in "17/main".
	Cluster string

	// Unit is the name of a systemd unit, as in "postgresql-17.service".
	Unit string

	// Commands of the user's own by what they do (start, stop, restart, reload, promote, status), run by sh as the machine's user.
	// stop gets the mode (smart, fast, immediate) as $1. What is missing is done by pg_ctl.
	Commands map[string]string
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

// Cluster is the desired shape: a tree of nodes with one primary at its root, and what all of them share. The zero values of
// everything but Nodes are useful.
type Cluster struct {
	Name  string
	Nodes []Node

	// Sync says for how many of the nodes with Sync the primary waits.
	Sync SyncPolicy

	// Replication is how the nodes reach each other.
	Replication Replication

	// Monitor is the account that observes: a member of pg_monitor. Admin is the one that creates slots and accounts: a superuser.
	Monitor, Admin Account

	// Archive is where WAL goes and comes from, besides streaming.
	Archive Archive

	// Slots makes every standby stream through a physical replication slot of its upstream that has the standby's name, so that the
	// upstream keeps the WAL it needs. MaxSlotKeep bounds that (max_slot_wal_keep_size, 13+), as "20GB". Empty means "10GB", "-1" no
	// bound: then a standby that is away fills the disk of its upstream.
	Slots       bool
	MaxSlotKeep string

	// KeepWAL is how much WAL every node keeps for others in any case (wal_keep_size), as "1GB". Empty means "256MB".
	KeepWAL string

	// Clients is who may connect, besides the nodes and the accounts.
	Clients []Client

	// Settings are parameters of postgresql.conf for all nodes. They win over what the package would set, except where that would
	// break the cluster, which is refused.
	Settings map[string]string
}

// SyncPolicy says for whom a primary waits before it acknowledges a commit. The zero value waits for the first one of the nodes
// with Sync below it.
type SyncPolicy struct {
	SyncRule // for a primary at any site that Sites does not name

	// Sites has rules of their own for a primary at one of these sites: "wait for one at the other site" is Sites with an At.
	Sites map[string]SyncRule

	// Strict never acknowledges a commit that fewer standbys have than asked for, however long commits have to wait. Without it,
	// the number follows the standbys that are there, down to none.
	Strict bool
}

// SyncRule is one line of synchronous_standby_names.
type SyncRule struct {
	Method SyncMethod
	Number int      // how many to wait for; zero means one
	At     []string // only standbys at these sites count; none means all
}

// SyncMethod is how synchronous standbys are chosen among those that are there.
type SyncMethod string

// The methods. First waits for the first ones of the list, which the cluster's order of nodes gives; Any for as many of them, be
// it whichever (10+).
const (
	First SyncMethod = "first" // the empty SyncMethod is the same
	Any   SyncMethod = "any"
)

// SecretRef says where a secret is to be found, and is none: "env:NAME" or "file:/absolute/path", whose first line counts. It is
// resolved on the machine where the tool runs.
type SecretRef string

// Account is a role with which the cluster is worked on. An empty Name means that there is none.
type Account struct {
	Name     string
	Secret   SecretRef // of its password; empty means that none is needed: a password file, a certificate, peer authentication
	Database string    // to connect to; empty means "postgres"

	// From are the addresses or networks, in CIDR form, from which it connects, besides the nodes.
	From []string
}

// Archive is the archive of a cluster. In its commands {node}, {host}, {cluster} and {data_dir} stand for those of the node,
// {child} and {child_host} for the first of the nodes below it, or above it if there is none below. What stands as ${name} is left
// to the shell.
type Archive struct {
	// Command is the archive_command of every node (%p and %f). It runs on whichever node is the primary. Empty means no archive,
	// unless URL is set.
	Command string

	// Restore is the restore_command of every standby (%f and %p), so that it goes on where streaming cannot.
	Restore string

	// Cleanup is the archive_cleanup_command (%r). Only right where the archive has one consumer.
	Cleanup string

	// URL is a place that the program walarchive knows: file, sftp or s3. It makes Command and Restore where they are empty;
	// nothing is cleaned up. Program is the program's absolute path on every machine; empty means "walarchive", from the server's
	// PATH.
	URL, Program string

	// Timeout is archive_timeout. Zero means 60 s, negative none.
	Timeout time.Duration

	// Always makes standbys archive, too (archive_mode=always).
	Always bool
}

// check says what is wrong with a name.
func (id NodeID) check() string {
	switch {
	case !nodeIDPattern.MatchString(string(id)):
		return "use a-z, 0-9 and _, a letter or _ first, at most 63 characters"
	default:
		return reserved[id]
	}
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
		if at.Upstream == "" || at.Upstream == Leader {
			return ""
		}
		up, ok := c.Node(at.Upstream)
		switch {
		case !ok && at.ID == n.ID:
			return fmt.Sprintf("upstream %q is not a node of the cluster", at.Upstream)
		case !ok:
			return "" // said of the node above
		case up.Witness && at.ID == n.ID:
			return fmt.Sprintf("upstream %s is a witness, which has no data", up.ID)
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

// Primary returns the node without an upstream that is no witness.
func (c Cluster) Primary() (Node, bool) {
	for _, n := range c.Nodes {
		if n.Upstream == "" && !n.Witness {
			return n, true
		}
	}
	return Node{}, false
}

// Upstream returns the node that id streams from, be it named or as [Leader]; false for the primary and for witnesses.
func (c Cluster) Upstream(id NodeID) (Node, bool) {
	n, ok := c.Node(id)
	switch {
	case !ok || n.Upstream == "":
		return Node{}, false
	case n.Upstream == Leader:
		return c.Primary()
	default:
		return c.Node(n.Upstream)
	}
}

// Children returns the nodes that stream from id, in the cluster's order.
func (c Cluster) Children(id NodeID) []Node {
	var children []Node
	for _, n := range c.Nodes {
		if up, ok := c.Upstream(n.ID); ok && up.ID == id {
			children = append(children, n)
		}
	}
	return children
}

// Promoted returns the shape after standby id took over: it has no upstream, the old primary is no longer in the tree, and
// the old primary's other children stream from the new one. Call [Cluster.Attached] when the old primary comes back. If id is
// no standby of the cluster, the shape stays as it is.
func (c Cluster) Promoted(id NodeID) Cluster {
	shape := c
	shape.Nodes = nil
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
	shape := c
	shape.Nodes = slices.Clone(c.Nodes)
	for i := range shape.Nodes {
		if shape.Nodes[i].ID == id {
			shape.Nodes[i].Upstream = upstream
		}
	}
	return shape
}

// Attached returns the shape with n added. Whether it fits in, [Cluster.Validate] tells.
func (c Cluster) Attached(n Node) Cluster {
	c.Nodes = append(slices.Clone(c.Nodes), n)
	return c
}
