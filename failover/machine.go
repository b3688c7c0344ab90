package failover

import (
	"fmt"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Phase is where a failover stands.
type Phase string

// The phases; doc.go has the diagram.
const (
	Watching   Phase = "watching"   // the primary answers
	Suspecting Phase = "suspecting" // it does not, but not for long enough
	Fencing    Phase = "fencing"    // making sure that it accepts no write any more
	Electing   Phase = "electing"   // it is fenced; waiting until a candidate is safe
	Promoting  Phase = "promoting"  // the candidate is being promoted
	Settling   Phase = "settling"   // there is a new primary; the other nodes move below it
)

// State is everything the machine remembers. It is a value: [Policy.Step] returns a new one and shares no memory with its
// argument that it changes. Make the first with [Begin].
type State struct {
	Phase Phase
	Since time.Time // when the phase began

	// Shape is who follows whom as last decided. Its primary is the node in charge, or the one being replaced.
	Shape topology.Cluster

	// LastSeen is when the primary last answered as one. Zero means never.
	LastSeen time.Time

	// Known holds the furthest position and timeline each node has shown. They never go back.
	Known []Sighting

	// Misses counts the observations in a row in which the primary did not answer as one.
	Misses int

	// Moved says that WAL still arrived at a standby below the primary while that was suspected.
	Moved bool

	// Opened is where the primary first showed itself after its promotion; standbys at or past it have everything from
	// before.
	Opened wal.LSN

	// Owed holds the earlier primaries since the cluster last settled. An election must hear who vouches for what they
	// acknowledged, as well as for what the present primary did.
	Owed []Debt

	// Moving holds the standbys that are to stream from the new primary and were not certainly told so yet.
	Moving []topology.NodeID

	// Asked is when the pending effect was last emitted. An effect is emitted again only after Failed.
	Asked  time.Time
	Failed bool

	// Candidate is the node that is being promoted, in [Promoting].
	Candidate topology.NodeID
}

// Debt is a primary and the synchronous standbys of which at least one has each commit that it acknowledged.
type Debt struct {
	Primary topology.NodeID
	Sync    []topology.NodeID
}

// Sighting is the furthest a node is known to have come.
type Sighting struct {
	Node     topology.NodeID
	Timeline wal.Timeline
	Position wal.LSN
}

// Begin returns the state from which to watch a cluster that is believed to look like shape at the given time.
func Begin(shape topology.Cluster, now time.Time) State {
	return State{Phase: Watching, Since: now, Shape: shape, LastSeen: now}
}

// Event is something that happened: [Observed] or [Done].
type Event interface{ event() }

// Observed brings what the nodes said; its time is Status.At.
type Observed struct{ Status topology.Status }

// Done brings the outcome of an effect. Err nil means that the effect certainly took place; anything else, a timeout
// included, leaves it open.
type Done struct {
	Effect Effect
	At     time.Time
	Err    error
}

func (Observed) event() {}
func (Done) event()     {}

// Effect is something to be done: [Fence], [Promote] or [Attach]. All are idempotent: doing one again when it has already
// taken place succeeds.
type Effect interface {
	// Target is the node the effect is about.
	Target() topology.NodeID
	effect()
}

// Fence makes a node unable to accept writes. It has succeeded only when that is certain.
type Fence struct{ Node topology.NodeID }

// Promote makes a standby the primary and waits until it accepts writes.
type Promote struct{ Node topology.NodeID }

// Attach makes a standby stream from another node than before.
type Attach struct {
	Node, Upstream topology.NodeID
}

// Target implements [Effect].
func (e Fence) Target() topology.NodeID { return e.Node }

// Target implements [Effect].
func (e Promote) Target() topology.NodeID { return e.Node }

// Target implements [Effect].
func (e Attach) Target() topology.NodeID { return e.Node }

func (Fence) effect()   {}
func (Promote) effect() {}
func (Attach) effect()  {}

// Decision is the answer to one event.
type Decision struct {
	State   State
	Effects []Effect
	Reasons []Reason // why the machine did what it did, or why it did nothing; never empty
}

// Step answers an event. It is total: every phase answers every event, and an outcome that nobody waits for any more
// changes nothing. It reads no clock and changes nothing but its result, so a recorded list of events replays to the
// same decisions.
func (p Policy) Step(s State, ev Event) Decision {
	p = p.withDefaults()
	switch ev := ev.(type) {
	case Observed:
		if s.Phase == Suspecting && s.childMoved(ev.Status) {
			s.Moved = true
		}
		s.Known = sighted(s.Known, ev.Status)
		return p.observed(s, ev.Status)
	case Done:
		return p.done(s, ev)
	default:
		return keep(s, Reason{Code: NothingToDo})
	}
}

// observed dispatches an observation by phase.
func (p Policy) observed(s State, status topology.Status) Decision {
	switch s.Phase {
	case Suspecting:
		return p.suspecting(s, status)
	case Fencing:
		return p.fencing(s, status)
	case Electing:
		return p.electing(s, status)
	case Promoting:
		return p.promoting(s, status)
	case Settling:
		return p.settling(s, status)
	default:
		return p.watching(s, status)
	}
}

// watching notices that the primary fell silent, and more than one primary.
func (p Policy) watching(s State, status topology.Status) Decision {
	primary := s.primary()
	if !acts(status, primary) {
		next := s.enter(Suspecting, status.At)
		next.Misses, next.Moved = 1, false
		return keep(next, Reason{Code: PrimarySilent, Node: primary, Detail: silence(status, primary)})
	}
	s.LastSeen = status.At
	if others := otherPrimaries(s.Shape, status, primary); len(others) > 0 {
		return keep(s, Reason{Code: SplitBrain, Node: others[0], Detail: "accepts writes although " + string(primary) + " is the primary"})
	}
	return keep(s, Reason{Code: PrimaryAnswers, Node: primary})
}

// suspecting waits for the primary to come back, or for the time to fence it. One bad observation is never enough, however
// long it took.
func (p Policy) suspecting(s State, status topology.Status) Decision {
	primary := s.primary()
	if acts(status, primary) {
		next := s.enter(Watching, status.At)
		next.LastSeen = status.At
		return keep(next, Reason{Code: PrimaryAnswers, Node: primary, Detail: "again"})
	}
	s.Misses++
	why := Reason{Code: PrimarySilent, Node: primary, Detail: silence(status, primary)}
	if s.Misses < p.Misses || status.At.Sub(s.LastSeen) < p.patience(s) {
		return keep(s, why)
	}
	if len(reporters(s, status)) == 0 { // a suspect that answers as a standby does not count before it is fenced
		return keep(s, why, Reason{Code: NoCandidate, Detail: "no standby answers: the fault may be on our side"})
	}
	return fence(s, status.At, why, Reason{Code: TimeIsUp, Node: primary,
		Detail: "silent for " + status.At.Sub(s.LastSeen).Round(time.Millisecond).String()})
}

// patience is how long a suspect may be silent. WAL that still arrived below it showed life and doubles the time, once; a mere
// connection proves nothing.
func (p Policy) patience(s State) time.Duration {
	if s.Moved {
		return 2 * p.FailAfter
	}
	return p.FailAfter
}

// fencing asks again for a fence that did not certainly succeed.
func (p Policy) fencing(s State, status topology.Status) Decision {
	return p.again(s, status.At, Fence{Node: s.primary()}, Reason{Code: FenceUnknown, Node: s.primary()})
}

// electing looks for a safe candidate among frozen positions. Should the fenced node accept writes again, because something
// started it, it is fenced again first.
func (p Policy) electing(s State, status topology.Status) Decision {
	primary := s.primary()
	if acts(status, primary) {
		return fence(s, status.At, Reason{Code: PrimaryAnswers, Node: primary, Detail: "although it was fenced"})
	}
	e := p.Elect(s, status)
	if e.Node == "" {
		return keep(s, e.Reasons...)
	}
	next := s.enter(Promoting, status.At)
	next.Candidate, next.Asked, next.LastSeen = e.Node, status.At, status.At
	return Decision{State: next, Effects: []Effect{Promote{Node: e.Node}}, Reasons: e.Reasons}
}

// fence enters [Fencing] for the primary of the shape.
func fence(s State, at time.Time, why ...Reason) Decision {
	next := s.enter(Fencing, at)
	next.Asked = at
	return Decision{State: next, Effects: []Effect{Fence{Node: s.primary()}}, Reasons: why}
}

// promoting watches the candidate. Its promotion may have taken place although the outcome was an error, so a candidate
// that falls silent is treated as a primary that fell silent: fenced before anyone is elected again.
func (p Policy) promoting(s State, status topology.Status) Decision {
	o, ok := status.Node(s.Candidate)
	switch {
	case acts(status, s.Candidate):
		return p.promoted(s, status.At)
	case ok && o.Err == nil:
		s.LastSeen, s.Misses = status.At, 0
		return p.again(s, status.At, Promote{Node: s.Candidate}, Reason{Code: PromotionUnknown, Node: s.Candidate})
	}
	s.Misses++
	why := Reason{Code: CandidateSilent, Node: s.Candidate, Detail: silence(status, s.Candidate)}
	if !s.Failed || s.Misses < p.Misses || status.At.Sub(s.LastSeen) < p.FailAfter {
		return keep(s, why)
	}
	s.Shape, s.Owed = s.Shape.Promoted(s.Candidate), s.owing()
	return fence(s, status.At, why)
}

// owing adds the primary to the debts.
func (s State) owing() []Debt {
	return append(slices.Clone(s.Owed), Debt{Primary: s.primary(), Sync: s.Shape.SyncNames(s.primary())})
}

// promoted takes the candidate for the primary and moves the other standbys of the old one below it.
func (p Policy) promoted(s State, at time.Time) Decision {
	next := s.enter(Settling, at)
	next.Shape, next.LastSeen, next.Owed = s.Shape.Promoted(s.Candidate), at, s.owing()
	next.Opened, next.Moving, next.Asked = 0, nil, at
	var effects []Effect
	for _, n := range next.Shape.Children(s.Candidate) {
		if before, _ := s.Shape.Node(n.ID); before.Upstream != n.Upstream {
			next.Moving = append(next.Moving, n.ID)
			effects = append(effects, Attach{Node: n.ID, Upstream: n.Upstream})
		}
	}
	return Decision{State: next, Effects: effects, Reasons: []Reason{{Code: Promoted, Node: s.Candidate}}}
}

// settling waits until every standby that answers streams on the new primary's timeline and has all from before it. Only then
// is the debt to the old primary's synchronous standbys paid.
func (p Policy) settling(s State, status topology.Status) Decision {
	primary := s.primary()
	if !acts(status, primary) {
		return p.watching(s, status)
	}
	s.LastSeen = status.At
	leader, _ := status.Node(primary)
	if s.Opened == 0 {
		s.Opened = leader.Position
	}
	waiting, missing := s.unsettled(status, leader)
	switch {
	case len(waiting) > 0:
		return p.moveAgain(s, status, waiting)
	case slices.ContainsFunc(s.Shape.SyncNames(primary), func(id topology.NodeID) bool { return slices.Contains(missing, id) }):
		return keep(s, Reason{Code: NotFollowing, Node: missing[0], Detail: "the primary waits for it, and it does not answer"})
	}
	next := s.enter(Watching, status.At)
	next.Owed, next.Moving = nil, nil
	return keep(next, Reason{Code: Settled, Node: primary})
}

// moveAgain repeats the moves that did not certainly succeed, of the standbys that answer.
func (p Policy) moveAgain(s State, status topology.Status, waiting []Reason) Decision {
	if !s.Failed || status.At.Sub(s.Asked) < p.RetryAfter {
		return keep(s, waiting...)
	}
	s.Asked, s.Failed = status.At, false
	d := keep(s, waiting...)
	for _, id := range s.Moving {
		if o, ok := status.Node(id); ok && o.Err == nil {
			d.Effects = append(d.Effects, Attach{Node: id, Upstream: s.primary()})
		}
	}
	return d
}

// unsettled returns why standbys that answer do not follow the leader yet, and which do not answer at all.
func (s State) unsettled(status topology.Status, leader topology.Observation) (waiting []Reason, missing []topology.NodeID) {
	for _, n := range s.Shape.Nodes {
		o, ok := status.Node(n.ID)
		switch {
		case n.ID == leader.Node:
		case !ok || o.Err != nil:
			missing = append(missing, n.ID)
		case o.Receiver == nil || o.Receiver.Status != "streaming":
			waiting = append(waiting, Reason{Code: NotFollowing, Node: n.ID, Detail: "is not streaming"})
		case o.Timeline != leader.Timeline || o.Position < s.Opened:
			waiting = append(waiting, Reason{Code: NotFollowing, Node: n.ID,
				Detail: fmt.Sprintf("is at %v on timeline %d", o.Position, o.Timeline)})
		}
	}
	return waiting, missing
}

// done takes the outcome of an effect. One that does not belong to the phase, because an observation overtook it, is
// dropped.
func (p Policy) done(s State, d Done) Decision {
	switch e := d.Effect.(type) {
	case Fence:
		if s.Phase != Fencing || e.Node != s.primary() {
			break
		}
		if d.Err != nil {
			return s.failed(Reason{Code: FenceUnknown, Node: e.Node, Detail: d.Err.Error()})
		}
		return keep(s.enter(Electing, d.At), Reason{Code: Fenced, Node: e.Node})
	case Promote:
		if s.Phase != Promoting || e.Node != s.Candidate {
			break
		}
		if d.Err != nil {
			return s.failed(Reason{Code: PromotionUnknown, Node: e.Node, Detail: d.Err.Error()})
		}
		return p.promoted(s, d.At)
	case Attach:
		if s.Phase != Settling || !slices.Contains(s.Moving, e.Node) {
			break
		}
		if d.Err != nil {
			return s.failed(Reason{Code: AttachFailed, Node: e.Node, Detail: d.Err.Error()})
		}
		s.Moving = slices.DeleteFunc(slices.Clone(s.Moving), func(id topology.NodeID) bool { return id == e.Node })
		return keep(s, Reason{Code: Attached, Node: e.Node})
	}
	return keep(s, Reason{Code: NothingToDo})
}

// again repeats an effect that failed, not more often than every RetryAfter.
func (p Policy) again(s State, at time.Time, e Effect, why Reason) Decision {
	if !s.Failed || at.Sub(s.Asked) < p.RetryAfter {
		return keep(s, Reason{Code: Waiting, Node: e.Target()})
	}
	s.Asked, s.Failed = at, false
	return Decision{State: s, Effects: []Effect{e}, Reasons: []Reason{why}}
}

// keep is a decision to do nothing.
func keep(s State, reasons ...Reason) Decision { return Decision{State: s, Reasons: reasons} }

// enter begins a phase.
func (s State) enter(phase Phase, at time.Time) State {
	s.Phase, s.Since, s.Asked, s.Failed, s.Candidate, s.Misses = phase, at, time.Time{}, false, "", 0
	return s
}

// failed notes that the pending effect may be tried again.
func (s State) failed(why Reason) Decision {
	s.Failed = true
	return keep(s, why)
}

// primary is the node in charge, or the one being replaced.
func (s State) primary() topology.NodeID {
	n, _ := s.Shape.Primary()
	return n.ID
}

// known returns the furthest sighting of a node.
func (s State) known(id topology.NodeID) Sighting {
	if i := slices.IndexFunc(s.Known, func(k Sighting) bool { return k.Node == id }); i >= 0 {
		return s.Known[i]
	}
	return Sighting{Node: id}
}

// childMoved reports whether a node directly below the primary has more WAL than it ever showed before.
func (s State) childMoved(status topology.Status) bool {
	for _, n := range s.Shape.Children(s.primary()) {
		if o, ok := status.Node(n.ID); ok && o.Err == nil && o.Position > s.known(n.ID).Position {
			return true
		}
	}
	return false
}

// sighted returns known brought up to date.
func sighted(known []Sighting, status topology.Status) []Sighting {
	known = slices.Clone(known)
	for _, o := range status.Nodes {
		if o.Err != nil {
			continue
		}
		i := slices.IndexFunc(known, func(k Sighting) bool { return k.Node == o.Node })
		if i < 0 {
			known = append(known, Sighting{Node: o.Node})
			i = len(known) - 1
		}
		known[i].Timeline = max(known[i].Timeline, o.Timeline)
		known[i].Position = max(known[i].Position, o.Position)
	}
	return known
}

// acts reports whether a node answered as a primary.
func acts(status topology.Status, id topology.NodeID) bool {
	o, ok := status.Node(id)
	return ok && o.Err == nil && !o.InRecovery
}

// silence says in which way a node does not act as a primary.
func silence(status topology.Status, id topology.NodeID) string {
	o, ok := status.Node(id)
	switch {
	case !ok:
		return "was not asked"
	case o.Err != nil:
		return o.Err.Error()
	default:
		return "answers as a standby"
	}
}

// otherPrimaries returns the nodes of the shape that answer as a primary beside the one in charge.
func otherPrimaries(shape topology.Cluster, status topology.Status, primary topology.NodeID) []topology.NodeID {
	var others []topology.NodeID
	for _, n := range shape.Nodes {
		if n.ID != primary && acts(status, n.ID) {
			others = append(others, n.ID)
		}
	}
	return others
}
