package failover_test

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/internal/script"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// teller plays a story on the machine. Times are seconds since its beginning. Commands:
//
//	cluster                 begins; input: one node a line, "id", "id < upstream" or "id < upstream sync"
//	policy FIELD=VALUE ...  max_lag in bytes
//	observe SECONDS         input: one node a line, "id primary TL LSN", "id standby TL LSN [streaming]" or "id down"
//	done EFFECT NODE SECONDS [error]
//	state                   shows the shape
type teller struct {
	t      *testing.T
	policy failover.Policy
	state  failover.State
}

var begun = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestStories(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func(script.Block) string {
		return (&teller{t: t}).tell
	})
}

func (te *teller) tell(b script.Block) string {
	te.t.Helper()
	switch b.Words[0] {
	case "cluster":
		te.state = failover.Begin(te.cluster(b.Input), begun)
		return string(te.state.Phase)
	case "policy":
		lag, err := strconv.ParseInt(strings.TrimPrefix(b.Words[1], "max_lag="), 10, 64)
		require.NoError(te.t, err, "line %d", b.Line)
		te.policy.MaxLag = lag
		return "ok"
	case "observe":
		return te.step(failover.Observed{Status: te.status(b)})
	case "done":
		return te.step(te.outcome(b))
	case "state":
		return te.shape()
	}
	te.t.Fatalf("line %d: unknown command %q", b.Line, b.Words[0])
	return ""
}

// step returns the new phase, the reasons and the effects.
func (te *teller) step(ev failover.Event) string {
	d := te.policy.Step(te.state, ev)
	te.state = d.State
	out := []string{string(d.State.Phase)}
	for _, r := range d.Reasons {
		out = append(out, "  "+r.String())
	}
	for _, e := range d.Effects {
		out = append(out, "! "+effectText(e))
	}
	return strings.Join(out, "\n")
}

func effectText(e failover.Effect) string {
	switch e := e.(type) {
	case failover.Fence:
		return "fence " + string(e.Node)
	case failover.Promote:
		return "promote " + string(e.Node)
	case failover.Attach:
		return "attach " + string(e.Node) + " to " + string(e.Upstream)
	}
	return fmt.Sprintf("%T", e)
}

func (te *teller) at(seconds string) time.Time {
	te.t.Helper()
	f, err := strconv.ParseFloat(seconds, 64)
	require.NoError(te.t, err)
	return begun.Add(time.Duration(f * float64(time.Second)))
}

func (te *teller) cluster(input string) topology.Cluster {
	te.t.Helper()
	c := topology.Cluster{Name: "test"}
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		n := topology.Node{ID: topology.NodeID(words[0]), Host: words[0]}
		if len(words) > 2 {
			n.Upstream = topology.NodeID(words[2])
		}
		n.Sync = len(words) > 3 && words[3] == "sync"
		c.Nodes = append(c.Nodes, n)
	}
	require.NoError(te.t, c.Validate())
	return c
}

func (te *teller) status(b script.Block) topology.Status {
	te.t.Helper()
	s := topology.Status{At: te.at(b.Words[1])}
	for line := range strings.Lines(b.Input) {
		words := strings.Fields(line)
		o := topology.Observation{Node: topology.NodeID(words[0]), At: s.At}
		if words[1] == "down" {
			o.Err = errors.New("connection refused")
			s.Nodes = append(s.Nodes, o)
			continue
		}
		tli, err := strconv.ParseUint(words[2], 10, 32)
		require.NoError(te.t, err, "line %d", b.Line)
		o.Timeline = wal.Timeline(tli)
		o.Position, err = wal.ParseLSN(words[3])
		require.NoError(te.t, err, "line %d", b.Line)
		o.InRecovery = words[1] == "standby"
		if len(words) > 4 {
			o.Receiver = &topology.Receiver{Status: words[4], Timeline: o.Timeline}
		}
		s.Nodes = append(s.Nodes, o)
	}
	return s
}

func (te *teller) outcome(b script.Block) failover.Done {
	te.t.Helper()
	d := failover.Done{At: te.at(b.Words[3])}
	node := topology.NodeID(b.Words[2])
	switch b.Words[1] {
	case "fence":
		d.Effect = failover.Fence{Node: node}
	case "promote":
		d.Effect = failover.Promote{Node: node}
	case "attach":
		d.Effect = failover.Attach{Node: node}
	default:
		te.t.Fatalf("line %d: unknown effect %q", b.Line, b.Words[1])
	}
	if len(b.Words) > 4 {
		d.Err = errors.New(strings.Join(b.Words[4:], " "))
	}
	return d
}

func (te *teller) shape() string {
	var out []string
	for _, n := range te.state.Shape.Nodes {
		out = append(out, fmt.Sprintf("%s < %s", n.ID, cmp.Or(string(n.Upstream), "-")))
	}
	return strings.Join(out, "\n")
}
