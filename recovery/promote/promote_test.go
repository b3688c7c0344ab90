package promote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/promote"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// script is a server that answers statements in this order, by the columns or with an error, and then the last answer for ever.
type script struct {
	answers [][]any
	asked   []string
}

func (s *script) QueryRow(_ context.Context, sql string, _ ...any) pgx.Row {
	i := min(len(s.asked), len(s.answers)-1)
	s.asked = append(s.asked, sql)
	return answer(s.answers[i])
}

type answer []any

func (a answer) Scan(dest ...any) error {
	if err, ok := a[0].(error); ok {
		return err
	}
	if len(a) != len(dest) {
		return fmt.Errorf("want %d columns, have %d", len(dest), len(a))
	}
	for i, d := range dest {
		switch d := d.(type) {
		case *int:
			*d = a[i].(int)
		case *int64:
			*d = int64(a[i].(int))
		case *bool:
			*d = a[i].(bool)
		case *string:
			*d = a[i].(string)
		}
	}
	return nil
}

var (
	errBroken  = errors.New("the connection broke")
	notInPlace = &pgconn.PgError{Code: "55000", Message: "recovery is not in progress"}
	replaying  = []any{"0/3000000", false}
	writes     = []any{"0/5000060", "000000020000000000000005"}
	id         = []any{740}
)

func standby(version int) []any { return []any{version, true} }
func primary(version int) []any { return []any{version, false} }

func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		answers [][]any
		want    promote.State
		sql     string // the last statement
	}{
		"a standby of 18": {[][]any{standby(180001), replaying}, promote.State{Major: 18, InRecovery: true, LSN: 0x3000000},
			"SELECT coalesce(pg_last_wal_replay_lsn()::text, '0/0'), pg_is_wal_replay_paused()"},
		"a standby of 9.6": {[][]any{standby(90624), {"0/3000000", true}}, promote.State{Major: pgconf.V9_6, InRecovery: true, LSN: 0x3000000, Paused: true},
			"SELECT coalesce(pg_last_xlog_replay_location()::text, '0/0'), pg_is_xlog_replay_paused()"},
		"a standby of 9.0": {[][]any{standby(90023), replaying}, promote.State{Major: pgconf.V9_0, InRecovery: true, LSN: 0x3000000},
			"SELECT coalesce(pg_last_xlog_replay_location()::text, '0/0'), false"},
		"a primary of 10": {[][]any{primary(100023), writes}, promote.State{Major: 10, Timeline: 2, LSN: 0x5000060},
			"SELECT pg_current_wal_lsn()::text, pg_walfile_name(pg_current_wal_lsn())"},
		"a primary of 9.1": {[][]any{primary(90124), writes}, promote.State{Major: pgconf.V9_1, Timeline: 2, LSN: 0x5000060},
			"SELECT pg_current_xlog_location()::text, pg_xlogfile_name(pg_current_xlog_location())"},
		"promoted in between": {[][]any{standby(170000), {notInPlace}, primary(170000), writes}, promote.State{Major: 17, Timeline: 2, LSN: 0x5000060},
			"SELECT pg_current_wal_lsn()::text, pg_walfile_name(pg_current_wal_lsn())"},
	} {
		t.Run(name, func(t *testing.T) {
			db := &script{answers: c.answers}
			got, err := promote.Look(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.sql, db.asked[len(db.asked)-1])
		})
	}
	for name, answers := range map[string][][]any{
		"no answer": {{errBroken}}, "half an answer": {standby(17), {errBroken}}, "no position": {standby(170000), {"x", false}},
		"no file": {primary(170000), {"0/1", "x"}}, "twice in between": {standby(170000), {notInPlace}, standby(170000), {notInPlace}},
	} {
		_, err := promote.Look(t.Context(), &script{answers: answers})
		require.ErrorContains(t, err, "look at the server", name)
	}
}

