package catalog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/catalog"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// A primary with two base backups and a standby that is promoted, all into one archive. The older backup is given up, and what the
// plan says is removed: the younger one still recovers to the end of the new timeline. The majors have both forms of the
// recovery settings and of the functions for backups.
func TestServers(t *testing.T) {
	for _, major := range []int{11, 18} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			a := archived{World: pgserver.New(t, localpg.Server(t, major)), t: t}
			a.dir = filepath.Join(a.Dir, "archive")
			require.NoError(t, os.Mkdir(a.dir, 0o700))
			require.NoError(t, os.Chmod(a.dir, 0o777)) //nolint:gosec // the server is another user

			primary := a.Initdb("primary")
			primary.Up(a.settings()...)
			primary.Exec("CREATE TABLE t AS SELECT 1 AS i")
			a.Copy(primary, "oldest")
			a.fill(primary, 3)
			restored := a.Copy(primary, "restored")
			a.fill(primary, 3)
			standby := a.Copy(primary, "standby")
			primary.Exec("INSERT INTO t VALUES (42)")
			primary.Stop() // archives what it has
			a.recover(standby, "standby_mode = on", "standby.signal")
			standby.Promote()
			a.fill(standby, 3)
			require.Equal(t, "11", standby.Ask("SELECT count(*) FROM t"))

			c := a.catalog()
			require.Empty(t, c.Gaps(catalog.GapConfig{}), c.List().String())
			l := c.List()
			require.Len(t, l.Timelines, 2, l.String())
			require.Equal(t, catalog.HistoryThere, l.Timelines[1].History)
			require.Len(t, l.Timelines[0].Backups, 3)
			for _, b := range l.Timelines[0].Backups {
				require.True(t, b.Complete, b.String())
			}
			plan, err := c.Plan(catalog.Policy{Backups: 2, BackupHistory: true})
			require.NoError(t, err)
			require.Greater(t, len(plan.Remove()), 3, plan.Decisions)
			for _, name := range plan.Remove() {
				require.NoError(t, os.Remove(filepath.Join(a.dir, name)))
			}
			need, err := a.catalog().Need(catalog.Target{From: plan.Backups[0].Name})
			require.NoError(t, err)
			require.Zero(t, need.Missing(), need.String())
			require.EqualValues(t, 2, need.Timeline)

			standby.Stop()
			a.recover(restored, "recovery_target_timeline = latest", "recovery.signal")
			restored.Wait("SELECT NOT pg_is_in_recovery()")
			require.Equal(t, "11", restored.Ask("SELECT count(*) FROM t"))
		})
	}
}

// archived is a world of servers that archive into one directory.
type archived struct {
	*pgserver.World
	t   *testing.T
	dir string
}

func (a archived) settings() []string {
	return []string{"-c", "archive_mode=on", "-c", "archive_command=cp %p " + a.dir + "/%f"}
}

// fill writes and archives so many segments.
func (a archived) fill(s *pgserver.Server, segments int) {
	for range segments {
		s.Exec("INSERT INTO t VALUES (1)")
		name := s.Ask("SELECT pg_walfile_name(pg_current_wal_lsn())")
		s.Exec("SELECT pg_switch_wal()")
		pgserver.Until(a.t, name+" to be archived", func() error {
			_, err := os.Stat(filepath.Join(a.dir, name))
			return err
		})
	}
}

// recover starts a server that restores from the archive.
func (a archived) recover(s *pgserver.Server, line, signal string) {
	args, restore := a.settings(), "cp "+a.dir+"/%f %p"
	if a.Major < 12 {
		s.Write("recovery.conf", fmt.Sprintf("restore_command = '%s'\n%s\n", restore, strings.ReplaceAll(line, "= latest", "= 'latest'")))
	} else {
		s.Write(signal, "")
		args = append(args, "-c", "restore_command="+restore)
	}
	s.Up(args...)
}

func (a archived) catalog() *catalog.Catalog {
	entries, err := os.ReadDir(a.dir)
	require.NoError(a.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	c, err := catalog.New(names, segSize)
	require.NoError(a.t, err)
	for _, name := range c.Texts() {
		text, err := os.ReadFile(filepath.Join(a.dir, name))
		require.False(a.t, errors.Is(err, fs.ErrNotExist))
		require.NoError(a.t, err)
		require.NoError(a.t, c.AddText(name, text))
	}
	return c
}
