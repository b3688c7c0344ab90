package topology_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology"
)

// built is the chain of three nodes as its description says, with everything the plan can look after.
func built(t *testing.T, major pgconf.Major) *world {
	t.Helper()
	c := chain()
	c.Slots = true
	c.Replication.Secret = "env:REPLICATOR"
	c.Monitor = topology.Account{Name: "observer", Secret: "env:OBSERVER"}
	c.Settings = map[string]string{"max_connections": "100"}
	w := newWorld(c, major)
	for _, step := range topology.NewPlan(w.c, w.observe()).Steps {
		require.NoError(t, w.do(step))
	}
	require.Equal(t, topology.Plan{}, topology.NewPlan(w.c, w.observe()))
	return w
}

// words are the steps in short.
func words(p topology.Plan) string {
	var all []string
	for _, s := range p.Steps {
		b, err := s.MarshalJSON()
		if err != nil {
			return err.Error()
		}
		var v struct{ Action, Slot, Upstream, To string }
		if err := json.Unmarshal(b, &v); err != nil {
			return err.Error()
		}
		all = append(all, strings.Trim(string(s.Node)+" "+v.Action+" "+v.Slot+v.Upstream+v.To, " "))
	}
	return strings.Join(all, "; ")
}

func TestPlanOfANewCluster(t *testing.T) {
	c := chain()
	c.Slots = true
	c.Replication.Secret = "env:REPLICATOR"
	w := newWorld(c, 17)
	require.Equal(t, `a initialise; a write-passfile; a start; a ensure-account; `+
		`b write-passfile; a create-slot b; b clone a; b await-streaming a; `+
		`c write-passfile; b create-slot c; c clone b; c await-streaming b; a set-sync FIRST 1 ("b")`, words(topology.NewPlan(c, w.observe())))
}

func TestPlanClosesDrift(t *testing.T) {
	tests := []struct {
		name  string
		drift func(w *world)
		major pgconf.Major
		want  string
	}{
		{"setting_by_reload", func(w *world) { w.servers["b"].write("wal_keep_size", "1GB") }, 17, "b set"},
		{"setting_by_restart", func(w *world) {
			w.servers["b"].write("max_replication_slots", "99")
			w.load(w.servers["b"], true)
		}, 17, "b set; b restart; b await-streaming a; c await-streaming b"},
		{"only_pending", func(w *world) { w.servers["b"].effect["wal_log_hints"] = "off" }, 17,
			"b restart; b await-streaming a; c await-streaming b"},
		{"reload_forgotten", func(w *world) { w.servers["b"].effect["archive_timeout"] = "5" }, 17, "b reload"},
		{"raised", func(w *world) { w.c.Settings = map[string]string{"max_connections": "200"} }, 17,
			"b set; c set; c restart; c await-streaming b; b restart; b await-streaming a; c await-streaming b; " +
				"a set; a restart; b await-streaming a"},
		{"lowered", func(w *world) { w.c.Settings = map[string]string{"max_connections": "50"} }, 17,
			"a set; a restart; b await-streaming a; c set; c restart; c await-streaming b; " +
				"b set; b restart; b await-streaming a; c await-streaming b"},
		{"rules", func(w *world) { w.servers["c"].hba = []byte("host all all all trust\n") }, 17, "c allow; c reload"},
		{"passfile", func(w *world) { w.servers["c"].passfile = false }, 17, "c write-passfile"},
		{"account", func(w *world) { w.lacking = []topology.AccountUse{topology.ForMonitoring} }, 17, "a ensure-account"},
		{"slot_missing", func(w *world) { delete(w.servers["a"].slots, "b") }, 17, "a create-slot b; b await-streaming a"},
		{"slot_left_over", func(w *world) { w.servers["a"].slots["c"] = true }, 17, "a drop-slot c"},
		{"slot_of_somebody", func(w *world) { w.servers["a"].slots["barman"] = true }, 17, ""},
		{"standby_stopped", func(w *world) { w.servers["c"].running = false }, 17, "c start; c await-streaming b"},
		{"standby_gone", func(w *world) { *w.servers["c"] = server{} }, 17, "c write-passfile; c clone b; c await-streaming b"},
		{"primary_stopped", func(w *world) { w.servers["a"].running = false }, 17,
			"a start; a ensure-account; a ensure-account; a create-slot b; b await-streaming a"},
		{"moved", func(w *world) { w.c = w.c.Moved("c", "a") }, 17,
			`a create-slot c; c follow a; c reload; c await-streaming a; a set-sync FIRST 1 ("b", "c"); b drop-slot c`},
		{"sync_off_by_hand", func(w *world) {
			w.servers["a"].write("synchronous_standby_names", "")
			w.load(w.servers["a"], false)
		}, 17, `a set-sync FIRST 1 ("b")`},
		{"delay", func(w *world) {
			w.c.Nodes[2].Sync, w.c.Nodes[2].Delay = false, time.Minute
		}, 17, "b set; b reload; c follow b; c reload; c await-streaming b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := built(t, tt.major)
			tt.drift(w)
			plan := topology.NewPlan(w.c, w.observe())
			require.Empty(t, plan.Refused)
			require.Equal(t, tt.want, words(plan))
		})
	}
}

