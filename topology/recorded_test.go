package topology_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

var record = flag.Bool("record", false, "write what real servers said to testdata/situations/recorded")

// recording is a situation as real servers described it.
type recording struct {
	Want    []string // severity, code and node of each problem
	Limits  topology.Limits
	Cluster topology.Cluster
	Status  topology.Status
}

// TestRecordedSituations replays what real servers once said.
func TestRecordedSituations(t *testing.T) {
	files, err := filepath.Glob("testdata/situations/recorded/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 25)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			var r recording
			require.NoError(t, json.Unmarshal(data, &r))
			report := topology.Assess(r.Cluster, r.Status, r.Limits)
			require.Equal(t, r.Want, graded(report), report.ProblemText(topology.TextOptions{}))
			sound(t, r.Cluster, report)
		})
	}
}

// graded are the problems of a report without their texts, in an order that does not depend on the severity.
func graded(r topology.Report) []string {
	all := []string{}
	for _, p := range r.Problems {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Severity, p.Code, p.Node)))
	}
	slices.Sort(all)
	return all
}

// stage is a chain of three real servers: b follows a and is synchronous, c follows b.
type stage struct {
	t       *testing.T
	in      *livepg.Install
	desired topology.Cluster
	servers map[topology.NodeID]*livepg.Server
	role    map[topology.NodeID]string // with which a node is observed, if not as superuser
}

func newStage(t *testing.T, in *livepg.Install) *stage {
	t.Helper()
	st := &stage{t: t, in: in, servers: map[topology.NodeID]*livepg.Server{}, role: map[topology.NodeID]string{}}
	// Copies of one data directory that was shut down cleanly: a goes on from there, the others follow.
	a, b, c := in.Primary(t, "a"), in.Primary(t, "b"), in.Primary(t, "c")
	st.desired = livepg.Shape(a, b, c)
	st.desired.Nodes[1].Sync = true
	st.desired.Slots = true
	st.desired.Replication = topology.Replication{User: livepg.Replicator, Passfile: a.Passfile(t)}
	st.desired.Archive = topology.Archive{Command: `test -f "%p"`}
	st.desired.Clients = []topology.Client{
		{User: livepg.Superuser, Database: "postgres", Addresses: []string{"127.0.0.1/32"}},
		{User: livepg.Nobody, Database: "postgres", Addresses: []string{"127.0.0.1/32"}},
	}
	st.desired.Settings = map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "8MB", "max_connections": "20",
		"autovacuum": "off", "fsync": "on", "wal_retrieve_retry_interval": "100ms", "max_wal_size": "64MB",
	}
	st.desired.KeepWAL = "32MB"
	require.NoError(t, st.desired.Validate())
	st.servers["a"], st.servers["b"], st.servers["c"] = a, b, c
	cfg := st.render("a")
	require.NoError(t, a.Configure(t.Context(), cfg.Values(), cfg.Access))
	require.NoError(t, a.Start(t.Context()))
	for _, id := range []topology.NodeID{"b", "c"} {
		up, _ := st.desired.Upstream(id)
		st.sql(up.ID, "SELECT pg_create_physical_replication_slot('"+string(id)+"', true)")
		st.follower(st.servers[id], st.render(id))
		require.NoError(t, st.servers[id].Start(t.Context()))
		st.servers[id].WaitStreaming(t)
	}
	st.sql("a", "INSERT INTO ledger VALUES (1); SELECT pg_switch_wal()")
	a.Wait(t, "SELECT archived_count > 0 FROM pg_stat_archiver", "t")
	return st
}

// follower makes a stopped server a standby.
func (st *stage) follower(s *livepg.Server, cfg topology.NodeConfig) {
	require.NoError(st.t, s.Configure(st.t.Context(), cfg.Values(), cfg.Access))
	server := recovery.Server{DataDir: s.DataDir(), Major: pgconf.Major(st.in.Major)}
	require.NoError(st.t, recovery.Apply(st.t.Context(), recovery.Disk{}, server, *cfg.Recovery))
}

