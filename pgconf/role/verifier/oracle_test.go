package verifier_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
	"github.com/understudy-ha/understudy/pgconf/role/verifier"
)

// passwords that are easily spoilt on the way: by SQL, by a shell, by a connection string, and those of prepared. Each holds marker if
// it can.
func passwords() map[string]string {
	all := map[string]string{
		"quotes":    `mar'ker" ''marker`,
		"backslash": `\marker\\n\`,
		"blanks":    "  marker  ",
		"percent":   "%s%%marker${x}$1`id`",
		"all":       "marker !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~",
		"long":      strings.Repeat("marker", 150),
	}
	for name, c := range prepared {
		all[name] = c.password
	}
	return all
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

// strictServer makes the server ask everyone but the superuser for a password, by SCRAM and for roles whose name begins with c in clear
// text, and log all it can. It returns a connection of the superuser; what undoes all of it at the end of the test has been arranged.
func strictServer(t *testing.T, s *oracle.Server) *pgx.Conn {
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
		do(ctx, "drop role probe")
	})
	do(t.Context(), "create role probe login")
	s.Write(t, "pg_hba.conf", []byte("local all postgres trust\nlocal clear all password\nlocal all all scram-sha-256\n"))
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

// pgxOther are the passwords that pgx 5.12 prepares in another way than server and libpq, see the package's documentation.
var pgxOther = []string{
	"beyond_unicode", "emoji_that_3_2_knows", "full_width", "joiners_go", "latin1", "ligature", "marks_are_ordered", "overlong",
	"prohibited_after_nfkc", "right_to_left_form", "soft_hyphen_goes", "surrogate", "unassigned_yet_nothing", "zero_width_space_is_blank",
}

// The server stores our verifier as it is, and lets clients in with the password and only with it: libpq and pgx, which prepare the
// password themselves, and whoever sends it to the server in clear text, which prepares it then. The server's log, with everything
// logged, never shows the password.
func TestOracleLogin(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		before := readLog(t, s) // with statements of other tests, whose text the server logs with its warnings about md5
		super := strictServer(t, s)
		for name, password := range passwords() {
			thorough := s.Major == localpg.MaxMajor || s.Major == localpg.MinMajor
			if !thorough && !slices.Contains([]string{"ascii", "quotes", "umlaut_decomposed", "full_width"}, name) {
				continue // TestOracleSameVerifier says enough
			}
			t.Run(name, func(t *testing.T) {
				made, err := verifier.SCRAM(password)
				require.NoError(t, err)
				_, err = super.Exec(t.Context(), "alter role probe password '"+made+"'")
				require.NoError(t, err)
				var stored string
				require.NoError(t, super.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = 'probe'").Scan(&stored))
				require.Equal(t, made, stored)

				// No such database is the answer to those who are let in.
				_, err = connect(t, s, func(cfg *pgx.ConnConfig) { cfg.User, cfg.Password, cfg.Database = "probe", password, "clear" })
				require.ErrorContains(t, err, "3D000", "the server's own preparation")
				if !slices.Contains(pgxOther, name) {
					_, err = connect(t, s, func(cfg *pgx.ConnConfig) { cfg.User, cfg.Password = "probe", password })
					require.NoError(t, err, "pgx")
				}
				if name == "ascii" {
					_, err = connect(t, s, func(cfg *pgx.ConnConfig) { cfg.User, cfg.Password = "probe", password+" " })
					require.ErrorContains(t, err, "28P01", "another password must not do")
				}
				if !thorough {
					return // the same libpq would do the same
				}
				cmd := exec.CommandContext(t.Context(), oracle.Psql(t), "-XAtwc", "select current_user", s.Conninfo()+" user=probe")
				cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "libpq: %s", out)
				require.Equal(t, "probe", strings.TrimSpace(string(out)))
			})
		}
		log := strings.TrimPrefix(readLog(t, s), before)
		require.True(t, strings.Contains(log, "alter role probe password 'SCRAM-SHA-256$4096:"), "the log shows statements")
		for _, secret := range []string{"marker", "mar'ker"} {
			for line := range strings.Lines(log) {
				require.NotContains(t, line, secret)
			}
		}
	})
}

func readLog(t *testing.T, s *oracle.Server) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.Socket, "log"))
	require.NoError(t, err)
	return string(log)
}

// What the server makes of a password itself matches the password.
func TestOracleSameVerifier(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		conn, err := connect(t, s, func(*pgx.ConnConfig) {})
		require.NoError(t, err)
		for _, method := range []string{"scram-sha-256", "md5"} {
			_, err = conn.Exec(t.Context(), "set password_encryption = '"+method+"'")
			require.NoError(t, err)
			for name, password := range passwords() {
				stored := serverMade(t, conn, password)[0]
				require.True(t, verifier.Matches(stored, "probe", password), "%s %s: %s", method, name, stored)
				require.False(t, verifier.Matches(stored, "probe", password+"x"), name)
				if method == "md5" {
					made, err := verifier.MD5(password, "probe")
					require.NoError(t, err)
					require.Equal(t, stored, made)
				}
			}
		}
	})
}

// serverMade returns the verifiers that the server makes of passwords. Nothing is left of it.
func serverMade(t *testing.T, conn *pgx.Conn, passwords ...string) []string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
	_, err = tx.Exec(t.Context(), `
		create function pg_temp.verifiers(passwords text[]) returns setof text language plpgsql as $$
		declare password text;
		begin
			foreach password in array passwords loop
				execute format('create role probe password %L', password);
				return query select rolpassword from pg_authid where rolname = 'probe';
				drop role probe;
			end loop;
		end $$`)
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), "select pg_temp.verifiers($1)", passwords)
	require.NoError(t, err)
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, made, len(passwords))
	return made
}

// The characters at the ends of the tables' ranges are prepared as the server does, after others that tell how. (So are all others:
// 18 was asked about each.) Servers before 16 know no quick verifiers and are asked about a few only; their tables are the same.
func TestOracleTables(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		conn, err := connect(t, s, func(*pgx.ConnConfig) {})
		require.NoError(t, err)
		step := 100
		if s.Major >= 16 {
			_, err = conn.Exec(t.Context(), "set scram_iterations = 1")
			require.NoError(t, err)
			step = 10
		}
		if s.Major == localpg.MaxMajor {
			step = 1
		}
		_, err = conn.Exec(t.Context(), "set password_encryption = 'scram-sha-256'")
		require.NoError(t, err)
		var texts []string
		for i := 0; i < len(verifier.Edges); i += step {
			texts = append(texts, "\ufb01"+string(verifier.Edges[i]), "\u0627\ufe8f"+string(verifier.Edges[i])+"\u0627")
		}
		require.Greater(t, len(texts), 30)
		for batch := range slices.Chunk(texts, 200) {
			for i, stored := range serverMade(t, conn, batch...) {
				require.True(t, verifier.Matches(stored, "probe", batch[i]), "%+q: %s", batch[i], stored)
			}
		}
	})
}
