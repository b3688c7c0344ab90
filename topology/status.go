package topology

import (
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Observation is what one node said about itself at one moment. The zero values of LSNs and times mean "not known".
type Observation struct {
	Node NodeID
	At   time.Time // when the answer was complete, or the attempt given up

	// Err is why the node could not be observed; then nothing below counts. It says nothing about whether the server runs.
	Err error

	Version    int          // server_version_num, for example 150018
	SystemID   wal.SystemID // of the cluster the data belongs to
	InRecovery bool         // pg_is_in_recovery(): a standby, or a server still replaying
	ReadOnly   bool         // default_transaction_read_only or in recovery: would refuse a write
	Timeline   wal.Timeline

	// Position is the end of the WAL the node has: written for a primary (pg_current_wal_lsn), received and flushed for a
	// standby (pg_last_wal_receive_lsn, or replayed where that is further or nothing was streamed).
	Position wal.LSN

	Replayed   wal.LSN   // standby: pg_last_wal_replay_lsn
	ReplayedAt time.Time // standby: commit time of the last replayed transaction; zero before the first

	Senders   []Sender  // pg_stat_replication, one for each connected standby
	Receiver  *Receiver // pg_stat_wal_receiver; nil when the node is not streaming
	SyncNames string    // synchronous_standby_names in effect
}

// Sender is one row of pg_stat_replication on an upstream: what it knows of a standby below it.
type Sender struct {
	Name      string // application_name
	State     string // startup, catchup, streaming, backup, stopping
	SyncState string // async, potential, sync, quorum
	Sent      wal.LSN
	Written   wal.LSN
	Flushed   wal.LSN
	Replayed  wal.LSN
	ReplayLag time.Duration // replay_lag; zero also when the upstream has nothing recent to measure by
}

// Receiver is the row of pg_stat_wal_receiver on a standby.
type Receiver struct {
	Status   string // streaming and others
	Host     string // of the upstream, as in its connection
	Port     int
	Timeline wal.Timeline // received_tli
}

// Status is one observation of every node that was asked.
type Status struct {
	At    time.Time
	Nodes []Observation
}

// Node returns the observation of a node.
func (s Status) Node(id NodeID) (Observation, bool) {
	for _, o := range s.Nodes {
		if o.Node == id {
			return o, true
		}
	}
	return Observation{}, false
}

// Role is what a node is at the moment, from the facts.
type Role string

// The roles.
const (
	RolePrimary    Role = "primary"    // accepts writes: not in recovery
	RoleCascading  Role = "cascading"  // a standby with at least one standby streaming from it
	RoleStandby    Role = "standby"    // follows and has nobody below it
	RoleDownstream Role = "downstream" // a standby that follows a standby
	RoleUnknown    Role = "unknown"    // did not answer; may be anything
)

// Place is a node in the observed tree.
type Place struct {
	Node        Node
	Observation Observation
	Role        Role
	Link        *Link // to the upstream; nil for a primary, for an unknown node and for a standby that is not streaming
	Children    []*Place
}

// Link is a replication connection as the upstream reports it, and what the two ends differ by.
type Link struct {
	State     string // pg_stat_replication.state
	SyncState string // pg_stat_replication.sync_state

	// FlushBytes and ReplayBytes are how far the standby is behind the position of its upstream, in bytes. They come from
	// two samples taken at slightly different times, so a small figure on a busy cluster is noise; never negative.
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

// Derive puts observations together. The result depends neither on the order of the nodes nor on that of the observations
// apart from the order of siblings, which is the cluster's. Who is below whom is taken from pg_stat_replication of the upstream
// (the names of its standbys); a node that no upstream reports is a root.
func Derive(c Cluster, s Status) Tree {
	places := make(map[NodeID]*Place, len(c.Nodes))
	for _, n := range c.Nodes {
		o, ok := s.Node(n.ID)
		if !ok {
			o = Observation{Node: n.ID, Err: errNotAsked}
		}
		places[n.ID] = &Place{Node: n, Observation: o, Role: RoleUnknown}
	}
	below := map[NodeID]NodeID{}
	for _, n := range c.Nodes {
		up := places[n.ID]
		if up.Observation.Err != nil {
			continue
		}
		for _, sender := range up.Observation.Senders {
			child, ok := places[NodeID(sender.Name)]
			if !ok || child == up || !follows(child.Observation) || sender.State == "backup" {
				continue
			}
			if _, taken := below[child.Node.ID]; taken && sender.State != "streaming" {
				continue // a stale row of a former upstream; the streaming one counts
			}
			below[child.Node.ID] = n.ID
			child.Link = link(up.Observation, sender)
		}
	}
	return grow(c, places, below)
}

// follows reports whether an observed node can be below another one: it answered and is in recovery.
func follows(o Observation) bool { return o.Err == nil && o.InRecovery }

// link measures a standby against its upstream.
func link(up Observation, s Sender) *Link {
	l := &Link{
		State:       s.State,
		SyncState:   s.SyncState,
		FlushBytes:  behind(up.Position, s.Flushed),
		ReplayBytes: behind(up.Position, s.Replayed),
	}
	if l.ReplayBytes > 0 {
		l.ReplayTime = s.ReplayLag
	}
	return l
}

func behind(ahead, at wal.LSN) int64 {
	if at >= ahead {
		return 0
	}
	return int64(ahead - at)
}

// grow links the places to a forest and names their roles.
func grow(c Cluster, places map[NodeID]*Place, below map[NodeID]NodeID) Tree {
	var t Tree
	for _, n := range c.Nodes {
		p := places[n.ID]
		if up, ok := below[n.ID]; ok && !loops(below, n.ID) {
			places[up].Children = append(places[up].Children, p)
			continue
		}
		t.Roots = append(t.Roots, p)
	}
	for id, p := range places {
		p.Role = role(p, places[below[id]])
	}
	return t
}

// loops reports whether following the upstreams from id comes back to id, which only contradictory samples can show.
func loops(below map[NodeID]NodeID, id NodeID) bool {
	at := below[id]
	for range below {
		if at == id {
			return true
		}
		next, ok := below[at]
		if !ok {
			return false
		}
		at = next
	}
	return true
}

func role(p, up *Place) Role {
	switch {
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
