package topology_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/script"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// healthy is what the servers of a cluster say of themselves when each is as it should be, at noon.
func healthy(t require.TestingT, c topology.Cluster, major pgconf.Major) topology.Status {
	s := topology.Status{At: noon}
	primary, _ := c.Primary()
	for _, n := range c.Nodes {
		if !n.Witness {
			s.Nodes = append(s.Nodes, healthyNode(t, c, n, primary.ID, major))
		}
	}
	return s
}

const wellAt = wal.LSN(0x5000000)

func healthyNode(t require.TestingT, c topology.Cluster, n topology.Node, primary topology.NodeID, major pgconf.Major) topology.Observation {
	o := topology.Observation{
		Node: n.ID, Asked: noon.Add(-20 * time.Millisecond), At: noon, ServerTime: noon.Add(-10 * time.Millisecond),
		StartedAt: noon.Add(-72 * time.Hour), LoadedAt: noon.Add(-72 * time.Hour), Version: int(major)*10000 + 4, SystemID: 7, Timeline: 1,
		Position: wellAt, Flushed: wellAt, Collation: "2.36", RefusedKnown: true, Parameters: parameters(t, c, n, major),
		Control: topology.ControlFacts{Redo: wellAt - 1000, CheckpointAt: noon.Add(-time.Minute), BlockSize: 8192, WALBlockSize: 8192,
			SegmentSize: wal.DefaultSegmentSize, Checksums: true},
	}
	if n.ID != primary {
		o.InRecovery, o.ReadOnly, o.Replayed, o.Replaying = true, true, wellAt, "not paused"
		o.ReplayedAt = noon.Add(-time.Hour - n.Delay)
	}
	if up, ok := c.Upstream(n.ID); ok && !n.ArchiveOnly {
		host, port := up.Address()
		o.Receiver = &topology.Receiver{Status: "streaming", Host: host, Port: port, Timeline: 1, HeardAt: noon.Add(-time.Second), LatestEnd: wellAt}
		if c.Slots {
			o.Receiver.Slot = string(n.ID)
		}
	}
	o.Archiver = &topology.Archiver{Mode: o.Parameters["archive_mode"].Value, Archived: 4, LastArchived: "000000010000000000000004",
		ArchivedAt: noon.Add(-time.Minute)}
	var streaming []topology.NodeID
	for _, child := range c.Children(n.ID) {
		if child.ArchiveOnly {
			continue
		}
		row := topology.Sender{Name: string(child.ID), Address: "10.0.0.9", State: "streaming", SyncState: "async", Sent: wellAt,
			Written: wellAt, Flushed: wellAt, Replayed: wellAt, RepliedAt: noon}
		if c.Slots {
			row.Slot = row.Name
			o.Slots = append(o.Slots, topology.Slot{Name: row.Name, Active: true, Restart: wellAt, Status: "reserved", Safe: -1})
		}
		o.Senders = append(o.Senders, row)
		streaming = append(streaming, child.ID)
	}
	if n.ID == primary {
		var err error
		o.SyncNames, err = c.SyncNamesAmong(n.ID, major, streaming)
		require.NoError(t, err)
	}
	return o
}

// parameters are those that a server has by the description, and by default.
func parameters(t require.TestingT, c topology.Cluster, n topology.Node, major pgconf.Major) map[string]topology.Parameter {
	all := map[string]topology.Parameter{}
	for name, value := range map[string]string{"fsync": "on", "full_page_writes": "on", "max_connections": "100", "archive_mode": "off",
		"max_worker_processes": "8", "max_prepared_transactions": "0", "max_locks_per_transaction": "64"} {
		all[name] = topology.Parameter{Value: value, Source: "default"}
	}
	if major >= 12 {
		all["recovery_target_timeline"] = topology.Parameter{Value: "latest"}
		all["recovery_min_apply_delay"] = topology.Parameter{Value: strconv.Itoa(int(n.Delay.Milliseconds())) + "ms"}
	}
	cfg, err := c.Render(n.ID, major)
	require.NoError(t, err)
	for name, value := range cfg.Values() {
		all[name] = topology.Parameter{Value: value, Source: "configuration file", File: "/srv/pg/postgresql.conf", Line: 1}
	}
	return all
}

