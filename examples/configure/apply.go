package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-ha/understudy/topology/build"
)

// apply makes the machine what the file says.
func (p *program) apply(ctx context.Context, f file) (err error) {
	b, err := p.builder(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if p.DryRun {
		plan, err := b.Plan(ctx)
		if err == nil {
			fmt.Fprintln(p.out, plan)
		}
		return err
	}
	pending, err := b.Bootstrap(ctx, build.BootstrapConfig{})
	if err != nil {
		return err
	}
	for _, step := range pending {
		fmt.Fprintln(p.out, "when you restart the primary:", step)
	}
	if p.steps == 0 && len(pending) == 0 {
		fmt.Fprintln(p.out, "nothing to do: every node is what", f.path, "says")
	}
	return nil
}
