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

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// What a config says is what the server has in force, whatever characters are in it, and in the end what the shell is given.
func TestServerReadsWhatWeMean(t *testing.T) {
	const odd = `it's "b\2" 100% #é ` // what the shell shall be given
	localpg.Each(t, func(t *testing.T, in localpg.Install) {
		w := newWorld(t, in)
		primary := w.initdb("primary")
		primary.up()
		primary.exec(`create role "it's me \ %" login replication`, "select pg_create_physical_replication_slot('slot_2')", "create table t (i int)")
		standby := w.copyOf(primary, "standby")

		name := `d'b \2 "x" %s`
		fetched, cleaned := filepath.Join(w.dir, "fetched % it's"), filepath.Join(w.dir, "cleaned")
		cfg := recovery.Config{
			PrimaryConninfo: primary.conninfo().With("user", `it's me \ %`).With("application_name", name).With("password", `p'w\ "%`).
				With("passfile", "/none/ of '\\ this"),
			PrimarySlotName:       "slot_2",
			RestoreCommand:        `printf '%%s\n' %f '` + strings.NewReplacer("'", `'\''`, "%", "%%").Replace(odd) + `' >> "` + strings.ReplaceAll(fetched, "%", "%%") + `"; exit 1`,
			ArchiveCleanupCommand: "printf '%%s\\t%%s\\n' %r \"it's\n\\\\ here\" >> " + cleaned,
			TargetTimeline:        recovery.TimelineLatest,
		}
		standby.apply(cfg)
		before := contents(t, standby.data)
		standby.apply(cfg)
		require.Equal(t, before, contents(t, standby.data), "a second time changes no byte")

		standby.up()
		require.Equal(t, "true", standby.ask("pg_is_in_recovery()"))
		if in.Major >= 12 {
			for param, want := range map[string]string{
				"primary_conninfo": cfg.PrimaryConninfo.Text(), "primary_slot_name": "slot_2", "restore_command": cfg.RestoreCommand,
				"archive_cleanup_command": cfg.ArchiveCleanupCommand, "recovery_target_timeline": "latest",
			} {
				require.Equal(t, want, standby.ask("current_setting('"+param+"')"), param)
				require.Equal(t, filepath.Join(standby.data, recovery.SettingsFile),
					standby.ask("select sourcefile from pg_settings where name = '"+param+"'"), param)
			}
		}

		// It streams, through that slot, under that name, as that user.
		primary.exec("insert into t values (1)")
		standby.wait("select count(*) = 1 from t")
		require.Equal(t, name, primary.ask("select application_name from pg_stat_replication"))
		require.Equal(t, `it's me \ %`, primary.ask("select usename from pg_stat_replication"))
		require.Equal(t, "true", primary.ask("select active from pg_replication_slots where slot_name = 'slot_2'"))
		shown := standby.ask("select conninfo from pg_stat_wal_receiver") + " " // which does not quote
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
		primary.exec("checkpoint")
		waitUntil(t, "a restartpoint", func() error {
			standby.exec("checkpoint")
			_, err := os.Stat(cleaned)
			return err
		})
		log, err = os.ReadFile(cleaned)
		require.NoError(t, err)
		require.Regexp(t, "^[0-9A-F]{24}\tit's\n\\\\ here\n", string(log))

		// The control file of a running standby.
		c := standby.control()
		require.Equal(t, datadir.StateInArchiveRecovery, c.State)
		require.Equal(t, standby.ask("select system_identifier from pg_control_system()"), c.SystemID.String())
		require.Equal(t, standby.ask("select checkpoint_lsn from pg_control_checkpoint()"), c.Checkpoint.String())
		require.True(t, c.DataChecksums)
	})
}

// A server that was promoted, and so has old settings lying around, becomes a standby that has only the new ones.
func TestServerPromotedThenStandbyAgain(t *testing.T) {
	localpg.Each(t, func(t *testing.T, in localpg.Install) {
		w := newWorld(t, in)
		a := w.initdb("a")
		a.up()
		a.exec("create table t (i int)", "select pg_create_physical_replication_slot('old')")
		b := w.copyOf(a, "b")
		b.apply(recovery.Config{PrimaryConninfo: a.conninfo(), PrimarySlotName: "old", RestoreCommand: "false %f", TargetTimeline: recovery.TimelineLatest})
		b.up()
		b.wait("select count(*) = 1 from pg_stat_wal_receiver")

		// A clean switchover: everything a wrote is on b before b is promoted.
		a.stop()
		b.promote()
		require.False(t, b.exists(recovery.StandbySignal))
		require.Equal(t, in.Major <= 11, b.exists(recovery.RecoveryDone))
		require.Equal(t, wal.Timeline(2), b.control().Timeline(), "known from the control file, before the first checkpoint on it")
		b.exec("insert into t values (1)")

		verdict := recovery.Judge(recovery.Returning{Control: a.control(), CanRewind: true}, b.leader())
		require.Equal(t, recovery.Follow, verdict.Verdict, verdict.Reason)
		a.apply(recovery.Config{PrimaryConninfo: b.conninfo(), TargetTimeline: recovery.TimelineLatest})
		a.up()
		a.wait("select count(*) = 1 from t") // the judgement was right
		require.Equal(t, "2", a.ask("select received_tli from pg_stat_wal_receiver"))

		// And back again. b has settings of its first life, a has none for being a primary.
		b.stop()
		a.promote()
		a.exec("insert into t values (2)")
		returning := recovery.Returning{Control: b.control(), CanRewind: true}
		require.Equal(t, recovery.Rewind, recovery.Judge(returning, a.leader()).Verdict, "which timeline 2 it is on is not known")
		returning.History = b.history(2)
		verdict = recovery.Judge(returning, a.leader())
		require.Equal(t, recovery.Follow, verdict.Verdict, verdict.Reason)
		b.apply(recovery.Config{PrimaryConninfo: a.conninfo(), TargetTimeline: recovery.TimelineLatest})
		b.up()
		b.wait("select count(*) = 2 from t")
		require.Equal(t, "3", b.ask("select received_tli from pg_stat_wal_receiver"))
		require.Equal(t, "0", a.ask("select count(*) from pg_replication_slots where active"), "the slot of its first life is forgotten")
	})
}

