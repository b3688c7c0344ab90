package role_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
	"github.com/understudy-ha/understudy/pgconf/role"
	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

// bench is a server and its superuser's connection. All roles that tests make begin with rep.
type bench struct {
	*oracle.Server
	super *pgx.Conn
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		b := &bench{Server: s}
		b.super = b.connect(t, nil)
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			rows, _ := b.super.Query(ctx, "select format('drop role %I', rolname) from pg_roles where rolname ilike '%rep%' and rolname !~ '^pg_'")
			drops, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			for _, drop := range drops {
				_, err := b.super.Exec(ctx, drop)
				require.NoError(t, err)
			}
		})
		test(t, b)
	})
}

// connect opens a connection that is closed at the end of the test.
func (b *bench) connect(t *testing.T, change func(cfg *pgx.ConnConfig)) *pgx.Conn {
	t.Helper()
	conn, err := b.tryConnect(t, change)
	require.NoError(t, err)
	return conn
}

func (b *bench) tryConnect(t *testing.T, change func(cfg *pgx.ConnConfig)) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := pgx.ParseConfig(b.Conninfo())
	require.NoError(t, err)
	if change != nil {
		change(cfg)
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	}
	return conn, err
}

func (b *bench) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := b.super.Exec(context.WithoutCancel(t.Context()), sql)
	require.NoError(t, err, sql)
}

// set changes settings for the rest of the test.
func (b *bench) set(t *testing.T, settings map[string]string) {
	t.Helper()
	reload := func(do func(name string) string) {
		for name := range settings {
			b.exec(t, "alter system "+do(name))
		}
		b.exec(t, "select pg_reload_conf()")
	}
	t.Cleanup(func() { reload(func(name string) string { return "reset " + name }) })
	reload(func(name string) string { return "set " + name + " = '" + settings[name] + "'" })
	require.Eventually(t, func() bool {
		for name, want := range settings {
			var got string
			if err := b.super.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&got); err != nil || got != want {
				return false
			}
		}
		return true
	}, 30*time.Second, 20*time.Millisecond)
}

// describe returns a role's attributes, its limit and how long it is valid, as psql would show them.
func (b *bench) describe(t *testing.T, name string) string {
	t.Helper()
	var text string
	err := b.super.QueryRow(t.Context(), `
		select concat_ws(' ', case when rolsuper then 'superuser' end, case when rolcanlogin then 'login' end,
			case when rolreplication then 'replication' end, case when rolinherit then 'inherit' end, case when rolcreaterole then 'createrole' end,
			case when rolcreatedb then 'createdb' end, case when rolbypassrls then 'bypassrls' end, rolconnlimit, rolvaliduntil at time zone 'utc')
		from pg_roles where rolname = $1`, name).Scan(&text)
	if err != nil {
		return err.Error()
	}
	return text
}

// stored returns a role's verifier, or nothing.
func (b *bench) stored(t *testing.T, name string) string {
	t.Helper()
	var text string
	require.NoError(t, b.super.QueryRow(t.Context(), "select coalesce(rolpassword, '') from pg_authid where rolname = $1", name).Scan(&text))
	return text
}

func (b *bench) ensure(t *testing.T, spec role.Spec) role.Result {
	t.Helper()
	result, err := role.EnsureReplicationRole(t.Context(), b.super, spec)
	require.NoError(t, err)
	return result
}

