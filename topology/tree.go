package topology

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Role is what a node is at the moment, from the facts.
type Role string

// The roles.
const (
	RolePrimary    Role = "primary"    // accepts writes: not in recovery
	RoleCascading  Role = "cascading"  // a standby with at least one standby streaming from it
	RoleStandby    Role = "standby"    // follows and has nobody below it
	RoleDownstream Role = "downstream" // a standby that follows a standby
	RoleUnknown    Role = "unknown"    // did not answer; may be anything
	RoleWitness    Role = "witness"    // has no data, so that there is nothing to observe
)

// Place is a node in the observed tree.
type Place struct {
	Node        Node
	Observation Observation
	Role        Role
	Link        *Link // to the upstream; nil for a root
	Children    []*Place

	// Hearsay is what other nodes say of this one while it does not answer itself, by their names.
	Hearsay []Hearsay

	loop bool // a root only because its upstreams lead back to it
}

// Hearsay is what one node says of another that does not answer. It is second-hand: a row outlives a broken connection until
// wal_sender_timeout or wal_receiver_timeout, and none of it says that the node would answer anybody else.
type Hearsay struct {
	From NodeID
	At   time.Time // when From said it

	// One of these two is set. Sender is the row that From has of the node, which streams from there; Receiver is that of From,
	// which streams from the node.
	Sender   *Sender
	Receiver *Receiver
}

// String says it in words: "a says that it streams from there, flushed 0/5000148".
func (h Hearsay) String() string {
	if h.Sender != nil {
		return fmt.Sprintf("%s says at %s that it streams from there (%s, flushed %s)", h.From, clock(h.At), h.Sender.State, h.Sender.Flushed)
	}
	heard := ""
	if !h.Receiver.HeardAt.IsZero() {
		heard = ", and heard from it at " + clock(h.Receiver.HeardAt)
	}
	return fmt.Sprintf("%s says at %s that it streams from it%s", h.From, clock(h.At), heard)
}

// clock writes a time of day, for people.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// Link is a replication connection as the upstream reports it, and what the two ends differ by.
type Link struct {
	State     string // pg_stat_replication.state; "archive" for a node that takes its WAL from the archive alone
	SyncState string // pg_stat_replication.sync_state

	// FlushBytes and ReplayBytes are how far the standby is behind the position of its upstream, in bytes. Position and
	// row are read one after the other, so a small figure on a busy cluster is noise. -1 means not known: a standby that
	// has just connected has not said yet how far it is.
	FlushBytes, ReplayBytes int64

	// ReplayTime is the time between a commit on the upstream and its replay here, as the upstream measured it last. Zero
	// when the standby has replayed everything.
	ReplayTime time.Duration
}

// Tree is the observed shape. Several roots are normal while nodes are unknown or detached; more than one root with
// [RolePrimary] is a split brain.
type Tree struct {
	Roots []*Place
}

// Derive puts observations together. The result does not depend on the order of the observations; of the order of the
// cluster's nodes only that of siblings and roots does. Every node is in it once.
//
// Who is below whom is taken from pg_stat_replication of the upstream, which knows its standbys by name. An upstream that
// lost a standby keeps its row until wal_sender_timeout, so a row does not count if the standby itself says otherwise: that it is
// no standby, has no WAL receiver, or streams from another node. Rows of a backup never count. A standby that takes its WAL from the
// archive alone stands below the upstream that the cluster names. What nothing places is a root.
//
// A node that does not answer is a root as well: what others say of it is its [Place.Hearsay].
func Derive(c Cluster, s Status) Tree {
	places := make(map[NodeID]*Place, len(c.Nodes))
	for _, n := range c.Nodes {
		o, ok := s.Node(n.ID)
		if !ok {
			o = Observation{Node: n.ID, Err: errNotAsked}
		}
		places[n.ID] = &Place{Node: n, Observation: o, Role: RoleUnknown}
	}
	below := map[NodeID]claim{}
	for id, p := range places {
		if up, ok := c.aboveArchive(p, places); ok {
			below[id] = claim{up.Node.ID, up.Observation.Position, Sender{State: fromArchive, SyncState: "async",
				Flushed: p.Observation.Position, Replayed: p.Observation.Replayed}}
		}
		p.Hearsay = c.hearsay(p, places)
	}
	for _, up := range places {
		for _, mine := range c.claims(up, places) {
			id := NodeID(mine.sender.Name)
			if other, taken := below[id]; !taken || mine.compare(other) > 0 {
				below[id] = mine
			}
		}
	}
	return grow(c, places, below)
}

// fromArchive is the state of a link that is none: both ends share an archive.
const fromArchive = "archive"

// aboveArchive returns the place below which a node is shown that follows the archive alone.
func (c Cluster) aboveArchive(p *Place, places map[NodeID]*Place) (*Place, bool) {
	o := p.Observation
	if !p.Node.ArchiveOnly || o.Err != nil || !o.InRecovery || o.Receiver != nil {
		return nil, false
	}
	if p.Node.Upstream != Leader {
		up, ok := places[p.Node.Upstream]
		return up, ok && up != p
	}
	var primary *Place
	for _, other := range places {
		if o := other.Observation; o.Err == nil && !o.InRecovery {
			if primary != nil {
				return nil, false
			}
			primary = other
		}
	}
	return primary, primary != nil
}

