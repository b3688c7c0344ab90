package guc_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

var update = flag.Bool("update", false, "write the tables of internal/gen/data that differ from the servers anew")

const tableHead = "name\tvartype\tunit\tcontext\tcategory\tboot_val\tmin_val\tmax_val\tenumvals\tflags"

// tableOf asks a server for the rows of its table. Parameters with a dot belong to extensions.
func (j *judge) tableOf(t *testing.T) []string {
	t.Helper()
	flags := `'\N'`
	if j.major >= 15 {
		flags = `coalesce(array_to_string(pg_settings_get_flags(name), ','), '')`
	}
	rows, err := j.conn.Query(t.Context(), `
		select concat_ws(E'\t', name, vartype, coalesce(unit, '\N'), context, category, coalesce(boot_val, '\N'), coalesce(min_val, '\N'),
			coalesce(max_val, '\N'), coalesce(enumvals::text, '\N'), `+flags+`)
		from pg_settings where name !~ '\.' order by name collate "C"`)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

// TestOracleTables compares the tables of the generator with the servers. For a new major, or a new minor release, run
//
//	go test ./pgconf/guc -run TestOracleTables -update
//	go generate ./pgconf/guc
//
// and read the diff. What varies between builds may differ and may be missing.
func TestOracleTables(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		path := filepath.Join("internal", "gen", "data", j.major.String()+".tsv")
		lines := j.tableOf(t)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(tableHead+"\n"+strings.Join(lines, "\n")+"\n"), 0o644))
		}
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		known := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		require.Equal(t, tableHead, known[0])
		require.Greater(t, len(known), 200)
		for _, line := range known[1:] {
			if p, ok := j.param(t, line); ok && !slices.Contains(lines, line) && !p.Varies && !wordsVary(p) {
				t.Errorf("the server does not have this row: %s", line)
			}
		}
		for _, line := range lines {
			if p, ok := j.param(t, line); !ok {
				t.Errorf("the catalogue does not have this row: %s", line)
			} else if !slices.Contains(known, line) && !p.Varies && !wordsVary(p) {
				t.Errorf("the table has another row than this: %s", line)
			}
		}
	})
}

func (j *judge) param(t *testing.T, line string) (guc.Param, bool) {
	t.Helper()
	name, _, _ := strings.Cut(line, "\t")
	p, ok := guc.Lookup(j.major, name)
	if ok {
		require.Equal(t, name, p.Name)
	}
	return p, ok
}

func wordsVary(p guc.Param) bool {
	return slices.ContainsFunc(p.Values, func(v guc.EnumValue) bool { return v.Varies })
}

// TestOracleNames: hidden parameters and other names are known to the servers, and nothing that a server would take in a file,
// by its own list, is unknown to the catalogue.
func TestOracleNames(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		has := func(name string) (there, listed bool) {
			err := j.conn.QueryRow(t.Context(), `select current_setting($1, true) is not null, exists (select 1 from pg_settings where name = $1)`, name).
				Scan(&there, &listed)
			require.NoError(t, err)
			return there, listed
		}
		for _, p := range guc.Params(j.major) {
			if there, listed := has(p.Name); !p.Varies && (!there || listed == p.Hidden) {
				t.Errorf("%s: there %v, listed %v", p.Name, there, listed)
			}
		}
		for name, of := range map[string]string{"sort_mem": "work_mem", "Vacuum_Mem": "maintenance_work_mem", "ssl_ecdh_curve": "ssl_groups"} {
			if p, ok := guc.Lookup(j.major, name); ok {
				there, listed := has(name)
				require.True(t, there, name)
				require.Equal(t, listed, p.Name == name, name)
				require.Contains(t, []string{of, name}, p.Name)
			}
		}
		for name := range strings.Lines(j.postgres(t, "--describe-config")) {
			name, _, _ = strings.Cut(name, "\t")
			p, ok := guc.Lookup(j.major, name)
			require.True(t, ok, name)
			require.Equal(t, name, p.Name)
		}
	})
}