// situationTable tells what is wrong in situations that differ from a healthy one. Commands:
//
//	cluster [MAJOR]    input: the description. One node a line: "id", "id < upstream", "id witness", then words: sync, archive-only,
//	                   delay=1h. Or a line that begins with +: slots, strict, sync=2, any, archive. Every node listens at its name.
//	situation NAME     input: what is not as in a healthy cluster. "b.replaying = \"paused\"" sets a fact by its name in JSON, where
//	                   /0 is the first of a list, "b.senders -" takes one away; "b down WHY", "b gone" (was not asked); "limits.X = Y".
//	                   Times are seconds before noon, as -3600, in a value that begins with @.
//
// The answer is the problems: severity, code, node, other; what is so; what to do.
type situationTable struct {
	t *testing.T
	c topology.Cluster
	m pgconf.Major
}

// seen are the codes that some situation shows.
var seen = map[topology.Code]int{}

func TestSituations(t *testing.T) {
	script.Run(t, "testdata/situations/*.txt", func(t *testing.T) func(script.Block) string {
		v := &situationTable{t: t}
		return func(b script.Block) string {
			switch b.Words[0] {
			case "cluster":
				return v.cluster(b)
			case "situation":
				return v.situation(b)
			}
			t.Fatalf("line %d: unknown command %q", b.Line, b.Words[0])
			return ""
		}
	})
	t.Run("every_code_is_there", everyCode)
}

// everyCode holds the table of codes and that of situations together.
func everyCode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	require.NoError(t, err)
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			codes++
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			require.NotZero(t, seen[topology.Code(text)], "no situation shows %s", text)
		}
		return true
	})
	require.Greater(t, codes, 50)
}

func (v *situationTable) cluster(b script.Block) string {
	v.c, v.m = topology.Cluster{Name: "orders", Replication: topology.Replication{User: "replicator"}}, 17
	if len(b.Words) > 1 {
		major, err := pgconf.ParseMajor(b.Words[1])
		require.NoError(v.t, err)
		v.m = major
	}
	for line := range strings.Lines(b.Input) {
		words := strings.Fields(line)
		if words[0] == "+" {
			for _, word := range words[1:] {
				v.option(word)
			}
			continue
		}
		n := node(topology.NodeID(words[0]), "")
		for i, word := range words[1:] {
			switch {
			case word == "<":
				n.Upstream = topology.NodeID(words[i+2])
			case word == "witness":
				n.Witness = true
			case word == "sync":
				n.Sync = true
			case word == "archive-only":
				n.ArchiveOnly = true
			case strings.HasPrefix(word, "delay="):
				delay, err := time.ParseDuration(word[len("delay="):])
				require.NoError(v.t, err)
				n.Delay = delay
			}
		}
		v.c.Nodes = append(v.c.Nodes, n)
	}
	require.NoError(v.t, v.c.Validate())
	report := topology.Assess(v.c, healthy(v.t, v.c, v.m), topology.Limits{})
	require.Empty(v.t, report.Problems, "a healthy one has no problem")
	return "healthy"
}

func (v *situationTable) option(word string) {
	switch {
	case word == "slots":
		v.c.Slots = true
	case word == "strict":
		v.c.Sync.Strict = true
	case word == "any":
		v.c.Sync.Method = topology.Any
	case word == "archive":
		v.c.Archive = topology.Archive{Command: "cp %p /mnt/wal/%f", Restore: "cp /mnt/wal/%f %p"}
	case strings.HasPrefix(word, "sync="):
		number, err := strconv.Atoi(word[len("sync="):])
		require.NoError(v.t, err)
		v.c.Sync.Number = number
	default:
		v.t.Fatalf("unknown option %q", word)
	}
}