func TestEnsure_changesOnlyWhatDiffers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		spec := role.Spec{Name: "rep", Password: "one"}
		at := time.Date(2130, 1, 2, 3, 4, 5, 678912345, time.FixedZone("", 3600))
		for i, step := range []struct {
			do      func()
			changed []string
			want    string
		}{
			{func() { spec.ConnLimit = 5 }, []string{"CONNECTION LIMIT"}, "login replication inherit 5"},
			{func() { spec.ValidUntil = at }, []string{"VALID UNTIL"}, "login replication inherit 5 2130-01-02 02:04:05.678912"},
			{func() { spec.Password = "two" }, []string{"PASSWORD"}, "login replication inherit 5 2130-01-02 02:04:05.678912"},
			{func() { spec.Password = "" }, nil, "login replication inherit 5 2130-01-02 02:04:05.678912"},
			{func() { spec.ValidUntil = time.Time{} }, []string{"VALID UNTIL"}, "login replication inherit 5 infinity"},
			{func() { spec.ConnLimit = 0 }, []string{"CONNECTION LIMIT"}, "login replication inherit -1 infinity"},
			{func() { b.exec(t, "alter role rep nologin") }, []string{"LOGIN"}, "login replication inherit -1 infinity"},
			{func() { b.exec(t, "alter role rep noreplication") }, []string{"REPLICATION"}, "login replication inherit -1 infinity"},
			{func() { b.exec(t, "alter role rep valid until '-infinity'") }, []string{"VALID UNTIL"}, "login replication inherit -1 infinity"},
			{func() { b.exec(t, "alter role rep password null"); spec.Password = "two" }, []string{"PASSWORD"}, "login replication inherit -1 infinity"},
			{func() { b.exec(t, "alter role rep nologin connection limit 1"); spec.Password = "three" }, []string{"LOGIN", "CONNECTION LIMIT", "PASSWORD"},
				"login replication inherit -1 infinity"},
		} {
			if i == 0 {
				require.Equal(t, role.Result{Created: true}, b.ensure(t, spec))
				require.Equal(t, "login replication inherit -1", b.describe(t, "rep"))
			}
			step.do()
			before := b.stored(t, "rep")
			require.Equal(t, role.Result{Changed: step.changed}, b.ensure(t, spec), i)
			require.Equal(t, step.want, b.describe(t, "rep"))
			after := b.stored(t, "rep")
			require.Equal(t, slices.Contains(step.changed, "PASSWORD"), before != after)
			require.True(t, spec.Password == "" || verifier.Matches(after, "rep", spec.Password))
			require.Equal(t, role.Result{}, b.ensure(t, spec), "the second call")
			require.Equal(t, after, b.stored(t, "rep"))
		}
	})
}

// A role that the server or createuser made the same way is as good.
func TestEnsure_nothingToDo(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.exec(t, "set password_encryption = 'scram-sha-256'")
		b.exec(t, "create role rep login replication connection limit 5 valid until '2130-01-01 00:00+00' password 'Schl''üssel'")
		spec := role.Spec{Name: "rep", Password: "Schl'üssel", ConnLimit: 5, ValidUntil: time.Date(2130, 1, 1, 0, 0, 0, 0, time.UTC)}
		require.Equal(t, role.Result{}, b.ensure(t, spec))
		b.set(t, map[string]string{"default_transaction_read_only": "on"})
		require.Equal(t, role.Result{}, b.ensure(t, spec))
		spec.ConnLimit = 6
		_, err := role.EnsureReplicationRole(t.Context(), b.super, spec)
		require.ErrorContains(t, err, "read-only transaction")
		b.exec(t, "set default_transaction_read_only = off")
	})
}

func TestEnsure_superuser(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.exec(t, "create role rep superuser nologin")
		_, err := role.EnsureReplicationRole(t.Context(), b.super, role.Spec{Name: "rep", Password: "marker"})
		require.ErrorIs(t, err, role.ErrSuperuser)
		require.Equal(t, "superuser inherit -1", b.describe(t, "rep"))
		require.Empty(t, b.stored(t, "rep"))
	})
}

func TestEnsure_names(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, name := range []string{
			`rep"`, `"; drop role postgres; -- rep`, "Rep", "rep lica", "rép", "$REP_USER", `\rep'`, "rep." + strings.Repeat("x", 59),
		} {
			spec := role.Spec{Name: name, Password: "secret"}
			require.True(t, b.ensure(t, spec).Created, name)
			require.Equal(t, "login replication inherit -1", b.describe(t, name))
			require.Equal(t, role.Result{}, b.ensure(t, spec), name)
			spec.ConnLimit = 3
			require.Equal(t, []string{"CONNECTION LIMIT"}, b.ensure(t, spec).Changed)
		}
		_, err := role.EnsureReplicationRole(t.Context(), b.super, role.Spec{Name: "pg_rep"})
		requireCode(t, err, "42939")
	})
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, code, pg.Code)
}

