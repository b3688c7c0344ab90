package stream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/stream"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const mib16 = 16 << 20

func TestReceive(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up(keep(w)...)
		archive := newFolder(t)
		cfg := config(t, primary, archive)
		cfg.Slot, cfg.CreateSlot = "receiver", true
		first := lsn(t, primary)

		// A segment that is full, one that was left by a switch, and the beginning of one.
		primary.Exec("create table a as select i, md5(i::text) from generate_series(1, 200000) i", "select pg_switch_wal()",
			"create table b as select 1")
		upTo(t, cfg, lsn(t, primary))
		require.GreaterOrEqual(t, same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16), 2)

		// The next run goes on, with the segment that was begun.
		primary.Exec("insert into a select * from a", "select pg_switch_wal()")
		upTo(t, cfg, lsn(t, primary))
		require.GreaterOrEqual(t, same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16), 3)
		require.Equal(t, "false", primary.Ask("select active from pg_replication_slots"))

		// A new staging directory goes on where the archive ends.
		primary.Exec("insert into b values (2)")
		cfg.Dir = t.TempDir()
		upTo(t, cfg, lsn(t, primary))
		same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16)
		text, err := os.ReadFile(filepath.Join(cfg.Dir, "understudy-journal"))
		require.NoError(t, err)
		require.Contains(t, string(text), "where the archive ends")

		// A new archive gets what the slot keeps, from the segment of its position on.
		cfg.Dir, cfg.Archive = t.TempDir(), newFolder(t)
		before := lsn(t, primary)
		primary.Exec("select pg_switch_wal()", "insert into b values (2)")
		upTo(t, cfg, lsn(t, primary))
		same(t, primary, cfg.Archive.(*folderArchive).dir, 1, before, lsn(t, primary), mib16)
		text, err = os.ReadFile(filepath.Join(cfg.Dir, "understudy-journal"))
		require.NoError(t, err)
		require.Contains(t, string(text), "slot")
	})
}

func TestSegmentSizes(t *testing.T) {
	some(t, []int{11, 17}, func(t *testing.T, w *pgserver.World) {
		for _, mib := range []uint32{1, 64} {
			s := w.Server(fmt.Sprintf("mib%d", mib))
			w.RunCommand("initdb", "-D", s.Data, "-U", pgserver.User, "-A", "trust", "--locale=C", "-N", fmt.Sprintf("--wal-segsize=%d", mib))
			s.Up(keep(w)...)
			archive := newFolder(t)
			cfg := config(t, s, archive)
			from := lsn(t, s)
			upTo(t, cfg, from)
			s.Exec("create table a as select i, md5(i::text) from generate_series(1, 40000) i", "select pg_switch_wal()", "create table b as select 1")
			upTo(t, cfg, lsn(t, s))
			require.GreaterOrEqual(t, same(t, s, archive.dir, 1, from, lsn(t, s), mib<<20), 1)

			// Other clusters, in two ways.
			cfg.SystemID = 1
			require.ErrorAs(t, start(t, cfg).failure(), new(*stream.ForeignServerError))
			s.Stop()
		}
		other := w.Initdb("other")
		other.Up()
		cfg := config(t, other, newFolder(t))
		upTo(t, cfg, lsn(t, other))
		small := w.Server("mib1")
		small.Port += 10
		small.Up()
		cfg.Source = source(t, small)
		require.ErrorAs(t, start(t, cfg).failure(), new(*stream.SegmentSizeError))
	})
}

// A server that restarts, kills its walsenders, or stands still is waited for, and so is an archive.
func TestTrouble(t *testing.T) {
	some(t, []int{10, 18}, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		args := append(keep(w), "-c", "wal_sender_timeout=1s")
		primary.Up(args...)
		archive := newFolder(t)
		cfg := config(t, primary, archive)
		cfg.Slot, cfg.CreateSlot, cfg.StatusEvery, cfg.ServerTimeout = "receiver", true, 200*time.Millisecond, 1500*time.Millisecond
		problems := make(chan error, 1000)
		cfg.OnProblem = func(err error) { problems <- err }
		first := lsn(t, primary)
		r := start(t, cfg)
		at := func(end wal.LSN) func(stream.Status) bool {
			return func(s stream.Status) bool {
				return s.Archived >= end && s.Flushed >= end && s.Received >= end && s.Connected
			}
		}
		primary.Exec("create table a as select 1 i")
		r.until("first", at(lsn(t, primary)))

		primary.Stop()
		r.until("gone", func(s stream.Status) bool { return !s.Connected })
		primary.Up(args...)
		primary.Exec("insert into a select generate_series(1, 100000)")
		r.until("restarted", at(lsn(t, primary)))

		primary.Kill(syscall.SIGQUIT)
		primary.Up(args...)
		primary.Exec("insert into a select generate_series(1, 100000)")
		r.until("crashed", at(lsn(t, primary)))

		archive.fail(errors.New("the archive is away"))
		primary.Exec("insert into a select generate_series(1, 300000)", "select pg_switch_wal()")
		end := lsn(t, primary)
		r.until("received meanwhile", func(s stream.Status) bool { return s.Flushed >= end })
		require.Less(t, r.Status().Archived, end)
		archive.fail(nil)
		r.until("archived later", at(end))

		// Idle for longer than both timeouts, the connection stays. After that the walsender is stopped: it is given up.
		pid := primary.Ask("select pid from pg_stat_replication")
		time.Sleep(2 * time.Second) // the point is that nothing happens
		require.Equal(t, pid, primary.Ask("select pid from pg_stat_replication"))
		var id int
		_, err := fmt.Sscan(pid, &id)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(id, syscall.SIGSTOP))
		r.until("given up", func(s stream.Status) bool { return !s.Connected })
		require.NoError(t, syscall.Kill(id, syscall.SIGCONT))
		primary.Exec("insert into a values (1)")
		r.until("once more", at(lsn(t, primary)))
		r.end()
		same(t, primary, archive.dir, 1, first, lsn(t, primary), mib16)
		require.Equal(t, "false", primary.Ask("select active from pg_replication_slots"))
		lost := false
		for len(problems) > 0 {
			lost = errors.Is(<-problems, stream.ErrConnectionLost) || lost
		}
		require.True(t, lost)
	})
}

