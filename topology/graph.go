package topology

import (
	"fmt"
	"slices"
	"strings"
)

// graph is a picture before it is written in one language or another.
type graph struct {
	title []string
	sites []graphSite
	edges []edge
	index map[*Place]int
}

// graphSite is the nodes at one site, in the order of the tree; those without a site come first, and stand in no frame.
type graphSite struct {
	name  string
	nodes []graphNode
}

type graphNode struct {
	index int
	lines []string // of its label
	place *Place
	class class
}

// class is how a node looks: by its worst problem, else by what it is.
type class string

const (
	classPlain    class = "plain"
	classPrimary  class = "primary"
	classUnknown  class = "unknown"
	classNotice   class = "notice"
	classWarning  class = "warning"
	classCritical class = "critical"
)

// look is the colours of a class.
type look struct{ fill, line, text string }

// looks keep a contrast of at least 4.5 between text and fill.
var looks = map[class]look{
	classPlain:    {"#ffffff", "#5b6770", "#1c2429"},
	classPrimary:  {"#dcefe3", "#1f7a44", "#123d24"},
	classUnknown:  {"#eceff1", "#90a0aa", "#455058"},
	classNotice:   {"#e3f0fa", "#2b7bbb", "#123a5a"},
	classWarning:  {"#fff3cd", "#c08a00", "#5a4100"},
	classCritical: {"#fde0de", "#c62828", "#6e1414"},
}

// classes is the order in which classes are written.
var classes = []class{classPlain, classPrimary, classUnknown, classNotice, classWarning, classCritical}

// graph prepares the picture of a report.
func (r Report) graph() graph {
	g := graph{edges: r.Tree.edges(), index: map[*Place]int{}, title: []string{r.Cluster}}
	if r.Cluster == "" {
		g.title = []string{"cluster"}
	}
	if at := r.timeText(); at != "" {
		g.title = append(g.title, at)
	}
	for _, p := range r.Problems {
		if p.Node == "" {
			g.title = append(g.title, p.Severity.String()+": "+string(p.Code))
		}
	}
	worst := r.worst()
	for i, p := range r.Tree.Places() {
		g.index[p] = i
		g.add(p.Node.Site, graphNode{i, r.label(p), p, p.class(worst)})
	}
	return g
}

func (g *graph) add(site string, n graphNode) {
	i := slices.IndexFunc(g.sites, func(s graphSite) bool { return s.name == site })
	switch {
	case i >= 0:
		g.sites[i].nodes = append(g.sites[i].nodes, n)
	case site == "":
		g.sites = slices.Insert(g.sites, 0, graphSite{site, []graphNode{n}})
	default:
		g.sites = append(g.sites, graphSite{site, []graphNode{n}})
	}
}

func (p *Place) class(worst map[NodeID]Severity) class {
	severity, troubled := worst[p.Node.ID]
	switch {
	case troubled && severity == Critical:
		return classCritical
	case troubled && severity == Warning:
		return classWarning
	case troubled:
		return classNotice
	case p.Role == RolePrimary:
		return classPrimary
	case p.Observation.Err != nil:
		return classUnknown
	default:
		return classPlain
	}
}

// label returns the lines in a node: its name, what it is and does, where it is, and the codes of its problems.
func (r Report) label(p *Place) []string {
	lines := []string{string(p.Node.ID), p.Node.hostPort(), string(p.Role) + ": " + p.State()}
	o := p.Observation
	if o.Err == nil && o.Position != 0 {
		lines = append(lines, fmt.Sprintf("timeline %d, %s", o.Timeline, o.Position))
	}
	if notes := p.particulars(); notes != "" {
		lines = append(lines, notes)
	}
	for _, problem := range r.Problems {
		if problem.Node == p.Node.ID {
			lines = append(lines, problem.Severity.String()+": "+string(problem.Code))
		}
	}
	return lines
}

// label returns the lines beside an edge.
func (e edge) label() []string {
	if e.link == nil {
		return []string{string(e.evidence)}
	}
	first := e.link.State
	if e.link.SyncState != "" {
		first += ", " + e.link.SyncState
	}
	if e.evidence != LinkConfirmed {
		first += ", " + string(e.evidence)
	}
	lines := []string{first}
	columns := e.link.columns()
	if columns[0] != "-" {
		lines = append(lines, "flush lag "+columns[0])
	}
	if columns[1] != "-" {
		lines = append(lines, "replay lag "+columns[1]+", "+columns[2])
	}
	return lines
}

