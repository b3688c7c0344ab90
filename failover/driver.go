package failover

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-ha/understudy/topology"
)

// World is what a [Driver] acts on.
type World interface {
	// Observe asks every node, within a time limit of its own. A node that does not answer is an observation with Err. The
	// time of the status is when the last answer was in.
	Observe(ctx context.Context) topology.Status

	// Do carries an effect out and waits until it has certainly taken place: only then it returns nil. Doing an effect
	// again that has already taken place succeeds.
	Do(ctx context.Context, e Effect) error
}

// Driver runs the machine against the world: it observes every Tick, asks [Policy.Step], and carries the effects out one
// after the other, each outcome coming back as an event. It decides nothing by itself.
type Driver struct {
	Policy Policy
	World  World // required

	// Tick is the time between two observations. Zero means 1 s.
	Tick time.Duration

	// OnDecision, if not nil, is told of every decision at the time of its event, before its effects are carried out. It
	// must not block.
	OnDecision func(at time.Time, from Phase, d Decision)
}

// Run watches the cluster from state s on until the context ends, or until stop, asked after every decision that left no
// effect open, returns true. It returns the last state, from which another Run can go on; the error is the context's, or nil.
func (d *Driver) Run(ctx context.Context, s State, stop func(State) bool) (State, error) {
	if d.World == nil {
		return s, errors.New("World is missing")
	}
	tick := d.Tick
	if tick <= 0 {
		tick = time.Second
	}
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for {
		status := d.World.Observe(ctx)
		if err := ctx.Err(); err != nil {
			return s, err // an observation that was cut short says nothing
		}
		var acted bool
		s, acted = d.settle(ctx, s, status)
		if stop != nil && stop(s) {
			return s, nil
		}
		if acted {
			continue // what changed is worth a look at once
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-timer.C:
		}
	}
}

// settle feeds one observation to the machine, and the outcomes of what it asks for until it asks for nothing more. It
// reports whether an effect certainly took place.
func (d *Driver) settle(ctx context.Context, s State, status topology.Status) (_ State, acted bool) {
	s, todo := d.step(s, Observed{Status: status}, status.At)
	for len(todo) > 0 {
		effect := todo[0]
		err := d.World.Do(ctx, effect)
		acted = acted || err == nil
		now := time.Now()
		var more []Effect
		s, more = d.step(s, Done{Effect: effect, At: now, Err: err}, now)
		todo = append(todo[1:], more...)
	}
	return s, acted
}

func (d *Driver) step(s State, ev Event, at time.Time) (State, []Effect) {
	decision := d.Policy.Step(s, ev)
	if d.OnDecision != nil {
		d.OnDecision(at, s.Phase, decision)
	}
	return decision.State, decision.Effects
}
