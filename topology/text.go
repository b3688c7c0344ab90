package topology

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

var errNotAsked = errors.New("was not observed")

// TextOptions say how a report is written for people. The zero value is plain text.
type TextOptions struct {
	// Color marks with the colours of a terminal (ANSI SGR) what the text says as well, so nothing is lost without them: headings and
	// primaries are bold, what is not known or second-hand is faint, a node and its problems are red if one of these is critical,
	// else yellow for a warning, else cyan for a notice.
	Color bool

	// Width is that of the screen, in columns: the text of problems is wrapped to it. Zero means that no line is wrapped.
	Width int
}

// String draws the tree for people, one node a line under a line of headings: the name drawn as a tree, role, state, timeline, position,
// lag behind its upstream in bytes (flushed and replayed) and time, and what is particular about a node. It ends with a newline.
//
// What others say of a node that did not answer is marked with "~" and told beneath the tree, with who says it and when.
func (t Tree) String() string {
	var b strings.Builder
	Report{Tree: t}.writeTree(&b, TextOptions{})
	return b.String()
}

// String is Text without colours.
func (r Report) String() string { return r.Text(TextOptions{}) }

// Text draws the tree as [Tree.String] does, with the problems beneath it. A node with a problem is marked: "!!" for a critical one, "!" for
// a warning.
func (r Report) Text(o TextOptions) string {
	var b strings.Builder
	r.writeTree(&b, o)
	b.WriteByte('\n')
	b.WriteString(r.ProblemText(o))
	return b.String()
}

// writeTree draws the tree and, if there is any, the hearsay.
func (r Report) writeTree(b *strings.Builder, o TextOptions) {
	d := drawing{worst: r.worst(), ends: r.Tree.ends(), notes: r.Tree.hasNotes()}
	headings := []string{"NODE", "ROLE", "STATE", "TL", "POSITION", "FLUSH LAG", "REPLAY LAG", "TIME LAG"}
	if d.notes {
		headings = append(headings, "NOTES")
	}
	row := make([]cell, len(headings))
	for i, h := range headings {
		row[i] = cell{{h, bold}}
	}
	d.rows = append(d.rows, row)
	for _, root := range r.Tree.Roots {
		d.place(root, "", "")
	}
	d.rows.write(b, o.Color)
	for i, line := range r.Tree.hearsayLines() {
		if i == 0 {
			cell{{secondHand + " second-hand, about nodes that did not answer:", faint}}.write(b, o.Color)
			b.WriteString("\n")
		}
		cell{{"  " + line, faint}}.write(b, o.Color)
		b.WriteString("\n")
	}
}

// hearsayLines tells what is said of the nodes that did not answer.
func (t Tree) hearsayLines() []string {
	var lines []string
	for _, p := range t.Places() {
		for _, h := range p.Hearsay {
			lines = append(lines, printable(string(p.Node.ID)+": "+h.String()))
		}
	}
	return lines
}

// drawing collects the lines of a tree.
type drawing struct {
	rows  grid
	worst map[NodeID]Severity
	ends  map[NodeID]wal.LSN
	notes bool
}

// place draws one node and what is below it: branch stands before its name, indent before those of its children.
func (d *drawing) place(p *Place, branch, indent string) {
	name := span{printable(string(p.Node.ID)), plain}
	if worst, ok := d.worst[p.Node.ID]; ok {
		name.style = worst.style()
		name.text += worst.mark()
	}
	role := span{string(p.Role), plain}
	if p.Role == RolePrimary {
		role.style = bold
	}
	row := []cell{{{branch, faint}, name}, {role}}
	for _, text := range d.columns(p) {
		style := plain
		if text == "-" || strings.HasPrefix(text, secondHand) {
			style = faint
		}
		row = append(row, cell{{text, style}})
	}
	if d.notes {
		row = append(row, cell{{p.notes(), plain}})
	}
	d.rows = append(d.rows, row)
	for i, child := range p.Children {
		if i == len(p.Children)-1 {
			d.place(child, indent+"└─ ", indent+"   ")
		} else {
			d.place(child, indent+"├─ ", indent+"│  ")
		}
	}
}

