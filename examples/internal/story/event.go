package story

import (
	"time"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/topology"
)

// Kind says what an [Event] is about.
type Kind string

// The kinds of events.
const (
	KindStep     Kind = "step"     // a step begins; Message is its title
	KindDone     Kind = "done"     // it ended well after Seconds
	KindNote     Kind = "note"     // something worth knowing in between
	KindTree     Kind = "tree"     // the observed cluster
	KindDecision Kind = "decision" // the failover machine changed its phase
	KindRows     Kind = "rows"     // progress of the client
	KindProof    Kind = "proof"    // something was proven
	KindTiming   Kind = "timing"   // how long no write was accepted, by phase
	KindReport   Kind = "report"   // the end: every proof held
	KindError    Kind = "error"    // the end: a step or proof failed
)

// Event is one thing that happened, as it is printed. Fields that do not belong to the kind are absent.
type Event struct {
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"event"`
	Step    int       `json:"step,omitempty"`  // number of the step, from 1
	Steps   int       `json:"steps,omitempty"` // how many there are
	Message string    `json:"message,omitempty"`
	Seconds float64   `json:"seconds,omitempty"`

	Tree     []NodeLine `json:"tree,omitempty"`
	Drawing  string     `json:"-"` // the tree as text
	From     string     `json:"from,omitempty"`
	To       string     `json:"to,omitempty"`
	Reasons  []string   `json:"reasons,omitempty"`
	Rows     int        `json:"rows,omitempty"` // acknowledged so far
	Expected int        `json:"rows_expected,omitempty"`
	Timing   *Timing    `json:"timing,omitempty"`
	Report   *Report    `json:"report,omitempty"`
}

// NodeLine is one node of a tree as an event carries it.
type NodeLine struct {
	Node        topology.NodeID `json:"node"`
	Upstream    topology.NodeID `json:"upstream,omitempty"` // as observed
	Role        topology.Role   `json:"role"`
	State       string          `json:"state"`
	Timeline    uint32          `json:"timeline,omitempty"`
	Position    string          `json:"position,omitempty"`
	FlushBytes  *int64          `json:"flush_lag_bytes,omitempty"`
	ReplayBytes *int64          `json:"replay_lag_bytes,omitempty"`
	ReplayTime  *float64        `json:"replay_lag_seconds,omitempty"`
}

// Timing is how long no write was accepted, and where the time went. The phases follow one another and add up to Outage,
// which the client measured.
type Timing struct {
	Detect  time.Duration `json:"detect_ns"`      // from the last acknowledged write before the kill to the decision to act
	Fence   time.Duration `json:"fence_ns"`       // until the old master was certainly dead
	Elect   time.Duration `json:"elect_ns"`       // until a candidate was safe
	Promote time.Duration `json:"promote_ns"`     // until it accepted writes
	First   time.Duration `json:"first_write_ns"` // until the first acknowledged write; zero if that came before the promotion was reported
	Outage  time.Duration `json:"outage_ns"`      // sum: between the two acknowledged writes
}

// emit completes an event and hands it on.
func (s *stage) emit(e Event) {
	s.emitting.Lock()
	defer s.emitting.Unlock()
	if s.cfg.Emit == nil {
		return
	}
	e.Time, e.Step, e.Steps = time.Now(), s.step, s.steps
	s.cfg.Emit(e)
}

// decided prints changes of phase, and notes when they happened.
func (s *stage) decided(_ time.Time, from failover.Phase, d failover.Decision) {
	if from == d.State.Phase && len(d.Effects) == 0 {
		return
	}
	var reasons []string
	for _, r := range d.Reasons {
		reasons = append(reasons, r.String())
	}
	s.emit(Event{Kind: KindDecision, From: string(from), To: string(d.State.Phase), Reasons: reasons})
	s.clock.entered(d.State.Phase, time.Now())
}

// lines turns a tree into what an event carries.
func lines(t topology.Tree) []NodeLine {
	up := map[topology.NodeID]topology.NodeID{}
	for _, p := range t.Places() {
		for _, child := range p.Children {
			up[child.Node.ID] = p.Node.ID
		}
	}
	var all []NodeLine
	for _, p := range t.Places() {
		l := NodeLine{Node: p.Node.ID, Upstream: up[p.Node.ID], Role: p.Role, State: p.State()}
		if p.Observation.Err == nil {
			l.Timeline, l.Position = uint32(p.Observation.Timeline), p.Observation.Position.String()
		}
		if p.Link != nil {
			seconds := p.Link.ReplayTime.Seconds()
			l.FlushBytes, l.ReplayBytes, l.ReplayTime = known(p.Link.FlushBytes), known(p.Link.ReplayBytes), known(seconds)
		}
		all = append(all, l)
	}
	return all
}

// known leaves out a lag that is not known, which a link shows as negative.
func known[T int64 | float64](lag T) *T {
	if lag < 0 {
		return nil
	}
	return &lag
}
