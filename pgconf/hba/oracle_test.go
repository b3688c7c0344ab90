package hba_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// row is a line of pg_hba_file_rules, or what it would be by this package. Quotes are not in that view.
type row struct {
	line                                     int
	bad                                      bool
	kind, database, user, addr, mask, method string
}

// judge asks a server. Its own pg_hba.conf is put back at the end of the test.
type judge struct {
	server *oracle.Server
	conn   *pgx.Conn
}

func newJudge(t *testing.T, s *oracle.Server) *judge {
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	original, err := os.ReadFile(s.Path("pg_hba.conf"))
	require.NoError(t, err)
	t.Cleanup(func() { s.Write(t, "pg_hba.conf", original) })
	return &judge{s, conn}
}

// read returns the server's reading of a pg_hba.conf. Complaints about what this package does not look at are returned
// apart.
func (j *judge) read(t *testing.T, text string) (rows []row, unchecked string) {
	t.Helper()
	j.server.Write(t, "pg_hba.conf", []byte(text))
	result, err := j.conn.Query(t.Context(), `
		select line_number, coalesce(error, ''), coalesce(type, ''), coalesce(database::text, ''), coalesce(user_name::text, ''),
			coalesce(address, ''), coalesce(netmask, ''), coalesce(auth_method, '')
		from pg_hba_file_rules order by line_number`)
	require.NoError(t, err)
	defer result.Close()
	for result.Next() {
		var r row
		var problem string
		require.NoError(t, result.Scan(&r.line, &problem, &r.kind, &r.database, &r.user, &r.addr, &r.mask, &r.method))
		r.bad = problem != "" && !strings.Contains(problem, "cannot match")
		if r.bad {
			r = row{line: r.line, bad: true}
		}
		for _, s := range []string{"not supported by this build", "authentication option"} {
			if strings.Contains(problem, s) && !strings.Contains(problem, "name=value") {
				unchecked = problem
			}
		}
		rows = append(rows, r)
	}
	require.NoError(t, result.Err())
	return rows, unchecked
}

// ours returns what this package makes of the text. The line of an error is that of its first physical line if there
// are no continuation lines.
func (j *judge) ours(t *testing.T, text string) []row {
	t.Helper()
	f, err := hba.ParseFor("f", []byte(text), pgconf.Major(j.server.Major))
	var rows []row
	for _, r := range f.Records() {
		rows = append(rows, row{
			line: r.Line, kind: string(r.Type), method: string(r.Method),
			database: j.array(t, r.Databases), user: j.array(t, r.Users), addr: r.Address.Text(), mask: r.Mask,
		})
	}
	var errs pgconf.SyntaxErrors
	errors.As(err, &errs)
	for _, e := range errs {
		rows = append(rows, row{line: e.Line, bad: true})
	}
	return rows
}

// array spells a list of tokens as the server spells an array of texts.
func (j *judge) array(t *testing.T, list []hba.Token) string {
	t.Helper()
	var texts []string
	for _, tok := range list {
		texts = append(texts, tok.Text())
	}
	var s string
	require.NoError(t, j.conn.QueryRow(t.Context(), "select $1::text[]::text", texts).Scan(&s))
	return s
}

// compare fails the test if server and package read the text differently.
func (j *judge) compare(t *testing.T, text string) (records int) {
	t.Helper()
	want, unchecked := j.read(t, text)
	if unchecked != "" {
		return 0
	}
	got := j.ours(t, text)
	require.Len(t, got, len(want), "%q", text)
	for _, w := range want {
		g, ok := take(got, w, strings.Contains(text, "\\"))
		require.True(t, ok, "%q: no %+v in %+v", text, w, got)
		if w.bad {
			continue
		}
		records++
		compareAddress(t, w, g, text)
		w.addr, w.mask, g.addr, g.mask = "", "", "", ""
		if w.method == "peer" {
			w.method = g.method // ident on a local line shows as peer
		}
		require.Equal(t, w, g, "%q", text)
	}
	return records
}

