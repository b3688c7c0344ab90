package topology_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// situation is a report to show.
type situation struct {
	name   string
	report topology.Report
}

func primary(id topology.NodeID, tl wal.Timeline, at wal.LSN, rows ...topology.Sender) topology.Observation {
	return topology.Observation{
		Node: id, At: noon, Version: 170002, SystemID: 7300000000000000001, Timeline: tl, Position: at, Senders: rows,
	}
}

func standby(id topology.NodeID, tl wal.Timeline, at, replayed wal.LSN, host string, rows ...topology.Sender) topology.Observation {
	o := primary(id, tl, at, rows...)
	o.InRecovery, o.ReadOnly, o.Replayed, o.Replaying = true, true, replayed, "not paused"
	if host != "" {
		o.Flushed = at
		o.Receiver = &topology.Receiver{Status: "streaming", Host: host, Port: 5432, Timeline: tl, LatestEnd: at}
	}
	return o
}

func silent(id topology.NodeID) topology.Observation {
	return topology.Observation{Node: id, At: noon, Err: errors.New("connect: connection refused")}
}

// row is one of pg_stat_replication.
func row(name, address, sync string, flushed, replayed wal.LSN) topology.Sender {
	s := topology.Sender{
		Name: name, Address: address, State: "streaming", SyncState: sync,
		Sent: flushed, Written: flushed, Flushed: flushed, Replayed: replayed, ReplayLag: 1500 * time.Millisecond,
	}
	if sync != "async" {
		s.Priority = 1
	}
	return s
}

func situationOf(name string, c topology.Cluster, nodes []topology.Observation, problems ...topology.Problem) situation {
	s := topology.Status{At: noon, Nodes: nodes}
	return situation{name, topology.Report{Cluster: c.Name, At: s.At, Tree: topology.Derive(c, s), Problems: problems}}
}

const (
	end      wal.LSN = 0x5000148
	replayed wal.LSN = 0x4f00000
)

// situations are what every form is shown with.
func situations() []situation {
	healthy := []topology.Observation{
		primary("master", 1, end, row("cascade", "10.0.0.2", "sync", end, end)),
		standby("cascade", 1, end, end, "10.0.0.1", row("downstream", "10.0.0.3", "async", end, replayed)),
		standby("downstream", 1, end, replayed, "10.0.0.2"),
	}
	lost := topology.Problem{
		Code: "node-silent", Severity: topology.Critical, Node: "master", Msg: "connect: connection refused",
		Remedy: "look at its machine; promote cascade only when it is certain that master is stopped",
	}
	return []situation{
		situationOf("healthy", orders, healthy),
		situationOf("five_nodes", fiveNodes(), fiveAnswers(), topology.Problem{
			Code: "replay-paused", Severity: topology.Warning, Node: "late", Msg: "replay is paused", Remedy: "SELECT pg_wal_replay_resume()",
		}, topology.Problem{
			Code: "wrong-upstream", Severity: topology.Notice, Node: "reports", Other: "b1",
			Msg: "streams from a1 instead of b1", Remedy: "topology reparent reports b1",
		}),
		situationOf("silent", orders, []topology.Observation{silent("master"), healthy[1], healthy[2]}, lost),
		situationOf("silent_standby", orders, []topology.Observation{healthy[0], healthy[1], silent("downstream")}),
		situationOf("split_brain", orders, []topology.Observation{
			healthy[0], primary("cascade", 2, end+16, row("downstream", "10.0.0.3", "async", end, end)),
			standby("downstream", 2, end, end, "10.0.0.2"),
		}, topology.Problem{
			Code: "split-brain", Severity: topology.Critical, Msg: "master and cascade accept writes",
			Remedy: "stop the one whose commits may be lost, at once; then let it follow the other with pg_rewind",
		}),
		situationOf("loop", orders, []topology.Observation{
			silent("master"),
			standby("cascade", 1, end, end, "10.0.0.3", row("downstream", "10.0.0.3", "async", end, end)),
			standby("downstream", 1, end, end, "10.0.0.2", row("cascade", "10.0.0.2", "async", end, end)),
		}, lost, topology.Problem{
			Code: "loop", Severity: topology.Critical, Node: "cascade", Other: "downstream", Msg: "they follow each other",
			Remedy: "let cascade follow master",
		}),
		situationOf("hostile", hostileCluster(), hostileAnswers(), topology.Problem{
			Code: "x\x1b[2J", Severity: topology.Warning, Node: hostileID, Other: "ok",
			Msg: "server says: \x1b]0;pwned\a \"quoted\"\nsecond line --> n0", Remedy: "a\\b",
		}),
		situationOf("nothing", topology.Cluster{}, nil),
	}
}