// hearsay collects what others say of a node that does not answer.
func (c Cluster) hearsay(p *Place, places map[NodeID]*Place) []Hearsay {
	if p.Observation.Err == nil {
		return nil
	}
	var all []Hearsay
	for id, other := range places {
		o := other.Observation
		if o.Err != nil {
			continue
		}
		for _, row := range o.Senders {
			if NodeID(row.Name) == p.Node.ID && row.State != "backup" {
				all = append(all, Hearsay{From: id, At: o.At, Sender: &row})
			}
		}
		if o.InRecovery && o.Receiver != nil {
			if up, ok := c.at(o.Receiver.Host, o.Receiver.Port); ok && up == p.Node.ID {
				all = append(all, Hearsay{From: id, At: o.At, Receiver: o.Receiver})
			}
		}
	}
	slices.SortFunc(all, func(a, b Hearsay) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.String(), b.String()))
	})
	return all
}

// claim is a row of pg_stat_replication on an upstream: it says that a standby streams from there.
type claim struct {
	up     NodeID
	at     wal.LSN // position of the upstream
	sender Sender
}

// claims returns the rows of an upstream that say something about nodes of the cluster.
func (c Cluster) claims(up *Place, places map[NodeID]*Place) []claim {
	var all []claim
	for _, sender := range up.Observation.Senders {
		child, ok := places[NodeID(sender.Name)]
		if !ok || child == up || up.Observation.Err != nil || sender.State == "backup" {
			continue
		}
		o := child.Observation
		if o.Err != nil || !o.InRecovery || o.Receiver == nil {
			continue
		}
		named, known := c.at(o.Receiver.Host, o.Receiver.Port)
		if known && named != up.Node.ID {
			continue
		}
		all = append(all, claim{up.Node.ID, up.Observation.Position, sender})
	}
	return all
}

// at returns the node that is reached at an address, however that is spelled.
func (c Cluster) at(host string, port int) (NodeID, bool) {
	for _, n := range c.Nodes {
		if n.reachedAt(host, port) {
			return n.ID, true
		}
	}
	return "", false
}

// reachedAt reports whether an address is the node's, however it is spelled.
func (n Node) reachedAt(host string, port int) bool {
	h, p := n.Address()
	return p == port && conninfo.HostPort{Host: host}.Same(conninfo.HostPort{Host: h})
}

// compare orders the claims on one standby, the most credible last. An old row beside the one of a new connection has not
// come as far. What remains after that only makes the order total.
func (a claim) compare(b claim) int {
	x, y := a.sender, b.sender
	return cmp.Or(
		order(x.State == "streaming", y.State == "streaming"),
		cmp.Compare(x.Flushed, y.Flushed),
		cmp.Compare(x.Sent, y.Sent),
		cmp.Compare(x.Replayed, y.Replayed),
		cmp.Compare(x.Written, y.Written),
		cmp.Compare(x.State, y.State),
		cmp.Compare(x.SyncState, y.SyncState),
		cmp.Compare(y.ReplayLag, x.ReplayLag),
		cmp.Compare(b.up, a.up),
	)
}

// order is cmp.Compare for false and true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// link measures a standby against its upstream.
func (a claim) link() *Link {
	l := &Link{
		State:       a.sender.State,
		SyncState:   a.sender.SyncState,
		FlushBytes:  behind(a.at, a.sender.Flushed),
		ReplayBytes: behind(a.at, a.sender.Replayed),
	}
	if l.ReplayBytes > 0 {
		l.ReplayTime = a.sender.ReplayLag
	}
	return l
}

// behind is a distance in bytes, or -1 if one of the positions is not known.
func behind(ahead, at wal.LSN) int64 {
	switch {
	case ahead == 0 || at == 0:
		return -1
	case at >= ahead:
		return 0
	default:
		return int64(ahead - at)
	}
}

// grow links the places to a forest and names their roles.
func grow(c Cluster, places map[NodeID]*Place, below map[NodeID]claim) Tree {
	var t Tree
	seen := map[NodeID]bool{}
	for _, n := range c.Nodes {
		p := places[n.ID]
		if seen[n.ID] {
			continue // the cluster is not valid; still every node is there once
		}
		seen[n.ID] = true
		mine, ok := below[n.ID]
		p.loop = ok && closesLoop(below, n.ID)
		if !ok || p.loop {
			t.Roots = append(t.Roots, p)
			continue
		}
		p.Link = mine.link()
		places[mine.up].Children = append(places[mine.up].Children, p)
	}
	for id, p := range places {
		p.Role = role(p, places[below[id].up])
	}
	return t
}

// closesLoop reports whether following the upstreams from id comes back to id, and id is the first by name of those on the
// way: that one is the root of the loop. Standbys that were configured to follow each other do form one, and wait for ever.
func closesLoop(below map[NodeID]claim, id NodeID) bool {
	first, at := id, id
	for range below {
		up, ok := below[at]
		if !ok {
			return false
		}
		at = up.up
		if at == id {
			return first == id
		}
		first = min(first, at)
	}
	return false // it leads into a loop that it is not part of
}

func role(p, up *Place) Role {
	switch {
	case p.Node.Witness:
		return RoleWitness
	case p.Observation.Err != nil:
		return RoleUnknown
	case !p.Observation.InRecovery:
		return RolePrimary
	case len(p.Children) > 0:
		return RoleCascading
	case up != nil && up.Observation.InRecovery:
		return RoleDownstream
	default:
		return RoleStandby
	}
}

// Places returns every node of the tree, parents before children.
func (t Tree) Places() []*Place {
	var all []*Place
	var walk func([]*Place)
	walk = func(ps []*Place) {
		for _, p := range ps {
			all = append(all, p)
			walk(p.Children)
		}
	}
	walk(t.Roots)
	return all
}

// Primaries returns the nodes that are not in recovery. More than one is a split brain; none is an outage, or doubt if any
// node is unknown.
func (t Tree) Primaries() []*Place {
	var all []*Place
	for _, p := range t.Places() {
		if p.Role == RolePrimary {
			all = append(all, p)
		}
	}
	return all
}