// A primary that is killed with rows its standby has not got must not follow it.
func TestServerDiverged(t *testing.T) {
	localpg.Each(t, func(t *testing.T, in localpg.Install) {
		w := newWorld(t, in)
		a := w.initdb("a")
		a.up()
		a.exec("create table t (i int)")
		b := w.copyOf(a, "b")
		b.apply(recovery.Config{PrimaryConninfo: a.conninfo(), TargetTimeline: recovery.TimelineLatest})
		b.up()
		b.wait("select count(*) = 1 from pg_stat_wal_receiver")
		b.stop()
		a.exec("insert into t values (1)")
		a.kill(syscall.SIGQUIT) // like a crash: no checkpoint
		b.up()
		b.promote()
		b.exec("insert into t values (2)")

		verdict := recovery.Judge(recovery.Returning{Control: a.control(), CanRewind: true}, b.leader())
		require.Equal(t, recovery.Rewind, verdict.Verdict, verdict.Reason)
		require.Equal(t, b.history(2).Entries[0].End, verdict.Fork)
		require.Equal(t, recovery.Clone, recovery.Judge(recovery.Returning{Control: a.control()}, b.leader()).Verdict)

		// Had it been started as a primary again and stopped cleanly, its checkpoint would show it.
		a.up()
		a.stop()
		verdict = recovery.Judge(recovery.Returning{Control: a.control(), CanRewind: true}, b.leader())
		require.Equal(t, recovery.Rewind, verdict.Verdict, verdict.Reason)
		require.Contains(t, verdict.Reason, "last checkpoint")

		// And the judgement was right: as it is, it does not get the new row.
		a.apply(recovery.Config{PrimaryConninfo: b.conninfo(), TargetTimeline: recovery.TimelineLatest})
		a.up()
		waitUntil(t, "the server's own refusal", func() error {
			if !strings.Contains(a.log(), "is not in this server's history") && !strings.Contains(a.log(), "forked off current database system timeline") {
				return errors.New("not in the log yet")
			}
			return nil
		})
		require.Equal(t, "1", a.ask("select sum(i) from t"))
	})
}

// Why Apply refuses what it refuses: what servers do with these left-overs.
func TestServerLeftovers(t *testing.T) {
	localpg.Each(t, func(t *testing.T, in localpg.Install) {
		w := newWorld(t, in)
		s := w.initdb("s")
		cfg := recovery.Config{RestoreCommand: "false %f", TargetTimeline: recovery.TimelineLatest}
		s.apply(cfg)
		refused := func(file string) {
			t.Helper()
			var got *recovery.DataDirError
			require.ErrorAs(t, recovery.Apply(t.Context(), s, s.data, in.Major, cfg), &got)
			require.Equal(t, filepath.Join(s.data, file), got.File)
		}
		conflict := func(param string) {
			t.Helper()
			var got *recovery.ConflictError
			require.ErrorAs(t, recovery.Apply(t.Context(), s, s.data, in.Major, cfg), &got)
			require.Equal(t, param, got.Name)
		}

		if in.Major <= 11 {
			s.write("recovery.conf", s.read("recovery.conf")+"trigger_file = 'pull'\n")
			s.write("pull", "")
			refused("pull")
			s.up()
			s.wait("select not pg_is_in_recovery()") // it promoted itself
			s.stop()
			s.write(recovery.StandbySignal, "")
			s.up()
			require.Equal(t, "false", s.ask("pg_is_in_recovery()"), "standby.signal means nothing to it")
			require.Error(t, recovery.Apply(t.Context(), s, s.data, 12, cfg), "so settings for 12 must be refused")
			return
		}

		s.write("recovery.conf", "")
		refused("recovery.conf")
		s.start()
		require.Contains(t, s.wantEnd(), `using recovery command file "recovery.conf" is not supported`)
		s.remove("recovery.conf")

		// Of both signals one survives a promotion, and acts at the next start.
		s.write("recovery.signal", "")
		refused("recovery.signal")
		s.up()
		s.promote()
		require.False(t, s.exists(recovery.StandbySignal))
		require.True(t, s.exists("recovery.signal"))
		s.stop()
		s.remove("recovery.signal")

		s.apply(cfg)
		conf := s.read("postgresql.conf")
		s.write("postgresql.auto.conf", "restore_command = 'true from another life'\n")
		conflict("restore_command")
		s.write(recovery.StandbySignal, "")
		s.up()
		require.Equal(t, "true from another life", s.ask("current_setting('restore_command')"), "it wins over ours")
		s.stop()
		s.write("postgresql.auto.conf", "")
		s.apply(cfg)

		if in.Major <= 15 {
			s.write("postgresql.conf", conf+"promote_trigger_file = 'pull'\n")
			s.write("pull", "")
			refused("pull")
			s.up()
			s.wait("select not pg_is_in_recovery()")
			s.stop()
			s.write("postgresql.conf", conf)
			s.apply(cfg)
		}

		// A placeholder that is none.
		bad := recovery.Config{RestoreCommand: "false %f %d"}
		if in.Major >= 16 {
			require.ErrorContains(t, bad.Validate(in.Major), `"%d"`)
			s.write(recovery.SettingsFile, "restore_command = 'false %f %d'\n")
			s.start()
			require.Contains(t, s.wantEnd(), `unexpected placeholder "%d"`)
		} else {
			s.apply(bad)
			s.up()
			require.Equal(t, "true", s.ask("pg_is_in_recovery()"))
		}
	})
}

