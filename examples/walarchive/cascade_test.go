package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// A primary, its standby, and the standby's standby archive into one place. Their files differ behind the switches, and that is no
// conflict: nobody ever fails. The records of all segments are checked, too.
func TestCascade(t *testing.T) {
	each(t, func(t *testing.T, w *pgserver.World) {
		archive := mkdir(t, w, "archive")
		command := fmt.Sprintf(`%s --archive %s --compress lz4 --check-records push "%%p"`, program(t), archive)
		keep := "wal_keep_size=20MB"
		if w.Major < 13 {
			keep = "wal_keep_segments=20"
		}
		archiving := []string{"-c", "archive_mode=always", "-c", "archive_command=" + command, "-c", keep, "-c", "min_wal_size=4MB", "-c", "max_wal_size=8MB"}
		primary := w.Server("primary")
		w.RunCommand("initdb", "-D", primary.Data, "-U", pgserver.User, "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "--wal-segsize=1")
		primary.Up(archiving...)
		first := streaming(t, primary, "first", archiving)
		second := streaming(t, first, "second", archiving)
		all := []*pgserver.Server{primary, first, second}
		primary.Exec("create table t (i int, s text)")
		for i := range 40 {
			primary.Exec(fmt.Sprintf("insert into t select i, repeat(md5(i::text), 10) from generate_series(1, %d) i", i*37%2000+1), "select pg_switch_wal()")
			if i%10 == 9 { // so that files are used again
				primary.Exec("checkpoint")
				first.Wait("select pg_last_wal_replay_lsn() >= '" + primary.Ask("pg_current_wal_lsn()") + "'")
				second.Wait("select pg_last_wal_replay_lsn() >= '" + primary.Ask("pg_current_wal_lsn()") + "'")
				first.Exec("checkpoint")
				second.Exec("checkpoint")
			}
		}
		last := primary.Ask("pg_walfile_name(pg_current_wal_lsn())")
		primary.Exec("insert into t values (1)", "select pg_switch_wal()", "insert into t values (2)", "select pg_switch_wal()")
		for _, s := range all {
			waitForArchiver(t, s, filepath.Base(s.Data), "last_archived_wal >= '"+last+"' or failed_count > 0")
			require.Equal(t, "0", s.Ask("select failed_count from pg_stat_archiver"), s.Ask("select to_json(a) from pg_stat_archiver a"))
		}
		t.Logf("%d segments of the second standby have old WAL behind a switch", oldRests(t, second))
		for _, s := range all {
			s.Stop()
		}
	})
}

// oldRests counts the segments of a server that hold something else behind their own pages.
func oldRests(t *testing.T, s *pgserver.Server) int {
	t.Helper()
	system, err := wal.ParseSystemID(s.Ask("select system_identifier from pg_control_system()"))
	require.NoError(t, err)
	paths, err := filepath.Glob(filepath.Join(s.Data, "pg_wal", "0*"))
	require.NoError(t, err)
	n := 0
	for _, path := range paths {
		seg, err := wal.ParseSegment(filepath.Base(path), 1<<20)
		if err != nil {
			continue
		}
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		c := wal.NewChain(wal.ChainConfig{Segment: seg, SystemID: system, SegmentSize: 1 << 20})
		if _, err := c.Write(b); err == nil && c.Switched() && c.DataEnd() > c.ValidEnd() {
			n++
		}
	}
	return n
}
