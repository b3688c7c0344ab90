package pitr_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/basebackup"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/recovery/pitr"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// past is a server with an archive, a base backup and what happened after it: the rows 1 to 5, each a transaction.
type past struct {
	w               *pgserver.World
	archive, backup string
	xid             map[int]uint32    // of a row
	lsn             map[int]wal.LSN   // after a row
	at              map[int]time.Time // between a row and the next
	n               int
}

func newPast(t *testing.T, w *pgserver.World) *past {
	t.Helper()
	p := &past{w: w, archive: filepath.Join(w.Dir, "archive"), backup: filepath.Join(w.Dir, "backup"), xid: map[int]uint32{}, lsn: map[int]wal.LSN{}, at: map[int]time.Time{}}
	p.mkdir(t, p.archive)
	p.mkdir(t, filepath.Join(w.Dir, "space"))
	s := w.Initdb("primary")
	s.Up("-c", "archive_mode=on", "-c", "archive_command=cp %p "+p.archive+"/%f")
	s.Exec("create tablespace space location '"+filepath.Join(w.Dir, "space")+"'", "create table t (i int) tablespace space")
	source, err := conninfo.Parse(s.Conninfo())
	require.NoError(t, err)
	for format, dir := range map[basebackup.Format]string{basebackup.Plain: p.backup, basebackup.Tar: p.backup + "-tar"} {
		options := basebackup.Options{Target: dir, Format: format}
		if format == basebackup.Plain {
			options.Tablespaces = map[string]string{filepath.Join(w.Dir, "space"): dir + "-space"}
		}
		_, err = basebackup.Run(t.Context(), source.Without("dbname"), options)
		require.NoError(t, err)
	}
	for row := 1; row <= 5; row++ {
		s.Exec(fmt.Sprintf("insert into t values (%d)", row))
		xid, err := strconv.ParseUint(s.Ask(fmt.Sprintf("select xmin from t where i = %d", row)), 10, 32)
		require.NoError(t, err)
		p.xid[row] = uint32(xid)
		s.Exec(fmt.Sprintf("select pg_create_restore_point('after row %d')", row))
		p.lsn[row], err = wal.ParseLSN(s.Ask("pg_current_wal_insert_lsn()"))
		require.NoError(t, err)
		p.at[row], err = time.Parse("2006-01-02 15:04:05.000000", s.Ask("to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"))
		require.NoError(t, err)
	}
	segment := s.Ask("pg_walfile_name(pg_switch_wal())")
	s.Wait("select last_archived_wal >= '" + segment + "' from pg_stat_archiver")
	s.Stop()
	return p
}

func (p *past) mkdir(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.Mkdir(dir, 0o700))
	p.own(t, dir)
}

// own gives a folder with all that is in it to the user of the servers.
func (p *past) own(t *testing.T, dir string) {
	t.Helper()
	if p.w.Owner.Credential == nil {
		return
	}
	require.NoError(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(p.w.Owner.Credential.Uid), int(p.w.Owner.Credential.Gid))
	}))
}

// options restore to a new server, which is returned as well; it is started by Run.
func (p *past) options(t *testing.T, target recovery.Target, action recovery.TargetAction) (*pgserver.Server, pitr.Options) {
	t.Helper()
	p.n++
	s := p.w.Server(fmt.Sprintf("restored%d", p.n))
	space := s.Data + "-space"
	return s, pitr.Options{
		Backup: p.backup, DataDir: s.Data, RestoreCommand: "cp " + p.archive + "/%f %p", Target: target, Action: action, Args: s.Args()[2:],
		Tablespaces: map[string]string{p.backup + "-space": space, filepath.Join(p.w.Dir, "space"): space},
		Runner: pitr.Local{BinDir: p.w.Dir, Command: func(_ string, args ...string) *exec.Cmd {
			p.own(t, s.Data)
			p.own(t, space)
			return p.w.Command("postgres", args...)
		}},
	}
}

// rows are what is in the table.
func rows(s *pgserver.Server) string {
	return s.Ask("select coalesce(string_agg(i::text, ' ' order by i), '') from t")
}

func stopAtEnd(t *testing.T, p pitr.Process) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
}

