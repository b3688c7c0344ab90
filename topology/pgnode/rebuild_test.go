package pgnode_test

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// TestCloneRefuses: what would go wrong late, or give a secret away, is refused at once, and nothing is touched.
func TestCloneRefuses(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	refuses := func(t *testing.T, b *livepg.Server, source func(conninfo.Info) conninfo.Info, want string) {
		t.Helper()
		standby := b.Standby(t, livepg.Shape(a, b))
		err := b.Clone(t.Context(), source(standby.Recovery.PrimaryConninfo), standby)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), livepg.Password)
		require.False(t, exists(t, in, b.DataDir()+".incoming"))
	}
	same := func(i conninfo.Info) conninfo.Info { return i }
	t.Run("existing_data_directory", func(t *testing.T) {
		b := in.Primary(t, "b")
		before := files(t, in, b.DataDir())
		refuses(t, b, same, "exists: set it aside first")
		require.Equal(t, before, files(t, in, b.DataDir()))
	})
	t.Run("existing_directory_that_is_no_data_directory", func(t *testing.T) {
		b := in.Blank(t, "b")
		require.NoError(t, in.Host.MkdirAll(t.Context(), b.DataDir(), 0o700))
		write(t, in, b.DataDir()+"/precious", "x", 0o600)
		before := files(t, in, b.DataDir())
		refuses(t, b, same, "exists: set it aside first")
		require.Equal(t, before, files(t, in, b.DataDir()))
	})
	t.Run("password_in_source", func(t *testing.T) {
		b := in.Blank(t, "b")
		refuses(t, b, func(i conninfo.Info) conninfo.Info { return i.With("password", livepg.Password) }, "name a passfile instead")
	})
	t.Run("wrong_password", func(t *testing.T) {
		b := in.Blank(t, "b")
		refuses(t, b, func(i conninfo.Info) conninfo.Info {
			return i.With("passfile", in.Passfile(t, "wrong-"+livepg.Password))
		}, "password authentication failed")
	})
	t.Run("source_is_down", func(t *testing.T) {
		b := in.Blank(t, "b")
		refuses(t, b, func(i conninfo.Info) conninfo.Info { return i.With("port", "1") }, "Connection refused")
	})
	t.Run("server_runs_in_the_leftover", func(t *testing.T) {
		b, left := in.Blank(t, "b"), in.Primary(t, "left")
		require.NoError(t, in.Host.Rename(t.Context(), left.DataDir(), b.DataDir()+".incoming"))
		n := newNode(t, pgnode.Config{Host: in.Host, BinDir: in.BinDir, DataDir: b.DataDir() + ".incoming"})
		require.NoError(t, n.Start(t.Context()))
		standby := b.Standby(t, livepg.Shape(a, b))
		require.ErrorContains(t, b.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby), "a server runs in")
		require.NoError(t, n.Fence(t.Context()))
	})
}

// slowClone begins to clone a into b, so slowly that it does not end by itself. What it returns ends it and waits for that.
func slowClone(t *testing.T, b *livepg.Server, standby pgnode.Standby) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	slow := over(t, b, "pg_basebackup", func(ctx context.Context, c host.Cmd, _ func() (host.Result, error)) (host.Result, error) {
		c.Args = append(c.Args, "--max-rate=1M")
		return b.In.Host.Run(ctx, c)
	})
	done := make(chan error, 1)
	go func() { done <- slow.Clone(ctx, standby.Recovery.PrimaryConninfo, standby) }()
	return func() error {
		cancel()
		return <-done
	}
}

// TestCloneInterrupted: a clone that is ended half-way leaves nothing under the name of the data directory and nothing that
// would start as a primary, and can be done again.
func TestCloneInterrupted(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	a.SQL(t, "INSERT INTO ledger SELECT generate_series(1, 1000)")
	b := in.Blank(t, "b")
	standby := b.Standby(t, livepg.Shape(a, b))
	incoming := b.DataDir() + ".incoming"

	end := slowClone(t, b, standby)
	livepg.Until(t, "the copy to appear", func() error {
		if !exists(t, in, incoming+"/backup_label") {
			return errors.New("nothing there")
		}
		return nil
	})
	require.False(t, exists(t, in, b.DataDir()))
	require.ErrorIs(t, end(), context.Canceled)
	require.False(t, exists(t, in, b.DataDir()))
	require.False(t, exists(t, in, incoming+"/global/pg_control"), "it could be started")
	require.NotContains(t, procArgs(), incoming, "a program of it still runs")

	require.NoError(t, in.Host.MkdirAll(t.Context(), incoming, 0o700)) // should pg_basebackup have tidied up
	write(t, in, incoming+"/leftover", "x", 0o600)
	require.NoError(t, b.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby))
	require.False(t, exists(t, in, incoming))
	require.False(t, exists(t, in, b.DataDir()+"/leftover"))
	require.NoError(t, b.Start(t.Context()))
	b.WaitStreaming(t)
	require.Equal(t, "1000", b.SQL(t, "SELECT count(*) FROM ledger"))
}

