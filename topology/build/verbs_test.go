package build_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// made returns a site whose cluster is up.
func made(t *testing.T, nodes ...string) *site {
	t.Helper()
	s := newSite(t, nodes...)
	_, err := s.builder(t).Bootstrap(t.Context(), build.BootstrapConfig{})
	require.NoError(t, err)
	s.sql(t, s.cluster.Nodes[0].ID, "CREATE TABLE IF NOT EXISTS ledger (id bigint PRIMARY KEY)")
	return s
}

// TestAdopt: a server that runs becomes the primary of a cluster without a restart; whoever writes meanwhile never waits long, and
// what waits for a restart is said. Rules and settings of its owner stay.
func TestAdopt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a+", "c<a+")
	a := s.servers["a"]
	owned := s.in.Started(t, "a")
	require.NoError(t, owned.Stop(t.Context(), pgnode.StopFast))
	require.NoError(t, s.in.Host.Rename(t.Context(), owned.DataDir(), a.DataDir()))
	require.NoError(t, a.Set(t.Context(), map[string]string{"port": itoa(a.Port), "max_wal_senders": "5", "work_mem": "5MB"}))
	require.NoError(t, a.Start(t.Context()))
	a.SQL(t, "CREATE ROLE app LOGIN PASSWORD 'x'")
	secretOfOwner := livepg.Password
	b := s.builder(t, func(c *build.Config) {
		c.Secret = func(ctx context.Context, ref topology.SecretRef) (string, error) {
			if ref == "env:ADMIN" {
				return secretOfOwner, nil
			}
			return secret(ctx, ref)
		}
	})
	started := a.SQL(t, "SELECT pg_postmaster_start_time()")
	w := write(t, a)
	pending, err := b.Bootstrap(t.Context(), build.BootstrapConfig{})
	longest, written := w.stop()
	require.NoError(t, err)
	require.Len(t, pending, 1)
	require.Equal(t, topology.Restart{}, pending[0].Action)
	require.Contains(t, pending[0].Why, "max_wal_senders")
	require.Equal(t, started, a.SQL(t, "SELECT pg_postmaster_start_time()"))
	require.Equal(t, "5MB", a.SQL(t, "SHOW work_mem"))
	require.Less(t, longest, 10*time.Second)
	require.Positive(t, written)
	require.Equal(t, itoa(written), a.SQL(t, "SELECT count(*) FROM ledger"))
	pending, err = b.Bootstrap(t.Context(), build.BootstrapConfig{RestartPrimary: true})
	require.NoError(t, err)
	require.Empty(t, pending)
	require.NotEqual(t, started, a.SQL(t, "SELECT pg_postmaster_start_time()"))
	plan, err := b.Plan(t.Context())
	require.NoError(t, err)
	require.Empty(t, plan)
}

// writer writes without end, as the superuser, and measures how long a commit takes.
type writer struct {
	end     context.CancelFunc
	done    sync.WaitGroup
	longest time.Duration
	written int
}

func write(t *testing.T, s *livepg.Server) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{end: cancel}
	w.done.Go(func() {
		conn, err := pgx.Connect(ctx, s.Dial(livepg.Superuser).Text())
		if err != nil {
			t.Errorf("writer: %v", err)
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		for ctx.Err() == nil {
			begun := time.Now()
			if _, err := conn.Exec(context.WithoutCancel(ctx), "INSERT INTO ledger VALUES ($1)", w.written); err != nil {
				t.Errorf("writer: %v", err)
				return
			}
			w.written++
			w.longest = max(w.longest, time.Since(begun))
		}
	})
	return w
}

func (w *writer) stop() (longest time.Duration, written int) {
	w.end()
	w.done.Wait()
	return w.longest, w.written
}

// TestReparent moves a node with what is below it, and back again.
func TestReparent(t *testing.T) {
	t.Parallel()
	s := made(t, "a", "b<a+", "c<b", "d<c")
	b := s.builder(t)
	before := s.sql(t, "c", "SELECT pg_postmaster_start_time()")
	for _, up := range []topology.NodeID{"a", "b", topology.Leader} {
		c, err := b.Reparent(t.Context(), "c", up)
		require.NoError(t, err)
		s.cluster = c
		s.settled(t)
	}
	require.Equal(t, before, s.sql(t, "c", "SELECT pg_postmaster_start_time()"), "a reload is enough")
	require.Empty(t, s.sql(t, "b", "SELECT string_agg(slot_name, ',') FROM pg_replication_slots"))
	for id, up := range map[topology.NodeID]topology.NodeID{"b": "z", "a": "b", "c": "d", "z": "a"} {
		c, err := b.Reparent(t.Context(), id, up)
		require.Error(t, err)
		require.Equal(t, s.cluster, c)
	}
	s.settled(t)
}