// fiveNodes is a tree with all kinds of nodes: two sites, a delayed standby, one that lives from the archive, an IPv6 address and a witness.
func fiveNodes() topology.Cluster {
	return topology.Cluster{Name: "five", Nodes: []topology.Node{
		{ID: "a1", Host: "fd00::1:1", Site: "north"},
		{ID: "b1", Host: "10.0.2.1", Site: "south", Upstream: topology.Leader, Sync: true},
		{ID: "reports", Host: "10.0.2.2", Port: 5433, Site: "south", Upstream: "b1"},
		{ID: "late", Host: "10.0.1.2", Site: "north", Upstream: "a1", Delay: time.Hour},
		{ID: "vault", Host: "10.0.3.1", Upstream: "a1", ArchiveOnly: true},
		{ID: "quorum", Host: "10.0.3.2", Witness: true},
	}}
}

func fiveAnswers() []topology.Observation {
	late := standby("late", 3, end, replayed, "fd00::1:1")
	late.Replaying = "paused"
	catching := row("b1", "10.0.2.1", "async", 0x4000000, 0x3000000)
	catching.State = "catchup"
	return []topology.Observation{
		primary("a1", 3, end, catching, row("late", "10.0.1.2", "async", end, replayed),
			row("reports", "10.0.2.2", "async", end, end), row("pg_receivewal", "10.0.9.9", "async", end, 0)),
		standby("b1", 3, 0x4000000, 0x3000000, "fd00:0::1:1"),
		standby("reports", 3, end, end, "fd00::1:1"),
		late,
		standby("vault", 3, 0x4000000, 0x4000000, ""),
	}
}

// hostileID is a name that Validate refuses.
const hostileID topology.NodeID = "a\"]; n1 --> x <b>&amp; \x1b[31m\u202e\xff#1;"

func hostileCluster() topology.Cluster {
	return topology.Cluster{Name: "end\\", Nodes: []topology.Node{
		{ID: hostileID, Host: "h\"ost"},
		{ID: "ok", Host: "10.0.0.2", Upstream: hostileID, Site: "サイト\"x"},
		{ID: "end", Host: "10.0.0.3", Upstream: hostileID, Site: "e\u0301te\u0301 `x` %{y}"},
	}}
}

func hostileAnswers() []topology.Observation {
	return []topology.Observation{
		primary(hostileID, 1, end, row("ok", "10.0.0.2", "sy\"nc\x1b[0m", end, end), row("drop\ttable\x00", "?", "async", end, end)),
		standby("ok", 1, end, end, "h\"ost"),
		{Node: "end", At: noon, Err: errors.New("\x1b[31mred")},
	}
}

// forms are the ways to show a report, each with the end of its golden files.
var forms = []struct {
	end  string
	form func(topology.Report) string
}{
	{"txt", func(r topology.Report) string { return r.Text(topology.TextOptions{Width: 100}) }},
	{"ansi", func(r topology.Report) string { return r.Text(topology.TextOptions{Color: true}) }},
	{"table", topology.Report.Table},
	{"dot", topology.Report.DOT},
	{"mmd", topology.Report.Mermaid},
	{"json", func(r topology.Report) string {
		text, err := r.JSON()
		if err != nil {
			return err.Error()
		}
		return string(text)
	}},
}