// passwords hold marker, in this form or without the quote.
var passwords = []string{`mar'ker "\ ''marker`, "Schlüssel marker €", "%marker$1", strings.Repeat("marker ", 100)}

// The role can replicate with the password and only with it, and nothing that the server shows or logs has it.
func TestEnsure_login(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		hba, err := os.ReadFile(b.Path("pg_hba.conf"))
		require.NoError(t, err)
		b.set(t, map[string]string{"log_statement": "all", "log_min_duration_statement": "0", "log_min_messages": "debug1"})
		t.Cleanup(func() { b.Write(t, "pg_hba.conf", hba) }) // before the settings are reset and all is reloaded
		b.Write(t, "pg_hba.conf", []byte("local all postgres trust\nlocal replication all scram-sha-256\n"))
		b.exec(t, "select pg_reload_conf()")
		replicate := func(password string) error {
			conn, err := b.tryConnect(t, func(cfg *pgx.ConnConfig) {
				cfg.User, cfg.Password, cfg.RuntimeParams["replication"] = "rep", password, "true"
			})
			if err != nil {
				return err
			}
			_, err = conn.PgConn().Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
			return err
		}
		for i, password := range passwords {
			require.Equal(t, i == 0, b.ensure(t, role.Spec{Name: "rep", Password: password}).Created)
			require.NoError(t, replicate(password))
			requireCode(t, replicate(password+" "), "28P01")
			var shown string
			require.NoError(t, b.super.QueryRow(t.Context(), "select string_agg(query, ' ') from pg_stat_activity").Scan(&shown))
			require.NotContains(t, shown, "marker")
			var prepared int
			require.NoError(t, b.super.QueryRow(t.Context(), "select count(*) from pg_prepared_statements where statement ~ '^(CREATE|ALTER) ROLE'").Scan(&prepared))
			require.Zero(t, prepared)
		}
		log, err := os.ReadFile(filepath.Join(b.Socket, "log"))
		require.NoError(t, err)
		require.Contains(t, string(log), `CREATE ROLE "rep" LOGIN REPLICATION PASSWORD 'SCRAM-SHA-256$4096:`, "the log shows statements")
		require.NotContains(t, string(log), "marker")
		require.NotContains(t, string(log), "mar'ker")
	})
}

func TestEnsure_method(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		spec := role.Spec{Name: "rep", Password: "secret", Method: role.MD5}
		result := b.ensure(t, spec)
		require.Len(t, result.Warnings, 1)
		require.Contains(t, result.Warnings[0], "md5")
		want, err := verifier.MD5("secret", "rep")
		require.NoError(t, err)
		require.Equal(t, want, b.stored(t, "rep"))
		require.Empty(t, b.ensure(t, spec).Changed)
		spec.Method = role.SCRAM
		require.Equal(t, role.Result{Changed: []string{"PASSWORD"}}, b.ensure(t, spec))
		require.Equal(t, role.Result{}, b.ensure(t, spec))
		spec.Method = role.MD5
		require.Equal(t, []string{"PASSWORD"}, b.ensure(t, spec).Changed)
		spec.Method, spec.Password = role.SCRAM, ""
		require.Equal(t, role.Result{}, b.ensure(t, spec))
	})
}

func TestEnsure_password(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		spec := role.Spec{Name: "rep", Password: "marker\x00"}
		refused := func() {
			_, err := role.EnsureReplicationRole(t.Context(), b.super, spec)
			require.ErrorIs(t, err, verifier.ErrPassword)
			require.NotContains(t, err.Error(), "marker")
		}
		refused()
		require.Equal(t, "no rows in result set", b.describe(t, "rep"))
		b.exec(t, "create role rep")
		refused()
		require.Equal(t, "inherit -1", b.describe(t, "rep"), "nothing is half done")
	})
}