// TestCloneKilledAtTheEnd: the moment between the last byte of the copy and its configuration. Whoever starts it then gets a
// standby.
func TestCloneKilledAtTheEnd(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	b := in.Blank(t, "b")
	standby := b.Standby(t, livepg.Shape(a, b))
	killed := errors.New("killed")
	n := over(t, b, "pg_basebackup", func(_ context.Context, _ host.Cmd, next func() (host.Result, error)) (host.Result, error) {
		r, err := next()
		require.NoError(t, err)
		return r, killed
	})
	require.ErrorIs(t, n.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby), killed)
	left := newNode(t, pgnode.Config{Host: in.Host, BinDir: in.BinDir, DataDir: b.DataDir() + ".incoming"})
	require.NoError(t, a.Fence(t.Context())) // it has the configuration of a, port and all
	require.NoError(t, left.Start(t.Context()))
	require.Equal(t, "t", a.SQL(t, "SELECT pg_is_in_recovery()"))
	require.NoError(t, left.Fence(t.Context()))
}

// TestCloneAcknowledgesNothing: while a node is cloned that is to be synchronous, its half copy must not count as one.
func TestCloneAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	b := in.Blank(t, "b")
	shape := livepg.Shape(a, b)
	shape.Nodes[1].Sync = true
	settings, err := a.Settings(shape)
	require.NoError(t, err)
	require.NoError(t, a.Set(t.Context(), settings))
	a.Reloaded(t)
	a.Wait(t, "SHOW synchronous_standby_names", `FIRST 1 ("b")`)

	standby := b.Standby(t, shape)
	end := slowClone(t, b, standby)
	a.Wait(t, "SELECT string_agg(state || ' ' || sync_state, ', ' ORDER BY state) FROM pg_stat_replication", "backup async, streaming async")
	require.Equal(t, "0", a.SQL(t, "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'b'"))
	require.ErrorIs(t, end(), context.Canceled)
	require.NoError(t, b.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby))
	require.NoError(t, b.Start(t.Context()))
	a.Wait(t, "SELECT string_agg(application_name || ' ' || sync_state, ',') FROM pg_stat_replication", "b sync")
}

// TestCloneOfAnAlteredSource: what ALTER SYSTEM once set on the source does not overrule the clone's own configuration.
func TestCloneOfAnAlteredSource(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	for _, sql := range []string{
		"ALTER SYSTEM SET cluster_name = 'other'", "ALTER SYSTEM SET max_wal_senders = 12",
		"ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "ALTER SYSTEM SET work_mem = '7MB'",
	} {
		a.SQL(t, sql)
	}
	write(t, in, a.DataDir()+"/postgresql.auto.conf", string(read(t, in, a.DataDir()+"/postgresql.auto.conf"))+
		"primary_conninfo = 'host=long.ago port=1'\nprimary_slot_name = 'gone'\nrestore_command = 'false'\n", 0o600)
	b := a.Follower(t, "b")
	for _, want := range [][2]string{
		{"cluster_name", "b"}, {"max_wal_senders", "10"}, {"synchronous_standby_names", ""}, {"primary_slot_name", ""},
		{"restore_command", ""}, {"work_mem", "7MB"},
	} {
		require.Equal(t, want[1], b.SQL(t, "SHOW "+want[0]), want[0])
	}
	auto := string(read(t, in, b.DataDir()+"/postgresql.auto.conf"))
	require.NotContains(t, auto, "long.ago")
}

// TestSetOverruled: a setting that would have no effect is an error, and nothing is written.
func TestSetOverruled(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	conf := s.DataDir() + "/postgresql.conf"
	before := read(t, in, conf)
	write(t, in, s.DataDir()+"/postgresql.auto.conf", "work_mem = '7MB'\nSynchronous_Standby_Names = 'nobody'\n", 0o600)
	err := s.Configure(t.Context(), map[string]string{"synchronous_standby_names": `FIRST 1 ("b")`, "port": "1"}, nil)
	var overruled *pgnode.OverruledError
	require.ErrorAs(t, err, &overruled)
	require.Equal(t, pgnode.OverruledError{
		File: s.DataDir() + "/postgresql.auto.conf", Line: 2, Name: "synchronous_standby_names", Have: "nobody", Want: `FIRST 1 ("b")`,
	}, *overruled)
	require.Equal(t, before, read(t, in, conf))
	require.NoError(t, s.Set(t.Context(), map[string]string{"work_mem": "7MB"}), "it says the same")
}