func (v *situationTable) situation(b script.Block) string {
	status := healthy(v.t, v.c, v.m)
	var limits topology.Limits
	for line := range strings.Lines(b.Input) {
		v.change(&status, &limits, strings.TrimSpace(line))
	}
	report := topology.Assess(v.c, status, limits)
	return problems(report)
}

// change applies one line.
func (v *situationTable) change(s *topology.Status, l *topology.Limits, text string) {
	if rest, ok := strings.CutPrefix(text, "limits."); ok {
		name, value, _ := strings.Cut(rest, " = ")
		require.NoError(v.t, json.Unmarshal([]byte(`{"`+name+`":`+value+`}`), l))
		return
	}
	words := strings.Fields(text)
	id, path, _ := strings.Cut(words[0], ".")
	i := slices.IndexFunc(s.Nodes, func(o topology.Observation) bool { return o.Node == topology.NodeID(id) })
	require.GreaterOrEqual(v.t, i, 0, "no node %s", id)
	switch {
	case path == "" && words[1] == "gone":
		s.Nodes = slices.Delete(s.Nodes, i, i+1)
		return
	case path == "" && words[1] == "unmonitored":
		s.Nodes[i] = topology.Observation{Node: s.Nodes[i].Node, At: noon, Err: fmt.Errorf("query: %w", topology.ErrNotMonitor)}
		return
	case path == "":
		s.Nodes[i] = topology.Observation{Node: s.Nodes[i].Node, At: noon, Err: errors.New(strings.Join(words[2:], " "))}
		return
	}
	_, value, set := strings.Cut(text, " = ")
	data, err := json.Marshal(s.Nodes[i])
	require.NoError(v.t, err)
	var facts any
	require.NoError(v.t, json.Unmarshal(data, &facts))
	var to any
	if ago, ok := strings.CutPrefix(value, "@"); ok {
		seconds, err := strconv.Atoi(ago)
		require.NoError(v.t, err)
		to = noon.Add(time.Duration(seconds) * time.Second)
	} else if set {
		require.NoError(v.t, json.Unmarshal([]byte(value), &to), text)
	}
	facts = put(v.t, facts, strings.Split(path, "."), to, set)
	data, err = json.Marshal(facts)
	require.NoError(v.t, err)
	var o topology.Observation
	require.NoError(v.t, json.Unmarshal(data, &o), text)
	s.Nodes[i] = o
}

// put changes what lies at a path in a value of JSON; an index of a list is one more than those it has to add one.
func put(t *testing.T, in any, path []string, to any, set bool) any {
	if len(path) == 0 {
		return to
	}
	if index, ok := strings.CutPrefix(path[0], "/"); ok {
		list, _ := in.([]any)
		i, err := strconv.Atoi(index)
		require.NoError(t, err)
		if !set && len(path) == 1 {
			return slices.Delete(list, i, i+1)
		}
		if i == len(list) {
			list = append(list, nil)
		}
		list[i] = put(t, list[i], path[1:], to, set)
		return list
	}
	fields, ok := in.(map[string]any)
	if !ok {
		fields = map[string]any{}
	}
	if !set && len(path) == 1 {
		delete(fields, path[0])
		return fields
	}
	fields[path[0]] = put(t, fields[path[0]], path[1:], to, set)
	return fields
}

// problems writes a report for a script, and notes what it shows.
func problems(r topology.Report) string {
	var b strings.Builder
	if r.Primary == "" {
		fmt.Fprintf(&b, "no sole primary, likely %q\n", r.Likely)
	}
	for _, p := range r.Problems {
		seen[p.Code]++
		fmt.Fprintf(&b, "%s %s", p.Severity, p.Code)
		if p.Node != "" {
			fmt.Fprintf(&b, " %s", p.Node)
		}
		if p.Other != "" {
			fmt.Fprintf(&b, " (%s)", p.Other)
		}
		fmt.Fprintf(&b, ": %s\n    > %s\n", p.Msg, p.Remedy)
	}
	if len(r.Problems) == 0 {
		return b.String() + "no problem"
	}
	return b.String()
}
