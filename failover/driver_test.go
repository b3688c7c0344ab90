package failover_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/topology"
)

// world is a cluster of two nodes whose primary dies at a given time.
type world struct {
	begin    time.Time
	dies     time.Duration
	fenced   bool
	promoted bool
	failures int // how many fences fail before one succeeds
	done     []string
}

var pair = topology.Cluster{Name: "pair", Nodes: []topology.Node{
	{ID: "a", Host: "a"}, {ID: "b", Host: "b", Upstream: "a", Sync: true},
}}

func (w *world) Observe(context.Context) topology.Status {
	now := time.Now()
	a := topology.Observation{Node: "a", At: now, Timeline: 1, Position: 1 << 20}
	b := topology.Observation{Node: "b", At: now, Timeline: 1, Position: 1 << 20, InRecovery: !w.promoted}
	if w.promoted {
		b.Timeline = 2
	}
	if now.Sub(w.begin) >= w.dies {
		a.Err = errors.New("connection refused")
	} else {
		b.Receiver = &topology.Receiver{Status: "streaming"}
	}
	return topology.Status{At: now, Nodes: []topology.Observation{a, b}}
}

func (w *world) Do(_ context.Context, e failover.Effect) error {
	w.done = append(w.done, fmt.Sprintf("%T %s", e, e.Target()))
	switch e.(type) {
	case failover.Fence:
		if w.failures--; w.failures >= 0 {
			return context.DeadlineExceeded
		}
		w.fenced = true
	case failover.Promote:
		w.promoted = true
	}
	return nil
}

func TestDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{begin: time.Now(), dies: 3 * time.Second, failures: 2}
		d := failover.Driver{World: w}
		state, err := d.Run(t.Context(), failover.Begin(pair, time.Now()), func(s failover.State) bool {
			return s.Phase == failover.Settling
		})
		require.NoError(t, err)
		require.Equal(t, failover.Settling, state.Phase)
		require.Equal(t, []string{"failover.Fence a", "failover.Fence a", "failover.Fence a", "failover.Promote b"}, w.done)
		// The last answer came one tick before the death at the earliest; then FailAfter, two repeated fences, one tick each.
		require.LessOrEqual(t, time.Since(w.begin), 3*time.Second+5*time.Second+time.Second+2*time.Second)
	})
}

func TestDriverEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w := &world{begin: time.Now(), dies: time.Hour}
		state, err := (&failover.Driver{World: w}).Run(ctx, failover.Begin(pair, time.Now()), nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, failover.Watching, state.Phase)
		require.Empty(t, w.done)
	})
}

func TestDriverWithoutWorld(t *testing.T) {
	_, err := (&failover.Driver{}).Run(t.Context(), failover.State{}, nil)
	require.ErrorContains(t, err, "World is missing")
}

// BenchmarkStep is one decision of a watching machine, which is what nearly all of its life consists of.
func BenchmarkStep(b *testing.B) {
	w := &world{begin: time.Now(), dies: time.Hour}
	status := w.Observe(b.Context())
	state := failover.Begin(pair, status.At)
	b.ReportAllocs()
	for b.Loop() {
		state = failover.Policy{}.Step(state, failover.Observed{Status: status}).State
	}
}
