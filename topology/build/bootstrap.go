package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
)

// BootstrapConfig says how far [Builder.Bootstrap] may go with a primary that is there already.
type BootstrapConfig struct {
	// RestartPrimary allows to restart the server that is adopted, where a parameter needs that. Without it, what waits for a restart is
	// returned, and the cluster works without it as far as it can.
	RestartPrimary bool
}

// Bootstrap makes the cluster: the primary first, by initdb, or, if its data directory is there, by taking it as it is; then each standby
// as a copy of its upstream, those near the primary first; and when all stream, commits begin to wait for the synchronous ones. So whoever
// writes meanwhile never waits for a standby that is not there.
//
// It refuses, before anything has changed, if a machine cannot be looked at, or if a node other than the primary holds data that is no
// standby of it. What an interrupted Bootstrap left is such a standby, so calling it again goes on.
//
// The steps that it returns wait for a restart of the adopted primary; see BootstrapConfig.
func (b *Builder) Bootstrap(ctx context.Context, cfg BootstrapConfig) (pending []topology.Step, err error) {
	err = b.locked(ctx, func(ctx context.Context) error {
		o, err := b.Observe(ctx)
		if err != nil {
			return err
		}
		adopted, err := b.checkGround(o)
		if err != nil {
			return err
		}
		may := allowed{initialise: !adopted, keepRunning: adopted && !cfg.RestartPrimary}
		pending, err = b.converge(ctx, may)
		return err
	})
	return pending, err
}

// checkGround refuses machines that hold what is not of this cluster, and reports whether the primary is there already.
func (b *Builder) checkGround(o topology.Observed) (adopted bool, err error) {
	primary, _ := b.cfg.Cluster.Primary()
	var errs []error
	for _, i := range o.Inspections {
		if i.Err != nil {
			errs = append(errs, fmt.Errorf("node %s cannot be looked at, and what is not seen is not known to be empty: %w", i.Node, i.Err))
		}
	}
	at, ok := o.Inspection(primary.ID)
	if !ok || len(errs) > 0 {
		return false, errors.Join(errs...)
	}
	if at.Exists && at.Start.Outcome != recovery.StartsPrimary {
		errs = append(errs, fmt.Errorf("node %s shall be the primary, and its data directory says otherwise: %s", primary.ID, at.Start))
	}
	for _, i := range o.Inspections {
		if i.Node != primary.ID && i.Exists && !isStandbyOf(i, at) {
			n, _ := b.cfg.Cluster.Node(i.Node)
			errs = append(errs, &NotRedundantError{
				Node: i.Node, DataDir: n.DataDir, Why: "it is no standby of " + string(primary.ID),
				Remedy: "move it away if nobody needs it; nothing was changed",
			})
		}
	}
	return at.Exists, errors.Join(errs...)
}

// isStandbyOf reports whether a data directory is a copy of the primary's that starts as a standby.
func isStandbyOf(i, primary topology.Inspection) bool {
	return primary.Exists && i.Control.SystemID == primary.Control.SystemID && i.Start.Outcome == recovery.StartsStandby
}

// mostRounds bounds how often is planned anew. One round makes a cluster, a second one finds nothing to do; each further one needs
// somebody who changes things meanwhile.
const mostRounds = 6

// UnreachedError says that the description was not reached, although no step failed.
type UnreachedError struct{ Plan topology.Plan }

func (e *UnreachedError) Error() string {
	if len(e.Plan.Refused) > 0 {
		var all []string
		for _, r := range e.Plan.Refused {
			all = append(all, fmt.Sprintf("%s: %s", r.Node, r.Why))
		}
		return "not everything is planned: " + strings.Join(all, "; ")
	}
	return fmt.Sprintf("after %d rounds there still is something to do, first %s on %s: somebody else changes it back",
		mostRounds, actionName(e.Plan.Steps[0].Action), e.Plan.Steps[0].Node)
}

// converge plans and applies until nothing is to be done. It returns the steps that it was not allowed to do.
func (b *Builder) converge(ctx context.Context, may allowed) ([]topology.Step, error) {
	var plan topology.Plan
	for range mostRounds {
		var err error
		if plan, err = b.Plan(ctx); err != nil {
			return nil, err
		}
		todo, pending := b.without(plan, may)
		if len(todo.Steps) == 0 {
			if len(plan.Refused) > 0 {
				return pending, &UnreachedError{plan}
			}
			return pending, nil
		}
		if err := b.apply(ctx, todo, may); err != nil {
			return pending, err
		}
	}
	return nil, &UnreachedError{plan}
}

// without leaves out the restart of a primary that must go on running.
func (b *Builder) without(plan topology.Plan, may allowed) (todo topology.Plan, pending []topology.Step) {
	primary, _ := b.cfg.Cluster.Primary()
	todo.Refused = plan.Refused
	for _, s := range plan.Steps {
		_, restarts := s.Action.(topology.Restart)
		if may.keepRunning && restarts && s.Node == primary.ID {
			pending = append(pending, s)
			continue
		}
		todo.Steps = append(todo.Steps, s)
	}
	if len(pending) > 0 && !slices.ContainsFunc(todo.Steps, changes) {
		todo.Steps = nil // who waits for the consequences of a restart need not
	}
	return todo, pending
}

// changes reports whether a step does more than wait.
func changes(s topology.Step) bool {
	_, waits := s.Action.(topology.AwaitStreaming)
	return !waits
}