// TestShow compares every form of every situation with its golden file.
func TestShow(t *testing.T) {
	for _, s := range situations() {
		for _, f := range forms {
			t.Run(s.name+"/"+f.end, func(t *testing.T) {
				golden(t, fmt.Sprintf("testdata/show/%s.%s", s.name, f.end), f.form(s.report))
			})
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]*m")

// TestShowColorLaw: a picture without colours says the same as one with them, and each colour ends on its line.
func TestShowColorLaw(t *testing.T) {
	for _, s := range situations() {
		colored := s.report.Text(topology.TextOptions{Color: true})
		require.Equal(t, s.report.String(), sgr.ReplaceAllString(colored, ""), s.name)
		for line := range strings.Lines(colored) {
			require.Equal(t, strings.Count(line, "\x1b["), 2*strings.Count(line, "\x1b[0m"), "%q", line)
		}
	}
}

// TestShowEscapesLaw: whatever names and messages hold, no form for people sends a control character to a terminal but its own line
// ends and colours, the languages of pictures get no quotation mark that ends a text too early, and JSON stays JSON.
func TestShowEscapesLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, -1)
		bytesOf := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) })
		drawn := func(label string) string { return rapid.OneOf(text, bytesOf).Draw(t, label) }
		id := topology.NodeID(drawn("id"))
		c := topology.Cluster{Name: drawn("name"), Nodes: []topology.Node{
			{ID: id, Host: drawn("host"), Site: drawn("site")}, {ID: id + "x", Host: "b", Upstream: id},
		}}
		sender := row(string(id)+"x", drawn("address"), drawn("sync"), 1, 1)
		sender.State = drawn("state")
		up := primary(id, 1, 1, sender)
		s := situationOf("", c, []topology.Observation{up, standby(id+"x", 1, 1, 1, "")}, topology.Problem{
			Code: topology.Code(drawn("code")), Node: topology.NodeID(drawn("node")), Msg: drawn("msg"), Remedy: drawn("remedy"),
		})
		for _, f := range forms {
			out := f.form(s.report)
			for _, r := range sgr.ReplaceAllString(out, "") {
				require.True(t, r == '\n' || r >= ' ' && (r < 0x7f || r > 0x9f) && r != '\u202e', "%s: %q in %q", f.end, r, out)
			}
		}
		requireDOT(t, s.report.DOT())
		requireMermaid(t, s.report.Mermaid())
		text2, err := s.report.JSON()
		require.NoError(t, err)
		require.True(t, json.Valid(text2))
	})
}

// The grammars of what the package writes of DOT and Mermaid, line by line: anything else is an error.
var (
	dotText  = `"(?:[^"\\\n]|\\["\\n])*"`
	dotAttrs = `(?:[a-z]+=(?:[a-z]+|[0-9.]+|` + dotText + `)[,;]? ?)+`
	dotLine  = regexp.MustCompile(`^(?:digraph ` + dotText + ` \{|  (?:graph|node|edge) \[` + dotAttrs + `\];|  subgraph cluster_\d+ \{|` +
		`    ` + dotAttrs + `|(?:  |    )n\d+ \[` + dotAttrs + `\];|  n\d+ -> n\d+ \[` + dotAttrs + `\];|  \}|\})$`)
	mermaidText = `"(?:[^"#&<>\x60\\\[\]{}()|;*_~:%$^]|#\d+;|<br/>)*"`
	mermaidLine = regexp.MustCompile(`^(?:flowchart TD|  title\[` + mermaidText + `\]:::title|  subgraph s\d+\[` + mermaidText + `\]|` +
		`(?:  |    )n\d+\[` + mermaidText + `\]:::[a-z]+|  n\d+ (?:-->|-\.->)\|` + mermaidText + `\| n\d+|  end|` +
		`  classDef [a-z]+ (?:(?:fill|stroke|color):(?:none|#[0-9a-f]{6}),?)+)$`)
)

