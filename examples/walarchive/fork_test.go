package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
)

// Two standbys are promoted at different positions, to what both call timeline 2: the archive takes the first one's history and partial
// segment and refuses the second's. Who restores follows the first.
func TestFork(t *testing.T) {
	each(t, func(t *testing.T, w *pgserver.World) {
		archive := mkdir(t, w, "archive")
		command := fmt.Sprintf(`%s --archive %s --compress zstd --retry 0s`, program(t), archive)
		archiving := []string{"-c", "archive_mode=on", "-c", "archive_command=" + command + ` push "%p"`}
		primary := w.Initdb("primary")
		primary.Up(archiving...)
		w.Copy(primary, "backup")
		first, second := streaming(t, primary, "first", archiving), streaming(t, primary, "second", archiving)
		primary.Exec("create table t (i int)", "insert into t values (1)")
		partial := primary.Ask("select pg_walfile_name(pg_current_wal_lsn())") + ".partial"
		for _, s := range []*pgserver.Server{first, second} {
			s.Wait("select count(*) = 1 from pg_tables where tablename = 't'")
		}
		second.Stop()
		primary.Exec("insert into t values (2)")
		first.Wait("select count(*) = 2 from t")
		primary.Kill(syscall.SIGQUIT)
		first.Promote()
		first.Exec("insert into t values (3)", "select pg_switch_wal()")
		has(t, first, archive, partial, "00000002.history", "00000002"+partial[8:24])

		second.Up(archiving...)
		second.Promote()
		waitForArchiver(t, second, "the second's branch", "failed_count > 1")
		require.NotZero(t, lines(second.Log(), "already archived with other content"))
		second.Exec("insert into t values (4)", "select pg_switch_wal()")
		require.Equal(t, "0", second.Ask("select archived_count from pg_stat_archiver"))
		second.Stop()

		restored := w.Server("restored")
		w.CopyTree(filepath.Join(w.Dir, "backup"), restored.Data)
		recoverWith(t, restored, recovery.Config{Role: recovery.Targeted, RestoreCommand: command + ` fetch "%f" "%p"`, TargetTimeline: recovery.TimelineLatest})
		restored.Start("-c", "archive_mode=off")
		restored.Wait("select not pg_is_in_recovery()")
		require.Equal(t, "1 2 3", restored.Ask("select string_agg(i::text, ' ' order by i) from t"))
		require.True(t, restored.Exists("pg_wal/00000003.history"), "timeline 2 is taken")
		restored.Kill(syscall.SIGQUIT)
		first.Stop()
		foreign(t, w, command)
	})
}

// streaming makes a standby of a server that will archive once it is promoted.
func streaming(t *testing.T, primary *pgserver.Server, name string, archiving []string) *pgserver.Server {
	t.Helper()
	s := primary.World.Copy(primary, name)
	source, err := conninfo.Parse(primary.Conninfo())
	require.NoError(t, err)
	recoverWith(t, s, recovery.Config{Role: recovery.Standby, PrimaryConninfo: source.Without("dbname")})
	s.Up(archiving...)
	return s
}

// has waits until the archive has the files.
func has(t *testing.T, s *pgserver.Server, archive string, names ...string) {
	t.Helper()
	for _, name := range names {
		pgserver.Until(t, name+" in the archive", func() error {
			_, err := os.Stat(filepath.Join(archive, name))
			if err != nil {
				err = fmt.Errorf("%w: %s", err, s.Ask("select to_json(a) from pg_stat_archiver a"))
			}
			return err
		})
	}
}

// foreign is another cluster, which is refused with both system identifiers.
func foreign(t *testing.T, w *pgserver.World, command string) {
	t.Helper()
	other := w.Server("other")
	w.RunCommand("initdb", "-D", other.Data, "-U", pgserver.User, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	other.Up("-c", "archive_mode=on", "-c", "archive_command="+command+` push "%p"`)
	other.Exec("create table t (i int)", "select pg_switch_wal()")
	waitForArchiver(t, other, "another cluster", "failed_count > 0")
	id := other.Ask("select system_identifier from pg_control_system()")
	owner, err := os.ReadFile(filepath.Join(w.Dir, "archive", "understudy-archive"))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(owner), "system identifier ")
	ownerID, _, _ := strings.Cut(rest, "\n")
	require.NotEqual(t, ownerID, id)
	require.NotZero(t, lines(other.Log(), ownerID, id), "both are named")
	require.Equal(t, "0", other.Ask("select archived_count from pg_stat_archiver"))
	other.Kill(syscall.SIGQUIT)
}