func take(rows []row, w row, continued bool) (row, bool) {
	for _, g := range rows {
		if g.bad == w.bad && (g.line == w.line || g.bad && continued && g.line >= w.line) {
			return g, true
		}
	}
	return row{}, false
}

// compareAddress compares networks as the server shows them, with the mask apart.
func compareAddress(t *testing.T, w, g row, text string) {
	t.Helper()
	addr, length, hasLength := strings.Cut(g.addr, "/")
	if hasLength {
		p, err := netip.ParsePrefix(addr + "/" + strings.TrimLeft(length[:len(length)-1], "0") + length[len(length)-1:])
		if err != nil { // a zone
			return
		}
		g.addr, g.mask = addr, maskOf(p)
	}
	require.Equal(t, normal(w.addr), normal(g.addr), "%q", text)
	require.Equal(t, normal(w.mask), normal(g.mask), "%q", text)
}

func maskOf(p netip.Prefix) string {
	ones := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		ones[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(ones)
	return a.String()
}

func normal(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}

func TestOracleVectors(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		for _, v := range vectors {
			if !v.in(pgconf.Major(s.Major)) {
				continue
			}
			t.Run(v.name, func(t *testing.T) {
				if !v.ours {
					j.compare(t, v.text)
					j.compare(t, v.text+"\n")
					return
				}
				want, _ := j.read(t, v.text)
				require.Equal(t, v.file, want[0].bad, "the server takes it, unless it misses a file")
			})
		}
	})
}

func TestOracleLimits(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		for _, n := range []int{254, 255, 256, 8140, 8145, 8190, 10238, 10239, 10240, 20400, 20457, 20458, 20480} {
			x := strings.Repeat("x", n)
			for _, format := range []string{"local %s all trust", `local "%s" all trust`, "local %s,a all trust", "local a %s#,\"", "local all all trust #%s"} {
				for _, end := range []string{"", "\n", "\r\n"} {
					// Of a line that is too long the server reads the rest as further lines.
					text := fmt.Sprintf(format, x) + end
					want, _ := j.read(t, text)
					got := j.ours(t, text)
					require.Equal(t, want[0].bad, got[0].bad, "%s of %d%q", format, n, end)
				}
			}
		}
	})
}

var pieces = []string{
	"local", "host", "hostssl", "hostgssenc", "all", "a", "b", "replication", "+g", "trust", "md5", "peer", "ident", "reject",
	"10.0.0.1", "/8", "/33", "255.0.0.0", "::1", "/64", "samehost", "db1", ".x", "1.2.3.4/08", "ffff::",
	" ", " ", " ", " ", "\t", ",", ", ", " ,", `"`, `"`, `""`, "#", "\r", `\`, "\\\n", "\n", "\r\n", "=", "é", "\xff", "include", "\v",
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
		j := newJudge(t, s)
		r := rand.New(rand.NewPCG(5, 6))
		records := 0
		for range 4000 {
			text := randomText(r)
			if s.Major >= 16 && strings.Contains(text, "include") {
				continue // may name a file
			}
			records += j.compare(t, text)
		}
		require.Greater(t, records, 500, "too few valid lines to prove anything")
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
	before, err := j.loadTime(t)
	require.NoError(t, err)
	_, err = j.conn.Exec(t.Context(), "select pg_reload_conf()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		// A new session knows the postmaster's time, which it takes before it loads pg_hba.conf; the next one waits for that.
		now, err := j.loadTime(t)
		if err != nil || !now.After(before) {
			return false
		}
		_, err = j.loadTime(t)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
}

// loadTime returns when the postmaster last read its configuration, as a new session knows it.
func (j *judge) loadTime(t *testing.T) (at time.Time, err error) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), j.server.Conninfo())
	if err != nil {
		return at, err
	}
	err = c.QueryRow(t.Context(), "select pg_conf_load_time()").Scan(&at)
	return at, errors.Join(err, c.Close(t.Context()))
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
