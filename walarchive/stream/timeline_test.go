package stream_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/stream"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// standby makes a copy of a server that follows it, and starts it.
func standby(t testing.TB, of *pgserver.Server, name string, args ...string) *pgserver.Server {
	t.Helper()
	s := of.World.Copy(of, name)
	settings := "primary_conninfo = '" + of.Conninfo() + " application_name=" + name + "'\nrecovery_target_timeline = 'latest'\n"
	if of.World.Major < 12 {
		s.Write("recovery.conf", "standby_mode = on\n"+settings)
	} else {
		s.Write("postgresql.auto.conf", settings)
		s.Write("standby.signal", "")
	}
	s.Up(args...)
	return s
}

// promoteQuietly promotes a standby and waits for its first checkpoint.
func promoteQuietly(s *pgserver.Server) {
	s.Promote()
	s.Exec("checkpoint")
}

// archiver makes a server archive into a folder with cp, never replacing a file by another.
func archiver(t testing.TB, w *pgserver.World, dir string) []string {
	t.Helper()
	require.NoError(t, os.Chmod(dir, 0o777)) //nolint:gosec // the server runs as somebody else
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	return append(keep(w), "-c", "archive_mode=on",
		"-c", "archive_command=cmp -s %p "+dir+"/%f || (test ! -e "+dir+"/%f && cp %p "+dir+"/.%f-tmp && mv "+dir+"/.%f-tmp "+dir+"/%f)")
}

func TestPromotionWhileReceiving(t *testing.T) {
	some(t, []int{10, 12, 14, 16, 18}, func(t *testing.T, w *pgserver.World) {
		archive := newFolder(t)
		primary := w.Initdb("primary")
		primary.Up(keep(w)...)
		primary.Exec("create table a as select 1 i")
		second := standby(t, primary, "second", archiver(t, w, archive.dir)...)
		cfg := config(t, second, archive)
		cfg.Slot, cfg.CreateSlot = "receiver", true
		first := lsn(t, second)
		r := start(t, cfg)

		// From a cascading standby, then from what it becomes. Its archiver and the receiver feed one archive.
		primary.Exec("insert into a select generate_series(1, 300000)", "select pg_switch_wal()", "insert into a values (1)")
		r.until("received from the standby", func(s stream.Status) bool { return s.Archived >= lsn(t, primary) })
		primary.Stop()
		promoteQuietly(second)
		second.Exec("insert into a select generate_series(1, 300000)", "select pg_switch_wal()", "insert into a values (2)")
		end := lsn(t, second)
		r.until("followed", func(s stream.Status) bool { return s.Timeline == 2 && s.Archived >= end })
		r.end()

		history, err := os.ReadFile(filepath.Join(archive.dir, "00000002.history"))
		require.NoError(t, err)
		h, err := wal.ParseHistory(2, history)
		require.NoError(t, err)
		left, ok := h.SwitchPoint(1)
		require.True(t, ok)
		same(t, second, archive.dir, 1, first, left-left%mib16, mib16)
		same(t, second, archive.dir, 2, left-left%mib16, end, mib16)
		wantHistoryFirst(t, archive.pushed())

		// What was received of the last segment of the old timeline is there, and equals the new one up to the switch.
		rest, err := filepath.Glob(filepath.Join(archive.dir, wal.SegmentOf(1, left, mib16).Name(mib16)+".received-*"))
		require.NoError(t, err)
		require.Len(t, rest, 1)
		old, err := os.ReadFile(rest[0])
		require.NoError(t, err)
		want := int(left % mib16)
		require.GreaterOrEqual(t, len(old), want)
		now, err := os.ReadFile(filepath.Join(second.Data, "pg_wal", wal.SegmentOf(2, left, mib16).Name(mib16)))
		require.NoError(t, err)
		require.Equal(t, now[:want], old[:want])

		// And the server has archived its own, with the full size, which the receiver was not in the way of.
		pgserver.Until(t, "the server's partial segment", func() error {
			info, err := os.Stat(filepath.Join(archive.dir, wal.SegmentOf(1, left, mib16).Name(mib16)+".partial"))
			if err == nil {
				require.Equal(t, int64(mib16), info.Size())
			}
			return err
		})
		// (The archiver may have failed once, where the receiver was between its look and its copy.)
		second.Wait("select last_failed_time is null or last_archived_time > last_failed_time from pg_stat_archiver")
	})
}

// wantHistoryFirst demands that the history of a timeline was archived before any of its WAL.
func wantHistoryFirst(t testing.TB, pushed []string) {
	t.Helper()
	for _, name := range pushed {
		if name == "00000002.history" {
			return
		}
		require.NotEqual(t, "00000002", name[:8], "archived before the history: %v", pushed)
	}
	require.Fail(t, "no history", "%v", pushed)
}

// A standby is promoted that has less than was received: its predecessor's last commits are only here.
func TestForked(t *testing.T) {
	some(t, []int{11, 15}, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up(keep(w)...)
		primary.Exec("create table a as select 1 i")
		second := w.Copy(primary, "second") // it ends where it was copied
		primary.Exec("insert into a values (2)")
		cfg := config(t, primary, newFolder(t))
		end := lsn(t, primary)
		upTo(t, cfg, end)
		primary.Stop()
		settings := "restore_command = 'false'\nrecovery_target_timeline = 'latest'\n"
		if w.Major < 12 {
			second.Write("recovery.conf", settings)
		} else {
			second.Write("postgresql.auto.conf", settings)
			second.Write("recovery.signal", "")
		}
		second.Up(keep(w)...)
		second.Wait("select not pg_is_in_recovery()")
		cfg.Source = source(t, second)

		r := start(t, cfg)
		var forked *stream.ForkedError
		require.ErrorAs(t, r.failure(), &forked)
		require.Equal(t, wal.Timeline(1), forked.Timeline)
		require.Equal(t, wal.Timeline(2), forked.Server)
		require.Less(t, forked.Switch, end)
		require.GreaterOrEqual(t, forked.Received, end-8)
		require.FileExists(t, filepath.Join(cfg.Dir, wal.SegmentOf(1, forked.Switch, mib16).Name(mib16)+".partial"))

		// An older server than what was received: the primary once more, after WAL of timeline 2.
		second.Exec("create table b as select 1")
		cfg.Dir = t.TempDir()
		cfg.Archive = newFolder(t)
		upTo(t, cfg, lsn(t, second))
		second.Stop()
		primary.Up(keep(w)...)
		cfg.Source = source(t, primary)
		var behind *stream.BehindError
		require.ErrorAs(t, start(t, cfg).failure(), &behind)
		require.Equal(t, wal.Timeline(2), behind.Timeline)
		require.Equal(t, wal.Timeline(1), behind.Server)
	})
}

// Two servers write one timeline, as when a copy of a data directory is started beside it.
func TestDiverged(t *testing.T) {
	some(t, []int{13}, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up(keep(w)...)
		primary.Exec("create table a as select 1 i")
		primary.Stop()
		twin := w.Server("twin")
		w.CopyTree(primary.Data, twin.Data)
		primary.Up(keep(w)...)
		primary.Exec("insert into a values (2)")
		cfg := config(t, primary, newFolder(t))
		upTo(t, cfg, lsn(t, primary))
		primary.Stop()
		twin.Up(keep(w)...)
		twin.Exec("insert into a select generate_series(1, 100000)")
		cfg.Source = source(t, twin)
		var diverged *stream.DivergedError
		require.ErrorAs(t, start(t, cfg).failure(), &diverged)
		require.FileExists(t, filepath.Join(cfg.Dir, diverged.File))
	})
}
