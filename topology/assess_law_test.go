package topology_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// secret stands in every fact that may hold one, and in no report.
const secret = "marker-5ecret"

// drawCluster draws a valid description with everything that one can ask for.
func drawCluster(t *rapid.T) topology.Cluster {
	c := drawTree(t)
	c.Slots = rapid.Bool().Draw(t, "slots")
	c.Sync.Strict = rapid.Bool().Draw(t, "strict")
	c.Sync.Method = rapid.SampledFrom([]topology.SyncMethod{"", topology.Any}).Draw(t, "method")
	if rapid.Bool().Draw(t, "archive") {
		c.Archive = topology.Archive{Command: "key=" + secret + " cp %p /mnt/wal/%f", Restore: "cp /mnt/wal/%f %p"}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.Upstream == "" {
			n.Sync = false
			continue
		}
		primary, _ := c.Primary()
		if n.Upstream == primary.ID && rapid.Bool().Draw(t, "floating") {
			n.Upstream = topology.Leader
		}
		if !n.Sync && rapid.IntRange(0, 4).Draw(t, "delayed") == 0 {
			n.Delay = time.Hour
		}
		if !n.Sync && c.Archive.Command != "" && rapid.IntRange(0, 4).Draw(t, "from the archive") == 0 {
			n.ArchiveOnly = true
		}
	}
	if rapid.Bool().Draw(t, "with a witness") {
		c = c.Attached(topology.Node{ID: "w", Host: "w", Witness: true})
	}
	if c.Validate() != nil {
		t.Skip("the policy cannot be met")
	}
	return c
}

func drawMajor(t *rapid.T) pgconf.Major {
	return pgconf.Major(rapid.IntRange(10, 18).Draw(t, "major"))
}

// TestAssessHealthyLaw: a cluster that is as its description says has no problem, whatever that is, and one primary.
func TestAssessHealthyLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCluster(t)
		report := topology.Assess(c, healthy(t, c, drawMajor(t)), topology.Limits{})
		require.Empty(t, report.Problems)
		require.Equal(t, topology.Fine, report.Level())
		primary, _ := c.Primary()
		require.Equal(t, primary.ID, report.Primary)
		require.Empty(t, report.Likely)
	})
}

// faults are what can happen to a node. None depends on how many nodes there are.
var faults = map[string]func(*topology.Observation){
	"silent": func(o *topology.Observation) {
		*o = topology.Observation{Node: o.Node, At: noon, Err: errors.New("timeout")}
	},
	"promoted":   func(o *topology.Observation) { o.InRecovery, o.ReadOnly, o.Receiver, o.Timeline = false, false, nil, 2 },
	"demoted":    func(o *topology.Observation) { o.InRecovery = true },
	"detached":   func(o *topology.Observation) { o.Receiver = nil },
	"alone":      func(o *topology.Observation) { o.Senders, o.Slots = nil, nil },
	"ahead":      func(o *topology.Observation) { o.Position += 5000 },
	"behind":     func(o *topology.Observation) { o.Position, o.Replayed = 1<<20, 1<<20 },
	"paused":     func(o *topology.Observation) { o.Replaying = "paused" },
	"wrong slot": func(o *topology.Observation) { each(o.Receiver, func(r *topology.Receiver) { r.Slot = "other" }) },
	"misnamed": func(o *topology.Observation) {
		for i := range o.Senders {
			o.Senders[i].Name = "walreceiver"
		}
	},
	"doubled":   func(o *topology.Observation) { o.Senders = append(slices.Clone(o.Senders), o.Senders...) },
	"elsewhere": func(o *topology.Observation) { each(o.Receiver, func(r *topology.Receiver) { r.Host = "a" }) },
	"archiver": func(o *topology.Observation) {
		each(o.Archiver, func(w *topology.Archiver) { w.Mode, w.FailedAt, w.LastFailed = "on", noon, "000000010000000000000005" })
	},
	"leftovers": func(o *topology.Observation) {
		o.Slots = append(slices.Clone(o.Slots), topology.Slot{Name: "b", Restart: 1, Keeps: 1 << 40, Safe: 5, Status: "extended"},
			topology.Slot{Name: "c", Status: "lost", Keeps: -1, Safe: -1})
	},
	"secrets": func(o *topology.Observation) {
		o.Parameters = map[string]topology.Parameter{
			"archive_command": {Value: "cp %p ftp://u:" + secret + "@h/x/%f"}, "restore_command": {Value: "cp /x/" + secret + "@/%f %p", Pending: true},
			"primary_conninfo": {Value: "password=" + secret, Pending: true}, "max_connections": {Value: "5"},
		}
		o.Refused = []topology.RefusedLine{{File: "f", Line: 3, Msg: `unknown option "ldapbindpasswd=` + secret + `"`},
			{File: "f", Line: 2, Name: "primary_conninfo", Msg: "invalid value: " + secret}}
	},
	"blocked": func(o *topology.Observation) { o.Blocked = topology.Blocked{Commits: 2, Longest: time.Minute} },
	"anyone":  func(o *topology.Observation) { o.SyncNames = "ANY 2 (*, nobody)" },
	"copy":    func(o *topology.Observation) { o.SystemID = 99 },
	"history": func(o *topology.Observation) {
		o.Timeline, o.History = 3, wal.History{Timeline: 3, Entries: []wal.HistoryEntry{{Timeline: 1, End: wellAt - 1}}}
	},
}

