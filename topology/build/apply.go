package build

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology"
)

// Event is told to Config.Progress.
type Event struct {
	Step topology.Step
	N    int // of the step in its plan, from 1
	Of   int // how many the plan has

	// State is where the step is.
	State State

	// Took is how long it took; zero when it begins. Err is why it failed.
	Took time.Duration
	Err  error
}

// String says it in a line.
func (e Event) String() string {
	text := fmt.Sprintf("%d/%d %s on %s: %s", e.N, e.Of, actionName(e.Step.Action), e.Step.Node, e.State)
	if e.State != Begun {
		text += fmt.Sprintf(" after %v", e.Took.Round(time.Millisecond))
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// State is where a step is.
type State string

// The states.
const (
	Begun  State = "begun"
	Done   State = "done"
	Failed State = "failed"
)

// StepError says which step of a plan failed. Steps before it are done, those after it are not begun. What is done stays, and does no
// harm: observe, plan and apply again, and it goes on from there.
type StepError struct {
	Step topology.Step
	N    int             // of the step in its plan, from 1
	Left []topology.Step // those that were not begun
	Err  error
}

func (e *StepError) Error() string {
	left := "it was the last one"
	if n := len(e.Left); n > 0 {
		left = fmt.Sprintf("%d more were not begun", n)
	}
	return fmt.Sprintf("step %d, %s on %s: %v; %s: remove the cause, then plan and apply again",
		e.N, actionName(e.Step.Action), e.Step.Node, e.Err, left)
}

func (e *StepError) Unwrap() error { return e.Err }

// Apply does the steps of a plan in their order, and stops at the first one that fails, with a [*StepError]. Each step looks whether it
// is done, does it, and looks whether that worked. Every node's machine is locked meanwhile; if somebody else has locked one, the
// error is a [*LockedError] and nothing has changed.
//
// A plan is good for what was observed when it was made. If the cluster has changed since, steps may fail; none does harm that the
// plan did not say.
func (b *Builder) Apply(ctx context.Context, plan topology.Plan) error {
	if len(plan.Steps) == 0 {
		return nil
	}
	return b.locked(ctx, func(ctx context.Context) error { return b.apply(ctx, plan, allowed{}) })
}

// allowed is what only a verb that was asked for may do, or must not.
type allowed struct {
	initialise  bool // make a new cluster
	keepRunning bool // leave the primary running, whatever waits for its restart
}

func (b *Builder) apply(ctx context.Context, plan topology.Plan, may allowed) error {
	for i, step := range plan.Steps {
		event := Event{Step: step, N: i + 1, Of: len(plan.Steps), State: Begun}
		b.cfg.Progress(event)
		begun := time.Now()
		err := b.mustHold(step.Node)
		if err == nil {
			err = b.do(ctx, step, may)
		}
		event.Took, event.State, event.Err = time.Since(begun), Done, err
		if err != nil {
			event.State = Failed
			b.cfg.Progress(event)
			return &StepError{Step: step, N: event.N, Left: plan.Steps[i+1:], Err: err}
		}
		b.cfg.Logger.InfoContext(ctx, "step done", "node", step.Node, "action", actionName(step.Action), "why", step.Why)
		b.cfg.Progress(event)
	}
	return nil
}

// actionName is the word for what a step does.
func actionName(a topology.Action) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", a), "topology.")
}
