package basebackup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

// forms runs a test on a server of each form of the protocol.
func forms(t *testing.T, test func(t *testing.T, w *pgserver.World)) {
	t.Helper()
	for _, major := range []int{11, 15} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			t.Parallel()
			test(t, pgserver.New(t, localpg.Server(t, major)))
		})
	}
}

// wantNothingLeft demands that a failed run left neither files nor anything on the server.
func wantNothingLeft(t *testing.T, s *pgserver.Server, target string) {
	t.Helper()
	require.NoDirExists(t, target)
	require.NoDirExists(t, target+".incoming")
	s.Wait("select count(*) = 0 from pg_stat_replication")
	s.Wait("select count(*) = 0 from pg_replication_slots where temporary")
}

func TestRun_what_the_server_refuses(t *testing.T) {
	forms(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("primary")
		s.Up("-c", "max_wal_senders=1")
		s.Exec("create role plain login", "create role rep login replication password 'mark3r'")
		target := filepath.Join(w.Dir, "copy")
		from := source(t, s)
		wrong := from.With("user", "rep").With("password", "s3cret-mark3r")
		for name, tc := range map[string]struct {
			user string
			o    basebackup.Options
			want error
		}{
			"one_walsender":  {"postgres", basebackup.Options{}, basebackup.ErrConnections},
			"no_replication": {"plain", basebackup.Options{}, basebackup.ErrNotReplication},
		} {
			tc.o.Target = target
			_, err := basebackup.Run(t.Context(), from.With("user", tc.user), tc.o)
			require.ErrorIs(t, err, tc.want, name)
			wantNothingLeft(t, s, target)
		}
		_, err := basebackup.Run(t.Context(), from, basebackup.Options{Target: target, WAL: basebackup.Fetch})
		require.NoError(t, err, "one is enough for Fetch")
		require.NoError(t, os.RemoveAll(target))

		_, err = basebackup.Run(t.Context(), from, basebackup.Options{Target: s.Data, Aside: target})
		require.ErrorContains(t, err, "is running, but must be stopped")
		require.NoDirExists(t, target)

		s.Write("pg_hba.conf", "local all all trust\nlocal replication postgres trust\nlocal replication rep scram-sha-256\n")
		s.Signal(syscall.SIGHUP)
		pgserver.Until(t, "pg_hba.conf to be read", func() error {
			_, err := basebackup.Run(t.Context(), from.With("user", "plain"), basebackup.Options{Target: target})
			if !errors.Is(err, basebackup.ErrNoAccess) {
				return fmt.Errorf("not yet: %w", err)
			}
			return nil
		})
		_, err = basebackup.Run(t.Context(), wrong, basebackup.Options{Target: target})
		require.ErrorContains(t, err, "authentication failed")
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "mark3r")

		s.Stop()
		s.Up("-c", "max_wal_senders=2", "-c", "max_replication_slots=0")
		for _, slot := range []string{"", "missing"} {
			_, err := basebackup.Run(t.Context(), from, basebackup.Options{Target: target, Slot: slot})
			require.ErrorIs(t, err, basebackup.ErrSlot)
			wantNothingLeft(t, s, target)
		}
		s.Stop()
		_, err = basebackup.Run(t.Context(), from, basebackup.Options{Target: target})
		require.ErrorIs(t, err, os.ErrNotExist, "no server")
	})
}

func TestRun_slot_of_ours(t *testing.T) {
	forms(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("primary")
		s.Up()
		s.Exec("select pg_create_physical_replication_slot('mine', true)")
		target := filepath.Join(w.Dir, "copy")
		_, err := basebackup.Run(t.Context(), source(t, s), basebackup.Options{Target: target, Slot: "missing"})
		require.ErrorIs(t, err, basebackup.ErrSlot)
		wantNothingLeft(t, s, target)
		_, err = basebackup.Run(t.Context(), source(t, s), basebackup.Options{Target: target, Slot: "mine"})
		require.NoError(t, err)
		require.Equal(t, "1", s.Ask("select count(*) from pg_replication_slots"))
	})
}

// during calls what once when a phase has been under way for a moment.
func during(phase basebackup.Phase, what func()) func(basebackup.Progress) {
	var once sync.Once
	return func(p basebackup.Progress) {
		if p.Phase == phase && p.Elapsed > 100*time.Millisecond && (phase != basebackup.Copying || p.Done > 0) {
			once.Do(what)
		}
	}
}

// slow is a rate at which a copy of an empty server takes a few seconds.
const slow = 16 << 20