// TestPlanMoves: up to 12 a standby takes a new upstream up by a restart.
func TestPlanMoves(t *testing.T) {
	for major, verb := range map[pgconf.Major]string{11: "restart", 12: "restart", 13: "reload", 18: "reload"} {
		w := built(t, major)
		w.c = w.c.Moved("c", "a")
		require.Contains(t, words(topology.NewPlan(w.c, w.observe())), "c follow a; c "+verb+"; c await-streaming a", major)
	}
}

// TestPlanSwapsTheSynchronous: the new one streams and is waited for before the old one leaves.
func TestPlanSwapsTheSynchronous(t *testing.T) {
	w := built(t, 17)
	w.c = w.c.Moved("c", "a").Moved("b", "c")
	require.Contains(t, words(topology.NewPlan(w.c, w.observe())),
		`c follow a; c reload; c await-streaming a; a set-sync FIRST 1 ("c"); c create-slot b; b follow c; b reload; b await-streaming c`)
	w.servers["c"].unreachable = true
	plan := topology.NewPlan(w.c, w.observe())
	require.NotContains(t, words(plan), "set-sync", "nobody takes the place of b, which still streams")
	require.NotContains(t, words(plan), "b follow")
}

func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name  string
		edit  func(w *world, o *topology.Observed)
		want  string
		steps bool // for the others
	}{
		{"two_primaries", func(w *world, o *topology.Observed) { o.Status.Nodes[1].InRecovery = false }, "b accepts writes", false},
		{"primary_elsewhere", func(w *world, o *topology.Observed) {
			o.Status.Nodes[0].InRecovery, o.Status.Nodes[2].InRecovery = true, false
		}, "c accepts writes, and a is to be the primary", false},
		{"no_primary", func(w *world, o *topology.Observed) { o.Status.Nodes[0].InRecovery = true }, "is in recovery", false},
		{"primary_not_seen", func(w *world, o *topology.Observed) { o.Inspections = o.Inspections[1:] }, "without the primary", false},
		{"primary_would_follow", func(w *world, o *topology.Observed) {
			o.Inspections[0].Start.Outcome = recovery.StartsStandby
		}, "would be none after its next start", false},
		{"primary_gone", func(w *world, o *topology.Observed) {
			*w.servers["a"] = server{}
			*o = w.observe()
		}, "it has no data, and b has some", false},
		{"new_but_one_not_seen", func(w *world, o *topology.Observed) {
			for _, s := range w.servers {
				*s = server{}
			}
			w.servers["c"].unreachable = true
			*o = w.observe()
		}, "no proof of a new cluster", false},
		{"stopped_primary_and_one_not_seen", func(w *world, o *topology.Observed) {
			w.servers["a"].running, w.servers["c"].unreachable = false, true
			*o = w.observe()
		}, "it may have taken over", false},
		{"stopped_primary_overtaken", func(w *world, o *topology.Observed) {
			w.servers["a"].running, w.servers["b"].timeline = false, 2
			*o = w.observe()
		}, "that has taken over", false},
		{"two_stopped_primaries", func(w *world, o *topology.Observed) {
			for _, id := range []topology.NodeID{"a", "b"} {
				w.servers[id].running, w.servers[id].primary = false, true
			}
			*o = w.observe()
		}, "which of them was the last", false},

		{"other_cluster", func(w *world, o *topology.Observed) { o.Inspections[1].Control.SystemID = 8 }, "another cluster", true},
		{"other_major", func(w *world, o *topology.Observed) { o.Inspections[1].Major = 16 }, "PostgreSQL 16 cannot follow 17", true},
		{"promoted", func(w *world, o *topology.Observed) { o.Status.Nodes[1].Timeline = 2 }, "somebody promoted it", true},
		{"former_primary", func(w *world, o *topology.Observed) {
			w.servers["b"].running = false
			*o = w.observe()
			o.Inspections[1].Control.State = datadir.StateShutDown
		}, "to be judged first", true},
		{"triggered", func(w *world, o *topology.Observed) { o.Inspections[1].Start.Triggered = true }, "promote itself", true},
		{"would_be_no_standby", func(w *world, o *topology.Observed) {
			o.Inspections[1].Start.Outcome = recovery.StartsPrimary
		}, "no standby after its next start", true},
		{"in_doubt", func(w *world, o *topology.Observed) {
			o.Inspections[1].Processes, o.Inspections[1].Doubt = topology.InDoubt, "a stale lock"
		}, "not known: a stale lock", true},
		{"hangs", func(w *world, o *topology.Observed) {
			o.Status.Nodes[1] = topology.Observation{Node: "b", Err: errAway}
		}, "runs and does not answer", true},
		{"answers_though_stopped", func(w *world, o *topology.Observed) {
			o.Inspections[1].Processes = topology.Stopped
		}, "look again", true},
		{"interrupted_rewind", func(w *world, o *topology.Observed) {
			*w.servers["b"] = server{}
			*o = w.observe()
			o.Inspections[1].Unfinished = []string{"/d.rewinding"}
		}, "/d.rewinding", true},
		{"command_line", func(w *world, o *topology.Observed) {
			set := o.Inspections[1].Settings["wal_keep_size"]
			set.Value, set.Origin = "7GB", pgconf.FromCommandLine
			o.Inspections[1].Settings["wal_keep_size"] = set
		}, "command line", true},
		{"rules_that_reject", func(w *world, o *topology.Observed) {
			o.Inspections[1].HBA = []byte("host replication all all reject\n")
		}, "pg_hba.conf", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := built(t, 17)
			w.servers["c"].passfile = false // something to do elsewhere
			o := w.observe()
			tt.edit(w, &o)
			plan := topology.NewPlan(w.c, o)
			require.NotEmpty(t, plan.Refused)
			require.Contains(t, plan.String(), tt.want)
			for _, s := range plan.Steps {
				require.NotEqual(t, topology.NodeID("b"), s.Node, plan)
			}
			require.Equal(t, tt.steps, len(plan.Steps) > 0, plan)
		})
	}
	invalid := topology.NewPlan(topology.Cluster{}, topology.Observed{})
	require.Contains(t, invalid.String(), "the description is not valid")
}

