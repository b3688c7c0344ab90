package pgprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
)

// standby96 are the rows of a standby of 9.6 and of a primary's slots and senders, by the manual: no such server is at hand.
func standby96() map[string][]row {
	at := time.Date(2021, 11, 11, 10, 0, 0, 123456000, time.UTC)
	s := statements(9)
	return map[string][]row{
		s[aboutReceiver]: {{"streaming", "user=r password=******** host=10.0.0.1 port=5433", 3, "b", at, "", 0, nil, "1/5000100", "1/5000200"}},
		s[aboutSelf]: {{true, 90624, int64(-5), true, true, 3, "1/5000100", "1/5000100", "1/5000000", at.Add(-time.Minute), "paused", 61.5,
			at.Add(-time.Hour), at.Add(-time.Hour), at, ""}},
		s[aboutSenders]: {{"c", "10.0.0.3", "streaming", "async", 0, "c", "1/5000100", "1/5000100", "1/5000000", "1/4000000",
			float64(0), float64(0), float64(0), at.Add(-time.Minute), nil}},
		s[aboutSlots]:      {{"c", false, false, true, "1/4000000", "", int64(-1), "", nil}, {"never", false, false, false, nil, "", int64(-1), "", nil}},
		s[aboutArchiver]:   {{"on", int64(5), int64(1), "000000030000000100000004", at.Add(-time.Hour), "000000030000000100000005", at}},
		s[aboutBlocked]:    {{0, float64(0)}},
		s[aboutControl]:    {{960, 201608131, "1/4000098", "1/4000060", 3, at, "1/5000000", 3, 16777216, 8192, 8192, true}},
		s[aboutParameters]: {{"max_connections", "100", "default", "", 0, false}},
		s[aboutCollation]:  {{""}},
		s[aboutRights]:     {{true, false, false}},
	}
}

// TestOldRows: what 9.6 says is read as what the newer majors say.
func TestOldRows(t *testing.T) {
	for _, does := range []behaviour{rightly, promotedOnce} {
		f := newFake(t, does, "9.6.24", standby96())
		p, err := New(Config{Connect: map[topology.NodeID]string{"b": f.dsn()}, Timeout: 10 * time.Second})
		require.NoError(t, err)
		o := p.ObserveNode(t.Context(), "b")
		require.NoError(t, o.Err)
		require.Equal(t, map[behaviour]int{rightly: 1, promotedOnce: 2}[does], f.rounds, "asked once more when it was promoted in between")
		at := time.Date(2021, 11, 11, 10, 0, 0, 123456000, time.UTC)
		require.EqualValues(t, uint64(1<<64-5), o.SystemID)
		require.Equal(t, &topology.Receiver{Status: "streaming", Host: "10.0.0.1", Port: 5433, Slot: "b", Timeline: 3, HeardAt: at,
			Flushed: 0x105000100, LatestEnd: 0x105000200}, o.Receiver)
		require.EqualValues(t, 0x105000100, o.Position)
		require.EqualValues(t, 0x105000000, o.Replayed)
		require.Equal(t, 61500*time.Millisecond, o.ReplayDelay)
		require.Equal(t, []topology.Slot{
			{Name: "c", Active: true, Restart: 0x104000000, Keeps: 0x1000100, Safe: -1}, {Name: "never", Keeps: -1, Safe: -1},
		}, o.Slots)
		require.True(t, o.Archiver.Failing())
		require.Equal(t, 960, o.Control.Version)
		require.Equal(t, "paused", o.Replaying)
		require.NoError(t, p.Close(t.Context()))
	}
	for _, sql := range statements(9) {
		require.NotContains(t, sql, "_wal_l")
		require.NotContains(t, sql, "walfile")
		require.NotContains(t, sql, "pg_read_all_stats")
	}
}

func TestMajor(t *testing.T) {
	for version, want := range map[string]int{"18.1 (Debian 18.1-1)": 18, "9.6.24": 9, "19devel": 19, "10.23": 10, "9.5.1": 0, "": 0, "x": 0, "9": 0} {
		got, err := major(version)
		require.Equal(t, want, got, version)
		require.Equal(t, want == 0, err != nil, version)
	}
}

// TestKeptConnection: one that broke says nothing about the node, and an error of the server is no reason to part.
func TestKeptConnection(t *testing.T) {
	for _, does := range []behaviour{breaksOnce, terminates} {
		f := newFake(t, does, "9.6.24", standby96())
		p, err := New(Config{Connect: map[topology.NodeID]string{"b": f.dsn()}, Timeout: 10 * time.Second})
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, p.ObserveNode(t.Context(), "b").Err)
		}
		require.NoError(t, p.Close(t.Context()))
	}

	f := newFake(t, refuses, "9.6.24", standby96())
	p, err := New(Config{Connect: map[topology.NodeID]string{"b": f.dsn()}, Timeout: 10 * time.Second})
	require.NoError(t, err)
	o := p.ObserveNode(t.Context(), "b")
	require.ErrorContains(t, o.Err, "query pg_stat_replication: ")
	require.Zero(t, o.Position)
	require.NoError(t, p.ObserveNode(t.Context(), "b").Err)
	require.Equal(t, 1, f.most)
	require.NoError(t, p.Close(t.Context()))
	require.ErrorContains(t, p.ObserveNode(t.Context(), "x").Err, `node "x" is not in Config.Connect`)
}

