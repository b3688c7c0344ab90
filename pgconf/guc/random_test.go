package guc_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

var numberPieces = []string{
	"0", "1", "5", "7", "9", "10", "64", "255", "1024", "2147483647", "4294967296", "9223372036854775807", "0x", "0X", "0", "a", "f", ".", ".5",
	"e", "E", "e3", "e-3", "E+2", "p", "p3", "p-2", "+", "-", " ", "\t", "\v", "B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d", "_",
	"inf", "nan", "é",
}

var syncPieces = []string{
	"a", "B", "b1", "_", "x$", "1", "2", "03", "0", "*", ",", ",", " ", "\t", "\v", "(", ")", "(", ")", `"`, `"`, `""`, `"a b"`, "-", ".", "é", "any", "ANY", "First",
	"FIRST ", "ANY 1 (a", "2 (a,b)", "firstly", "any1",
}

var stylePieces = []string{
	"iso", "SQL", "postgres", "Postgresql", "German", "ymd", "dmy", "euro", "european", "mdy", "us", "noneuro", "default", ",", ",", ", ", " ", `"iso"`,
	`"`, "x", "\v", "",
}

func random(r *rand.Rand, pieces []string) string {
	var b strings.Builder
	for range 1 + r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestOracleRandom lets the servers judge values that nobody would write. The seed is fixed; the fuzz targets explore.
func TestOracleRandom(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		r := rand.New(rand.NewPCG(1, 2))
		var trials []trial
		for _, c := range []struct {
			name   string
			pieces []string
			n      int
		}{
			{"work_mem", numberPieces, 1500}, {"temp_buffers", numberPieces, 1000}, {"statement_timeout", numberPieces, 1500},
			{"log_temp_files", numberPieces, 500}, {"vacuum_cost_delay", numberPieces, 1000}, {"geqo_generations", numberPieces, 500},
			{"geqo_seed", numberPieces, 500}, {"cpu_tuple_cost", numberPieces, 1000}, {"DateStyle", stylePieces, 1000},
			{"search_path", syncPieces, 1000}, {"synchronous_standby_names", syncPieces, 2000},
		} {
			p, ok := guc.Lookup(j.major, c.name)
			require.True(t, ok)
			for range c.n {
				trials = append(trials, trial{param: p, value: random(r, c.pieces)})
			}
		}
		j.ask(t, trials)
		accepted := map[string]int{}
		for _, tr := range trials {
			v, err := guc.Parse(j.major, tr.param.Name, tr.value)
			if (err == nil) != tr.accepted || err == nil && tr.known && tr.shown != v.String() {
				t.Errorf("%s = %q: server accepts: %v, shows %q; Parse says %q, %v", tr.param.Name, tr.value, tr.accepted, tr.shown, v, err)
			}
			if tr.accepted {
				accepted[tr.param.Name]++
			}
		}
		for name, n := range accepted {
			require.Greater(t, n, 10, "too few good values of %s to prove anything", name)
		}
		require.Len(t, accepted, 11)
	})
}