// A recovery target that some file still names makes a second primary of a standby, as soon as the first one gets there.
func TestServerRecoveryTarget(t *testing.T) {
	localpg.Each(t, func(t *testing.T, in localpg.Install) {
		w := newWorld(t, in)
		a := w.initdb("a")
		a.up()
		b := w.copyOf(a, "b")
		cfg := recovery.Config{PrimaryConninfo: a.conninfo(), TargetTimeline: recovery.TimelineLatest}
		b.apply(cfg)
		name := "postgresql.conf"
		if in.Major <= 11 {
			name = recovery.RecoveryConf
		}
		b.write(name, "recovery_target_action = promote\nrecovery_target_name = 'before the release'\n"+b.read(name))
		var conflict *recovery.ConflictError
		require.ErrorAs(t, recovery.Apply(t.Context(), b, b.data, in.Major, cfg), &conflict)
		require.Equal(t, recovery.ConflictError{File: filepath.Join(b.data, name), Line: 2, Name: "recovery_target_name", Major: in.Major}, *conflict)

		b.up()
		require.Equal(t, "true", b.ask("pg_is_in_recovery()"))
		a.exec("select pg_create_restore_point('before the release')")
		b.wait("select not pg_is_in_recovery()")
		require.Equal(t, "false", a.ask("pg_is_in_recovery()"), "two primaries")
	})
}

// The control file can be read at any time while the server writes it.
func TestServerControlFileUnderLoad(t *testing.T) {
	localpg.Each(t, func(t *testing.T, in localpg.Install) {
		w := newWorld(t, in)
		s := w.initdb("s")
		s.up()
		done := make(chan error, 1)
		go func() {
			done <- s.do(func(ctx context.Context, conn *pgx.Conn) error {
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
			c := s.control()
			require.GreaterOrEqual(t, c.Checkpoint, last.Checkpoint, "positions never go back")
			require.Equal(t, datadir.StateInProduction, c.State)
			last = c
		}
		require.Equal(t, s.ask("select checkpoint_lsn from pg_control_checkpoint()"), s.control().Checkpoint.String())
		s.stop()
		require.True(t, s.control().State.Clean())
	})
}

// promote ends recovery as pg_ctl does, and waits until the server accepts writes.
func (s *server) promote() {
	s.w.t.Helper()
	// Any signal of a child makes the postmaster look for the file, so it can be gone as soon as it is there.
	require.NoError(s.w.t, os.WriteFile(filepath.Join(s.data, "promote"), nil, 0o600))
	require.NoError(s.w.t, s.cmd.Process.Signal(syscall.SIGUSR1))
	s.wait("select not pg_is_in_recovery()")
}

func (s *server) history(tli wal.Timeline) wal.History {
	s.w.t.Helper()
	h, err := wal.ParseHistory(tli, []byte(s.read(filepath.Join("pg_wal", tli.HistoryName()))))
	require.NoError(s.w.t, err)
	return h
}

// leader says what there is to know of a running primary.
func (s *server) leader() recovery.Leader {
	s.w.t.Helper()
	position, err := wal.ParseLSN(s.ask("pg_current_wal_lsn()"))
	require.NoError(s.w.t, err)
	tli, err := strconv.ParseUint(s.ask("select timeline_id from pg_control_checkpoint()"), 10, 32)
	require.NoError(s.w.t, err)
	c := s.control()
	require.GreaterOrEqual(s.w.t, c.Timeline(), wal.Timeline(tli))
	return recovery.Leader{SystemID: c.SystemID, History: s.history(c.Timeline()), Position: position}
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