func TestRun_interrupted(t *testing.T) {
	forms(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("primary")
		s.Up("-c", "shared_buffers=64MB", "-c", "checkpoint_timeout=1h")
		s.Exec("create table dirty as select i, repeat('x', 500) from generate_series(1, 20000) i")
		target := filepath.Join(w.Dir, "copy")
		spread := basebackup.Options{Target: target, Checkpoint: basebackup.Spread}
		copying := basebackup.Options{Target: target, MaxRate: slow}

		t.Run("waiting_for_checkpoint", func(t *testing.T) {
			before := runtime.NumGoroutine()
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			var limit time.Duration
			var text string
			o := spread
			report := during(basebackup.Waiting, func() { cancel(cause) })
			o.Progress = func(p basebackup.Progress) {
				if p.Phase == basebackup.Waiting {
					limit, text = p.Limit, p.String()
				}
				report(p)
			}
			begin := time.Now()
			_, err := basebackup.Run(ctx, source(t, s), o)
			require.ErrorIs(t, err, cause)
			require.Less(t, time.Since(begin), 15*time.Second)
			require.Contains(t, []time.Duration{30 * time.Minute, 54 * time.Minute}, limit) // × 0.5 up to 13, × 0.9 since
			require.Contains(t, text, "waiting for checkpoint of the server, for 0s; a spread one takes up to")
			wantNothingLeft(t, s, target)
			wantGoroutines(t, before)
		})
		t.Run("idle_sessions_ended_during_checkpoint", func(t *testing.T) {
			if w.Major < 14 {
				return // the server has no idle_session_timeout
			}
			s.Exec("alter system set idle_session_timeout = '300ms'", "select pg_reload_conf()")
			o := spread
			o.Progress = during(basebackup.Waiting, func() {
				err := s.Do(func(ctx context.Context, conn *pgx.Conn) error {
					_, err := conn.WaitForNotification(ctx)
					return err
				})
				require.ErrorContains(t, err, "57P05", "a session that was idle for less time than the one for WAL")
				s.Exec("checkpoint")
			})
			_, err := basebackup.Run(t.Context(), source(t, s), o)
			require.NoError(t, err)
			require.NoError(t, os.RemoveAll(target))
			s.Exec("alter system reset idle_session_timeout", "select pg_reload_conf()")
		})
		t.Run("copying", func(t *testing.T) {
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(t.Context())
			o := copying
			o.Progress = during(basebackup.Copying, cancel)
			_, err := basebackup.Run(ctx, source(t, s), o)
			require.ErrorIs(t, err, context.Canceled)
			wantNothingLeft(t, s, target)
			wantGoroutines(t, before)
		})
		t.Run("preparing", func(t *testing.T) {
			cause := errors.New("cannot prepare")
			_, err := basebackup.Run(t.Context(), source(t, s), basebackup.Options{
				Target: target, Prepare: func(context.Context, string) error { return cause },
			})
			require.ErrorIs(t, err, cause)
			wantNothingLeft(t, s, target)
		})
		t.Run("no_synchronous_standby", func(t *testing.T) {
			var states string
			o := copying
			o.Progress = during(basebackup.Copying, func() {
				s.Exec("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()")
				s.Wait("select current_setting('synchronous_standby_names') = '*'")
				s.Wait("select count(*) = 1 from pg_stat_replication where state = 'streaming' and write_lsn is not null")
				states = s.Ask("select string_agg(distinct application_name || ' ' || sync_state, ',') from pg_stat_replication")
				s.Exec("alter system reset synchronous_standby_names", "select pg_reload_conf()")
			})
			_, err := basebackup.Run(t.Context(), source(t, s), o)
			require.NoError(t, err)
			require.Equal(t, "understudy-clone async", states)
			require.NoError(t, os.RemoveAll(target))
		})
		t.Run("wal_connection_lost", func(t *testing.T) {
			o := copying
			o.Progress = during(basebackup.Copying, func() {
				s.Exec("select pg_terminate_backend(pid) from pg_stat_replication where state = 'streaming'")
			})
			_, err := basebackup.Run(t.Context(), source(t, s), o)
			require.ErrorIs(t, err, basebackup.ErrConnectionLost)
			wantNothingLeft(t, s, target)
		})
		t.Run("wal_removed", func(t *testing.T) {
			o := copying
			o.WAL = basebackup.Fetch
			o.Progress = during(basebackup.Copying, func() {
				for range 3 {
					s.Exec("create table if not exists x (i int)", "insert into x values (1)", "select pg_switch_wal()")
				}
				s.Exec("checkpoint")
			})
			_, err := basebackup.Run(t.Context(), source(t, s), o)
			require.ErrorIs(t, err, basebackup.ErrWALRemoved)
			wantNothingLeft(t, s, target)
		})
		t.Run("server_lost", func(t *testing.T) {
			o := copying
			o.Progress = during(basebackup.Copying, func() { s.Kill(syscall.SIGQUIT) })
			_, err := basebackup.Run(t.Context(), source(t, s), o)
			require.ErrorIs(t, err, basebackup.ErrConnectionLost)
			require.NoDirExists(t, target+".incoming")
		})
	})
}

