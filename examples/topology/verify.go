package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/understudy-ha/understudy/topology/pgprobe"
)

type verifyCommand struct {
	source
	observing
	Wait   time.Duration `default:"10s" placeholder:"TIME" help:"How long to wait for the commit, and then for the row on every node. Default: 10s."`
	Schema string        `default:"understudy" placeholder:"NAME" help:"Schema of the table canary, which is created and dropped again if it is not there. Default: understudy."`
}

// Run writes a row on the primary, waits to read it on every node, and says how long each hop took.
func (k *verifyCommand) Run(ctx context.Context, out *streams) error {
	c, err := k.load(out)
	if err != nil {
		return err
	}
	o, err := k.open(ctx, c)
	if err != nil {
		return err
	}
	defer o.close(ctx)
	account := c.Admin
	if account.Name == "" {
		account = c.Monitor
	}
	connect, err := connections(ctx, c, account)
	if err != nil {
		return codeError{exitCannotTell, err}
	}
	r := o.report(ctx)
	v, err := pgprobe.Verify(ctx, r.Tree, pgprobe.VerifyConfig{Connect: connect, Schema: k.Schema, Timeout: k.Wait})
	if v.Leftover != "" {
		fmt.Fprintf(out.Err, "topology: the row could not be removed; when %s answers again, run there: %s\n", v.Primary, v.Leftover)
	}
	if err != nil {
		return codeError{exitCritical, err}
	}
	return cmp.Or(printArrivals(v, out), verified(v))
}

// printArrivals prints a line for each node.
func printArrivals(v pgprobe.Verification, out *streams) error {
	w := tabwriter.NewWriter(out.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tFROM\tAFTER\tHOP\tROW")
	fmt.Fprintf(w, "%s\t-\t%v\t-\tcommitted\n", v.Primary, v.Committed.Round(100*time.Microsecond))
	for _, a := range v.Arrivals {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.Node, cmp.Or(string(a.Upstream), "-"), passed(a, a.Latency), passed(a, a.Hop), fate(a))
	}
	return w.Flush()
}

// passed is a time that counts only where the row came.
func passed(a pgprobe.Arrival, d time.Duration) string {
	if !a.Visible {
		return "-"
	}
	return d.Round(100 * time.Microsecond).String()
}

// fate is what became of the row on a node.
func fate(a pgprobe.Arrival) string {
	switch {
	case a.Visible:
		return "read"
	case a.Late != "":
		return "not yet: " + a.Late
	case a.Err != nil && a.Received:
		return fmt.Sprintf("%v; its WAL is there", a.Err)
	default:
		return fmt.Sprint(a.Err)
	}
}

// verified is how verify ends: the row must be on every node that does not have a reason to be late.
func verified(v pgprobe.Verification) error {
	for _, a := range v.Arrivals {
		if !a.Visible && a.Late == "" {
			return codeError{code: exitCritical}
		}
	}
	return nil
}