// DOT draws the report in the language of Graphviz: "dot -Tsvg" makes a picture of it. Nodes at one site stand in a frame. A solid arrow
// is confirmed by the upstream, a dashed one is said by one end only; a dotted one is the
// archive, or, in grey, wanted and not there. A node has the colour of
// its worst problem: red for critical, yellow for a warning, blue for a notice; else green for a primary and grey for no answer.
func (r Report) DOT() string {
	var b strings.Builder
	g := r.graph()
	fmt.Fprintf(&b, `digraph %s {
  graph [label=%s, labelloc=t, fontname="Helvetica", fontsize=12, nodesep=0.5, ranksep=0.7];
  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, margin="0.2,0.1"];
  edge [fontname="Helvetica", fontsize=10, color="#5b6770", fontcolor="#1c2429"];
`, dotQuote(g.title[0]), dotQuote(g.title...))
	for i, site := range g.sites {
		indent := "  "
		if site.name != "" {
			fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s; labeljust=l; color=\"#b0bec5\"; style=rounded;\n", i, dotQuote("site "+site.name))
			indent = "    "
		}
		for _, n := range site.nodes {
			l := looks[n.class]
			fmt.Fprintf(&b, "%sn%d [label=%s, fillcolor=%q, color=%q, fontcolor=%q%s];\n",
				indent, n.index, dotQuote(n.lines...), l.fill, l.line, l.text, n.place.dotPen())
		}
		if site.name != "" {
			b.WriteString("  }\n")
		}
	}
	for _, e := range g.edges {
		fmt.Fprintf(&b, "  n%d -> n%d [label=%s%s];\n", g.index[e.up], g.index[e.down], dotQuote(e.label()...), dotStyles[e.evidence])
	}
	b.WriteString("}\n")
	return b.String()
}

// dotPen draws primaries with a stronger line, and what did not answer with a dashed one, so that colours are not needed.
func (p *Place) dotPen() string {
	switch {
	case p.Role == RolePrimary:
		return ", penwidth=2"
	case p.Observation.Err != nil:
		return `, style="rounded,filled,dashed"`
	default:
		return ""
	}
}

var dotStyles = map[Evidence]string{
	LinkConfirmed:   "",
	LinkUnconfirmed: ", style=dashed",
	LinkHearsay:     ", style=dashed",
	LinkArchive:     ", style=dotted",
	LinkWanted:      `, style=dotted, color="#90a0aa", fontcolor="#5b6770", arrowhead=empty`,
}

// dotQuote writes lines as one quoted string of DOT. In a label a backslash begins an escape, \n ends a line, and & begins an entity.
func dotQuote(lines ...string) string {
	escaper := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")
	var quoted []string
	for _, l := range lines {
		quoted = append(quoted, escaper.Replace(printable(l)))
	}
	return `"` + strings.Join(quoted, `\n`) + `"`
}

// Mermaid draws the same picture as [Report.DOT] as a Mermaid flowchart, which GitHub and GitLab show in Markdown. Problems that are the
// cluster's are in a note.
func (r Report) Mermaid() string {
	var b strings.Builder
	g := r.graph()
	b.WriteString("flowchart TD\n")
	fmt.Fprintf(&b, "  title[%s]:::title\n", mermaidQuote(g.title...))
	for i, site := range g.sites {
		indent := "  "
		if site.name != "" {
			fmt.Fprintf(&b, "  subgraph s%d[%s]\n", i, mermaidQuote("site "+site.name))
			indent = "    "
		}
		for _, n := range site.nodes {
			fmt.Fprintf(&b, "%sn%d[%s]:::%s\n", indent, n.index, mermaidQuote(n.lines...), n.class)
		}
		if site.name != "" {
			b.WriteString("  end\n")
		}
	}
	for _, e := range g.edges {
		arrow := "-->"
		if e.evidence != LinkConfirmed {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  n%d %s|%s| n%d\n", g.index[e.up], arrow, mermaidQuote(e.label()...), g.index[e.down])
	}
	b.WriteString("  classDef title fill:none,stroke:none\n")
	for _, c := range classes {
		l := looks[c]
		fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:%s\n", c, l.fill, l.line, l.text)
	}
	return b.String()
}

// mermaidQuote writes lines as one quoted text of Mermaid, whose only escapes are entities: #quot; or #35;. All that Mermaid, Markdown or
// HTML could give a meaning is written so.
func mermaidQuote(lines ...string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, l := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		for _, r := range printable(l) {
			if strings.ContainsRune("\"#&<>`*_~\\[]{}()|;:%$^", r) {
				fmt.Fprintf(&b, "#%d;", r)
			} else {
				b.WriteRune(r)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}