// TestTwoHundred: of 200 nodes 20 hang, in every way there is. The others are known in time, nothing piles up over several rounds, and
// nothing is left in the end.
func TestTwoHundred(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	good := newFake(t, rightly, "9.6.24", standby96())
	bad := []*fake{}
	for _, does := range []behaviour{silent, mute, stopsMidRow, drips} {
		bad = append(bad, newFake(t, does, "9.6.24", standby96()))
	}
	serving := runtime.NumGoroutine()
	const blackHole, deaf = "192.0.2.1:5432", "192.0.2.2:5432"
	release := make(chan struct{})
	direct := net.Dialer{}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		switch address {
		case blackHole: // no answer to SYN
			<-ctx.Done()
			return nil, ctx.Err()
		case deaf: // not even an end
			<-release
			return nil, errors.New("too late")
		}
		return direct.DialContext(ctx, network, address)
	}
	connect := map[topology.NodeID]string{}
	for i := range 180 {
		connect[topology.NodeID(fmt.Sprintf("good%d", i))] = good.dsn()
	}
	for i := range 20 {
		dsn := "host=192.0.2.1 port=5432 user=u sslmode=disable"
		switch {
		case i < 16:
			dsn = bad[i%4].dsn()
		case i < 18:
			dsn = "host=192.0.2.2 port=5432 user=u sslmode=disable"
		}
		connect[topology.NodeID(fmt.Sprintf("bad%d", i))] = dsn
	}
	const timeout = 1500 * time.Millisecond
	p, err := New(Config{Connect: connect, Timeout: timeout, Dial: dial, Parallel: 16})
	require.NoError(t, err)

	rounds := 0
	for known := 0; known < 180; rounds++ {
		require.Less(t, rounds, 5, "only %d nodes are known", known)
		begun := time.Now()
		s := p.Observe(t.Context())
		took := time.Since(begun)
		require.Less(t, took, 10*time.Second)
		require.Len(t, s.Nodes, 200)
		known = 0
		for _, o := range s.Nodes {
			if o.Err == nil {
				known++
				require.Regexp(t, "^good", string(o.Node))
			} else if o.Node[0] == 'b' {
				require.ErrorIs(t, o.Err, context.DeadlineExceeded, o.Node)
			}
		}
		t.Logf("%d nodes are known after %v", known, took.Round(time.Millisecond))
	}
	for range 2 {
		p.Observe(t.Context())
	}
	begun := time.Now()
	o := p.ObserveNode(t.Context(), "bad16")
	var hanging *HangingError
	require.ErrorAs(t, o.Err, &hanging)
	require.Greater(t, time.Since(hanging.Since), 2*timeout, "since the first attempt")
	require.Less(t, time.Since(begun), timeout, "at once")

	require.LessOrEqual(t, good.most, 180, "one connection a node")
	for _, f := range bad {
		require.LessOrEqual(t, f.most, 8, "those of the last round may not have been noticed yet")
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	require.Less(t, memory.HeapAlloc, uint64(200<<20))

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.ErrorContains(t, p.Close(ctx), "close the connection to node bad16: an attempt to observe it hangs")
	close(release)
	until(t, func() error {
		for i, f := range append(bad, good) {
			if f.open() > 0 {
				return fmt.Errorf("%d connections to server %d", f.open(), i)
			}
		}
		if now := runtime.NumGoroutine(); now > serving+2 {
			return fmt.Errorf("%d goroutines, %d before, %d before all", now, serving, goroutines)
		}
		return nil
	})
	require.NoError(t, p.Close(ctx))
}

// TestTurns: calls for one node wait for each other, and one that ends early does not end the other.
func TestTurns(t *testing.T) {
	f := newFake(t, mute, "9.6.24", nil)
	var wires wireCount
	p, err := New(Config{Connect: map[topology.NodeID]string{"b": f.dsn()}, Timeout: 2 * time.Second, Dial: wires.dial})
	require.NoError(t, err)
	connections := func(want int) {
		until(t, func() error {
			if f.open() != want {
				return fmt.Errorf("%d connections", f.open())
			}
			return nil
		})
	}
	first := make(chan topology.Observation, 1)
	go func() { first <- p.ObserveNode(context.WithoutCancel(t.Context()), "b") }()
	connections(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.ObserveNode(ctx, "b").Err, context.Canceled)
	second := p.ObserveNode(t.Context(), "b")
	require.ErrorIs(t, second.Err, context.DeadlineExceeded)
	require.ErrorIs(t, (<-first).Err, context.DeadlineExceeded)
	require.EqualValues(t, 1, wires.most.Load(), "never two connections")

	connections(0)
	go func() { first <- p.ObserveNode(context.WithoutCancel(t.Context()), "b") }()
	connections(1)
	require.NoError(t, p.Close(t.Context()))
	require.ErrorIs(t, (<-first).Err, context.Canceled, "closing ends attempts")
	connections(0)
}

// wireCount counts the connections that a prober has open, as it sees them itself.
type wireCount struct{ open, most atomic.Int32 }

func (w *wireCount) dial(ctx context.Context, network, address string) (net.Conn, error) {
	wire, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if now := w.open.Add(1); now > w.most.Load() {
		w.most.Store(now)
	}
	return &countedWire{Conn: wire, closed: sync.OnceFunc(func() { w.open.Add(-1) })}, nil
}

type countedWire struct {
	net.Conn

	closed func()
}

func (w *countedWire) Close() error {
	w.closed()
	return w.Conn.Close()
}

func until(t *testing.T, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		require.True(t, time.Now().Before(deadline), "%v", err)
		time.Sleep(10 * time.Millisecond)
	}
}

func TestDiscreet(t *testing.T) {
	require.Equal(t, `could not parse RADIUS secret list "..."`, discreet(`could not parse RADIUS secret list "a "b"`))
	require.Equal(t, `invalid authentication method "x"`, discreet(`invalid authentication method "x"`))
	require.Equal(t, "(unreadable)", redacted("host='"))
	require.NotContains(t, redacted("host=a password=geheim"), "geheim")
}