func TestGap(t *testing.T) {
	some(t, []int{10, 17}, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up("-c", "min_wal_size=32MB", "-c", "max_wal_size=32MB")
		cfg := config(t, primary, newFolder(t))
		primary.Exec("create table a as select 1 i")
		begun := lsn(t, primary)
		upTo(t, cfg, begun)
		for range 4 {
			primary.Exec("insert into a values (1)", "select pg_switch_wal()", "checkpoint")
		}
		primary.Exec("insert into a values (1)")

		// It is an error, and written down.
		var gap *stream.GapError
		require.ErrorAs(t, start(t, cfg).failure(), &gap)
		require.Equal(t, begun-begun%mib16, gap.From)
		journal, err := os.ReadFile(filepath.Join(cfg.Dir, "understudy-journal"))
		require.NoError(t, err)
		require.Contains(t, string(journal), "gap from "+gap.From.String()+" on timeline 1")

		// A slot that was made too late does not help; the decision does.
		require.NoError(t, stream.CreateSlot(t.Context(), cfg.Source, "late"))
		require.NoError(t, stream.CreateSlot(t.Context(), cfg.Source, "late"))
		cfg.Slot = "late"
		require.ErrorAs(t, start(t, cfg).failure(), new(*stream.GapError))
		cfg.AcceptGap = true
		end := lsn(t, primary)
		upTo(t, cfg, end)
		same(t, primary, cfg.Archive.(*folderArchive).dir, 1, end, end, mib16)
		require.NoError(t, stream.DropSlot(t.Context(), cfg.Source, "late"))
		require.NoError(t, stream.DropSlot(t.Context(), cfg.Source, "late"))
		require.ErrorAs(t, start(t, cfg).failure(), new(*stream.SlotError))
	})
}

// The server gives a slot up.
func TestSlotLost(t *testing.T) {
	some(t, []int{13, 16, 18}, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up("-c", "min_wal_size=32MB", "-c", "max_wal_size=32MB", "-c", "max_slot_wal_keep_size=1MB")
		cfg := config(t, primary, newFolder(t))
		cfg.Slot, cfg.CreateSlot = "receiver", true
		primary.Exec("create table a as select 1 i")
		upTo(t, cfg, lsn(t, primary))
		for range 5 {
			primary.Exec("insert into a values (1)", "select pg_switch_wal()", "checkpoint")
		}
		primary.Wait("select wal_status = 'lost' from pg_replication_slots")
		err := start(t, cfg).failure()
		t.Log(err)
		require.True(t, errors.As(err, new(*stream.SlotError)) || errors.As(err, new(*stream.GapError)), "%v", err)
	})
}

// movingArchive is one to which the server itself archives while it is asked for its names.
type movingArchive struct {
	*folderArchive
	before func() string // returns a segment that was archived meanwhile
}

func (a movingArchive) Names(context.Context) ([]string, error) { return []string{a.before()}, nil }

// TestArchive_that_moves_on: a server that archives a segment after it said how far it is, and before the archive is asked, is not behind.
func TestArchive_that_moves_on(t *testing.T) {
	some(t, []int{11, 17}, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up(keep(w)...)
		archive := movingArchive{newFolder(t), func() string {
			at := lsn(t, primary)
			primary.Exec("create table a as select 1", "select pg_switch_wal()", "create table b as select 1")
			return wal.SegmentOf(1, at, mib16).Name(mib16)
		}}
		r := start(t, config(t, primary, archive))
		r.until("it receives", func(s stream.Status) bool { return s.Connected && s.Received >= lsn(t, primary) })
		r.end()
	})
}