func requireDOT(t require.TestingT, text string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		require.Regexp(t, dotLine, line)
	}
	require.Equal(t, strings.Count(text, "\n  subgraph"), strings.Count(text, "\n  }"))
}

func requireMermaid(t require.TestingT, text string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		require.Regexp(t, mermaidLine, line)
	}
	require.Equal(t, strings.Count(text, "\n  subgraph"), strings.Count(text, "\n  end"))
}

// TestShowGraphs checks the pictures' grammar, and where Graphviz is installed, asks it as well.
func TestShowGraphs(t *testing.T) {
	program, err := exec.LookPath("dot")
	for _, s := range situations() {
		text := s.report.DOT()
		requireDOT(t, text)
		requireMermaid(t, s.report.Mermaid())
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), program, "-Tplain")
		cmd.Stdin = strings.NewReader(text)
		var problems bytes.Buffer
		cmd.Stderr = &problems
		out, err := cmd.Output()
		require.NoError(t, err, "%s: %s", s.name, problems.String())
		require.Empty(t, problems.String(), s.name)
		require.Equal(t, len(s.report.Tree.Places()), strings.Count("\n"+string(out), "\nnode "), "%s: %s", s.name, out)
	}
}

// TestShowWidth: problems are wrapped, columns stay aligned under wide and combining characters.
func TestShowWidth(t *testing.T) {
	r := topology.Report{Problems: []topology.Problem{{
		Code: "lag", Severity: topology.Warning, Node: "b", Msg: strings.Repeat("word ", 20), Remedy: "none of it",
	}}}
	for line := range strings.Lines(r.ProblemText(topology.TextOptions{Width: 40})) {
		require.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 40)
	}
	require.Equal(t, `warning   lag  b
          word word word word word word
          word word word word word word
          word word word word word word
          word word
          → none of it
`, r.ProblemText(topology.TextOptions{Width: 40}))
}

// TestDocument: a document reads back as what was written, with the facts of every node.
func TestDocument(t *testing.T) {
	for _, s := range situations() {
		if s.name == "hostile" {
			continue // invalid UTF-8 does not survive JSON
		}
		text, err := s.report.JSON()
		require.NoError(t, err)
		var d topology.Document
		require.NoError(t, json.Unmarshal(text, &d))
		again, err := json.MarshalIndent(d, "", "  ")
		require.NoError(t, err)
		require.Equal(t, string(text), string(again)+"\n")
		require.Len(t, d.Nodes, len(s.report.Tree.Places()))
	}
}

// TestShowAlignment: what stands behind a site in wide or combining characters begins in the same column of a terminal.
func TestShowAlignment(t *testing.T) {
	c := topology.Cluster{Nodes: []topology.Node{{ID: "日本語", Host: "h"}, {ID: "e\u0301e\u0301", Host: "i"}}}
	text := topology.Derive(c, topology.Status{}).String()
	require.Contains(t, text, "\n日本語  unknown  no answer")
	require.Contains(t, text, "\ne\u0301e\u0301      unknown  no answer")
}

// TestTableCompares: how far a standby is behind is only said where the positions are of one history.
func TestTableCompares(t *testing.T) {
	behind := func(nodes ...topology.Observation) bool {
		s := situationOf("", orders, nodes)
		return strings.Contains(s.report.Table(), " kB")
	}
	follower := standby("downstream", 1, end, end, "10.0.0.2")
	require.True(t, behind(primary("master", 1, end), follower))
	require.False(t, behind(primary("master", 2, end), follower), "another timeline")
	require.False(t, behind(primary("master", 1, end), primary("cascade", 1, end), follower), "two primaries")
	foreign := primary("master", 1, end)
	foreign.SystemID++
	require.False(t, behind(foreign, follower), "another cluster")
}
