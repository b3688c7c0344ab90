package topology_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/internal/script"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// viewer derives trees from what nodes say. Commands:
//
//	cluster    input: one node a line, "id", "id < upstream [archive]" or "id witness"; every node listens on port 5432 of the host of its name
//	observe    input: one node a line, followed by the rows of its pg_stat_replication:
//	             id primary TL LSN [read-only]
//	             id standby TL LSN [WORD HOST:PORT]     WORD is the status of its WAL receiver
//	             id down
//	             - NAME STATE SYNC_STATE FLUSHED REPLAYED [LAG]
//
// The answer is the tree, then the primaries.
type viewer struct {
	t *testing.T
	c topology.Cluster
}

func TestDerive(t *testing.T) {
	script.Run(t, "testdata/derive/*.txt", func(t *testing.T) func(script.Block) string {
		v := &viewer{t: t}
		return func(b script.Block) string {
			switch b.Words[0] {
			case "cluster":
				v.cluster(b.Input)
				return "ok"
			case "observe":
				return v.observe(b)
			}
			t.Fatalf("line %d: unknown command %q", b.Line, b.Words[0])
			return ""
		}
	})
}

func (v *viewer) cluster(input string) {
	v.c = topology.Cluster{Name: "test", Archive: topology.Archive{URL: "file:///archive"}}
	for line := range strings.Lines(input) {
		words := append(strings.Fields(line), "", "", "")
		n := node(topology.NodeID(words[0]), topology.NodeID(words[2]))
		n.ArchiveOnly, n.Witness = words[3] == "archive", words[1] == "witness"
		v.c.Nodes = append(v.c.Nodes, n)
	}
	require.NoError(v.t, v.c.Validate())
}

func (v *viewer) observe(b script.Block) string {
	var s topology.Status
	for line := range strings.Lines(b.Input) {
		words := strings.Fields(line)
		if words[0] == "-" {
			last := &s.Nodes[len(s.Nodes)-1]
			last.Senders = append(last.Senders, v.sender(words[1:]))
			continue
		}
		s.Nodes = append(s.Nodes, v.observation(words))
	}
	tree := topology.Derive(v.c, s)
	primaries := "primaries:"
	for _, p := range tree.Primaries() {
		primaries += " " + string(p.Node.ID)
	}
	return tree.String() + primaries
}

func (v *viewer) observation(words []string) topology.Observation {
	o := topology.Observation{Node: topology.NodeID(words[0]), At: noon}
	if words[1] == "down" {
		o.Err = errors.New("connection refused")
		return o
	}
	o.InRecovery = words[1] == "standby"
	_, err := fmt.Sscan(words[2], &o.Timeline)
	require.NoError(v.t, err)
	o.Position = v.lsn(words[3])
	switch {
	case len(words) == 5:
		o.ReadOnly = words[4] == "read-only"
	case len(words) == 6:
		o.Receiver = &topology.Receiver{Status: words[4], Timeline: o.Timeline}
		host, port, _ := strings.Cut(words[5], ":")
		o.Receiver.Host = host
		_, err := fmt.Sscan(port, &o.Receiver.Port)
		require.NoError(v.t, err)
	}
	return o
}

func (v *viewer) sender(words []string) topology.Sender {
	s := topology.Sender{
		Name: words[0], State: words[1], SyncState: words[2], Flushed: v.lsn(words[3]), Replayed: v.lsn(words[4]),
	}
	if len(words) > 5 {
		var err error
		s.ReplayLag, err = time.ParseDuration(words[5])
		require.NoError(v.t, err)
	}
	return s
}

// lsn reads a position; "-" is one that is not known.
func (v *viewer) lsn(text string) wal.LSN {
	if text == "-" {
		return 0
	}
	l, err := wal.ParseLSN(text)
	require.NoError(v.t, err)
	return l
}

