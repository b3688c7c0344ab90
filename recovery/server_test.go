package recovery_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// What a config says is what the server has in force, whatever characters are in it, and in the end what the shell is given.
func TestServerReadsWhatWeMean(t *testing.T) {
	const odd = `it's "b\2" 100% #é ` // what the shell shall be given
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up()
		primary.Exec(`create role "it's me \ %" login replication`, "select pg_create_physical_replication_slot('slot_2')", "create table t (i int)")
		standby := w.Copy(primary, "standby")

		name := `d'b \2 "x" %s`
		fetched, cleaned := filepath.Join(w.Dir, "fetched % it's"), filepath.Join(w.Dir, "cleaned")
		cfg := recovery.Config{
			PrimaryConninfo: dial(primary).With("user", `it's me \ %`).With("application_name", name).With("password", `p'w\ "%`).
				With("passfile", "/none/ of '\\ this"),
			PrimarySlotName:       "slot_2",
			RestoreCommand:        `printf '%%s\n' %f '` + strings.NewReplacer("'", `'\''`, "%", "%%").Replace(odd) + `' >> "` + strings.ReplaceAll(fetched, "%", "%%") + `"; exit 1`,
			ArchiveCleanupCommand: "printf '%%s\\t%%s\\n' %r \"it's\n\\\\ here\" >> " + cleaned,
			TargetTimeline:        recovery.TimelineLatest,
		}
		apply(t, standby, cfg)
		before := contents(t, standby.Data)
		apply(t, standby, cfg)
		require.Equal(t, before, contents(t, standby.Data), "a second time changes no byte")

		standby.Up()
		require.Equal(t, "true", standby.Ask("pg_is_in_recovery()"))
		if w.Major >= 12 {
			for param, want := range map[string]string{
				"primary_conninfo": cfg.PrimaryConninfo.Text(), "primary_slot_name": "slot_2", "restore_command": cfg.RestoreCommand,
				"archive_cleanup_command": cfg.ArchiveCleanupCommand, "recovery_target_timeline": "latest",
			} {
				require.Equal(t, want, standby.Ask("current_setting('"+param+"')"), param)
				require.Equal(t, filepath.Join(standby.Data, recovery.SettingsFile),
					standby.Ask("select sourcefile from pg_settings where name = '"+param+"'"), param)
			}
		}

		// It streams, through that slot, under that name, as that user.
		primary.Exec("insert into t values (1)")
		standby.Wait("select count(*) = 1 from t")
		require.Equal(t, name, primary.Ask("select application_name from pg_stat_replication"))
		require.Equal(t, `it's me \ %`, primary.Ask("select usename from pg_stat_replication"))
		require.Equal(t, "true", primary.Ask("select active from pg_replication_slots where slot_name = 'slot_2'"))
		shown := standby.Ask("select conninfo from pg_stat_wal_receiver") + " " // which does not quote
		for _, key := range []string{"host", "port", "user", "application_name", "passfile"} {
			want, _ := cfg.PrimaryConninfo.Get(key)
			require.Contains(t, shown, key+"="+want+" ")
		}

		// The shell has seen what we mean.
		log, err := os.ReadFile(fetched)
		require.NoError(t, err)
		lines := strings.Split(string(log), "\n")
		require.Equal(t, "00000002.history", lines[0])
		require.Equal(t, odd, lines[1])
		primary.Exec("checkpoint")
		pgserver.Until(t, "a restartpoint", func() error {
			standby.Exec("checkpoint")
			_, err := os.Stat(cleaned)
			return err
		})
		log, err = os.ReadFile(cleaned)
		require.NoError(t, err)
		require.Regexp(t, "^[0-9A-F]{24}\tit's\n\\\\ here\n", string(log))

		// The control file of a running standby.
		c := control(t, standby)
		require.Equal(t, datadir.StateInArchiveRecovery, c.State)
		require.Equal(t, standby.Ask("select system_identifier from pg_control_system()"), c.SystemID.String())
		require.Equal(t, standby.Ask("select checkpoint_lsn from pg_control_checkpoint()"), c.Checkpoint.String())
		require.True(t, c.DataChecksums)
	})
}