// columns returns what stands behind the role; "-" stands for what is not known.
func (d *drawing) columns(p *Place) []string {
	o := p.Observation
	if o.Err != nil {
		return append([]string{p.State()}, heard(p.Hearsay, d.ends)...)
	}
	columns := []string{printable(p.State()), "-", "-"}
	if o.Timeline != 0 {
		columns[1] = strconv.FormatUint(uint64(o.Timeline), 10)
	}
	if o.Position != 0 {
		columns[2] = o.Position.String()
	}
	return append(columns, p.Link.columns()...)
}

// columns returns the three lags.
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

// hasNotes reports whether anything is particular about a node.
func (t Tree) hasNotes() bool {
	for _, p := range t.Places() {
		if p.notes() != "" {
			return true
		}
	}
	return false
}

// notes returns what was asked for and makes a node different from others: its site, and its particulars.
func (p *Place) notes() string {
	if p.Node.Site == "" {
		return p.particulars()
	}
	site := "site " + printable(p.Node.Site)
	return site + prefixed(", ", p.particulars())
}

// particulars returns what a node does otherwise than others.
func (p *Place) particulars() string {
	var notes []string
	n := p.Node
	if n.ArchiveOnly {
		notes = append(notes, "archive only")
	}
	if n.Delay > 0 {
		notes = append(notes, "delayed "+shortDuration(n.Delay))
	}
	return strings.Join(notes, ", ")
}

// shortDuration writes a duration without the units that are zero at its end: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// State returns a few words: what the node is doing, and for a synchronous standby that the primary waits for it. A standby
// that says it streams, but that no upstream which answers confirms, is "unconfirmed"; one without a WAL receiver is "detached", unless it
// is meant to live from the archive; "in a loop" are standbys that follow each other. If replay is paused or about to be, that is added.
func (p *Place) State() string {
	state := p.following()
	if replaying := p.Observation.Replaying; p.Observation.Err == nil && p.Observation.InRecovery && strings.HasPrefix(replaying, "pause") {
		state += ", replay " + replaying
	}
	return state
}

func (p *Place) following() string {
	switch {
	case p.Role == RoleWitness:
		return "no data"
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
	case p.Link == nil && p.Node.ArchiveOnly:
		return fromArchive
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

// ProblemText lists the problems, each with where it is, what is so and what to do about it; "no problems" if there are none. It ends
// with a newline.
func (r Report) ProblemText(o TextOptions) string {
	if len(r.Problems) == 0 {
		return "no problems\n"
	}
	var b strings.Builder
	for _, p := range r.Problems {
		head := span{fmt.Sprintf("%-8s", p.Severity), p.Severity.style()}
		cell{head, {"  ", plain}, {printable(string(p.Code)), bold}}.write(&b, o.Color)
		if about := p.about(); about != "" {
			b.WriteString("  " + about)
		}
		b.WriteByte('\n')
		room := o.Width - len(problemIndent)
		for _, line := range wrap(printable(p.Msg), room) {
			b.WriteString(problemIndent + line + "\n")
		}
		for i, line := range wrap(printable(p.Remedy), room-2) {
			b.WriteString(problemIndent + []string{"→ ", "  "}[min(i, 1)] + line + "\n")
		}
	}
	return b.String()
}

const problemIndent = "          "

// prefixed returns text with a prefix, and nothing for nothing.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// about names the nodes of a problem.
func (p Problem) about() string {
	switch {
	case p.Other == "":
		return printable(string(p.Node))
	case p.Node == "":
		return printable(string(p.Other))
	default:
		return printable(string(p.Node)) + " / " + printable(string(p.Other))
	}
}

// worst returns the severity of the worst problem about each node that has one.
func (r Report) worst() map[NodeID]Severity {
	worst := map[NodeID]Severity{}
	for _, p := range r.Problems {
		if had, ok := worst[p.Node]; !ok || p.Severity > had {
			worst[p.Node] = p.Severity
		}
	}
	return worst
}

func (s Severity) style() style {
	switch s {
	case Critical:
		return red
	case Warning:
		return yellow
	default:
		return cyan
	}
}

// mark stands behind the name of a node.
func (s Severity) mark() string {
	switch s {
	case Critical:
		return " !!"
	case Warning:
		return " !"
	default:
		return ""
	}
}