// TestDetachAttachRetire: a node leaves, comes back with what it has, and leaves for good. Commits never stall.
func TestDetachAttachRetire(t *testing.T) {
	t.Parallel()
	s := made(t, "a", "b<a+", "c<b")
	b := s.builder(t)
	dir := s.node("c").DataDir
	_, err := b.Detach(t.Context(), "b", build.DetachConfig{})
	require.ErrorContains(t, err, "node c streams from b")
	_, err = b.Detach(t.Context(), "a", build.DetachConfig{})
	require.ErrorContains(t, err, "no standby")

	c := *s.node("c")
	s.cluster, err = b.Detach(t.Context(), "c", build.DetachConfig{})
	require.NoError(t, err)
	s.settled(t)
	s.sql(t, "a", "INSERT INTO ledger VALUES (1)")
	s.cluster, err = b.Attach(t.Context(), c, build.AttachConfig{})
	require.NoError(t, err)
	s.settled(t)
	s.servers["c"].WaitSQLAs(t, "postgres", secrets["env:ADMIN"], "SELECT count(*) FROM ledger", "1")

	s.cluster, err = b.Retire(t.Context(), "c")
	require.NoError(t, err)
	s.settled(t)
	there, err := s.in.Host.Exists(t.Context(), dir)
	require.NoError(t, err)
	require.False(t, there)
	asides, err := s.servers["c"].Asides(t.Context())
	require.NoError(t, err)
	require.Len(t, asides, 1)

	// The synchronous one: nobody waits for it any more.
	s.cluster, err = b.Retire(t.Context(), "b")
	require.NoError(t, err)
	require.Empty(t, s.sql(t, "a", "SHOW synchronous_standby_names"))
	s.sql(t, "a", "INSERT INTO ledger VALUES (2)")
	require.Equal(t, "0", s.sql(t, "a", "SELECT count(*) FROM pg_replication_slots"))

	// And a new machine in its place.
	s.cluster, err = b.Attach(t.Context(), s.blank(t, "e<a+"), build.AttachConfig{})
	require.NoError(t, err)
	s.settled(t)
	require.Equal(t, `FIRST 1 ("e")`, s.sql(t, "a", "SHOW synchronous_standby_names"))
}

// TestAttachRefuses: what the primary may not have is left as it is.
func TestAttachRefuses(t *testing.T) {
	t.Parallel()
	s := made(t, "a", "b<a")
	b := s.builder(t)
	var kept *build.NotRedundantError

	t.Run("other_cluster_stopped", func(t *testing.T) {
		n := s.blank(t, "x<a")
		s.movedTo(t, s.in.Primary(t, "x"), n)
		_, err := b.Attach(t.Context(), n, build.AttachConfig{Rewind: true, Replace: true})
		require.ErrorAs(t, err, &kept)
		require.ErrorContains(t, err, "another cluster")
	})
	t.Run("other_cluster_running", func(t *testing.T) {
		n := s.blank(t, "y<a")
		x := s.in.Primary(t, "y")
		s.movedTo(t, x, n)
		y := s.servers["y"]
		require.NoError(t, y.Set(t.Context(), map[string]string{"port": itoa(y.Port)}))
		require.NoError(t, y.Start(t.Context()))
		y.SQL(t, "ALTER ROLE postgres PASSWORD '"+secrets["env:ADMIN"]+"'")
		_, err := b.Attach(t.Context(), n, build.AttachConfig{Rewind: true, Replace: true})
		require.ErrorAs(t, err, &kept)
		require.ErrorContains(t, err, "runs")
		require.Equal(t, "f", s.sql(t, "y", "SELECT pg_is_in_recovery()"))
	})
	t.Run("diverged", func(t *testing.T) {
		gone := *s.node("b")
		var err error
		s.cluster, err = b.Detach(t.Context(), "b", build.DetachConfig{})
		require.NoError(t, err)
		node := s.servers["b"]
		require.NoError(t, node.Start(t.Context()))
		require.NoError(t, node.Promote(t.Context()))
		s.sql(t, "b", "INSERT INTO ledger VALUES (100)")
		require.NoError(t, node.Stop(t.Context(), pgnode.StopFast))
		_, err = b.Attach(t.Context(), gone, build.AttachConfig{})
		require.ErrorAs(t, err, &kept)
		require.NotEqual(t, recovery.Follow, kept.Verdict)
		_, err = b.Attach(t.Context(), gone, build.AttachConfig{Rewind: true})
		require.ErrorAs(t, err, &kept, "somebody promoted it later, so its data may be the better one")
		require.NotContains(t, s.cluster.Nodes, gone)
		// With consent it is set aside, and cloned.
		s.cluster, err = b.Attach(t.Context(), gone, build.AttachConfig{Replace: true})
		require.NoError(t, err)
		s.settled(t)
		asides, err := node.Asides(t.Context())
		require.NoError(t, err)
		require.Len(t, asides, 1)
	})
}