// wantGoroutines waits until there are no more goroutines than before.
func wantGoroutines(t *testing.T, before int) {
	t.Helper()
	pgserver.Until(t, "goroutines to end", func() error {
		if n := runtime.NumGoroutine(); n > before {
			buf := make([]byte, 1<<16)
			return fmt.Errorf("%d goroutines, %d before: %s", n, before, buf[:runtime.Stack(buf, true)])
		}
		return nil
	})
}

func TestRun_damaged_page(t *testing.T) {
	forms(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("primary")
		s.Up()
		s.Exec("create table a as select i from generate_series(1, 10000) i")
		path := s.Ask("select pg_relation_filepath('a')")
		s.Stop()
		f, err := os.OpenFile(filepath.Join(s.Data, path), os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("damaged"), 3*8192+1000)
		require.NoError(t, errors.Join(err, f.Close()))
		s.Up()
		target := filepath.Join(w.Dir, "copy")
		_, err = basebackup.Run(t.Context(), source(t, s), basebackup.Options{Target: target})
		var damage *basebackup.ChecksumError
		require.ErrorAs(t, err, &damage)
		require.NotEmpty(t, damage.Pages)
		require.Contains(t, strings.Join(damage.Pages, " "), path)
		wantNothingLeft(t, s, target)
		_, err = basebackup.Run(t.Context(), source(t, s), basebackup.Options{Target: target, IgnorePageChecksums: true})
		require.NoError(t, err)
	})
}

func TestRun_without_WAL(t *testing.T) {
	forms(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("primary")
		s.Up()
		s.Exec("create table a as select i from generate_series(1, 1000) i")
		clone := w.Server("copy")
		got, err := basebackup.Run(t.Context(), source(t, s), basebackup.Options{Target: clone.Data, WAL: basebackup.NoWAL, Manifest: basebackup.SizesOnly})
		require.NoError(t, err)
		require.NotZero(t, got.Bytes)
		segments, err := filepath.Glob(filepath.Join(clone.Data, "pg_wal", "0*"))
		require.NoError(t, err)
		require.Empty(t, segments)
	})
}

// A standby of a standby that is promoted: the source changes its timeline while it is copied.
func TestRun_timelines(t *testing.T) {
	forms(t, func(t *testing.T, w *pgserver.World) {
		primary := w.Initdb("primary")
		primary.Up()
		primary.Exec("create table a as select i from generate_series(1, 20000) i")
		chain := []*pgserver.Server{primary}
		for _, name := range []string{"middle", "last"} {
			above := chain[len(chain)-1]
			s := w.Server(name)
			_, err := basebackup.Run(t.Context(), source(t, above), basebackup.Options{Target: s.Data, Prepare: standby(above)})
			require.NoError(t, err)
			give(t, w, s.Data)
			s.Up()
			chain = append(chain, s)
		}
		middle, last := chain[1], chain[2]
		clone := w.Server("copy")
		got, err := basebackup.Run(t.Context(), source(t, last), basebackup.Options{
			Target: clone.Data, MaxRate: slow,
			Prepare: standby(middle),
			Progress: during(basebackup.Copying, func() {
				primary.Stop()
				middle.Promote()
				middle.Exec("insert into a values (0)", "checkpoint")
				last.Wait("select count(*) = 20001 from a")
				last.Exec("checkpoint") // so that the end of the backup is on the new timeline
			}),
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, got.StartTimeline)
		require.EqualValues(t, 2, got.EndTimeline)
		require.FileExists(t, filepath.Join(clone.Data, "pg_wal", "00000002.history"))
		give(t, w, clone.Data)
		clone.Up()
		clone.Wait("select count(*) = 20001 from a")

		// A source on timeline 2 from the beginning, which is promoted while it is copied.
		target := filepath.Join(w.Dir, "promoted")
		_, err = basebackup.Run(t.Context(), source(t, last), basebackup.Options{
			Target: target, MaxRate: slow, Progress: during(basebackup.Copying, last.Promote),
		})
		require.ErrorIs(t, err, basebackup.ErrPromoted)
		wantNothingLeft(t, last, target)
	})
}