// A server that was promoted, and so has old settings lying around, becomes a standby that has only the new ones.
func TestServerPromotedThenStandbyAgain(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		a := w.Initdb("a")
		a.Up()
		a.Exec("create table t (i int)", "select pg_create_physical_replication_slot('old')")
		b := w.Copy(a, "b")
		apply(t, b, recovery.Config{PrimaryConninfo: dial(a), PrimarySlotName: "old", RestoreCommand: "false %f", TargetTimeline: recovery.TimelineLatest})
		b.Up()
		b.Wait("select count(*) = 1 from pg_stat_wal_receiver")

		// A clean switchover: everything a wrote is on b before b is promoted.
		a.Stop()
		b.Promote()
		require.False(t, b.Exists(recovery.StandbySignal))
		require.Equal(t, w.Major <= 11, b.Exists(recovery.RecoveryDone))
		require.Equal(t, wal.Timeline(2), control(t, b).Timeline(), "known from the control file, before the first checkpoint on it")
		b.Exec("insert into t values (1)")

		verdict := recovery.Judge(recovery.Returning{Control: control(t, a), CanRewind: true}, leader(t, b))
		require.Equal(t, recovery.Follow, verdict.Verdict, verdict.Reason)
		apply(t, a, recovery.Config{PrimaryConninfo: dial(b), TargetTimeline: recovery.TimelineLatest})
		a.Up()
		a.Wait("select count(*) = 1 from t") // the judgement was right
		require.Equal(t, "2", a.Ask("select received_tli from pg_stat_wal_receiver"))

		// And back again. b has settings of its first life, a has none for being a primary.
		b.Stop()
		a.Promote()
		a.Exec("insert into t values (2)")
		returning := recovery.Returning{Control: control(t, b), CanRewind: true}
		require.Equal(t, recovery.Rewind, recovery.Judge(returning, leader(t, a)).Verdict, "which timeline 2 it is on is not known")
		returning.History = historyOf(t, b, 2)
		verdict = recovery.Judge(returning, leader(t, a))
		require.Equal(t, recovery.Follow, verdict.Verdict, verdict.Reason)
		apply(t, b, recovery.Config{PrimaryConninfo: dial(a), TargetTimeline: recovery.TimelineLatest})
		b.Up()
		b.Wait("select count(*) = 2 from t")
		require.Equal(t, "3", b.Ask("select received_tli from pg_stat_wal_receiver"))
		require.Equal(t, "0", a.Ask("select count(*) from pg_replication_slots where active"), "the slot of its first life is forgotten")
	})
}

// A primary that is killed with rows its standby has not got must not follow it.
func TestServerDiverged(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		a := w.Initdb("a")
		a.Up()
		a.Exec("create table t (i int)")
		b := w.Copy(a, "b")
		apply(t, b, recovery.Config{PrimaryConninfo: dial(a), TargetTimeline: recovery.TimelineLatest})
		b.Up()
		b.Wait("select count(*) = 1 from pg_stat_wal_receiver")
		b.Stop()
		a.Exec("insert into t values (1)")
		a.Kill(syscall.SIGQUIT) // like a crash: no checkpoint
		b.Up()
		b.Promote()
		b.Exec("insert into t values (2)")

		verdict := recovery.Judge(recovery.Returning{Control: control(t, a), CanRewind: true}, leader(t, b))
		require.Equal(t, recovery.Rewind, verdict.Verdict, verdict.Reason)
		require.Equal(t, historyOf(t, b, 2).Entries[0].End, verdict.Fork)
		require.Equal(t, recovery.Clone, recovery.Judge(recovery.Returning{Control: control(t, a)}, leader(t, b)).Verdict)

		// Had it been started as a primary again and stopped cleanly, its checkpoint would show it.
		a.Up()
		a.Stop()
		verdict = recovery.Judge(recovery.Returning{Control: control(t, a), CanRewind: true}, leader(t, b))
		require.Equal(t, recovery.Rewind, verdict.Verdict, verdict.Reason)
		require.Contains(t, verdict.Reason, "last checkpoint")

		// And the judgement was right: as it is, it does not get the new row.
		apply(t, a, recovery.Config{PrimaryConninfo: dial(b), TargetTimeline: recovery.TimelineLatest})
		a.Up()
		pgserver.Until(t, "the server's own refusal", func() error {
			if !strings.Contains(a.Log(), "is not in this server's history") && !strings.Contains(a.Log(), "forked off current database system timeline") {
				return errors.New("not in the log yet")
			}
			return nil
		})
		require.Equal(t, "1", a.Ask("select sum(i) from t"))
	})
}