func each[T any](p *T, do func(*T)) {
	if p != nil {
		do(p)
	}
}

// fault is one that happened.
type fault struct {
	name string
	node topology.NodeID
}

func drawFaults(t *rapid.T, c topology.Cluster) []fault {
	var all []string
	for name := range faults {
		all = append(all, name)
	}
	slices.Sort(all)
	var drawn []fault
	for range rapid.IntRange(0, 5).Draw(t, "faults") {
		f := fault{rapid.SampledFrom(all).Draw(t, "fault"), c.Nodes[rapid.IntRange(0, len(c.Nodes)-1).Draw(t, "of")].ID}
		if !slices.Contains(drawn, f) { // twice would make two slots of one name
			drawn = append(drawn, f)
		}
	}
	return drawn
}

// suffer lets faults happen.
func suffer(s topology.Status, all []fault) topology.Status {
	for _, f := range all {
		for i := range s.Nodes {
			if s.Nodes[i].Node == f.node && s.Nodes[i].Err == nil {
				faults[f.name](&s.Nodes[i])
			}
		}
	}
	return s
}

// reorder draws another order.
func reorder[T any](t *rapid.T, list []T, label string) []T {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	if len(list) > 1 {
		order = rapid.Permutation(order).Draw(t, label)
	}
	var all []T
	for _, i := range order {
		all = append(all, list[i])
	}
	return all
}

// shuffle changes the order of everything in which none has a meaning.
func shuffle(t *rapid.T, s topology.Status) topology.Status {
	s.Nodes = slices.Clone(s.Nodes)
	for i := range s.Nodes {
		o := &s.Nodes[i]
		o.Senders, o.Slots, o.Refused = reorder(t, o.Senders, "senders"), reorder(t, o.Slots, "slots"), reorder(t, o.Refused, "refused")
	}
	s.Nodes = reorder(t, s.Nodes, "answers")
	return s
}

// TestAssessOrderLaw: what a report says depends neither on the order of the answers nor on that of the rows in them. What is wrong
// with whom does not depend on the order of the nodes in the description either, where the policy gives that no meaning. No
// secret is in it, and nothing twice.
func TestAssessOrderLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCluster(t)
		c.Sync.Method = topology.Any
		s := suffer(healthy(t, c, drawMajor(t)), drawFaults(t, c))
		want := topology.Assess(c, s, topology.Limits{})
		sound(t, c, want)
		s = shuffle(t, s)
		require.Equal(t, want.Problems, topology.Assess(c, s, topology.Limits{}).Problems)
		c.Nodes = reorder(t, c.Nodes, "nodes")
		got := topology.Assess(c, s, topology.Limits{})
		require.Equal(t, kinds(want, "nobody"), kinds(got, "nobody"))
		require.Equal(t, want.Primary, got.Primary)
		require.Equal(t, want.Likely, got.Likely)
	})
}

