package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// observing is how servers are asked.
type observing struct {
	Timeout time.Duration `default:"2s" placeholder:"TIME" help:"How long to wait for the answers. Default: 2s."`
}

// observer asks the servers of a cluster.
type observer struct {
	cluster topology.Cluster
	prober  *pgprobe.Prober
}

// open prepares to ask, and connects to nobody yet.
func (o observing) open(ctx context.Context, c topology.Cluster) (*observer, error) {
	account := c.Monitor
	if account.Name == "" {
		account = c.Admin
	}
	connect, err := connections(ctx, c, account)
	if err != nil {
		return nil, codeError{exitCannotTell, err}
	}
	prober, err := pgprobe.New(pgprobe.Config{Connect: connect, Timeout: o.Timeout})
	if err != nil {
		return nil, codeError{exitCannotTell, err}
	}
	return &observer{c, prober}, nil
}

// connections returns how an account reaches all nodes with a server.
func connections(ctx context.Context, c topology.Cluster, a topology.Account) (map[topology.NodeID]string, error) {
	if a.Name == "" {
		return nil, errors.New(`the description names nobody who may ask: add "monitor: NAME", a member of pg_monitor`)
	}
	password := ""
	if a.Secret != "" {
		var err error
		if password, err = build.Secret(ctx, a.Secret); err != nil {
			return nil, err
		}
	}
	all := map[topology.NodeID]string{}
	for _, n := range c.Nodes {
		if n.Witness {
			continue
		}
		info, err := c.Conninfo(n.ID, a)
		if err != nil {
			return nil, err
		}
		if password != "" {
			info = info.With("password", password)
		}
		all[n.ID] = info.Text()
	}
	return all, nil
}

// report asks all servers and judges their answers.
func (o *observer) report(ctx context.Context) topology.Report {
	return topology.Assess(o.cluster, o.prober.Observe(ctx), topology.Limits{})
}

func (o *observer) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // to say goodbye also after an interruption
	defer cancel()
	_ = o.prober.Close(ctx) // what was asked is known
}

// outcome is how a verb ends that shows a report: nobody can tell without an answer, else it is the worst problem.
func outcome(r topology.Report) error {
	silence := map[string]bool{}
	for _, p := range r.Tree.Places() {
		switch {
		case p.Role == topology.RoleWitness:
		case p.Observation.Err == nil:
			return levelError(r.Level())
		default:
			silence[p.Observation.Err.Error()] = true
		}
	}
	reasons := slices.Sorted(maps.Keys(silence))
	return codeError{exitCannotTell, fmt.Errorf("no node answers: %s", cmp.Or(strings.Join(reasons, "; "), "there is none to ask"))}
}

type problemsCommand struct {
	source
	observing
	JSON bool `name:"json" help:"Print an array of objects with code, severity, node, other, msg and remedy."`
}

// Run lists what is wrong.
func (k *problemsCommand) Run(ctx context.Context, out *streams) error {
	c, err := k.load(out)
	if err != nil {
		return err
	}
	o, err := k.open(ctx, c)
	if err != nil {
		return err
	}
	defer o.close(ctx)
	r := o.report(ctx)
	if k.JSON {
		err = printJSON(out.Out, append([]topology.Problem{}, r.Problems...))
	} else {
		_, err = fmt.Fprint(out.Out, r.ProblemText(textOptions(out.Out, "auto")))
	}
	return cmp.Or(err, outcome(r))
}
