package failover_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

var nodes = []topology.NodeID{"a", "b", "c", "d"}

// drawCluster draws a tree of two to four nodes below a.
func drawCluster(t *rapid.T) topology.Cluster {
	c := topology.Cluster{Name: "law", Nodes: []topology.Node{{ID: "a", Host: "a"}}}
	for i := range rapid.IntRange(1, len(nodes)-1).Draw(t, "standbys") {
		c.Nodes = append(c.Nodes, topology.Node{
			ID: nodes[i+1], Host: string(nodes[i+1]), Sync: rapid.Bool().Draw(t, "sync"),
			Upstream: nodes[rapid.IntRange(0, i).Draw(t, "upstream")],
		})
	}
	return c
}

// drawStatus draws what the nodes say, true or not: the machine must stay safe whatever it is told.
func drawStatus(t *rapid.T, c topology.Cluster, at time.Time) topology.Status {
	s := topology.Status{At: at}
	for _, n := range c.Nodes {
		o := topology.Observation{Node: n.ID, At: at}
		switch rapid.IntRange(0, 5).Draw(t, "answer") {
		case 0, 1:
			o.Err = errors.New("silent")
		case 2:
			continue
		default:
			o.InRecovery = rapid.IntRange(0, 3).Draw(t, "recovering") > 0
			o.Timeline = wal.Timeline(rapid.IntRange(1, 3).Draw(t, "timeline"))
			o.Position = wal.LSN(rapid.IntRange(1, 5).Draw(t, "position") << 20)
			if rapid.Bool().Draw(t, "streams") {
				o.Receiver = &topology.Receiver{Status: "streaming"}
			}
		}
		s.Nodes = append(s.Nodes, o)
	}
	return s
}

// drawEvent draws an observation or the outcome of any effect, asked for or not.
func drawEvent(t *rapid.T, c topology.Cluster, pending []failover.Effect, at time.Time) failover.Event {
	if rapid.IntRange(0, 2).Draw(t, "event") > 0 {
		return failover.Observed{Status: drawStatus(t, c, at)}
	}
	effect := failover.Effect(failover.Fence{Node: rapid.SampledFrom(nodes).Draw(t, "node")})
	if len(pending) > 0 && rapid.Bool().Draw(t, "answer pending") {
		effect = pending[len(pending)-1]
	} else if rapid.Bool().Draw(t, "promote") {
		effect = failover.Promote{Node: effect.Target()}
	}
	var err error
	if rapid.Bool().Draw(t, "fails") {
		err = errors.New("in doubt")
	}
	return failover.Done{Effect: effect, At: at, Err: err}
}

// judgeSafety keeps its own account of what has certainly been fenced, from the events alone.
type judgeSafety struct {
	fenced   map[topology.NodeID]bool // by a successful outcome, and not seen writing since
	writable topology.NodeID          // asked to be promoted, and not fenced since
}

func (j *judgeSafety) event(ev failover.Event) {
	switch ev := ev.(type) {
	case failover.Done:
		if f, ok := ev.Effect.(failover.Fence); ok && ev.Err == nil {
			j.fenced[f.Node] = true
			if j.writable == f.Node {
				j.writable = ""
			}
		}
	case failover.Observed:
		for _, o := range ev.Status.Nodes {
			if o.Err == nil && !o.InRecovery {
				delete(j.fenced, o.Node)
			}
		}
	}
}

// Nobody is promoted before the primary of the moment is certainly fenced, and nobody else while an earlier candidate may
// have become a primary. Nothing panics, no decision lacks a reason, and a decision leaves its input as it was.
func TestLawNoPromotionWithoutFence(t *testing.T) {
	promotions := 0
	rapid.Check(t, func(t *rapid.T) {
		cluster := drawCluster(t)
		now := begun
		state := failover.Begin(cluster, now)
		policy := failover.Policy{FailAfter: 2 * time.Second, Misses: 2}
		judge := judgeSafety{fenced: map[topology.NodeID]bool{}}
		var pending []failover.Effect
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			ev := drawEvent(t, cluster, pending, now)
			before := dump(t, state)
			primary, _ := state.Shape.Primary()
			judge.event(ev)
			d := policy.Step(state, ev)
			if dump(t, state) != before {
				t.Fatalf("the step changed its input")
			}
			if len(d.Reasons) == 0 {
				t.Fatalf("no reason in phase %s", d.State.Phase)
			}
			for _, e := range d.Effects {
				p, ok := e.(failover.Promote)
				if !ok {
					continue
				}
				promotions++
				if p.Node != state.Candidate && !judge.fenced[primary.ID] {
					t.Fatalf("%s is promoted but %s was not certainly fenced", p.Node, primary.ID)
				}
				if judge.writable != "" && judge.writable != p.Node && !judge.fenced[judge.writable] && judge.writable != primary.ID {
					t.Fatalf("%s is promoted although %s may be a primary", p.Node, judge.writable)
				}
				judge.writable = p.Node
			}
			if len(d.Effects) > 0 {
				pending = d.Effects
			}
			state = d.State
		}
	})
	require.Positive(t, promotions, "no schedule ever promoted: the law was not put to the test")
}

// Whoever is elected is at least as far as every synchronous standby that answers, and each set of standbys that can have
// acknowledged a commit has a member who answers. (A fenced primary that is back vouches for itself; the stories cover that.)
func TestLawElectionHearsEveryAcknowledgement(t *testing.T) {
	elected := 0
	rapid.Check(t, func(t *rapid.T) {
		cluster := drawCluster(t)
		state := failover.Begin(cluster, begun)
		state.Phase = failover.Electing
		primary, _ := cluster.Primary()
		status := drawStatus(t, cluster, begun)
		status.Nodes = slices.DeleteFunc(status.Nodes, func(o topology.Observation) bool { return o.Node == primary.ID })
		for i := range status.Nodes {
			status.Nodes[i].Receiver = nil // frozen, or nobody is elected anyway
			status.Nodes[i].Timeline = min(status.Nodes[i].Timeline, 2)
		}
		e := failover.Policy{MaxLag: -1}.Elect(state, status)
		if e.Node == "" {
			return
		}
		elected++
		chosen, _ := status.Node(e.Node)
		if chosen.Err != nil || !chosen.InRecovery {
			t.Fatalf("%s is elected but answers %+v", e.Node, chosen)
		}
		for _, name := range cluster.SyncNames(primary.ID) {
			o, ok := status.Node(name)
			if !ok || o.Err != nil {
				t.Fatalf("%s is elected although %s, which may have acknowledged alone, does not answer", e.Node, name)
			}
			if o.InRecovery && o.Timeline == chosen.Timeline && o.Position > chosen.Position {
				t.Fatalf("%s at %v is elected although %s is at %v", e.Node, chosen.Position, name, o.Position)
			}
		}
	})
	require.Positive(t, elected, "no draw ever elected: the law was not put to the test")
}

func dump(t *rapid.T, s failover.State) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
