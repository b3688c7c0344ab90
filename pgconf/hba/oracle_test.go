package hba_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// judge asks a server. Its own pg_hba.conf is put back at the end of the test.
type judge struct {
	server *oracle.Server
	conn   *pgx.Conn
}

func newJudge(t *testing.T, s *oracle.Server) *judge {
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	s.Keep(t, "pg_hba.conf")
	return &judge{s, conn}
}

func TestOracleVectors(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		for _, v := range vectors {
			if v.in(j.major) {
				j.hba(t, v.text)
				j.hba(t, v.text+"\n")
			}
		}
	})
}

func TestOracleLimits(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		for _, n := range []int{254, 255, 256, 8140, 8145, 8190, 10238, 10239, 10240, 20400, 20457, 20458, 20480} {
			x := strings.Repeat("x", n)
			for _, format := range []string{"local %s all trust", `local "%s" all trust`, "local %s,a all trust", "local a %s#,\"", "local all all trust #%s"} {
				for _, end := range []string{"", "\n", "\r\n"} {
					// Of a line that is too long the server reads the rest as further lines.
					s.Write(t, "pg_hba.conf", []byte(fmt.Sprintf(format, x)+end))
					want, got := j.rows(t, "pg_hba_file_rules"), j.hbaRows()
					require.Equal(t, want[0].Get("error") == nil, got[0].Get("error") == nil, "%s of %d%q", format, n, end)
				}
			}
		}
	})
}

var pieces = []string{
	"local", "host", "hostssl", "hostgssenc", "all", "a", "b", "replication", "+g", "trust", "md5", "peer", "ident", "reject",
	"10.0.0.1", "/8", "/33", "255.0.0.0", "::1", "/64", "samehost", "db1", ".x", "1.2.3.4/08", "ffff::",
	" ", " ", " ", " ", "\t", ",", ", ", " ,", `"`, `"`, `""`, "#", "\r", `\`, "\\\n", "\n", "\r\n", "=", "é", "\xff", "include", "\v", "@a", "/x", "map=a",
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		switch r.IntN(6) {
		case 0:
			b.WriteString("local all all trust")
		case 1:
			b.WriteString("host a,b c 10.0.0.0/8 md5")
		case 2:
			b.WriteString("local ")
		case 3:
			b.WriteString("host all all ")
		}
		for range r.IntN(1 + r.IntN(8)) {
			b.WriteString(pieces[r.IntN(len(pieces))])
			if r.IntN(3) == 0 {
				b.WriteByte(' ')
			}
		}
		if r.IntN(2) == 0 {
			b.WriteString(" all trust")
		}
		if r.IntN(6) > 0 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// TestOracleRandomText lets the server judge files nobody would write. The seed is fixed; FuzzRoundTrip explores.
func TestOracleRandomText(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newViewJudge(t, s)
		r := rand.New(rand.NewPCG(5, 6))
		records := 0
		for range 1500 {
			text := randomText(r)
			if strings.Contains(text, "include") && strings.Contains(text, `""`) {
				continue // may name the data directory, which a server takes for an empty file
			}
			j.hba(t, text)
			f, _ := hba.ParseFor("f", []byte(text), j.major)
			records += len(f.Records())
		}
		require.Greater(t, records, 300, "too few valid lines to prove anything")
	})
}

// TestOracleNames is the proof that Name means the name: for each name there is a database and a role, and a record that
// lets only that role into only that database. Then every role tries every database.
func TestOracleNames(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		names := []string{"all", "ALL", "replication", "sameuser", "samerole", "a b", `x"y`, "a,b", "#c", "+all", "@f", "é", `back\`}
		f := hba.NewFor("pg_hba.conf", pgconf.Major(s.Major))
		require.NoError(t, f.Append(hba.Record{
			Type: hba.Local, Databases: tokens("postgres"), Users: tokens(oracle.User), Method: hba.Trust,
		}))
		for _, name := range names {
			id := pgx.Identifier{name}.Sanitize()
			for _, sql := range []string{"create role " + id + " login superuser", "create database " + id} {
				_, err := j.conn.Exec(t.Context(), sql)
				require.NoError(t, err)
			}
			t.Cleanup(func() {
				for _, sql := range []string{"drop database " + id, "drop role " + id} {
					_, err := j.conn.Exec(context.WithoutCancel(t.Context()), sql)
					require.NoError(t, err)
				}
			})
			require.NoError(t, f.Append(hba.Record{
				Type: hba.Local, Databases: tokens(hba.Name(name)), Users: tokens(hba.Name(name)), Method: hba.Trust,
			}))
		}
		s.Write(t, "pg_hba.conf", f.Bytes())
		j.reload(t)
		for _, db := range names {
			for _, role := range names {
				require.Equal(t, db == role, j.letsIn(t, db, role), "database %q, role %q", db, role)
			}
		}
		require.False(t, j.letsIn(t, "postgres", "all"))
	})
}

// reload makes the server load its files, and waits until it has.
func (j *judge) reload(t *testing.T) {
	t.Helper()
	require.NoError(t, j.server.Reload())
}

// letsIn reports whether a connection is let in. Anything but "no pg_hba.conf entry" counts as a failure of the test.
func (j *judge) letsIn(t *testing.T, db, role string) bool {
	t.Helper()
	cfg, err := pgx.ParseConfig(j.server.Conninfo())
	require.NoError(t, err)
	cfg.Database, cfg.User = db, role
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		require.ErrorContains(t, err, "no pg_hba.conf entry")
		return false
	}
	require.NoError(t, c.Close(t.Context()))
	return true
}
