package conninfo_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// psql connects with a connection string as it is, by the libpq of the server's installation, and asks one question.
func psql(t *testing.T, s *oracle.Server, info, passfile, sql string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), oracle.Psql(t), "-XAtc", sql, "-d", info)
	cmd.Env = append(os.Environ(), "PGHOST="+s.Socket, "PGPORT=5432", "PGUSER="+oracle.User, "PGDATABASE=postgres",
		"PGPASSFILE="+passfile, "PGCLIENTENCODING=SQL_ASCII")
	out, err := cmd.CombinedOutput()
	return strings.TrimSuffix(string(out), "\n"), err
}

// TestOracleText lets libpq read what Text wrote. The server keeps printable ASCII of an application_name, up to 63 bytes.
func TestOracleText(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		r := rand.New(rand.NewPCG(7, 8))
		for range 60 {
			name := make([]byte, r.IntN(20))
			for i := range name {
				name[i] = byte(' ' + r.IntN('~'-' '+1))
				if r.IntN(2) == 0 {
					name[i] = `'\ ="#`[r.IntN(6)]
				}
			}
			info := new(conninfo.Info).With("application_name", string(name)).With("user", oracle.User)
			got, err := psql(t, s, info.Text(), "", "show application_name")
			require.NoError(t, err, "%q: %s", info.Text(), got)
			if len(name) == 0 {
				continue // psql puts its own
			}
			require.Equal(t, string(name), got, "%q", info.Text())
		}
	})
}

// TestOraclePassfile logs in with a password that needs every escape there is, from a file that PassEntry wrote.
func TestOraclePassfile(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		const role, db, password = `we:i\rd #'1`, `d:b\ *`, `p:a\ss #:\\`
		conn, err := pgx.Connect(t.Context(), s.Conninfo())
		require.NoError(t, err)
		defer conn.Close(t.Context())
		roleID, dbID := pgx.Identifier{role}.Sanitize(), pgx.Identifier{db}.Sanitize()
		for _, sql := range []string{"create role " + roleID + " login password '" + password + "'", "create database " + dbID} {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
		hba, err := os.ReadFile(s.Path("pg_hba.conf"))
		require.NoError(t, err)
		s.Write(t, "pg_hba.conf", []byte("local all postgres trust\nlocal all all md5\n"))
		_, err = conn.Exec(t.Context(), "select pg_reload_conf()")
		require.NoError(t, err)
		info := new(conninfo.Info).With("user", role).With("dbname", db)
		defer func() { // the next test must find the server as it was
			s.Write(t, "pg_hba.conf", hba)
			_, err := conn.Exec(t.Context(), "select pg_reload_conf()")
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				_, err := psql(t, s, info.Text()+" connect_timeout=10", os.DevNull, "select 1")
				return err == nil
			}, 30*time.Second, 50*time.Millisecond)
		}()

		passfile := filepath.Join(t.TempDir(), "pass")
		write := func(entries ...conninfo.PassEntry) {
			var text strings.Builder
			for _, e := range entries {
				line, err := e.Text()
				require.NoError(t, err)
				text.WriteString(line + "\n")
			}
			require.NoError(t, os.WriteFile(passfile, []byte(text.String()), 0o600))
		}
		write(entry(s.Socket, "5432", db, role, "wrong"))
		require.Eventually(t, func() bool { // once the new pg_hba.conf is in force
			_, err := psql(t, s, info.Text()+" connect_timeout=10", passfile, "select 1")
			return err != nil
		}, 30*time.Second, 50*time.Millisecond)

		write(entry("*", "*", "*", "other", "wrong"), entry("other", "*", "*", "*", "wrong"), entry(s.Socket, "5432", db, role, password))
		out, err := psql(t, s, info.Text(), passfile, "select current_user")
		require.NoError(t, err, out)
		require.Equal(t, role, out)

		withPassword := info.With("password", password)
		out, err = psql(t, s, withPassword.Text(), "", "select current_database()")
		require.NoError(t, err, out)
		require.Equal(t, db, out)
	})
}