// A connection that breaks during the request may have carried it: Promote looks how it goes on.
func TestRequestThatMayHaveArrived(t *testing.T) {
	db := &script{answers: [][]any{standby(170000), replaying, {errBroken}, {errBroken}, standby(170000), replaying, primary(170000), writes, id}}
	got, err := promote.Promote(t.Context(), promote.Standby{DB: db, Interval: 1})
	require.NoError(t, err)
	require.Equal(t, wal.Timeline(2), got.Timeline)
	require.Equal(t, promote.Function, got.Way)
	require.Equal(t, "SELECT pg_promote(wait => false)", db.asked[2])
	require.Equal(t, "SELECT txid_current()", db.asked[len(db.asked)-1])
}

// A primary that assigns no transaction ID yet is waited for.
func TestWriteCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &script{answers: [][]any{primary(170000), writes, {errBroken}, primary(170000), writes, id}}
		begun := time.Now()
		_, err := promote.Wait(t.Context(), promote.Standby{DB: db})
		require.NoError(t, err)
		require.Equal(t, 50*time.Millisecond, time.Since(begun))
	})
}

// Another session that promotes the server first does not make the request fail; another reason does.
func TestRequestRefused(t *testing.T) {
	refused := &pgconn.PgError{Code: "XX000", Message: "no"}
	db := &script{answers: [][]any{standby(170000), replaying, {notInPlace}, primary(170000), writes, primary(170000), writes, id}}
	_, err := promote.Promote(t.Context(), promote.Standby{DB: db})
	require.NoError(t, err)
	db = &script{answers: [][]any{standby(170000), replaying, {refused}, standby(170000), replaying}}
	_, err = promote.Promote(t.Context(), promote.Standby{DB: db})
	require.ErrorIs(t, err, refused)
	require.ErrorContains(t, err, "pg_promote()")
	_, err = promote.Promote(t.Context(), promote.Standby{DB: &script{answers: [][]any{standby(150000), replaying, {false}}}})
	require.ErrorContains(t, err, "pg_promote(): it returned false")
}

func TestTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		answers [][]any
		want    []string
	}{
		"never seen":       {[][]any{{errBroken}}, []string{"it was never seen", "the last look failed: look at the server: the connection broke"}},
		"still a standby":  {[][]any{standby(170000), replaying, standby(170000), replaying, {errBroken}}, []string{"in recovery, replayed up to 0/3000000", "broke"}},
		"paused meanwhile": {[][]any{standby(120000), {"0/3000000", true}, {errBroken}}, []string{"replay paused at 0/3000000"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, err := promote.Wait(ctx, promote.Standby{DB: &script{answers: c.answers}})
				var timeout *promote.TimeoutError
				require.ErrorAs(t, err, &timeout)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				for _, text := range append(c.want, "it may still be promoted") {
					require.ErrorContains(t, err, text)
				}
			})
		})
	}
}

// A server that leaves recovery on the timeline that it was on has not been promoted: somebody has removed its role, or the session goes
// to another server. That is no success, and waiting does not make it one.
func TestNotPromotedButAPrimary(t *testing.T) {
	for name, promoted := range map[string]func(context.Context, promote.Standby) (promote.Result, error){"Promote": promote.Promote, "Wait": promote.Wait} {
		t.Run(name, func(t *testing.T) {
			db := &script{answers: [][]any{standby(170000), replaying, {true}, standby(170000), replaying, primary(170000), writes}}
			if name == "Wait" {
				db.answers = db.answers[3:]
			}
			_, err := promoted(t.Context(), promote.Standby{DB: db, From: 2, Interval: 1})
			var primary *promote.PrimaryError
			require.ErrorAs(t, err, &primary)
			require.NotErrorIs(t, err, promote.ErrAlreadyPromoted)
			require.Equal(t, wal.Timeline(2), primary.State.Timeline)
			require.NotContains(t, strings.Join(db.asked, " "), "txid_current")
		})
	}
}

