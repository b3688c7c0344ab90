package topology_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/topology"
)

// drawDesired draws a cluster of any shape in which every node may be the primary.
func drawDesired(t *rapid.T) topology.Cluster {
	c := drawTree(t)
	primary, _ := c.Primary()
	standbys := len(c.Nodes) - 1
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.ID != primary.ID && n.Upstream == primary.ID && rapid.IntRange(0, 4).Draw(t, "floats") == 0 {
			n.Upstream = topology.Leader
		}
		if n.ID != primary.ID && !n.Sync && rapid.IntRange(0, 5).Draw(t, "delayed") == 0 {
			n.Delay = time.Minute
		}
	}
	c.Slots = rapid.Bool().Draw(t, "slots")
	c.Monitor = topology.Account{Name: "observer"}
	c.Replication.Secret = "env:REPLICATOR"
	c.Archive = topology.Archive{Command: "cp %p /srv/%f", Restore: "cp /srv/%f %p"}
	c.Settings = map[string]string{
		"max_connections": fmt.Sprint(100 * rapid.IntRange(1, 3).Draw(t, "max_connections")),
		"work_mem":        rapid.SampledFrom([]string{"4MB", "8MB"}).Draw(t, "work_mem"),
	}
	if standbys > 1 {
		c.Sync.Method = rapid.SampledFrom([]topology.SyncMethod{topology.First, topology.Any}).Draw(t, "method")
	}
	return c
}

// drawWorld draws machines that were as some earlier description says, and what happened to them since.
func drawWorld(t *rapid.T) *world {
	major := rapid.SampledFrom([]pgconf.Major{10, 11, 12, 13, 14, 17, 18}).Draw(t, "major")
	earlier := drawDesired(t)
	w := newWorld(earlier, major)
	if rapid.IntRange(0, 5).Draw(t, "new") > 0 {
		run(t, w, topology.NewPlan(w.c, w.observe()).Steps)
		require.Empty(t, topology.NewPlan(w.c, w.observe()))
	}
	w.c = redescribe(t, earlier)
	w.enrol()
	if top, _ := w.primary(); top != "" {
		happen(t, w, top)
	}
	return w
}

// redescribe draws what the cluster is to be now: the same primary and partly other nodes and shape.
func redescribe(t *rapid.T, earlier topology.Cluster) topology.Cluster {
	c := drawDesired(t)
	was, _ := earlier.Primary()
	is, _ := c.Primary()
	swap := map[topology.NodeID]topology.NodeID{was.ID: is.ID, is.ID: was.ID}
	rename := func(id topology.NodeID) topology.NodeID {
		if other, ok := swap[id]; ok {
			return other
		}
		return id
	}
	if was.ID == is.ID {
		return c
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.ID, n.Upstream = rename(n.ID), rename(n.Upstream)
		n.Host = string(n.ID)
	}
	return c
}

// happen draws what went wrong or was done by hand.
func happen(t *rapid.T, w *world, top topology.NodeID) {
	for _, id := range slices.Sorted(maps.Keys(w.servers)) {
		s := w.servers[id]
		switch rapid.IntRange(0, 14).Draw(t, "what happened to "+string(id)) {
		case 0:
			s.running, s.effect = false, nil
		case 1:
			if id != top {
				*s = server{timeline: 1, systemID: 7}
			}
		case 2:
			if id != top {
				s.unreachable = true
			}
		case 3:
			if s.exists {
				s.write("max_connections", "250")
			}
		case 4:
			if s.exists {
				s.write("work_mem", "16MB")
				set := s.files["work_mem"]
				set.Origin = pgconf.FromAutoConf
				s.files["work_mem"] = set
			}
		case 5:
			s.passfile = false
		case 6:
			if s.exists {
				s.hba = []byte("local all all peer\nhost replication replicator all reject\n"[:19])
			}
		case 7:
			if s.exists {
				s.slots = map[string]bool{"a": true, "b": true, "barman": true}
			}
		case 8:
			if s.exists && id == top {
				s.write("synchronous_standby_names", "")
				if s.running {
					w.load(s, false)
				}
			}
		case 9:
			w.lacking = []topology.AccountUse{topology.ForMonitoring}
		}
	}
}

