package stream_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/stream"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// childEnv holds, in a child of the test, what it is to receive.
const childEnv = "UNDERSTUDY_STREAM_CHILD"

// order is what a child does.
type order struct {
	Source, Dir, Archive string
	Identity             walarchive.Identity
}

// child receives, as a synchronous standby, until it is killed.
func child() int {
	var o order
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &o)
	if err == nil {
		err = o.run()
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func (o order) run() error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	r, err := stream.New(cfg)
	if err != nil {
		return err
	}
	return r.Run(context.Background())
}

func (o order) config() (stream.Config, error) {
	info, err := conninfo.Parse(o.Source)
	if err != nil {
		return stream.Config{}, err
	}
	store, err := dir.Open(o.Archive)
	if err != nil {
		return stream.Config{}, err
	}
	a, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: o.Identity})
	return stream.Config{
		Source: info, Dir: o.Dir, Archive: a, Slot: "receiver", Synchronous: true, ApplicationName: "receiver",
		SnapshotEvery: 20 * time.Millisecond, RetryEvery: 100 * time.Millisecond,
	}, err
}

// writer commits rows for as long as it may, and knows which were acknowledged.
type writer struct {
	mu    sync.Mutex
	acked int
	end   wal.LSN // of the WAL at a time when all of these were acknowledged
}

func (w *writer) state() (int, wal.LSN) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked, w.end
}

func (w *writer) run(ctx context.Context, s *pgserver.Server) error {
	conn, err := pgx.Connect(ctx, s.Conninfo())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for i := 1; ; i++ {
		// The position of the commit is not known from outside, that of what it wrote before is.
		var text string
		if err := conn.QueryRow(ctx, "insert into a select $1::int, string_agg(md5($1::int::text || g), '') from generate_series(1, 4000) g returning pg_current_wal_insert_lsn()::text", i).Scan(&text); err != nil {
			return err
		}
		at, err := wal.ParseLSN(text)
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.acked, w.end = i, at
		w.mu.Unlock()
	}
}

// kills is how often the receiver is killed, over all majors of the test; UNDERSTUDY_STREAM_KILLS has another number.
func kills(t testing.TB) int {
	t.Helper()
	text := os.Getenv("UNDERSTUDY_STREAM_KILLS")
	if text == "" {
		return 24
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// A receiver that is a synchronous standby is killed at any moment. Every commit that was acknowledged is in what it leaves, and in the end the
// archive holds all WAL, unbroken.
func TestRun_killed(t *testing.T) {
	majors := []int{10, 14, 18}
	some(t, majors, func(t *testing.T, w *pgserver.World) {
		primary := smallSegments(w)
		primary.Up(append(keep(w), "-c", "synchronous_standby_names=receiver", "-c", "max_wal_senders=50")...)
		id, err := stream.Identify(t.Context(), source(t, primary))
		require.NoError(t, err)
		o := order{primary.Conninfo(), t.TempDir(), t.TempDir(), walarchive.Identity{SystemID: id.SystemID, SegmentSize: id.SegmentSize}}
		require.NoError(t, stream.CreateSlot(t.Context(), source(t, primary), "receiver"))
		first := lsn(t, primary)
		primary.Exec("set synchronous_commit = local; create table a (i int primary key, t text)")

		ctx, cancel := context.WithCancel(t.Context())
		var load writer
		done := make(chan error, 1)
		go func() { done <- load.run(ctx, primary) }()
		random := rand.New(rand.NewPCG(uint64(w.Major), 1)) //nolint:gosec // times, not secrets
		for range kills(t) / len(majors) {
			before, _ := load.state()
			cmd := o.start(t)
			pgserver.Until(t, "a commit", func() error {
				if n, _ := load.state(); n == before {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
			time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond) // any moment is good
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
			_, end := load.state()
			require.GreaterOrEqual(t, o.reach(t), end, "a commit was acknowledged and is not there")
		}
		cancel()
		<-done
		n, _ := load.state()
		t.Logf("%d commits", n)
		require.GreaterOrEqual(t, n, kills(t)/len(majors))

		primary.Exec("set synchronous_commit = local; insert into a values (0); select pg_switch_wal()")
		cfg, err := o.config()
		require.NoError(t, err)
		end := lsn(t, primary)
		upTo(t, cfg, end)
		count := same(t, primary, o.Archive, 1, first, end-end%wal.LSN(id.SegmentSize), id.SegmentSize)
		require.Positive(t, count)
	})
}

// smallSegments makes a server whose segments are of 1 MiB if it can.
func smallSegments(w *pgserver.World) *pgserver.Server {
	if w.Major < 11 {
		return w.Initdb("primary")
	}
	s := w.Server("primary")
	w.RunCommand("initdb", "-D", s.Data, "-U", pgserver.User, "-A", "trust", "--locale=C", "-N", "--wal-segsize=1")
	return s
}

// start starts a child.
func (o order) start(t testing.TB) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			t.Log("child: " + lines.Text())
		}
	}()
	return cmd
}

// reach is how far the WAL in the staging directory, and before it the archive, goes: up to the last byte that is not zero.
func (o order) reach(t testing.TB) wal.LSN {
	t.Helper()
	var last wal.LSN
	for _, folder := range []string{o.Archive, o.Dir} {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), ".partial")
			seg, err := wal.ParseSegment(name, o.Identity.SegmentSize)
			if err != nil {
				continue
			}
			f, err := os.Open(filepath.Join(folder, e.Name()))
			require.NoError(t, err)
			b, err := io.ReadAll(f)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			end := seg.Start(o.Identity.SegmentSize) + wal.LSN(len(bytes.TrimRight(b, "\x00")))
			last = max(last, end)
		}
	}
	return last
}
