package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/clusterfile"
	"github.com/understudy-ha/understudy/topology/host"
)

// machines is how the machines of the nodes are worked on.
type machines struct {
	OSUser     string        `name:"os-user" placeholder:"USER" help:"Run commands of this machine as this user, and of containers. Default: whoever runs this."`
	Basebackup string        `placeholder:"PROGRAM" help:"Clone with this program of the machines (examples/basebackup) in place of pg_basebackup."`
	StepTime   time.Duration `name:"step-timeout" default:"2m" placeholder:"TIME" help:"How long to wait for one thing, such as a server's start. Default: 2m."`
}

// consent is whether people are asked.
type consent struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// builder returns what works on the cluster of a description.
func (m machines) builder(c topology.Cluster, progress func(build.Event)) (*build.Builder, error) {
	b, err := build.New(build.Config{
		Cluster: c, Machines: host.OpenConfig{User: m.OSUser}, Basebackup: m.Basebackup, Timeout: m.StepTime, Progress: progress,
	})
	if err != nil {
		return nil, codeError{exitFile, err}
	}
	return b, nil
}

type planCommand struct {
	source
	machines
	JSON bool `name:"json" help:"Print the plan for tools."`
}

// Run prints what has to be done, and does nothing.
func (k *planCommand) Run(ctx context.Context, out *streams) error {
	c, err := k.load(out)
	if err != nil {
		return err
	}
	b, err := k.builder(c, nil)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	plan, err := planFor(ctx, b)
	if err != nil {
		return err
	}
	if k.JSON {
		err = printJSON(out.Out, plan)
	} else {
		_, err = io.WriteString(out.Out, plan.String())
	}
	return cmp.Or(err, planned(plan))
}

// planned is how a plan ends that is not carried out.
func planned(plan topology.Plan) error {
	switch {
	case len(plan.Refused) > 0:
		return codeError{code: exitCritical}
	case len(plan.Steps) > 0:
		return codeError{code: exitWarning}
	default:
		return nil
	}
}

// planFor looks at all machines and servers.
func planFor(ctx context.Context, b *build.Builder) (topology.Plan, error) {
	plan, err := b.Plan(ctx)
	if err != nil {
		return plan, codeError{exitCannotTell, err}
	}
	return plan, nil
}

type applyCommand struct {
	source
	machines
	consent
	DryRun bool `name:"dry-run" help:"Only print the plan."`
}

// Run prints the plan, asks, and carries it out. Interrupted, it can be started again: it plans from what it finds.
func (k *applyCommand) Run(ctx context.Context, out *streams) error {
	if k.DryRun {
		return (&planCommand{source: k.source, machines: k.machines}).Run(ctx, out)
	}
	c, err := k.load(out)
	if err != nil {
		return err
	}
	b, err := k.builder(c, progress(out.Out))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	plan, err := planFor(ctx, b)
	if err != nil {
		return err
	}
	fmt.Fprint(out.Out, plan)
	if len(plan.Steps) == 0 {
		return planned(plan)
	}
	if err := k.ask(k.source, out, "Carry out these steps?"); err != nil {
		return err
	}
	if err := b.Apply(ctx, plan); err != nil {
		return err
	}
	left, err := planFor(ctx, b)
	if err != nil {
		return err
	}
	if len(left.Steps)+len(left.Refused) > 0 {
		fmt.Fprint(out.Out, "This is left:\n", left)
		return planned(left)
	}
	fmt.Fprintln(out.Out, "The cluster is as described.")
	return nil
}

// ask asks a question; only y and yes let the command go on.
func (k consent) ask(from source, out *streams, question string) error {
	if k.Yes {
		return nil
	}
	if from.File == "-" {
		return codeError{exitUsage, errors.New("standard input is the description, so that nobody can be asked: add --yes")}
	}
	fmt.Fprintf(out.Out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(out.In).ReadString('\n') // the end of the input is no answer
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return codeError{exitFailed, errors.New("the answer was not yes: nothing was done")}
}

// progress prints each step when it ends, and on a terminal also while it lasts.
func progress(to io.Writer) func(build.Event) {
	_, _, isTerminal := screenOf(to)
	return func(e build.Event) {
		switch {
		case e.State != build.Begun:
			fmt.Fprintln(to, e)
		case isTerminal:
			fmt.Fprintf(to, "%v …\x1b[K\r", e)
		}
	}
}

// describe prints a description that a verb has changed, so that it can take the place of the old one.
func describe(c topology.Cluster, from source, out *streams) error {
	text, err := clusterfile.Render(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.Err, "topology: done; the description is another one now: put this in the place of %s\n", from.File)
	_, err = out.Out.Write(text)
	return err
}