// movedTo gives a server's data directory to a node.
func (s *site) movedTo(t *testing.T, from *livepg.Server, n topology.Node) {
	t.Helper()
	require.NoError(t, s.in.Host.Rename(t.Context(), from.DataDir(), n.DataDir))
}

// TestReturningPrimary: after a failover the old primary comes back, by pg_rewind if somebody allows that.
func TestReturningPrimary(t *testing.T) {
	t.Parallel()
	for name, diverged := range map[string]bool{"follows": false, "rewound": true} {
		t.Run(name, func(t *testing.T) {
			s := made(t, "a", "b<a")
			a, b := s.servers["a"], s.servers["b"]
			if diverged {
				require.NoError(t, b.Stop(t.Context(), pgnode.StopFast))
				s.sql(t, "a", "INSERT INTO ledger VALUES (7)")
				require.NoError(t, a.Kill(t.Context()))
				require.NoError(t, a.Fence(t.Context()))
				require.NoError(t, b.Start(t.Context()))
			} else {
				require.NoError(t, a.Stop(t.Context(), pgnode.StopFast))
			}
			require.NoError(t, b.Promote(t.Context()))
			old := *s.node("a")
			old.Upstream = "b"
			s.cluster = s.cluster.Promoted("b")
			builder := s.builder(t)
			var err error
			if diverged {
				var kept *build.NotRedundantError
				_, err = builder.Attach(t.Context(), old, build.AttachConfig{})
				require.ErrorAs(t, err, &kept)
				require.Equal(t, recovery.Rewind, kept.Verdict)
			}
			s.cluster, err = builder.Attach(t.Context(), old, build.AttachConfig{Rewind: true})
			require.NoError(t, err)
			s.settled(t)
			asides, err := a.Asides(t.Context())
			require.NoError(t, err)
			require.Empty(t, asides)
		})
	}
}

// TestRetireRefuses: what nobody has proven to be redundant stays where it is.
func TestRetireRefuses(t *testing.T) {
	t.Parallel()
	s := made(t, "a", "b<a")
	b := s.builder(t)
	s.sql(t, "b", "SELECT pg_promote()")
	var kept *build.NotRedundantError
	_, err := b.Retire(t.Context(), "b")
	require.ErrorAs(t, err, &kept)
	require.Equal(t, "f", s.sql(t, "b", "SELECT pg_is_in_recovery()"))
}

// TestCloneFromBackup makes a standby of a base backup and the archive.
func TestCloneFromBackup(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a", "c<a")
	archive := s.in.TempDir(t)
	s.cluster.Archive = topology.Archive{Command: "cp %p " + archive + "/%f", Restore: "cp " + archive + "/%f %p"}
	all := s.cluster
	s.cluster.Nodes = all.Nodes[:2]
	_, err := s.builder(t).Bootstrap(t.Context(), build.BootstrapConfig{})
	require.NoError(t, err)
	backup := s.in.Blank(t, "backup")
	info, err := s.cluster.UpstreamConninfo("b")
	require.NoError(t, err)
	require.NoError(t, s.run(t, "pg_basebackup", "-D", backup.DataDir(), "-d", info.With("application_name", "backup").Text(), "-X", "none", "-c", "fast"))
	s.sql(t, "a", "CREATE TABLE later (); SELECT pg_switch_wal()")
	livepg.Until(t, "the segment to be archived", func() error {
		if s.sql(t, "a", "SELECT last_archived_wal IS NOT NULL AND archived_count > 2 FROM pg_stat_archiver") != "t" {
			return errors.New("it is not")
		}
		return nil
	})
	s.cluster = all
	b := s.builder(t)
	require.ErrorContains(t, b.Clone(t.Context(), "c", build.CloneConfig{Backup: s.node("b").DataDir}), "no base backup")
	require.NoError(t, b.Clone(t.Context(), "c", build.CloneConfig{Backup: backup.DataDir()}))
	require.Error(t, b.Clone(t.Context(), "c", build.CloneConfig{}), "it is there already")
	s.settled(t)
	require.Equal(t, "0", s.sql(t, "c", "SELECT count(*) FROM later"))
}

// TestKilled kills the program that makes a cluster after each of its steps, and in the middle of them; the next one goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	t.Run("after_each_step", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "a", "b<a+", "c<b")
		runs := 1
		for ; runs < 60; runs++ {
			if s.child(t, childJob{Plan: "bootstrap", DieAfter: 1}).Wait() == nil {
				break
			}
		}
		t.Log("runs:", runs)
		require.Greater(t, runs, 10)
		s.settled(t)
	})
	t.Run("in_the_middle", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "a", "b<a+", "c<b")
		for range 12 {
			if s.child(t, childJob{Plan: "bootstrap", DieWithin: time.Duration(rand.IntN(900)+10) * time.Millisecond}).Wait() == nil {
				break
			}
		}
		_, err := s.builder(t).Bootstrap(t.Context(), build.BootstrapConfig{})
		require.NoError(t, err)
		s.settled(t)
	})
}