func (st *stage) render(id topology.NodeID) topology.NodeConfig {
	st.t.Helper()
	cfg, err := st.desired.Render(id, pgconf.Major(st.in.Major))
	require.NoError(st.t, err)
	return cfg
}

func (st *stage) sql(id topology.NodeID, sql string) string { return st.servers[id].SQL(st.t, sql) }

// set changes a setting by ALTER SYSTEM and reloads; an empty value takes it away again.
func (st *stage) set(id topology.NodeID, name, value string) {
	if value == "" {
		st.sql(id, "ALTER SYSTEM RESET "+name)
	} else {
		st.sql(id, "ALTER SYSTEM SET "+name+" = "+literal(st.t, value))
	}
	st.sql(id, "SELECT pg_reload_conf()")
}

// follow points a standby elsewhere, by a reload (13+).
func (st *stage) follow(id topology.NodeID, port int, name, slot string) {
	st.sql(id, "ALTER SYSTEM SET primary_slot_name = "+literal(st.t, slot))
	st.set(id, "primary_conninfo", fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s application_name=%s", port, livepg.Replicator,
		livepg.Password, name))
}

// back makes a standby follow whom it should.
func (st *stage) back(id topology.NodeID) {
	st.sql(id, "ALTER SYSTEM RESET primary_slot_name")
	st.set(id, "primary_conninfo", "")
}

func (st *stage) stop(id topology.NodeID) {
	require.NoError(st.t, st.servers[id].Stop(st.t.Context(), pgnode.StopImmediate))
}

func (st *stage) start(id topology.NodeID) {
	require.NoError(st.t, st.servers[id].Start(st.t.Context()))
}

// standby makes a stopped server one that follows another (12+).
func (st *stage) standby(id, upstream topology.NodeID) {
	s := st.servers[id]
	require.NoError(st.t, s.In.Host.WriteFile(st.t.Context(), s.DataDir()+"/standby.signal", nil, 0o600))
	file := s.DataDir() + "/postgresql.auto.conf"
	old, err := s.In.Host.ReadFile(st.t.Context(), file)
	require.NoError(st.t, err)
	line := fmt.Sprintf("primary_slot_name = '%s'\nprimary_conninfo = 'host=127.0.0.1 port=%d user=%s password=%s application_name=%s'\n", id, st.servers[upstream].Port,
		livepg.Replicator, livepg.Password, id)
	require.NoError(st.t, s.In.Host.WriteFile(st.t.Context(), file, append(old, line...), 0o600))
}

func (st *stage) assess() (topology.Status, topology.Report) {
	connect := map[topology.NodeID]string{}
	for id, s := range st.servers {
		role := livepg.Superuser
		if other := st.role[id]; other != "" {
			role = other
		}
		connect[id] = s.Dial(role).Text()
	}
	p, err := pgprobe.New(pgprobe.Config{Connect: connect, Timeout: 5 * time.Second})
	require.NoError(st.t, err)
	defer func() { _ = p.Close(st.t.Context()) }()
	status := p.Observe(st.t.Context())
	return status, topology.Assess(st.desired, status, stageLimits)
}

// stageLimits do not look at what a test does all the time.
var stageLimits = topology.Limits{Restarted: -1, Blocked: 1, ClockSkew: 60}

// expect waits until the servers show these problems and no other, and records what they said.
func (st *stage) expect(name string, want []string) {
	st.t.Helper()
	slices.Sort(want)
	var status topology.Status
	var last topology.Report
	livepg.Until(st.t, name, func() error {
		status, last = st.assess()
		if got := graded(last); !slices.Equal(got, want) {
			return fmt.Errorf("got %q, want %q\n%s", got, want, last.ProblemText(topology.TextOptions{}))
		}
		return nil
	})
	for _, p := range last.Problems {
		require.NotContains(st.t, p.String()+p.Remedy, livepg.Password)
	}
	if *record {
		st.write(name, recording{Want: want, Limits: stageLimits, Cluster: st.desired, Status: status})
	}
}