// A server from 12 on that pg_basebackup -R once made a standby has the address of that time in postgresql.auto.conf, and perhaps
// recovery.signal. Neither keeps it from returning.
func TestReturnFromAnOlderLife(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"PG_VERSION": "17\n", "postgresql.conf": "port = 5433\n", "recovery.signal": "",
		"postgresql.auto.conf": "work_mem = '8MB'\nprimary_conninfo = 'host=gone'\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	info, err := conninfo.Parse("host=b")
	require.NoError(t, err)
	server, cfg := recovery.Server{DataDir: dir}, recovery.Config{PrimaryConninfo: info}
	require.NoError(t, promote.Return(t.Context(), recovery.Disk{}, server, recovery.Judgement{Verdict: recovery.Follow}, cfg))
	start, err := recovery.Read(t.Context(), recovery.Disk{}, server)
	require.NoError(t, err)
	require.Equal(t, recovery.StartsStandby, start.Outcome, "%v", start)
	require.Equal(t, cfg.WithDefaults(17), start.Config)
	auto, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
	require.NoError(t, err)
	require.Contains(t, string(auto), "work_mem")
}

// What a server cannot do is said before anything is done.
func TestRefused(t *testing.T) {
	ctl := func(context.Context, ...string) error { return errors.New("must not run") }
	for name, c := range map[string]struct {
		standby promote.Standby
		answers [][]any
		want    string
	}{
		"no session":          {promote.Standby{}, nil, "DB is nil"},
		"a paused 9.6":        {promote.Standby{PgCtl: ctl}, [][]any{standby(90600), {"0/1", true}}, "SELECT pg_xlog_replay_resume()"},
		"a paused 12":         {promote.Standby{PgCtl: ctl}, [][]any{standby(120000), {"0/1", true}}, "SELECT pg_wal_replay_resume()"},
		"9.0 and pg_ctl":      {promote.Standby{PgCtl: ctl, Way: promote.PgCtl}, [][]any{standby(90000), replaying}, "came with PostgreSQL 9.1"},
		"11 and the function": {promote.Standby{PgCtl: ctl, Way: promote.Function}, [][]any{standby(110000), replaying}, "came with PostgreSQL 12"},
		"16 and a file":       {promote.Standby{PgCtl: ctl, Way: promote.TriggerFile}, [][]any{standby(160000), replaying}, "went with PostgreSQL 16"},
		"no files":            {promote.Standby{PgCtl: ctl, Way: promote.TriggerFile}, [][]any{standby(110000), replaying}, "Files is nil"},
		"no pg_ctl":           {promote.Standby{Way: promote.PgCtl}, [][]any{standby(110000), replaying}, "PgCtl is nil"},
		"a primary":           {promote.Standby{PgCtl: ctl}, [][]any{primary(110000), writes}, "it is a primary on timeline 2 at 0/5000060"},
		"a promoted one":      {promote.Standby{PgCtl: ctl, From: 1}, [][]any{primary(110000), writes}, "it left timeline 1"},
		"one on From itself":  {promote.Standby{PgCtl: ctl, From: 2}, [][]any{primary(110000), writes}, "is not in recovery"},
		"closed, no major":    {promote.Standby{PgCtl: ctl}, [][]any{{&pgconn.PgError{Code: "57P03"}}}, "look at the server"},
		"closed, by function": {promote.Standby{Major: 17, Way: promote.Function}, [][]any{{&pgconn.PgError{Code: "57P03"}}}, "look at the server"},
	} {
		t.Run(name, func(t *testing.T) {
			db := &script{answers: c.answers}
			if c.answers != nil {
				c.standby.DB = db
			}
			_, err := promote.Promote(t.Context(), c.standby)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, strings.Join(db.asked, " "), "pg_promote")
		})
	}
}

// Up to 9.6 pg_ctl knows no -W.
func TestArgumentsOfPgCtl(t *testing.T) {
	for version, want := range map[int]string{90600: "promote -s -D /data", 100000: "promote -s -D /data -W"} {
		var got string
		s := promote.Standby{DB: &script{answers: [][]any{standby(version), replaying, primary(version), writes, id}}, Way: promote.PgCtl}
		s.Server.DataDir = "/data"
		s.PgCtl = func(_ context.Context, args ...string) error { got = strings.Join(args, " "); return nil }
		_, err := promote.Promote(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
