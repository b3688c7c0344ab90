package pgprobe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// prober observes servers as the observer.
func prober(t *testing.T, timeout time.Duration, servers ...*livepg.Server) *pgprobe.Prober {
	t.Helper()
	connect := map[topology.NodeID]string{}
	for _, s := range servers {
		connect[s.ID] = s.Dial(livepg.Observer).Text()
	}
	return connected(t, timeout, connect)
}

func connected(t *testing.T, timeout time.Duration, connect map[topology.NodeID]string) *pgprobe.Prober {
	t.Helper()
	p, err := pgprobe.New(pgprobe.Config{Connect: connect, Timeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		_ = p.Close(ctx) // a server may hang or be gone
	})
	return p
}

// observe returns what the prober sees of a node.
func observe(t *testing.T, p *pgprobe.Prober, id topology.NodeID) topology.Observation {
	t.Helper()
	o, ok := p.Observe(t.Context()).Node(id)
	require.True(t, ok)
	return o
}

// TestObserve plays a life: a chain of three, its tree, a standby that stops and comes back, and a promotion.
func TestObserve(t *testing.T) {
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		a := in.Started(t, "a")
		b := a.Follower(t, "b")
		c := b.Follower(t, "c")
		a.SQL(t, "INSERT INTO ledger VALUES (1)")
		shape := livepg.Shape(a, b, c)
		p := prober(t, 10*time.Second, c, a, b)

		var s topology.Status
		livepg.Until(t, "everything to be replayed", func() error {
			s = p.Observe(t.Context())
			for _, o := range s.Nodes {
				if o.Err != nil || o.Position != s.Nodes[0].Position || o.InRecovery && (o.Replayed != o.Position || o.ReplayedAt.IsZero()) {
					return fmt.Errorf("%+v", o)
				}
			}
			return nil
		})
		require.Len(t, s.Nodes, 3)
		system := s.Nodes[0].SystemID
		for i, o := range s.Nodes {
			require.Equal(t, shape.Nodes[i].ID, o.Node, "the order is that of the names")
			require.Equal(t, in.Major, o.Version/10000)
			require.NotZero(t, o.SystemID)
			require.Equal(t, system, o.SystemID)
			require.EqualValues(t, 1, o.Timeline)
			require.NotZero(t, o.Position)
			require.WithinDuration(t, time.Now(), o.At, time.Minute)
			require.False(t, o.At.After(s.At))
		}
		primary, middle, last := s.Nodes[0], s.Nodes[1], s.Nodes[2]
		require.False(t, primary.InRecovery)
		require.False(t, primary.ReadOnly)
		require.Zero(t, primary.Replayed)
		require.Nil(t, primary.Receiver)
		require.Len(t, primary.Senders, 1)
		sender := primary.Senders[0]
		require.Equal(t, topology.Sender{Name: "b", Address: "127.0.0.1", State: "streaming", SyncState: "async",
			Sent: primary.Position, Written: primary.Position, Flushed: primary.Position, Replayed: primary.Position,
			WriteLag: sender.WriteLag, FlushLag: sender.FlushLag, ReplayLag: sender.ReplayLag,
			Since: sender.Since, RepliedAt: sender.RepliedAt}, sender)
		require.True(t, middle.InRecovery)
		require.True(t, middle.ReadOnly)
		require.Equal(t, &topology.Receiver{Status: "streaming", Host: "127.0.0.1", Port: a.Port, Timeline: 1,
			HeardAt: middle.Receiver.HeardAt, Written: middle.Receiver.Written, Flushed: middle.Position,
			LatestEnd: middle.Position}, middle.Receiver)
		require.WithinDuration(t, time.Now(), middle.ReplayedAt, time.Minute)
		require.Len(t, middle.Senders, 1)
		require.Equal(t, "c", middle.Senders[0].Name)
		require.Equal(t, b.Port, last.Receiver.Port)
		require.Empty(t, last.Senders)

		tree := topology.Derive(shape, s)
		require.Equal(t, "a primary read-write, b cascading streaming, c downstream streaming", roles(tree))
		require.Len(t, tree.Roots, 1)

		require.NoError(t, c.Stop(t.Context(), pgnode.StopFast))
		require.Error(t, observe(t, p, "c").Err)
		require.NoError(t, observe(t, p, "a").Err)
		require.NoError(t, c.Start(t.Context()))
		require.NoError(t, observe(t, p, "c").Err, "it connects again")

		require.NoError(t, a.Set(t.Context(), map[string]string{"default_transaction_read_only": "on"}))
		a.Reloaded(t)
		livepg.Until(t, "the primary to be read-only", func() error {
			if o := observe(t, p, "a"); !o.ReadOnly || o.InRecovery {
				return fmt.Errorf("%+v", o)
			}
			return nil
		})

		require.NoError(t, a.Fence(t.Context()))
		require.NoError(t, b.Promote(t.Context()))
		promoted := observe(t, p, "b")
		require.NoError(t, promoted.Err, "over the connection from before the promotion")
		require.False(t, promoted.InRecovery)
		require.False(t, promoted.ReadOnly)
		require.Nil(t, promoted.Receiver)
		require.EqualValues(t, 2, promoted.Timeline, "although the last checkpoint is on timeline 1")
		require.Error(t, observe(t, p, "a").Err)
		livepg.Until(t, "the downstream to follow", func() error {
			tree := topology.Derive(livepg.Shape(a, b, c), p.Observe(t.Context()))
			if got := roles(tree); got != "a unknown no answer, b primary read-write, c standby streaming" {
				return errors.New(got)
			}
			if o := observe(t, p, "c"); o.Timeline != 2 {
				return fmt.Errorf("the downstream is on timeline %d", o.Timeline)
			}
			return nil
		})
	})
}