// A recovery target that some file still names makes a second primary of a standby, as soon as the first one gets there.
func TestServerRecoveryTarget(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		a := w.Initdb("a")
		a.Up()
		b := w.Copy(a, "b")
		cfg := recovery.Config{PrimaryConninfo: dial(a), TargetTimeline: recovery.TimelineLatest}
		apply(t, b, cfg)
		name := "postgresql.conf"
		if w.Major <= 11 {
			name = recovery.RecoveryConf
		}
		b.Write(name, "recovery_target_action = promote\nrecovery_target_name = 'before the release'\n"+b.Read(name))
		if w.Major >= 12 { // in recovery.conf, Apply would comment it out
			var conflict *recovery.ConflictError
			require.ErrorAs(t, recovery.Apply(t.Context(), recovery.Disk{}, where(b), cfg), &conflict)
			require.Equal(t, recovery.ConflictError{File: filepath.Join(b.Data, name), Line: 2, Name: "recovery_target_name", Major: pgconf.Major(w.Major)}, *conflict)
		}

		b.Up()
		require.Equal(t, "true", b.Ask("pg_is_in_recovery()"))
		a.Exec("select pg_create_restore_point('before the release')")
		b.Wait("select not pg_is_in_recovery()")
		require.Equal(t, "false", a.Ask("pg_is_in_recovery()"), "two primaries")
	})
}

// The control file can be read at any time while the server writes it.
func TestServerControlFileUnderLoad(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("s")
		s.Up()
		done := make(chan error, 1)
		go func() {
			done <- s.Do(func(ctx context.Context, conn *pgx.Conn) error {
				for range 40 { // up to 11 each takes a tenth of a second
					if _, err := conn.Exec(ctx, "checkpoint"); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		last := datadir.Control{}
		for reads, more := 0, true; more || reads == 0; reads++ {
			select {
			case err := <-done:
				require.NoError(t, err)
				more = false
			default:
			}
			c := control(t, s)
			require.GreaterOrEqual(t, c.Checkpoint, last.Checkpoint, "positions never go back")
			require.Equal(t, datadir.StateInProduction, c.State)
			last = c
		}
		require.Equal(t, s.Ask("select checkpoint_lsn from pg_control_checkpoint()"), control(t, s).Checkpoint.String())
		s.Stop()
		require.True(t, control(t, s).State.Clean())
	})
}

func historyOf(t *testing.T, s *pgserver.Server, tli wal.Timeline) wal.History {
	t.Helper()
	h, err := wal.ParseHistory(tli, []byte(s.Read(filepath.Join("pg_wal", tli.HistoryName()))))
	require.NoError(t, err)
	return h
}

// leader says what there is to know of a running primary.
func leader(t *testing.T, s *pgserver.Server) recovery.Leader {
	t.Helper()
	position, err := wal.ParseLSN(s.Ask("pg_current_wal_lsn()"))
	require.NoError(t, err)
	tli, err := strconv.ParseUint(s.Ask("select timeline_id from pg_control_checkpoint()"), 10, 32)
	require.NoError(t, err)
	c := control(t, s)
	require.GreaterOrEqual(t, c.Timeline(), wal.Timeline(tli))
	return recovery.Leader{SystemID: c.SystemID, History: historyOf(t, s, c.Timeline()), Position: position}
}

// contents reads the files at the top of a data directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Type() == fs.ModeDir {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		all[e.Name()] = string(data)
	}
	return all
}