// sound checks what holds of every report.
func sound(t require.TestingT, c topology.Cluster, r topology.Report) {
	for i, p := range r.Problems {
		text := p.String() + p.Remedy
		require.NotContains(t, text, secret)
		require.NotContains(t, text, "%!", "a format that does not fit")
		require.NotEmpty(t, p.Code)
		require.NotEmpty(t, p.Msg)
		require.NotEmpty(t, p.Remedy)
		require.Greater(t, p.Severity, topology.Fine)
		if p.Node != "" {
			_, ok := c.Node(p.Node)
			require.True(t, ok, "node %q", p.Node)
		}
		if i > 0 {
			require.GreaterOrEqual(t, r.Problems[i-1].Severity, p.Severity)
			require.NotEqual(t, r.Problems[i-1], p)
		}
	}
}

// kinds are the problems of the nodes but one, without their texts.
func kinds(r topology.Report, but topology.NodeID) []string {
	var all []string
	for _, p := range r.Problems {
		if p.Node != but {
			all = append(all, string(p.Code)+" "+string(p.Node))
		}
	}
	slices.Sort(all)
	return all
}

// TestAssessBystanderLaw: a healthy node more makes no problem for the others, and hides none.
func TestAssessBystanderLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, m := drawCluster(t), drawMajor(t)
		happened := slices.DeleteFunc(drawFaults(t, c), func(f fault) bool {
			return slices.Contains([]string{"misnamed", "copy", "elsewhere", "anyone", "promoted", "history"}, f.name) // depends on who else is there
		})
		primary, _ := c.Primary()
		alone := topology.Assess(c, suffer(healthy(t, c, m), happened), topology.Limits{})
		with := c.Attached(topology.Node{ID: "bystander", Host: "bystander", Upstream: primary.ID})
		s := healthy(t, with, m)
		s = suffer(s, happened)
		require.Equal(t, kinds(alone, "bystander"), kinds(topology.Assess(with, s, topology.Limits{}), "bystander"))
	})
}

// input is what Assess takes, as JSON.
type input struct {
	Cluster topology.Cluster
	Status  topology.Status
	Limits  topology.Limits
}

// FuzzAssess: whatever anybody says, there is a report and no panic, and it does not depend on the order of the answers.
func FuzzAssess(f *testing.F) {
	c := cluster(node("a", ""), sync(node("b", "a")), node("c", "b"))
	c.Slots = true
	s := healthy(f, c, 17)
	for _, happened := range []fault{{"secrets", "b"}, {"leftovers", "a"}, {"promoted", "c"}, {"history", "a"}} {
		seed, err := json.Marshal(input{Cluster: c, Status: suffer(healthy(f, c, 17), []fault{happened})})
		require.NoError(f, err)
		f.Add(seed)
	}
	s.Nodes[0].Version = 90624
	seed, err := json.Marshal(input{Cluster: c, Status: s})
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var in input
		if json.Unmarshal(data, &in) != nil {
			t.Skip()
		}
		report := topology.Assess(in.Cluster, in.Status, in.Limits)
		for _, p := range report.Problems {
			require.False(t, strings.ContainsAny(p.Msg, "\n\r"), "%q", p.Msg)
			require.Greater(t, p.Severity, topology.Fine)
		}
		for i, o := range in.Status.Nodes { // the latest of several answers counts; of two at the same time, either
			if slices.ContainsFunc(in.Status.Nodes[:i], func(other topology.Observation) bool { return other.Node == o.Node }) {
				return
			}
		}
		slices.Reverse(in.Status.Nodes)
		require.Equal(t, report.Problems, topology.Assess(in.Cluster, in.Status, in.Limits).Problems)
	})
}
