package failover

import (
	"fmt"
	"slices"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Election is the answer to "who may take over?". Node is empty when nobody may yet; then Reasons say what is missing.
type Election struct {
	Node    topology.NodeID
	Reasons []Reason
}

// Elect chooses the standby to promote once the primary of s.Shape is fenced. It is the function that the machine itself
// asks, so it also explains. A candidate is chosen only when all of this holds:
//
//   - Positions are frozen: no standby directly below the fenced primary still has a WAL receiver that may write.
//   - With synchronous replication, every set of standbys that can have acknowledged a commit has a member among those that
//     answer, for the fenced primary and for every earlier one the cluster has not settled after. Then the furthest of
//     them has every acknowledged commit.
//   - Without, the furthest is not more than MaxLag behind the last known position of the fenced primary.
//   - Nobody known to have come further on a later timeline is passed over.
//
// Among equals the cluster's order decides.
func (p Policy) Elect(s State, status topology.Status) Election {
	p = p.withDefaults()
	voters := reporters(s, status)
	if len(voters) == 0 {
		return Election{Reasons: []Reason{{Code: NoCandidate, Detail: "no standby answers"}}}
	}
	if moving := stillReceiving(s, voters); len(moving) > 0 {
		return Election{Reasons: moving}
	}
	if unheard := unheardSync(s, voters); len(unheard) > 0 {
		return Election{Reasons: unheard}
	}
	best := furthest(s, voters)
	if why, ok := p.tooFarBehind(s, best); ok {
		return Election{Reasons: []Reason{why}}
	}
	return Election{Node: best.Node, Reasons: []Reason{{
		Code: Elected, Node: best.Node,
		Detail: fmt.Sprintf("at %v on timeline %d, the furthest of %d standbys that answer", best.Position, best.Timeline, len(voters)),
	}}}
}

// reporters returns the observations of the standbys that answer, in the cluster's order. A fenced node that came back as a
// standby is one of them.
func reporters(s State, status topology.Status) []topology.Observation {
	var voters []topology.Observation
	for _, n := range s.Shape.Nodes {
		if n.ID == s.primary() && s.Phase != Electing {
			continue
		}
		if o, ok := status.Node(n.ID); ok && o.Err == nil && o.InRecovery {
			voters = append(voters, o)
		}
	}
	return voters
}

// stillReceiving names the standbys directly below the fenced primary whose position may still move: what its connection
// had delivered is not written yet. A receiver that waits for orders at the end of a timeline writes nothing. A standby further down can only come as far as the one above it.
func stillReceiving(s State, voters []topology.Observation) []Reason {
	var moving []Reason
	for _, o := range voters {
		n, _ := s.Shape.Node(o.Node)
		if n.Upstream == s.primary() && o.Receiver != nil && o.Receiver.Status != "waiting" {
			moving = append(moving, Reason{Code: NotFrozen, Node: o.Node, Detail: "its receiver still runs"})
		}
	}
	return moving
}

// unheardSync returns what keeps the voters from intersecting every set of standbys that can have acknowledged a commit.
func unheardSync(s State, voters []topology.Observation) []Reason {
	var unheard []Reason
	for _, debt := range s.owing() {
		if votes(voters, debt.Primary) {
			continue // it has itself everything that it acknowledged
		}
		for _, name := range missing(debt.Sync, 1, voters) {
			unheard = append(unheard, Reason{Code: SyncUnheard, Node: name,
				Detail: "may hold acknowledged commits that nobody else has"})
		}
	}
	return unheard
}

// votes reports whether a node is among the voters.
func votes(voters []topology.Observation, id topology.NodeID) bool {
	return slices.ContainsFunc(voters, func(o topology.Observation) bool { return o.Node == id })
}

// missing returns the names that do not vote, if they are so many that n of them can have acknowledged a commit without any
// voter; else nothing. A commit that needs n of the names is seen by the voters exactly if fewer than n names are absent.
func missing(names []topology.NodeID, n int, voters []topology.Observation) []topology.NodeID {
	var absent []topology.NodeID
	for _, name := range names {
		if !votes(voters, name) {
			absent = append(absent, name)
		}
	}
	if len(absent) < n {
		return nil
	}
	return absent
}

// furthest returns how far the most advanced voter has come: by timeline, then by position. What a standby showed before
// counts, since it had flushed that: after a restart it reports less until it has replayed its own WAL, and without an upstream
// perhaps an older timeline until its next restartpoint. A former primary may have shown what it had not flushed.
func furthest(s State, voters []topology.Observation) Sighting {
	var best Sighting
	for _, o := range voters {
		at := Sighting{Node: o.Node, Timeline: o.Timeline, Position: o.Position}
		if o.Node != s.primary() {
			known := s.known(o.Node)
			at.Timeline, at.Position = max(at.Timeline, known.Timeline), max(at.Position, known.Position)
		}
		if best.Node == "" || at.Timeline > best.Timeline || at.Timeline == best.Timeline && at.Position > best.Position {
			best = at
		}
	}
	return best
}

// tooFarBehind refuses a candidate on an older timeline than the fenced primary, and without synchronous replication one that
// is more than MaxLag bytes behind it.
func (p Policy) tooFarBehind(s State, best Sighting) (Reason, bool) {
	gone := s.known(s.primary())
	if best.Timeline < gone.Timeline {
		return Reason{Code: TimelineBehind, Node: best.Node,
			Detail: fmt.Sprintf("on timeline %d, the primary was on %d", best.Timeline, gone.Timeline)}, true
	}
	if len(s.Shape.SyncNames(s.primary())) > 0 || p.MaxLag < 0 || best.Timeline > gone.Timeline {
		return Reason{}, false
	}
	if lag := distance(gone.Position, best.Position); lag > p.MaxLag {
		return Reason{Code: TooFarBehind, Node: best.Node,
			Detail: fmt.Sprintf("%s behind the primary's last known position %v, more than %s",
				topology.Bytes(lag), gone.Position, topology.Bytes(p.MaxLag))}, true
	}
	return Reason{}, false
}

// distance is how far at is behind ahead, in bytes, never negative.
func distance(ahead, at wal.LSN) int64 {
	if at >= ahead {
		return 0
	}
	return int64(ahead - at)
}
