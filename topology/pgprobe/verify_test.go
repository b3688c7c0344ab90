package pgprobe_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// tree is the chain as it is seen now, and how to reach it.
func (ch *chain) tree(t *testing.T) (topology.Tree, map[topology.NodeID]string) {
	t.Helper()
	shape := topology.Cluster{Nodes: []topology.Node{
		{ID: "a", Host: "a"}, {ID: "b", Host: "b", Upstream: "a"}, {ID: "c", Host: "c", Upstream: "b"}, {ID: "w", Host: "w", Witness: true},
	}}
	connect := map[topology.NodeID]string{"a": ch.a.Conninfo(), "b": ch.b.Conninfo(), "c": ch.c.Conninfo()}
	var tree topology.Tree
	pgserver.Until(t, "a chain", func() error {
		tree = topology.Derive(shape, ch.watch.Observe(t.Context()))
		var ids []string
		for _, p := range tree.Places() {
			ids = append(ids, string(p.Node.ID))
			if p.Node.ID == "c" && p.Link == nil {
				return fmt.Errorf("c has no upstream")
			}
		}
		if got := strings.Join(ids, ""); got != "abcw" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	return tree, connect
}

const canaryThere = "(to_regnamespace('understudy') IS NOT NULL)::text"

func (ch *chain) verify(t *testing.T) {
	tree, connect := ch.tree(t)
	cfg := pgprobe.VerifyConfig{Connect: connect, Timeout: 30 * time.Second}
	v, err := pgprobe.Verify(t.Context(), tree, cfg)
	require.NoError(t, err)
	require.Equal(t, pgprobe.Removed, v.Fate)
	require.Empty(t, v.Leftover)
	require.Positive(t, v.Committed)
	require.NotZero(t, v.LSN)
	require.Len(t, v.Arrivals, 2)
	for i, want := range []struct{ node, upstream topology.NodeID }{{"b", "a"}, {"c", "b"}} {
		a := v.Arrivals[i]
		require.NoError(t, a.Err)
		require.Equal(t, want.node, a.Node)
		require.Equal(t, want.upstream, a.Upstream)
		require.True(t, a.Visible)
		require.True(t, a.Received)
		require.NotZero(t, a.Replayed)
		require.Positive(t, a.Latency)
		require.Less(t, a.Latency, 30*time.Second)
		require.LessOrEqual(t, a.Hop, a.Latency)
	}
	require.Equal(t, v.Arrivals[0].Latency, v.Arrivals[0].Hop)
	require.Equal(t, "false", ch.a.Ask(canaryThere), "what was created is gone")
	for _, s := range []*pgserver.Server{ch.b, ch.c} {
		require.NotContains(t, s.Log(), "<understudy_verify") // a table that is not there yet is no error
	}

	ch.verifyLate(t, tree, cfg)
	ch.verifyBlocked(t, tree, cfg)
	ch.compare(t, tree, connect)
}

// verifyLate: a table that is somebody's stays; a standby that does not replay is late, as an expected one it costs no time.
func (ch *chain) verifyLate(t *testing.T, tree topology.Tree, cfg pgprobe.VerifyConfig) {
	ch.a.Exec("CREATE SCHEMA understudy", "CREATE TABLE understudy.canary (token text, at timestamptz DEFAULT now())",
		"INSERT INTO understudy.canary VALUES ('mine')")
	ch.c.Exec("SELECT pg_wal_replay_pause()")
	cfg.Timeout = 3 * time.Second
	v, err := pgprobe.Verify(t.Context(), tree, cfg)
	require.NoError(t, err)
	require.True(t, v.Arrivals[0].Visible)
	require.False(t, v.Arrivals[1].Visible)
	require.ErrorIs(t, v.Arrivals[1].Err, pgprobe.ErrNotVisible)
	require.True(t, v.Arrivals[1].Received, "its WAL is there")
	require.Equal(t, pgprobe.Removed, v.Fate)
	require.Equal(t, "mine", ch.a.Ask("SELECT string_agg(token, ' ') FROM understudy.canary"))

	ch.a.Exec("DELETE FROM understudy.canary")
	tree.Primaries()[0].Children[0].Children[0].Node.Delay = time.Hour
	cfg.Timeout = 30 * time.Second
	delete(cfg.Connect, "b")
	begun := time.Now()
	v, err = pgprobe.Verify(t.Context(), tree, cfg)
	require.NoError(t, err)
	require.Less(t, time.Since(begun), 20*time.Second)
	require.ErrorContains(t, v.Arrivals[0].Err, "node b has no connection string")
	require.Equal(t, "it replays 1h0m0s late", v.Arrivals[1].Late)
	require.False(t, v.Arrivals[1].Visible)
	require.Equal(t, "true", ch.a.Ask("(to_regclass('understudy.canary') IS NOT NULL)::text"), "also empty it is somebody's")
	cfg.Connect["b"] = ch.b.Conninfo()
	tree.Primaries()[0].Children[0].Children[0].Node.Delay = 0
	ch.c.Exec("SELECT pg_wal_replay_resume()")
	ch.a.Exec("DROP SCHEMA understudy CASCADE")
}

// verifyBlocked: a commit that waits for a standby that is not there ends in time, by itself or with the caller, and nothing is left.
func (ch *chain) verifyBlocked(t *testing.T, tree topology.Tree, cfg pgprobe.VerifyConfig) {
	ch.a.Exec("ALTER SYSTEM SET synchronous_standby_names = nobody", "SELECT pg_reload_conf()")
	ch.sees(t, "a", "the name", func(o topology.Observation) bool { return o.SyncNames == "nobody" })
	cfg.Timeout = time.Second
	v, err := pgprobe.Verify(t.Context(), tree, cfg)
	var blocked *pgprobe.BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, "nobody", blocked.SyncNames)
	require.GreaterOrEqual(t, blocked.Waited, time.Second)
	require.Less(t, blocked.Waited, 10*time.Second)
	require.Equal(t, pgprobe.Removed, v.Fate)
	require.Zero(t, v.Committed)
	require.Equal(t, "false", ch.a.Ask(canaryThere))

	ctx, cancel := context.WithCancel(t.Context())
	cfg.Timeout = time.Minute
	go func() {
		defer cancel()
		for ctx.Err() == nil && ch.watch.ObserveNode(ctx, "a").Blocked.Commits == 0 {
			time.Sleep(20 * time.Millisecond) // between two looks
		}
	}()
	v, err = pgprobe.Verify(ctx, tree, cfg)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, pgprobe.Removed, v.Fate)
	require.Equal(t, "false", ch.a.Ask(canaryThere))

	// The session is ended at the commit: what the client is told is that its fate is in doubt, and it is cleared up afterwards.
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for ch.watch.ObserveNode(t.Context(), "a").Blocked.Commits == 0 {
			time.Sleep(20 * time.Millisecond) // between two looks
		}
		ch.a.Ask("SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	}()
	v, err = pgprobe.Verify(t.Context(), tree, cfg)
	<-killed
	require.ErrorContains(t, err, "its fate is in doubt")
	require.Equal(t, pgprobe.Removed, v.Fate)
	require.Equal(t, "false", ch.a.Ask(canaryThere))

	ch.a.Exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	ch.sees(t, "a", "no names", func(o topology.Observation) bool { return o.SyncNames == "" })

	_, err = pgprobe.Verify(t.Context(), topology.Tree{}, cfg)
	var none *pgprobe.PrimaryError
	require.ErrorAs(t, err, &none)
	cfg.Connect = map[topology.NodeID]string{"a": strings.Replace(cfg.Connect["a"], "user="+pgserver.User, "user="+watcher, 1)}
	v, err = pgprobe.Verify(t.Context(), tree, cfg)
	require.ErrorContains(t, err, "write the row: ERROR: permission denied")
	require.Equal(t, pgprobe.NotWritten, v.Fate)
	require.Empty(t, v.Leftover)
	require.Empty(t, v.Arrivals)
}

// compare: the same rows everywhere; a standby that is not as far is waited for, and said not to be compared.
func (ch *chain) compare(t *testing.T, tree topology.Tree, connect map[topology.NodeID]string) {
	ch.a.Exec("CREATE TABLE pairs (a int, b text)", `INSERT INTO pairs VALUES (1, E'x\ty'), (1, E'x\ty'), (2, NULL)`)
	cfg := pgprobe.CompareConfig{Connect: connect, Query: "SELECT * FROM pairs", Timeout: 30 * time.Second}
	c, err := pgprobe.Compare(t.Context(), tree, cfg)
	require.NoError(t, err)
	require.Equal(t, 3, c.Rows)
	require.False(t, c.Moving)
	require.Len(t, c.Nodes, 2)
	require.True(t, c.Nodes[0].Same(), "%+v", c.Nodes[0])
	require.True(t, c.Nodes[1].Same(), "%+v", c.Nodes[1])

	cfg.Query = "SELECT current_setting('cluster_name')"
	c, err = pgprobe.Compare(t.Context(), tree, cfg)
	require.NoError(t, err)
	require.Equal(t, pgprobe.Difference{Node: "c", Missing: []string{"a"}, Extra: []string{"c"}}, c.Nodes[1])
	require.False(t, c.Nodes[1].Same())

	for query, want := range map[string]string{
		"DELETE FROM pairs": "cannot execute DELETE in a read-only transaction", "SELECT 1; SELECT 2": "multiple commands", "SELECT generate_series(1, 9)": "more than 5 rows",
	} {
		_, err = pgprobe.Compare(t.Context(), tree, pgprobe.CompareConfig{Connect: connect, Query: query, MaxRows: 5})
		require.ErrorContains(t, err, want)
	}
	ch.c.Exec("SELECT pg_wal_replay_pause()")
	ch.a.Exec("INSERT INTO pairs VALUES (3, '')")
	c, err = pgprobe.Compare(t.Context(), tree, pgprobe.CompareConfig{Connect: connect, Query: "TABLE pairs", Timeout: time.Second})
	require.NoError(t, err)
	require.True(t, c.Nodes[0].Same(), "%+v", c.Nodes[0])
	require.ErrorIs(t, c.Nodes[1].Err, context.DeadlineExceeded)
	ch.c.Exec("SELECT pg_wal_replay_resume()")
}