// run does steps, and checks what must hold after each of them.
func run(t *rapid.T, w *world, steps []topology.Step) {
	number, there := w.promise()
	promised := min(number, there, goal(w))
	for i, step := range steps {
		running := 0
		for _, s := range w.servers {
			if s.running {
				running++
			}
		}
		err := w.do(step)
		require.NoError(t, err, "step %d %T on %s\n%s\n%s", i+1, step.Action, step.Node, topology.Plan{Steps: steps}, w.text())
		now := 0
		for _, s := range w.servers {
			if s.running {
				now++
			}
		}
		require.GreaterOrEqual(t, now, running, "a step left a server stopped")
		number, there := w.promise()
		require.GreaterOrEqual(t, number, promised, "after step %d commits wait for fewer\n%s", i+1, topology.Plan{Steps: steps})
		_, awaited := step.Action.(topology.AwaitStreaming)
		if awaited {
			require.GreaterOrEqual(t, there, promised, "after step %d fewer are there\n%s\n%s", i+1, topology.Plan{Steps: steps}, w.text())
		}
	}
}

// goal is for how many standbys commits are to wait.
func goal(w *world) int {
	primary, _ := w.c.Primary()
	text, err := w.c.SyncNamesFor(primary.ID, w.major)
	if err != nil {
		return 0
	}
	s, err := guc.ParseSyncNames(w.major, text)
	if err != nil {
		return 0
	}
	return s.Num
}

// TestPlanLaw: doing a plan and planning again gives nothing to do, wherever the first one was cut; every step can be done when its
// turn comes; commits never wait for fewer standbys than promised; nobody gets a step whose machine could not be looked at; and the
// order of what is observed does not matter.
func TestPlanLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		o := w.observe()
		plan := topology.NewPlan(w.c, o)

		mixed := o
		mixed.Inspections = rapid.Permutation(o.Inspections).Draw(t, "inspections")
		mixed.Status.Nodes = rapid.Permutation(o.Status.Nodes).Draw(t, "observations")
		require.Equal(t, plan, topology.NewPlan(w.c, mixed))

		cut := rapid.IntRange(0, len(plan.Steps)).Draw(t, "cut")
		run(t, w, plan.Steps[:cut])
		rest := topology.NewPlan(w.c, w.observe())
		run(t, w, rest.Steps)
		run(t, w, unseen(topology.NewPlan(w.c, w.observe()).Steps))
		again := topology.NewPlan(w.c, w.observe())
		require.Empty(t, again.Steps, "%s\nafter\n%s\n%s", again, rest, w.text())
		if len(again.Refused) > 0 {
			return
		}
		reached(t, w)
	})
}

// unseen are steps that the plan before could not know of: slots of servers that were stopped.
func unseen(steps []topology.Step) []topology.Step {
	return slices.DeleteFunc(steps, func(s topology.Step) bool { _, drop := s.Action.(topology.DropSlot); return !drop })
}

// reached checks that the world is as described.
func reached(t *rapid.T, w *world) {
	for _, n := range w.c.Nodes {
		s := w.servers[n.ID]
		require.True(t, s.running)
		cfg, err := w.c.Render(n.ID, w.major)
		require.NoError(t, err)
		for _, set := range cfg.Settings {
			if set.Name == "synchronous_standby_names" { // ANY 1 (b) is as good as FIRST 1 (b)
				continue
			}
			x, err1 := guc.Parse(w.major, set.Name, s.effect[set.Name])
			y, err2 := guc.Parse(w.major, set.Name, set.Value)
			require.NoError(t, err1)
			require.NoError(t, err2)
			require.Equal(t, y, x, "%s on %s", set.Name, n.ID)
		}
		want, standby := w.c.Upstream(n.ID)
		up, streams := w.upstream(n.ID)
		require.Equal(t, standby, streams, "%s\n%s", n.ID, w.text())
		require.Equal(t, want.ID, up)
		for _, slot := range cfg.Slots {
			require.True(t, s.slots[slot])
		}
	}
}