// drawStatus draws anything that nodes could say, sensible or not: nodes that were not asked, asked twice or are no part of
// the cluster, rows for nodes that follow somebody else, themselves or nobody.
func drawStatus(t *rapid.T, c topology.Cluster) topology.Status {
	ids := []topology.NodeID{"stranger"}
	for _, n := range c.Nodes {
		ids = append(ids, n.ID)
	}
	lsn := rapid.Map(rapid.IntRange(0, 5), func(n int) wal.LSN { return wal.LSN(n * 1000) })
	sender := rapid.Custom(func(t *rapid.T) topology.Sender {
		return topology.Sender{
			Name:      string(rapid.SampledFrom(ids).Draw(t, "name")),
			State:     rapid.SampledFrom([]string{"streaming", "catchup", "startup", "backup", ""}).Draw(t, "state"),
			SyncState: rapid.SampledFrom([]string{"async", "sync"}).Draw(t, "sync"),
			Sent:      lsn.Draw(t, "sent"), Flushed: lsn.Draw(t, "flushed"), Replayed: lsn.Draw(t, "replayed"),
			ReplayLag: time.Duration(rapid.IntRange(0, 2).Draw(t, "lag")),
		}
	})
	s := topology.Status{At: noon}
	for i := range rapid.IntRange(0, 2*len(ids)).Draw(t, "answers") {
		o := topology.Observation{Node: rapid.SampledFrom(ids).Draw(t, "node"), At: noon.Add(time.Duration(i))}
		if rapid.IntRange(0, 4).Draw(t, "down") == 0 {
			o.Err = errors.New("no answer")
		}
		o.InRecovery = rapid.IntRange(0, 3).Draw(t, "standby") > 0
		o.Timeline = wal.Timeline(rapid.IntRange(0, 3).Draw(t, "timeline"))
		o.Position = lsn.Draw(t, "position")
		o.Senders = rapid.SliceOfN(sender, 0, 4).Draw(t, "senders")
		if rapid.IntRange(0, 4).Draw(t, "receiver") > 0 {
			o.Receiver = &topology.Receiver{Status: "streaming", Port: 5432,
				Host: string(rapid.SampledFrom(append(ids, "proxy")).Draw(t, "host"))}
		}
		s.Nodes = append(s.Nodes, o)
	}
	return s
}

// drawAny draws a cluster, every other time one that Validate refuses.
func drawAny(t *rapid.T) topology.Cluster {
	c := drawTree(t)
	if rapid.Bool().Draw(t, "invalid") {
		c.Nodes = append(c.Nodes, rapid.SampledFrom(c.Nodes).Draw(t, "twice"))
	}
	return c
}

// fact is what a tree says of one node.
type fact struct {
	Role     topology.Role
	State    string
	Upstream topology.NodeID
	Link     topology.Link
}

func facts(tree topology.Tree) map[topology.NodeID]fact {
	all := map[topology.NodeID]fact{}
	for _, p := range tree.Places() {
		f := all[p.Node.ID]
		f.Role, f.State = p.Role, p.State()
		if p.Link != nil {
			f.Link = *p.Link
		}
		all[p.Node.ID] = f
		for _, child := range p.Children {
			f := all[child.Node.ID]
			f.Upstream = p.Node.ID
			all[child.Node.ID] = f
		}
	}
	return all
}

// TestDeriveOrderLaw: what a tree says of the nodes depends neither on the order in which the answers came, nor on that of
// the rows in them, nor on that of the nodes in the cluster.
func TestDeriveOrderLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawTree(t)
		s := drawStatus(t, c)
		want := facts(topology.Derive(c, s))
		for i := range s.Nodes {
			s.Nodes[i].Senders = rapid.Permutation(s.Nodes[i].Senders).Draw(t, "rows")
		}
		s.Nodes = rapid.Permutation(s.Nodes).Draw(t, "answers")
		c.Nodes = rapid.Permutation(c.Nodes).Draw(t, "nodes")
		require.Equal(t, want, facts(topology.Derive(c, s)))
	})
}