// earlierLog is of an earlier server of that name. It says nothing about the one that is restored.
const earlierLog = `LOG:  recovery stopping at restore point "another", time 2026-01-01
LOG:  pausing at the end of recovery
LOG:  database system is ready to accept connections
FATAL:  recovery ended before configured recovery target was reached
`

// Recovery lands exactly where it shall, and the server does there what it shall.
func TestRun(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		p := newPast(t, w)
		testNotReached(t, p)
		testTooEarly(t, p)
		for _, tc := range []struct {
			name    string
			target  recovery.Target
			action  recovery.TargetAction
			tar     bool
			rows    string
			stopped string // what the server says
		}{
			{"name", recovery.TargetName{Name: "after row 2"}, recovery.ActionPause, false, "1 2", `restore point "after row 2"`},
			{"time", recovery.TargetTime{At: p.at[3]}, recovery.ActionPromote, true, "1 2 3", fmt.Sprintf("before commit of transaction %d", p.xid[4])},
			{"xid", recovery.TargetXID{XID: p.xid[4]}, recovery.ActionShutdown, false, "1 2 3 4", fmt.Sprintf("after commit of transaction %d", p.xid[4])},
			{"xid_exclusive", recovery.TargetXID{XID: p.xid[4], Exclusive: true}, recovery.ActionPromote, false, "1 2 3", fmt.Sprintf("before commit of transaction %d", p.xid[4])},
			{"lsn", recovery.TargetLSN{LSN: p.lsn[1]}, recovery.ActionDefault, false, "1", "WAL location (LSN)"},
			{"consistency", recovery.TargetImmediate{}, recovery.ActionPromote, true, "", "after reaching consistency"},
			{"end", nil, "", false, "1 2 3 4 5", ""},
		} {
			if !slices.Contains([]int{11, 13, 15, 17, 18}, w.Major) && !slices.Contains([]string{"name", "xid", "end"}, tc.name) {
				continue // nothing changes between them
			}
			s, o := p.options(t, tc.target, tc.action)
			if tc.tar {
				o.Backup += "-tar"
			}
			require.NoError(t, os.WriteFile(s.Data+".log", []byte(earlierLog), 0o600))
			got, err := pitr.Run(t.Context(), o)
			require.NoError(t, err, tc.name)
			log, err := os.ReadFile(s.Data + ".log")
			require.NoError(t, err)
			require.Equal(t, earlierLog, string(log[:len(earlierLog)]), "a log of that name is kept")
			require.Contains(t, got.Stopped, tc.stopped)
			require.Equal(t, tc.stopped == "", got.Stopped == "")
			if tc.action == recovery.ActionShutdown {
				require.Nil(t, got.Process)
				require.Equal(t, datadir.StateShutDownInRecovery, got.Control.State)
				got = goOn(t, s, o)
			}
			stopAtEnd(t, got.Process)
			require.Equal(t, tc.rows, rows(s), tc.name)
			paused := tc.action == recovery.ActionPause || tc.action == recovery.ActionDefault && tc.target != nil
			require.Equal(t, strconv.FormatBool(paused), s.Ask("pg_is_in_recovery()"))
			if paused {
				require.Equal(t, "true", s.Ask("pg_is_wal_replay_paused()"))
				s.Exec("select pg_wal_replay_resume()")
				s.Wait("select not pg_is_in_recovery()")
				require.Equal(t, tc.rows, rows(s), "it promotes there")
			}
			s.Exec("insert into t values (100)")
			require.NoError(t, got.Process.Stop())
		}
		require.FileExists(t, filepath.Join(p.backup, "backup_label"), "the backup is as it was")
	})
}

// goOn promotes a server that stopped at its target.
func goOn(t *testing.T, s *pgserver.Server, o pitr.Options) pitr.Result {
	t.Helper()
	cfg := recovery.Config{Role: recovery.Targeted, RestoreCommand: o.RestoreCommand, Target: o.Target, Action: recovery.ActionPromote}
	require.NoError(t, recovery.TakeOver(t.Context(), recovery.Disk{}, recovery.Server{DataDir: s.Data}, cfg))
	p, err := o.Runner.Start(s.Args(), s.Data+".log")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop()) })
	s.Wait("select not pg_is_in_recovery()")
	return pitr.Result{Process: p}
}