// write stores a recording, without the names of directories on this machine.
func (st *stage) write(name string, r recording) {
	for _, o := range r.Status.Nodes {
		maps.DeleteFunc(o.Parameters, func(_ string, p topology.Parameter) bool { return p.Value == "" && !p.Pending })
	}
	data, err := json.Marshal(r)
	require.NoError(st.t, err)
	for _, field := range []string{`"Limits"`, `"Cluster":{"Name"`, `"Status"`, `{"node"`} {
		data = bytes.ReplaceAll(data, []byte(","+field), []byte(",\n"+field))
	}
	data = bytes.ReplaceAll(data, []byte(filepath.Dir(st.servers["a"].DataDir())), []byte("/srv/pg"))
	require.NotContains(st.t, string(data), livepg.Password)
	file := filepath.Join("testdata", "situations", "recorded", name+"-"+strconv.Itoa(st.in.Major)+".json")
	require.NoError(st.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(st.t, os.WriteFile(file, append(data, '\n'), 0o600))
}

// scene is something that happens to the servers, what that looks like, and how it is made good again.
type scene struct {
	name  string
	since int // the first major on which it can be done
	do    func(*stage)
	want  []string
	undo  func(*stage)
}

var scenes = []scene{
	{name: "healthy", do: func(*stage) {}, want: []string{}},
	{name: "replay_paused", do: func(st *stage) { st.sql("b", "SELECT pg_wal_replay_pause()") }, want: []string{"warning replay-paused b"},
		undo: func(st *stage) { st.sql("b", "SELECT pg_wal_replay_resume()") }},
	{name: "pending_restart", do: func(st *stage) { st.set("b", "max_connections", "30") }, want: []string{"warning pending-restart b"},
		undo: func(st *stage) { st.set("b", "max_connections", "") }},
	{name: "broken_hba_line", do: func(st *stage) { st.edit("b", "pg_hba.conf", "host all all 10.0.0.1/99 md5\n") },
		want: []string{"warning refused-lines b"}, undo: func(st *stage) { st.edit("b", "pg_hba.conf", "") }},
	{name: "archiving_failing", do: func(st *stage) {
		st.set("a", "archive_command", "false")
		st.sql("a", "INSERT INTO ledger SELECT max(id) + 1 FROM ledger; SELECT pg_switch_wal()")
	}, want: []string{"notice settings-differ a", "warning archive-differs b", "warning archive-differs c", "warning archiving-failing a"},
		undo: func(st *stage) { st.set("a", "archive_command", "") }},
	{name: "read_only_primary", do: func(st *stage) { st.set("a", "default_transaction_read_only", "on") },
		want: []string{"critical read-only-primary a"}, undo: func(st *stage) { st.set("a", "default_transaction_read_only", "") }},
	{name: "fsync_off", do: func(st *stage) { st.set("b", "fsync", "off") }, want: []string{"critical fsync-off b"},
		undo: func(st *stage) { st.set("b", "fsync", "") }},
	{name: "full_page_writes_off", do: func(st *stage) { st.set("a", "full_page_writes", "off") }, want: []string{"warning full-page-writes-off a"},
		undo: func(st *stage) { st.set("a", "full_page_writes", "") }},
	{name: "settings_differ", do: func(st *stage) { st.set("c", "archive_timeout", "1h") }, want: []string{"notice settings-differ c"},
		undo: func(st *stage) { st.set("c", "archive_timeout", "") }},
	{name: "sync_anyone", do: func(st *stage) { st.set("a", "synchronous_standby_names", "*") }, want: []string{"warning sync-anyone a"},
		undo: func(st *stage) { st.set("a", "synchronous_standby_names", "") }},
	{name: "sync_nobody", do: func(st *stage) { st.set("a", "synchronous_standby_names", "FIRST 1 (b, reports)") },
		want: []string{"warning sync-nobody a"}, undo: func(st *stage) { st.set("a", "synchronous_standby_names", "") }},
	{name: "sync_impossible", do: func(st *stage) { st.set("a", "synchronous_standby_names", "ANY 2 (b)") },
		want: []string{"critical sync-impossible a"}, undo: func(st *stage) { st.set("a", "synchronous_standby_names", "") }},
	{name: "commit_not_waiting", do: func(st *stage) { st.set("a", "synchronous_commit", "local") },
		want: []string{"critical commit-not-waiting a"}, undo: func(st *stage) { st.set("a", "synchronous_commit", "") }},
	{name: "commits_blocked", do: (*stage).block, want: []string{"critical commits-blocked a", "warning sync-nobody a"},
		undo: func(st *stage) { st.set("a", "synchronous_standby_names", "") }},
	{name: "slot_left_over", do: func(st *stage) { st.sql("a", "SELECT pg_create_physical_replication_slot('c', true)") },
		want: []string{"warning slot-left-over a"}, undo: func(st *stage) { st.sql("a", "SELECT pg_drop_replication_slot('c')") }},
	{name: "stranger", do: (*stage).stranger, want: []string{"warning stranger a"},
		undo: func(st *stage) {
			st.sql("a", "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = 'reports'")
		}},
	{name: "not_monitor", do: func(st *stage) { st.role["c"] = livepg.Nobody }, want: []string{"warning not-monitor c"},
		undo: func(st *stage) { delete(st.role, "c") }},
	{name: "slot_lost", since: 13, do: (*stage).loseSlot, want: []string{"critical slot-lost a", "notice settings-differ a"},
		undo: func(st *stage) {
			st.sql("a", "SELECT pg_drop_replication_slot('ghost')")
			st.set("a", "max_slot_wal_keep_size", "")
		}},
	{name: "slot_not_used", since: 13, do: func(st *stage) { st.follow("c", st.servers["b"].Port, "c", "") },
		want: []string{"warning wrong-slot c"}, undo: func(st *stage) { st.back("c") }},
	{name: "wrong_name", since: 13, do: func(st *stage) { st.follow("c", st.servers["b"].Port, "walreceiver", "c") },
		want: []string{"warning wrong-name c"}, undo: func(st *stage) { st.back("c") }},
	{name: "wrong_upstream", since: 13, do: func(st *stage) { st.follow("c", st.servers["a"].Port, "c", "") },
		want: []string{"warning wrong-slot c", "warning wrong-upstream c"}, undo: func(st *stage) { st.back("c") }},
	{name: "detached", since: 13, do: func(st *stage) { st.follow("c", 1, "c", "c") }, want: []string{"critical detached c"},
		undo: func(st *stage) { st.back("c") }},
	{name: "slot_missing", since: 13, do: func(st *stage) {
		st.follow("c", 1, "c", "c")
		st.servers["b"].Wait(st.t, "SELECT active FROM pg_replication_slots WHERE slot_name = 'c'", "f")
		st.sql("b", "SELECT pg_drop_replication_slot('c')")
		st.back("c")
	}, want: []string{"critical missing-slot c"}, undo: func(st *stage) { st.sql("b", "SELECT pg_create_physical_replication_slot('c', true)") }},
	{name: "loop", since: 13, do: func(st *stage) { st.follow("b", st.servers["c"].Port, "b", "") },
		want: []string{"critical loop b", "critical sync-unmet a"}, undo: func(st *stage) { st.back("b") }},
	{name: "standby_silent", do: func(st *stage) { st.stop("c") }, want: []string{"critical silent c"}, undo: func(st *stage) { st.start("c") }},
	{name: "upstream_silent", do: func(st *stage) { st.stop("b") }, want: []string{"critical silent b", "critical sync-unmet a"},
		undo: func(st *stage) { st.start("b") }},
	{name: "primary_silent", do: func(st *stage) { st.stop("a") }, want: []string{"critical primary-unknown", "critical silent a"},
		undo: func(st *stage) { st.start("a") }},
	{name: "wrong_primary", do: func(st *stage) {
		st.stop("a")
		require.NoError(st.t, st.servers["b"].Promote(st.t.Context()))
	}, want: []string{"critical silent a", "warning wrong-primary b"}},
	{name: "diverged", since: 12, do: func(st *stage) {
		st.start("a")
		st.sql("a", "SET synchronous_commit = local; INSERT INTO ledger SELECT max(id) + 1 FROM ledger")
		st.sql("a", "SELECT pg_drop_replication_slot('b')")
		st.sql("b", "SELECT pg_create_physical_replication_slot('a', true)")
		st.stop("a")
		st.standby("a", "b")
		st.start("a")
	}, want: []string{"critical diverged a", "warning wrong-primary b"}},
}

// apartScenes are those that leave nothing behind for others.
var apartScenes = []scene{
	{name: "several_primaries", since: 12, do: func(st *stage) { require.NoError(st.t, st.servers["c"].Promote(st.t.Context())) },
		want: []string{"critical several-primaries"}},
	{name: "promoted_one_came_back", since: 12, do: func(st *stage) {
		st.stop("c")
		st.standby("c", "b")
		st.start("c")
	}, want: []string{"critical timeline-ahead c"}},
	{name: "limit_raised_on_the_primary_first", since: 14, do: func(st *stage) {
		st.set("a", "max_connections", "30")
		require.NoError(st.t, st.servers["a"].Restart(st.t.Context()))
	}, want: []string{"critical lower-limit b", "critical lower-limit c", "critical timeline-ahead c", "notice settings-differ a"}},
}

// TestRealSituations makes every situation on real servers and waits until the report says what it should.
func TestRealSituations(t *testing.T) {
	majors := []int{11, 18} // two show that the recordings of the others are still true
	if *record {
		majors = []int{10, 13, 18}
	}
	for _, major := range majors {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			in := livepg.OfMajor(t, major)
			play(t, in, scenes)
			play(t, in, apartScenes)
		})
	}
}

