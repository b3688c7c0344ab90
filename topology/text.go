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
	columns := []string{string(p.Role), p.State(), "-", "-"}
	if o.Timeline != 0 {
		columns[2] = strconv.FormatUint(uint64(o.Timeline), 10)
	}
	if o.Position != 0 {
		columns[3] = o.Position.String()
	}
	return append(columns, p.Link.columns()...)
}

// columns returns the three lags; "-" stands for what is not known.
func (l *Link) columns() []string {
	columns := []string{"-", "-", "-"}
	if l == nil {
		return columns
	}
	if l.FlushBytes >= 0 {
		columns[0] = Bytes(l.FlushBytes)
	}
	if l.ReplayBytes >= 0 {
		columns[1] = Bytes(l.ReplayBytes)
		columns[2] = l.ReplayTime.Round(time.Millisecond).String()
	}
	return columns
}

// State returns a few words: what the node is doing, and for a synchronous standby that the primary waits for it. A standby
// that says it streams, but that no upstream which answers confirms, is "unconfirmed"; one without a WAL receiver is "detached";
// "in a loop" are standbys that follow each other.
func (p *Place) State() string {
	switch {
	case p.Observation.Err != nil:
		return "no answer"
	case p.Role == RolePrimary && p.Observation.ReadOnly:
		return "read-only"
	case p.Role == RolePrimary:
		return "read-write"
	case p.loop:
		return "in a loop"
	case p.Link == nil && p.Observation.Receiver != nil:
		return p.Observation.Receiver.Status + ", unconfirmed"
	case p.Link == nil:
		return "detached"
	case p.Link.SyncState == "async":
		return p.Link.State
	default:
		return p.Link.State + ", " + p.Link.SyncState
	}
}

// Bytes writes an amount for people, in units of 1024 as PostgreSQL has them: 0 B, 312 B, 64.0 kB, 1.5 MB.
func Bytes(n int64) string {
	const units = "kMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1023.95 && unit < len(units)-1 { // which would be printed as 1024.0
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %cB", f, units[unit])
}