// TestPlanStrict: a strict policy never asks for fewer, and begins only when enough are there.
func TestPlanStrict(t *testing.T) {
	c := cluster(sync(node("a", "")), sync(node("b", "a")), sync(node("d", "a")))
	c.Sync = topology.SyncPolicy{Strict: true, SyncRule: topology.SyncRule{Number: 2}}
	w := newWorld(c, 17)
	for _, step := range topology.NewPlan(c, w.observe()).Steps {
		require.NoError(t, w.do(step))
	}
	require.Equal(t, topology.Plan{}, topology.NewPlan(c, w.observe()))
	w.servers["d"].unreachable, w.servers["d"].running = true, false
	require.Empty(t, topology.NewPlan(c, w.observe()).Steps, "it stays as strict as it is")
	w.servers["a"].write("synchronous_standby_names", "")
	w.load(w.servers["a"], false)
	plan := topology.NewPlan(c, w.observe())
	require.Empty(t, plan.Steps)
	require.Contains(t, plan.String(), "only b of those for 'FIRST 2 (\"b\", \"d\")' stream")
	w.c.Sync.Strict = false
	require.Contains(t, words(topology.NewPlan(w.c, w.observe())), `a set-sync FIRST 1 ("b", "d")`, "as many as there are")
}

// TestPlanSecrets: no form of a plan shows a password that stood in a configuration file.
func TestPlanSecrets(t *testing.T) {
	w := built(t, 17)
	w.servers["b"].follow.PrimaryConninfo = w.servers["b"].follow.PrimaryConninfo.With("password", "hunter2").With("host", "x")
	w.servers["b"].write("archive_command", "push --key hunter2")
	plan := topology.NewPlan(w.c, w.observe())
	require.Contains(t, words(plan), "b follow a")
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	require.NotContains(t, plan.String()+string(text), "hunter2")
}