// A target that is not in the archive is an error in every major, no server is left running, and nothing of it gets into the archive.
func testNotReached(t *testing.T, p *past) {
	t.Helper()
	before := names(t, p.archive)
	for _, action := range []recovery.TargetAction{recovery.ActionPromote, recovery.ActionShutdown} {
		s, o := p.options(t, recovery.TargetName{Name: "never"}, action)
		o.Args = append(o.Args, "-c", "archive_mode=on", "-c", "archive_command=cp %p "+p.archive+"/%f")
		_, err := pitr.Run(t.Context(), o)
		require.ErrorIs(t, err, pitr.ErrNotReached)
		require.NoFileExists(t, filepath.Join(s.Data, "postmaster.pid"))
	}
	require.Equal(t, before, names(t, p.archive))
	if p.w.Major != 15 {
		return // nothing else has to do with the major
	}

	// An archive that is out of reach is not one that has ended.
	_, o := p.options(t, recovery.TargetName{Name: "after row 2"}, recovery.ActionPromote)
	o.RestoreCommand = "exit 200"
	_, err := pitr.Run(t.Context(), o)
	var ended *pitr.ServerError
	require.ErrorAs(t, err, &ended)
	require.Contains(t, ended.Last, "could not restore file")

	// Nor is one that does not answer.
	s, o := p.options(t, recovery.TargetName{Name: "after row 2"}, recovery.ActionPromote)
	o.RestoreCommand = "sleep 5; exit 1"
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = pitr.Run(ctx, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoFileExists(t, filepath.Join(s.Data, "postmaster.pid"))
}

// A target from before the backup cannot be reached: what was committed between the two is in the files. The server itself would stop
// at the first commit after the backup, and say nothing.
func testTooEarly(t *testing.T, p *past) {
	t.Helper()
	for _, target := range []recovery.Target{
		recovery.TargetTime{At: p.at[1].Add(-time.Hour)}, recovery.TargetTime{Text: p.at[1].Add(-time.Hour).Format(time.RFC3339)}, recovery.TargetLSN{LSN: 1},
	} {
		for _, kind := range []string{"", "-tar"} {
			s, o := p.options(t, target, recovery.ActionPromote)
			o.Backup += kind
			_, err := pitr.Run(t.Context(), o)
			var early *pitr.BackupError
			require.ErrorAs(t, err, &early)
			require.ErrorContains(t, err, "take an older backup")
			require.NoDirExists(t, s.Data)
			require.NoDirExists(t, s.Data+".restoring")
		}
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, "\n")
}

// Where the server cannot let readers in, it does not pause but becomes a primary: no success.
func TestRun_cannot_pause(t *testing.T) {
	for _, major := range []int{11, 15} {
		w := pgserver.New(t, localpg.Server(t, major))
		p := &past{w: w, archive: filepath.Join(w.Dir, "archive"), backup: filepath.Join(w.Dir, "backup")}
		p.mkdir(t, p.archive)
		s := w.Initdb("primary")
		s.Up("-c", "archive_mode=on", "-c", "archive_command=cp %p "+p.archive+"/%f")
		s.Exec("create table t (i int)")
		require.NoError(t, s.Do(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "begin")
			for range 70 { // subtransactions of one transaction; the WAL names 64
				if err == nil {
					_, err = conn.Exec(ctx, "savepoint a; insert into t values (0)")
				}
			}
			require.NoError(t, err)
			source, err := conninfo.Parse(s.Conninfo())
			require.NoError(t, err)
			_, err = basebackup.Run(ctx, source.Without("dbname"), basebackup.Options{Target: p.backup})
			s.Exec("select pg_create_restore_point('here')")
			segment := s.Ask("pg_walfile_name(pg_switch_wal())")
			s.Wait("select last_archived_wal >= '" + segment + "' from pg_stat_archiver")
			return err
		}))
		restored, o := p.options(t, recovery.TargetName{Name: "here"}, recovery.ActionPause)
		p.mkdir(t, restored.Data+"-space") // options gives it to the server
		_, err := pitr.Run(t.Context(), o)
		require.ErrorIs(t, err, pitr.ErrNotPaused)
	}
}