func play(t *testing.T, in *livepg.Install, all []scene) {
	if in.Major < all[0].since {
		return
	}
	st := newStage(t, in)
	for _, sc := range all {
		if in.Major < sc.since {
			continue
		}
		done := t.Run(sc.name, func(t *testing.T) {
			st.t = t
			sc.do(st)
			st.expect(sc.name, sc.want)
			if sc.undo != nil {
				sc.undo(st)
				st.expect("healthy", []string{})
			}
		})
		require.True(t, done, "the servers are not what the next situation needs")
	}
}

// edit appends a line to a configuration file, or takes it away again.
func (st *stage) edit(id topology.NodeID, name, line string) {
	s := st.servers[id]
	file := s.DataDir() + "/" + name
	content, err := s.In.Host.ReadFile(st.t.Context(), file)
	require.NoError(st.t, err)
	content, _, _ = bytes.Cut(content, []byte("# appended\n"))
	if line != "" {
		content = append(content, "# appended\n"+line...)
	}
	require.NoError(st.t, s.In.Host.WriteFile(st.t.Context(), file, content, 0o600))
}

// block makes a commit that waits for a standby which does not exist.
func (st *stage) block() {
	st.set("a", "synchronous_standby_names", "ghost")
	go func() {
		_, _ = st.servers["a"].Query(st.t.Context(), "INSERT INTO ledger SELECT max(id) + 1 FROM ledger")
	}()
}

// stranger streams from a as a server that is no node would.
func (st *stage) stranger() {
	a := st.servers["a"]
	conn, err := pgconn.Connect(st.t.Context(), a.Dial(livepg.Replicator).Without("dbname").With("replication", "true").
		With("application_name", "reports").Text())
	require.NoError(st.t, err)
	st.t.Cleanup(func() { _ = conn.Close(st.t.Context()) })
	at := st.sql("a", "SELECT pg_current_wal_lsn()")
	conn.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION PHYSICAL " + at})
	require.NoError(st.t, conn.Frontend().Flush())
}

// loseSlot writes more WAL than the slot of nobody may keep.
func (st *stage) loseSlot() {
	st.sql("a", "SELECT pg_create_physical_replication_slot('ghost', true)")
	st.set("a", "max_slot_wal_keep_size", "32MB")
	livepg.Until(st.t, "the slot to be lost", func() error {
		for range 4 {
			st.sql("a", "INSERT INTO ledger SELECT max(id) + 1 FROM ledger; SELECT pg_switch_wal()")
		}
		st.sql("a", "CHECKPOINT")
		if status := st.sql("a", "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'ghost'"); status != "lost" {
			return fmt.Errorf("it is %s", status)
		}
		return nil
	})
}