func TestEnsure_warnings(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, c := range []struct {
			prepare string
			spec    role.Spec
			want    string
		}{
			{"", role.Spec{}, ""},
			{"", role.Spec{ConnLimit: 2}, ""},
			{"", role.Spec{ConnLimit: 1}, "too low for a base backup"},
			{"", role.Spec{Password: "rep"}, "the password is the role's name"},
			{"", role.Spec{ValidUntil: time.Now().Add(-time.Hour)}, "which has passed"},
			{"", role.Spec{ValidUntil: time.Now().Add(time.Hour)}, ""},
			{"create role rep createrole", role.Spec{}, "CREATEROLE"},
			{"create role rep createdb", role.Spec{}, "CREATEDB"},
			{"create role rep in role rep_group", role.Spec{}, "is a member of superusers: rep_boss"},
			{"create role rep in role rep_other", role.Spec{}, ""},
		} {
			b.exec(t, "create role rep_boss superuser; create role rep_group in role rep_boss; create role rep_other")
			if c.prepare != "" {
				b.exec(t, c.prepare)
			}
			c.spec.Name = "rep"
			result := b.ensure(t, c.spec)
			if c.want == "" {
				require.Empty(t, result.Warnings, "%s %v", c.prepare, c.spec)
			} else {
				require.Len(t, result.Warnings, 1, "%s %v", c.prepare, c.spec)
				require.Contains(t, result.Warnings[0], c.want)
			}
			require.Equal(t, result.Warnings, b.ensure(t, c.spec).Warnings, "the second call warns as well")
			b.exec(t, "drop role rep, rep_boss, rep_group, rep_other")
		}
	})
}

// Who is no superuser can do it from 16 on, and sets the password each time.
func TestEnsure_createrole(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.exec(t, "create role reporter login createrole replication")
		conn := b.connect(t, func(cfg *pgx.ConnConfig) { cfg.User = "reporter" })
		spec := role.Spec{Name: "rep", Password: "secret", ConnLimit: 5}
		result, err := role.EnsureReplicationRole(t.Context(), conn, spec)
		if b.Major < 16 {
			requireCode(t, err, "42501")
			require.Equal(t, "no rows in result set", b.describe(t, "rep"))
			return
		}
		require.NoError(t, err)
		require.Equal(t, role.Result{Created: true}, result)
		result, err = role.EnsureReplicationRole(t.Context(), conn, spec)
		require.NoError(t, err)
		require.Equal(t, []string{"PASSWORD"}, result.Changed)
		require.Len(t, result.Warnings, 1)
		require.Contains(t, result.Warnings[0], "set anew")
		spec.Password = ""
		result, err = role.EnsureReplicationRole(t.Context(), conn, spec)
		require.NoError(t, err)
		require.Equal(t, role.Result{}, result)
		require.True(t, verifier.Matches(b.stored(t, "rep"), "rep", "secret"))

		b.exec(t, "create role rep_other login replication")
		_, err = role.EnsureReplicationRole(t.Context(), conn, role.Spec{Name: "rep_other", ConnLimit: 5})
		requireCode(t, err, "42501")
	})
}

// Any of them will do for a connection, and in a transaction it is the caller who decides.
func TestEnsure_conns(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		pool, err := pgxpool.New(t.Context(), b.Conninfo())
		require.NoError(t, err)
		defer pool.Close()
		result, err := role.EnsureReplicationRole(t.Context(), pool, role.Spec{Name: "rep"})
		require.NoError(t, err)
		require.True(t, result.Created)
		require.Zero(t, pool.Stat().AcquiredConns())

		tx, err := b.super.Begin(t.Context())
		require.NoError(t, err)
		result, err = role.EnsureReplicationRole(t.Context(), tx, role.Spec{Name: "rep", ConnLimit: 7})
		require.NoError(t, err)
		require.Equal(t, []string{"CONNECTION LIMIT"}, result.Changed)
		_, err = role.EnsureReplicationRole(t.Context(), tx, role.Spec{Name: "postgres"})
		require.ErrorIs(t, err, role.ErrSuperuser)
		require.Equal(t, "login replication inherit 7", b.describe(t, "rep"), "the transaction still works")
		require.NoError(t, tx.Rollback(t.Context()))
		require.Equal(t, "login replication inherit -1", b.describe(t, "rep"))
	})
}