func roles(tree topology.Tree) string {
	var all []string
	for _, p := range tree.Places() {
		all = append(all, fmt.Sprintf("%s %s %s", p.Node.ID, p.Role, p.State()))
	}
	return strings.Join(all, ", ")
}

// TestHangingNodes: whatever a node does not do, the others are known at once, and it within the time limit.
func TestHangingNodes(t *testing.T) {
	in := livepg.Newest(t)
	good, frozen, deaf := in.Started(t, "good"), in.Started(t, "frozen"), in.Started(t, "deaf")
	l, err := net.Listen("tcp", "127.0.0.1:0") // it accepts connections, and nobody answers
	require.NoError(t, err)
	defer l.Close()
	silent := good.Dial(livepg.Observer).With("port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port)).Text()

	const timeout = 3 * time.Second // a good node must be done by then, also on a machine that has other work
	p := connected(t, timeout, map[topology.NodeID]string{
		"good": good.Dial(livepg.Observer).Text(), "frozen": frozen.Dial(livepg.Observer).Text(), "silent": silent,
		"refused": good.Dial(livepg.Observer).With("port", "1").Text(), "deaf": deaf.Dial(livepg.Observer).Text(),
	})
	require.NoError(t, observe(t, p, "frozen").Err)
	require.NoError(t, observe(t, p, "deaf").Err)
	stopAll(t, frozen)                 // also the backend of the connection that is kept
	stop(t, deaf, postmaster(t, deaf)) // new connections get no answer; the one that is kept does
	for range 2 {                      // over connections that are kept, and over new ones
		begun := time.Now()
		s := p.Observe(t.Context())
		require.Less(t, time.Since(begun), timeout+2*time.Second)
		o, _ := s.Node("good")
		require.NoError(t, o.Err)
		require.Less(t, o.At.Sub(begun), timeout, "it waited for the others")
		for _, id := range []topology.NodeID{"frozen", "silent"} {
			o, _ := s.Node(id)
			require.ErrorIs(t, o.Err, context.DeadlineExceeded, id)
			require.Zero(t, o.Version)
		}
		o, _ = s.Node("refused")
		require.ErrorIs(t, o.Err, syscall.ECONNREFUSED)
	}
	require.NoError(t, observe(t, p, "deaf").Err)

	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = p.Close(ctx)
	require.Less(t, time.Since(begun), 3*time.Second)
}

// stopAll freezes all processes of a server.
func stopAll(t *testing.T, s *livepg.Server) {
	t.Helper()
	pids, err := s.Processes(t.Context())
	require.NoError(t, err)
	stop(t, s, pids...)
}

func stop(t *testing.T, s *livepg.Server, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		_, err := s.In.Host.Run(t.Context(), host.Cmd{Path: "kill", Args: []string{"-STOP", strconv.Itoa(pid)}})
		require.NoError(t, err)
	}
}