func read(t *testing.T, in *livepg.Install, name string) []byte {
	t.Helper()
	data, err := in.Host.ReadFile(t.Context(), name)
	require.NoError(t, err)
	return data
}

// diverge makes a pair of which a has rows that b does not have, and b took over. a is left as end leaves it.
func diverge(t *testing.T, in *livepg.Install, end func(a *livepg.Server)) (a, b *livepg.Server) {
	t.Helper()
	a = in.Started(t, "a")
	a.SQL(t, "INSERT INTO ledger VALUES (1)")
	b = a.Follower(t, "b")
	require.NoError(t, b.Stop(t.Context(), pgnode.StopFast))
	a.SQL(t, "INSERT INTO ledger VALUES (666)")
	end(a)
	require.NoError(t, b.Start(t.Context()))
	require.NoError(t, b.Promote(t.Context()))
	b.SQL(t, "INSERT INTO ledger VALUES (2)")
	b.SQL(t, "CHECKPOINT")
	return a, b
}

// rewindSource is how a's pg_rewind connects to b.
func rewindSource(t *testing.T, b *livepg.Server) conninfo.Info {
	t.Helper()
	return b.Dial(livepg.Superuser).Without("password").With("passfile", b.Passfile(t))
}

func TestRewind(t *testing.T) {
	t.Parallel()
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		for name, end := range map[string]func(a *livepg.Server){
			"crashed": func(a *livepg.Server) {
				require.NoError(t, a.Kill(t.Context()))
				require.NoError(t, a.Fence(t.Context()))
			},
			"stopped": func(a *livepg.Server) { require.NoError(t, a.Stop(t.Context(), pgnode.StopFast)) },
		} {
			t.Run(name, func(t *testing.T) {
				a, b := diverge(t, in, end)
				require.True(t, a.CanRewind(t.Context()))
				require.NoError(t, a.Rewind(t.Context(), rewindSource(t, b), a.Standby(t, livepg.Shape(b, a))))
				require.False(t, exists(t, in, a.DataDir()+".rewinding"))
				require.NoError(t, a.Start(t.Context()))
				a.WaitStreaming(t)
				a.Wait(t, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM ledger", "1 2")
				b.SQL(t, "INSERT INTO ledger VALUES (3)")
				a.Wait(t, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM ledger", "1 2 3")
				require.Equal(t, "a", a.SQL(t, "SHOW cluster_name"))
				require.Equal(t, "a", b.SQL(t, "SELECT string_agg(application_name, ',') FROM pg_stat_replication"))
			})
		}
	})
}

// TestRewindRefused: what pg_rewind refuses leaves the data as it was.
func TestRewindRefused(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a, b := diverge(t, in, func(a *livepg.Server) { require.NoError(t, a.Stop(t.Context(), pgnode.StopFast)) })
	standby := a.Standby(t, livepg.Shape(b, a))
	source := rewindSource(t, b)
	before := files(t, in, a.DataDir())
	for _, tt := range []struct {
		name   string
		source conninfo.Info
		want   string
	}{
		{"password_in_source", source.With("password", livepg.Password), "name a passfile instead"},
		{"wrong_password", source.With("passfile", in.Passfile(t, "wrong")), "password authentication failed"},
		{"source_is_down", source.With("port", "1"), "Connection refused"},
		{"role_without_the_right", source.With("user", livepg.Nobody), "permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := a.Rewind(t.Context(), tt.source, standby)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), livepg.Password)
			require.Equal(t, before, files(t, in, a.DataDir()))
			require.False(t, exists(t, in, a.DataDir()+".rewinding"))
		})
	}
	t.Run("server_runs", func(t *testing.T) {
		require.NoError(t, a.Start(t.Context()))
		require.ErrorContains(t, a.Rewind(t.Context(), source, standby), "stop it first")
		require.Equal(t, "666", a.SQL(t, "SELECT max(id) FROM ledger"))
	})
}

