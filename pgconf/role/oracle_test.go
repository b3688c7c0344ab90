package role_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
	"github.com/understudy-ha/understudy/pgconf/role"
)

// passwords that are easily spoilt on the way: by SQL, by a shell, by a connection string. Each holds marker.
var passwords = map[string]string{
	"plain":     "marker",
	"quotes":    `mar'ker" ''marker`,
	"backslash": `\marker\\n\`,
	"blanks":    "  marker  ",
	"percent":   "%s%%marker${x}$1`id`",
	"all":       "marker !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~",
	"long":      strings.Repeat("marker", 150),
}

func connect(t *testing.T, s *oracle.Server, change func(cfg *pgx.ConnConfig)) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := pgx.ParseConfig(s.Conninfo())
	require.NoError(t, err)
	change(cfg)
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) }) // the test's context has ended by then
	}
	return conn, err
}

// scramServer makes the server ask everyone but the superuser for a password, and log all it can. It returns a connection of the
// superuser and what undoes all of it at the end of the test has been arranged.
func scramServer(t *testing.T, s *oracle.Server) *pgx.Conn {
	t.Helper()
	super, err := connect(t, s, func(*pgx.ConnConfig) {})
	require.NoError(t, err)
	do := func(ctx context.Context, sql string) {
		_, err := super.Exec(ctx, sql)
		require.NoError(t, err, sql)
	}
	hba, err := os.ReadFile(s.Path("pg_hba.conf"))
	require.NoError(t, err)
	settings := []string{"log_statement = 'all'", "log_min_messages = 'debug2'", "log_min_duration_statement = 0", "log_connections = on"}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		s.Write(t, "pg_hba.conf", hba)
		for _, set := range settings {
			do(ctx, "alter system reset "+strings.Fields(set)[0])
		}
		do(ctx, "select pg_reload_conf()")
	})
	s.Write(t, "pg_hba.conf", []byte("local all postgres trust\nlocal all all scram-sha-256\n"))
	for _, set := range settings {
		do(t.Context(), "alter system set "+set)
	}
	do(t.Context(), "select pg_reload_conf()")
	require.Eventually(t, func() bool {
		var statement string
		err := super.QueryRow(t.Context(), "show log_statement").Scan(&statement)
		return err == nil && statement == "all"
	}, 30*time.Second, 20*time.Millisecond)
	return super
}

// The server stores our verifier as it is, lets clients in with the password and only with it, and its log, with everything logged,
// never shows the password.
func TestOracleLogin(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		super := scramServer(t, s)
		for name, password := range passwords {
			t.Run(name, func(t *testing.T) {
				verifier, err := role.NewVerifier(password)
				require.NoError(t, err)
				user := "r_" + name
				_, err = super.Exec(t.Context(), "create role "+user+" login password '"+verifier+"'")
				require.NoError(t, err)
				t.Cleanup(func() {
					_, err := super.Exec(context.WithoutCancel(t.Context()), "drop role "+user)
					require.NoError(t, err)
				})
				var stored string
				require.NoError(t, super.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = $1", user).Scan(&stored))
				require.Equal(t, verifier, stored)

				right, err := connect(t, s, func(cfg *pgx.ConnConfig) { cfg.User, cfg.Password = user, password })
				require.NoError(t, err)
				require.NoError(t, right.Close(t.Context()))
				_, err = connect(t, s, func(cfg *pgx.ConnConfig) { cfg.User, cfg.Password = user, password+" " })
				require.ErrorContains(t, err, "28P01", "another password must not do")

				cmd := exec.CommandContext(t.Context(), oracle.Psql(t), "-XAtwc", "select current_user", s.Conninfo()+" user="+user)
				cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "libpq: %s", out)
				require.Equal(t, user, strings.TrimSpace(string(out)))
			})
		}
		log, err := os.ReadFile(filepath.Join(s.Socket, "log"))
		require.NoError(t, err)
		require.Contains(t, string(log), "create role r_plain login password 'SCRAM-SHA-256$4096:", "the log shows statements")
		require.NotContains(t, string(log), "marker")
		require.NotContains(t, string(log), "mar'ker")
	})
}

// What the server makes of a password itself, we make of the same salt.
func TestOracleSameVerifier(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		conn, err := connect(t, s, func(*pgx.ConnConfig) {})
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "set password_encryption = 'scram-sha-256'")
		require.NoError(t, err)
		for name, password := range passwords {
			tx, err := conn.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "create role made_by_server password '"+strings.ReplaceAll(password, "'", "''")+"'")
			require.NoError(t, err)
			var want string
			require.NoError(t, tx.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = 'made_by_server'").Scan(&want))
			require.NoError(t, tx.Rollback(t.Context()))
			iterations, salt, _, _ := parts(t, want)
			require.Equal(t, role.Iterations, iterations, "the server's default")
			got, err := role.Verifier(password, salt, iterations)
			require.NoError(t, err)
			require.Equal(t, want, got, name)
		}
	})
}