func postmaster(t *testing.T, s *livepg.Server) int {
	t.Helper()
	data, err := s.In.Host.ReadFile(t.Context(), s.DataDir()+"/postmaster.pid")
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	return pid
}

// TestRefused: what a server refuses is an error that tells why, and no secret.
func TestRefused(t *testing.T) {
	a := livepg.Newest(t).Started(t, "a")
	const secret = "mArKeR-77"
	tests := []struct {
		name, dsn, want string
	}{
		{"wrong_password", a.Dial(livepg.Observer).With("password", secret).Text(), "password authentication failed"},
		{"wrong_password_in_uri", fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", livepg.Observer, secret, a.Port),
			"password authentication failed"},
		{"nobody_may_come_in_like_that", a.Dial(livepg.Observer).With("dbname", "template1").Text(), "no pg_hba.conf entry"},
		{"no_database", a.Dial(livepg.Superuser).With("password", secret).With("dbname", "x").Text(), "no pg_hba.conf entry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := connected(t, 5*time.Second, map[topology.NodeID]string{"a": tt.dsn})
			err := observe(t, p, "a").Err
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secret)
		})
	}
	t.Run("without_pg_monitor", func(t *testing.T) {
		p := connected(t, 5*time.Second, map[topology.NodeID]string{"a": a.Dial(livepg.Nobody).Text()})
		o := observe(t, p, "a")
		require.ErrorIs(t, o.Err, pgprobe.ErrNotMonitor)
		require.Zero(t, o.Position, "no half observation")
		a.SQL(t, "GRANT pg_monitor TO "+livepg.Nobody)
		require.NoError(t, observe(t, p, "a").Err)
	})
	t.Run("superuser", func(t *testing.T) {
		p := connected(t, 5*time.Second, map[topology.NodeID]string{"a": a.Dial(livepg.Superuser).Text()})
		require.NoError(t, observe(t, p, "a").Err)
	})
	t.Run("context_ended", func(t *testing.T) {
		p := prober(t, 5*time.Second, a)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		o, _ := p.Observe(ctx).Node("a")
		require.ErrorIs(t, o.Err, context.Canceled)
		require.NoError(t, observe(t, p, "a").Err, "that was the caller's doing")
	})
	t.Run("closed", func(t *testing.T) {
		p := prober(t, 5*time.Second, a)
		require.NoError(t, observe(t, p, "a").Err)
		require.NoError(t, p.Close(t.Context()))
		a.Wait(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'understudy_probe'", "0")
		require.NoError(t, observe(t, p, "a").Err, "it connects again")
	})
}

func TestNew(t *testing.T) {
	const secret = "mArKeR-78"
	tests := []struct {
		name, dsn, want string
	}{
		{"not_keyword_and_value", "host=h password=" + secret + " x", "failed to parse as keyword/value"},
		{"blanks_and_quotes", `host=h password = 'it\'s ` + secret + `' port=x`, "invalid port"},
		{"bad_port", "host=h port=99999 password='" + secret + "'", "invalid port"},
		{"bad_sslmode", "host=h sslmode=maybe password=" + secret, "failed to configure TLS"},
		{"bad_uri", "postgres://u:" + secret + "%zz@h/d", "failed to parse as URL"},
		{"bad_uri_port", "postgres://u:" + secret + "@h:port/d", "invalid port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pgprobe.New(pgprobe.Config{Connect: map[topology.NodeID]string{"a": tt.dsn}})
			require.ErrorContains(t, err, "node a: connection string: ")
			require.ErrorContains(t, err, tt.want)
			for e := err; e != nil; e = errors.Unwrap(e) {
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), secret)
			}
		})
	}
	_, err := pgprobe.New(pgprobe.Config{})
	require.ErrorContains(t, err, "Connect is empty")
}