func TestEnsure_callersAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		pool, err := pgxpool.New(t.Context(), b.Conninfo()+" pool_max_conns=4")
		require.NoError(t, err)
		defer pool.Close()
		for round := range 5 {
			var wg sync.WaitGroup
			results, errs := make([]role.Result, 4), make([]error, 4)
			for i := range results {
				wg.Go(func() {
					results[i], errs[i] = role.EnsureReplicationRole(t.Context(), pool, role.Spec{Name: "rep", Password: "secret", ConnLimit: 5 + round})
				})
			}
			wg.Wait()
			var created, changed int
			for i, result := range results {
				require.NoError(t, errs[i])
				created += map[bool]int{true: 1}[result.Created]
				changed += len(result.Changed)
			}
			require.Equal(t, map[bool]int{true: 1}[round == 0], created)
			require.GreaterOrEqual(t, changed, min(round, 1))
			require.Equal(t, fmt.Sprintf("login replication inherit %d", 5+round), b.describe(t, "rep"))
		}
	})
}

// Without a synchronous standby the commit waits for ever. The call does not.
func TestEnsure_synchronousStandbyMissing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.exec(t, "set synchronous_commit = local") // so that the test can undo it
		b.set(t, map[string]string{"synchronous_standby_names": "*"})
		waiting := func() (pid int) {
			_ = b.super.QueryRow(t.Context(), "select pid from pg_stat_activity where wait_event = 'SyncRep'").Scan(&pid)
			return pid
		}
		require.Eventually(t, func() bool { // the setting counts for commits when the checkpointer has read it
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := b.connect(t, nil).Exec(ctx, "select pg_logical_emit_message(true, 'x', 'y')")
			return err != nil
		}, 30*time.Second, 20*time.Millisecond)
		b.exec(t, "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'")
		require.Eventually(t, func() bool { return waiting() == 0 }, 30*time.Second, 20*time.Millisecond)

		conn := b.connect(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := role.EnsureReplicationRole(ctx, conn, role.Spec{Name: "rep", Password: "marker"})
		require.Less(t, time.Since(began), 10*time.Second)
		require.ErrorIs(t, err, role.ErrUnconfirmed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `synchronous_standby_names is "*", and no synchronous standby is seen`)
		require.NotContains(t, err.Error(), "marker")
		require.Eventually(t, func() bool { return waiting() == 0 }, 30*time.Second, 20*time.Millisecond, "the server has stopped waiting")
		require.Equal(t, "login replication inherit -1", b.describe(t, "rep"))
		require.Equal(t, role.Result{}, b.ensure(t, role.Spec{Name: "rep", Password: "marker"}), "the next call finds it done")

		// The connection ends meanwhile.
		conn = b.connect(t, nil)
		ended := make(chan error)
		go func() {
			_, err := role.EnsureReplicationRole(t.Context(), conn, role.Spec{Name: "rep", ConnLimit: 5})
			ended <- err
		}()
		require.Eventually(t, func() bool { return waiting() != 0 }, 30*time.Second, 20*time.Millisecond)
		b.exec(t, fmt.Sprintf("select pg_terminate_backend(%d)", waiting()))
		err = <-ended
		require.ErrorIs(t, err, role.ErrUnconfirmed)
		require.Equal(t, "login replication inherit 5", b.describe(t, "rep"))

		conn = b.connect(t, nil)
		_, err = conn.Exec(t.Context(), "set synchronous_commit = local")
		require.NoError(t, err)
		result, err := role.EnsureReplicationRole(t.Context(), conn, role.Spec{Name: "rep"})
		require.NoError(t, err)
		require.Equal(t, []string{"CONNECTION LIMIT"}, result.Changed)
	})
}