// TestRewindUnfinished: a data directory in which pg_rewind was interrupted is never started, not even as a standby, goes
// through no second rewind, and gives way to a clone.
func TestRewindUnfinished(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a, b := diverge(t, in, func(a *livepg.Server) { require.NoError(t, a.Stop(t.Context(), pgnode.StopFast)) })
	standby := a.Standby(t, livepg.Shape(b, a))
	killed := errors.New("killed")
	n := over(t, a, "pg_rewind", func(_ context.Context, c host.Cmd, next func() (host.Result, error)) (host.Result, error) {
		if strings.Contains(c.String(), "--dry-run") {
			return next()
		}
		require.False(t, exists(t, in, a.DataDir()), "somebody could start it")
		return host.Result{}, killed
	})
	require.ErrorIs(t, n.Rewind(t.Context(), rewindSource(t, b), standby), killed)
	require.ErrorIs(t, a.Start(t.Context()), pgnode.ErrHalfRewound)
	require.ErrorIs(t, a.Rewind(t.Context(), rewindSource(t, b), standby), pgnode.ErrHalfRewound)
	require.ErrorContains(t, a.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby), "set it aside first")
	noProcesses(t, a.Node)

	aside, err := a.SetAside(t.Context(), time.Now())
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(aside, ".rewinding"), aside)
	require.True(t, exists(t, in, aside+"/PG_VERSION"))
	require.NoError(t, a.Clone(t.Context(), standby.Recovery.PrimaryConninfo, standby))
	require.NoError(t, a.Start(t.Context()))
	a.WaitStreaming(t)
	a.Wait(t, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM ledger", "1 2")
}

// TestRewoundButNotConfigured: pg_rewind is through, and the program that ran it dies. What it left would start as a second
// primary on the timeline of the first (15 does), so it must not lie where it would be started.
func TestRewoundButNotConfigured(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a, b := diverge(t, in, func(a *livepg.Server) { require.NoError(t, a.Stop(t.Context(), pgnode.StopFast)) })
	killed := errors.New("killed")
	n := over(t, a, "pg_rewind", func(_ context.Context, c host.Cmd, next func() (host.Result, error)) (host.Result, error) {
		r, err := next()
		if err == nil && !strings.Contains(c.String(), "--dry-run") {
			err = killed
		}
		return r, err
	})
	require.ErrorIs(t, n.Rewind(t.Context(), rewindSource(t, b), a.Standby(t, livepg.Shape(b, a))), killed)
	require.False(t, exists(t, in, a.DataDir()))
	require.True(t, exists(t, in, a.DataDir()+".rewinding"))
}

// TestRewindOfACrashedStandby: single-user mode does not take a standby, so it has to be cloned.
func TestRewindOfACrashedStandby(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	b := a.Follower(t, "b")
	require.NoError(t, b.Kill(t.Context()))
	require.NoError(t, b.Fence(t.Context()))
	control, err := b.Control(t.Context())
	require.NoError(t, err)
	require.Equal(t, datadir.StateInArchiveRecovery, control.State)
	err = b.Rewind(t.Context(), rewindSource(t, a), b.Standby(t, livepg.Shape(a, b)))
	require.ErrorContains(t, err, "standby mode is not supported by single-user servers")
	require.False(t, exists(t, in, b.DataDir()+".rewinding"))
	require.NoError(t, b.Start(t.Context()), "it is what it was")
}

// TestFollow: a server that was stopped cleanly before the fork needs no rewind.
func TestFollow(t *testing.T) {
	t.Parallel()
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		a := in.Started(t, "a")
		b := a.Follower(t, "b")
		require.NoError(t, a.Stop(t.Context(), pgnode.StopFast))
		require.NoError(t, b.Promote(t.Context()))
		require.NoError(t, a.Follow(t.Context(), a.Standby(t, livepg.Shape(b, a)).Recovery))
		require.NoError(t, a.Start(t.Context()))
		a.WaitStreaming(t)
		b.SQL(t, "INSERT INTO ledger VALUES (1)")
		a.Wait(t, "SELECT count(*) FROM ledger", "1")
	})
}

// TestSetAsideKeepsEvidence: the renamed directory is the same, and two within one second do not replace each other.
func TestSetAsideKeepsEvidence(t *testing.T) {
	t.Parallel()
	in := livepg.Newest(t)
	s := in.Primary(t, "a")
	at := time.Date(2026, 2, 3, 4, 5, 6, 700, time.FixedZone("", 3600))
	before := strings.ReplaceAll(files(t, in, s.DataDir()), s.DataDir(), "")
	aside, err := s.SetAside(t.Context(), at)
	require.NoError(t, err)
	require.Equal(t, path.Base(s.DataDir())+".aside-20260203T030506Z", path.Base(aside))
	require.Equal(t, before, strings.ReplaceAll(files(t, in, aside), aside, ""))

	require.NoError(t, in.Host.MkdirAll(t.Context(), s.DataDir(), 0o700))
	_, err = s.SetAside(t.Context(), at)
	require.ErrorIs(t, err, fs.ErrExist)
	require.True(t, exists(t, in, s.DataDir()))
}