// TestDeriveForestLaw: whatever the nodes say, each is in the forest exactly once, who is below somebody has a link, and a root
// has none; a primary and an unknown node are roots.
func TestDeriveForestLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawAny(t)
		tree := topology.Derive(c, drawStatus(t, c))
		count := map[topology.NodeID]int{}
		for _, p := range tree.Places() {
			count[p.Node.ID]++
			for _, child := range p.Children {
				require.NotNil(t, child.Link)
				require.True(t, child.Observation.InRecovery)
				require.NoError(t, child.Observation.Err)
				require.GreaterOrEqual(t, child.Link.FlushBytes, int64(-1))
				require.GreaterOrEqual(t, child.Link.ReplayBytes, int64(-1))
			}
		}
		want := map[topology.NodeID]int{}
		for _, n := range c.Nodes {
			want[n.ID] = 1
		}
		require.Equal(t, want, count)
		for _, root := range tree.Roots {
			require.Nil(t, root.Link)
		}
		drawing, _, _ := strings.Cut(tree.String(), "\n~ ")
		require.Equal(t, len(tree.Places())+1, len(strings.Split(strings.TrimSpace(drawing), "\n")))
	})
}

// TestDeriveTie: two upstreams with the very same claim on a standby, which nothing else decides, give the same tree always.
func TestDeriveTie(t *testing.T) {
	row := []topology.Sender{{Name: "d", State: "streaming", Flushed: 1}}
	s := topology.Status{Nodes: []topology.Observation{
		{Node: "a", Senders: row, Position: 1}, {Node: "b", Senders: row, Position: 1}, {Node: "c", Senders: row, Position: 1},
		{Node: "d", InRecovery: true, Receiver: &topology.Receiver{Status: "streaming", Host: "proxy"}},
	}}
	for range 100 {
		tree := topology.Derive(cluster(node("c", ""), node("b", ""), node("a", ""), node("d", "")), s)
		require.Equal(t, topology.NodeID("a"), facts(tree)["d"].Upstream)
	}
}

// TestDeriveSpelling: a receiver that names its upstream in other letters means it all the same.
func TestDeriveSpelling(t *testing.T) {
	for _, host := range []string{"b", "B", "b."} {
		row := []topology.Sender{{Name: "d", State: "streaming", Flushed: 1}}
		s := topology.Status{Nodes: []topology.Observation{
			{Node: "a", Senders: row, Position: 1}, {Node: "b", Senders: row, Position: 1},
			{Node: "d", InRecovery: true, Receiver: &topology.Receiver{Status: "streaming", Host: host, Port: 5432}},
		}}
		c := cluster(node("a", ""), node("b", ""), node("d", ""))
		require.Equal(t, topology.NodeID("b"), facts(topology.Derive(c, s))["d"].Upstream)
	}
}

func TestStatusNodeIsTheLatest(t *testing.T) {
	s := topology.Status{Nodes: []topology.Observation{
		{Node: "a", At: noon.Add(1), Timeline: 2}, {Node: "a", At: noon.Add(2), Timeline: 3}, {Node: "a", At: noon, Timeline: 1},
	}}
	o, ok := s.Node("a")
	require.True(t, ok)
	require.Equal(t, wal.Timeline(3), o.Timeline)
	_, ok = s.Node("b")
	require.False(t, ok)
}

func TestBytes(t *testing.T) {
	tests := []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {1, "1 B"}, {1023, "1023 B"}, {1024, "1.0 kB"}, {1536, "1.5 kB"}, {65536, "64.0 kB"},
		{1<<20 - 52, "1023.9 kB"}, {1<<20 - 1, "1.0 MB"}, {1 << 20, "1.0 MB"}, {16 << 20, "16.0 MB"},
		{1<<30 - 1, "1.0 GB"}, {1 << 40, "1.0 TB"}, {1 << 50, "1.0 PB"}, {1 << 60, "1.0 EB"}, {math.MaxInt64, "8.0 EB"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) { require.Equal(t, tt.want, topology.Bytes(tt.n)) })
	}
}
