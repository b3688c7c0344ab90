package topology

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

var errNotAsked = errors.New("was not observed")

// String draws the tree for people, one node a line under a line of headings: the name drawn as a tree, role, state, timeline, position
// and lag behind its upstream in bytes (flushed and replayed) and time. It ends with a newline.
func (t Tree) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tSTATE\tTL\tPOSITION\tFLUSH LAG\tREPLAY LAG\tTIME LAG")
	for _, root := range t.Roots {
		writePlace(w, root, "", "")
	}
	_ = w.Flush() // a strings.Builder does not fail
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// writePlace writes one node and what is below it: branch is drawn before its name, indent before those of its children.
func writePlace(w *tabwriter.Writer, p *Place, branch, indent string) {
	fmt.Fprintf(w, "%s%s\t%s\n", branch, p.Node.ID, strings.Join(p.columns(), "\t"))
	for i, child := range p.Children {
		if i == len(p.Children)-1 {
			writePlace(w, child, indent+"└─ ", indent+"   ")
		} else {
			writePlace(w, child, indent+"├─ ", indent+"│  ")
		}
	}
}

// columns returns what stands behind the name.
func (p *Place) columns() []string {
	o := p.Observation
	if o.Err != nil {
		return []string{string(p.Role), "no answer", "-", "-", "-", "-", "-"}
	}
	columns := []string{string(p.Role), p.State(), strconv.Itoa(int(o.Timeline)), o.Position.String()}
	if p.Link == nil {
		return append(columns, "-", "-", "-")
	}
	return append(columns, Bytes(p.Link.FlushBytes), Bytes(p.Link.ReplayBytes), p.Link.ReplayTime.Round(time.Millisecond).String())
}

// State returns one or two words: what the node is doing, and for a synchronous standby that the primary waits for it.
func (p *Place) State() string {
	switch {
	case p.Observation.Err != nil:
		return "no answer"
	case p.Role == RolePrimary && p.Observation.ReadOnly:
		return "read-only"
	case p.Role == RolePrimary:
		return "read-write"
	case p.Link == nil:
		return "detached"
	case p.Link.SyncState == "async":
		return p.Link.State
	default:
		return p.Link.State + ", " + p.Link.SyncState
	}
}

// Bytes writes an amount for people, with the units of PostgreSQL: 0 B, 312 B, 64.0 kB, 1.5 MB.
func Bytes(n int64) string {
	const units = "kMGTP"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %cB", f, units[unit])
}
