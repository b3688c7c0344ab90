package hba_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// regexpJudge asks a server about regular expressions. It takes bytes as they are, as the server does that reads pg_hba.conf.
type regexpJudge struct {
	major pgconf.Major
	conn  *pgx.Conn
}

func newRegexpJudge(t *testing.T, s *oracle.Server) *regexpJudge {
	conn, err := pgx.Connect(t.Context(), s.Conninfo()+" client_encoding=SQL_ASCII")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return &regexpJudge{pgconf.Major(s.Major), conn}
}

// compare fails the test if server and package differ about a pattern. It reports whether the package knew.
func (j *regexpJudge) compare(t *testing.T, pattern string) (known bool) {
	t.Helper()
	r, err := hba.CompileRegexp(pattern, j.major)
	var want []bool
	var refused *pgconn.PgError
	scanErr := j.conn.QueryRow(t.Context(), `select array_agg(n ~ $1 collate "C" order by i) from unnest($2::text[]) with ordinality x(n, i)`,
		pattern, regexpNames).Scan(&want)
	if errors.As(scanErr, &refused) {
		if strings.Contains(refused.Message, "too complex") {
			return false
		}
		require.Equal(t, "2201B", refused.Code, "%q: %v", pattern, refused)
		require.ErrorIs(t, err, hba.ErrRegexp, "%q: %v", pattern, refused)
		return true
	}
	require.NoError(t, scanErr)
	require.NoError(t, err, "%q", pattern)
	for i, name := range regexpNames {
		got, why := r.Match(name)
		if why != "" {
			return false
		}
		require.Equal(t, want[i], got, "%q matches %q", pattern, name)
	}
	return true
}

func TestOracleRegexp(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newRegexpJudge(t, s)
		for _, c := range append(regexps, olderRegexps...) {
			j.compare(t, c.pattern)
		}
		r := rand.New(rand.NewPCG(7, 8))
		known := 0
		for range 3000 {
			if j.compare(t, randomPattern(r)) {
				known++
			}
		}
		require.Greater(t, known, 2000)
	})
}

var patternPieces = []string{
	"a", "b", "c", "1", "_", ".", "*", "+", "?", "|", "(", ")", "(?:", "[", "]", "^", "$", "-", "{", "}", "{2}", "{1,2}", "{0,}", ",", `\`, `\d`, `\w`, `\S`, `\D`, `\y`, `\1`, `\x4`, `\101`,
	"[[:alpha:]", "[:digit:]", "[^", "[a-c]", "[b-", "(?#", "(?i)", "***=", "***:", "(ab)", "é", "\xff", " ", "[.a.]", "[=b=]", "a*?", "(a|b)", "{3", "#", "/", `"`, "(?", `\Z`, `\A`,
}

func randomPattern(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(6) {
		b.WriteString(patternPieces[r.IntN(len(patternPieces))])
	}
	return b.String()
}
