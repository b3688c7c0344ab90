package pgconf_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// normal maps what the command line says to what pg_settings shows of it.
var normal = map[string]string{"true": "on", "false": "off"}

// TestOracleArgs: servers that are started with options have the settings that we read from them, and refuse what we refuse.
func TestOracleArgs(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		s.Stop(t)
		always := []string{"-D", s.Data, "-k", s.Socket, "-p", fmt.Sprint(s.Port), "-h", ""}
		args := always
		for _, v := range argsVectors {
			if v.since > pgconf.Major(s.Major) || v.until != 0 && v.until < pgconf.Major(s.Major) || strings.Contains(v.args, "-Fl") || strings.HasSuffix(v.args, "--") {
				continue // of another major, in need of certificates, or the end of all
			}
			if v.args == "-s" {
				compareArgs(t, s, append(always, "-s")) // goes with no other statistics
				continue
			}
			args = append(args, strings.Fields(v.args)...)
		}
		compareArgs(t, s, append(args, "--"))
		for _, bad := range refusedArgs {
			require.Error(t, s.Start(append(always, strings.Fields(bad)...)...), bad)
		}
	})
}

func compareArgs(t *testing.T, s *oracle.Server, args []string) {
	t.Helper()
	c, err := pgconf.Load(os.DirFS("/"), "", pgconf.Options{Major: pgconf.Major(s.Major), Args: args})
	require.NoError(t, err)
	want := map[string]string{}
	for _, e := range c.Effective() {
		if e.Origin == pgconf.FromCommandLine {
			want[e.Name] = e.Value
			if on, ok := normal[e.Value]; ok {
				want[e.Name] = on
			}
		}
	}
	delete(want, "a.b") // which pg_settings does not list
	if want["datestyle"] != "" {
		want["datestyle"] = "ISO, DMY"
	}
	require.NoError(t, s.Start(args...))
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "select lower(name), setting from pg_settings where source = 'command line'")
	require.NoError(t, err)
	got := map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error { got[name] = value; return nil })
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// TestOracleAlterSystem: AlterSystem writes the file that ALTER SYSTEM writes.
func TestOracleAlterSystem(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		const file = "postgresql.auto.conf"
		s.Keep(t, file)
		start := "# mine\n\nprimary_slot_name=a1 # of mine\nWORK_MEM = 1MB\n  jit_above_cost 5\nlog_line_prefix = 'x\\ty''z'"
		if s.Major < 11 {
			start = strings.ReplaceAll(start, "jit_above_cost", "cpu_tuple_cost")
		}
		if s.Major < 12 {
			start = strings.ReplaceAll(start, "primary_slot_name", "log_filename")
		}
		s.Write(t, file, []byte(start))
		steps := []struct{ name, value string }{
			{"log_line_prefix", `it's a \ "%m"`}, {"work_mem", "5MB"}, {"log_statement", "ddl"}, {"work_mem", "6MB"}, {"log_statement", ""}, {"log_line_prefix", "\t# "},
		}
		c, err := pgconf.Load(os.DirFS("/"), s.Path("postgresql.conf"), pgconf.Options{Major: pgconf.Major(s.Major)})
		require.NoError(t, err)
		for _, step := range steps {
			sql := "alter system set " + step.name + " = '" + strings.ReplaceAll(step.value, "'", "''") + "'"
			if step.value == "" {
				sql = "alter system reset " + step.name
				require.NoError(t, c.AlterSystemReset(step.name))
			} else {
				require.NoError(t, c.AlterSystem(step.name, step.value))
			}
			_, err := j.conn.Exec(t.Context(), sql)
			require.NoError(t, err, sql)
		}
		want, err := os.ReadFile(s.Path(file))
		require.NoError(t, err)
		require.Equal(t, strings.ReplaceAll(string(want), "WORK_MEM = '1MB'\n", ""), string(c.File(s.Path(file)).Bytes()), "other spellings go")
	})
}

// TestOracleConfigSet goes all the way: what Set and Unset wrote into files that include each other, a server shows.
func TestOracleConfigSet(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		disk(t, s, map[string]string{
			"postgresql.conf": "my.a = 1\n#my.b = 1\ninclude_dir 'conf.d'\nmy.c = 1\n", "conf.d/1.conf": "my.a = 2 # two\nmy.d = 1\nmy.e = 1\n", "conf.d/2.conf": "MY.d = 2\n",
			"postgresql.auto.conf": "my.e = '2'\nmy.f = '2'\n",
		})
		c, err := pgconf.Load(os.DirFS("/"), s.Path("postgresql.conf"), pgconf.Options{Major: pgconf.Major(s.Major)})
		require.NoError(t, err)
		want := map[string]string{"my.a": "it's", "my.b": `a\b`, "my.d": "x\ny", "my.g": ""}
		require.NoError(t, c.SetAll(want))
		require.NoError(t, c.AlterSystem("my.f", "'"))
		require.NoError(t, c.AlterSystemReset("my.e"))
		require.NoError(t, c.Unset("my.c"))
		want["my.f"], want["my.e"] = "'", "1"
		for _, ch := range c.Changed() {
			require.NoError(t, os.WriteFile(ch.File, ch.After, 0o644)) //nolint:gosec // the server reads it
		}
		got := map[string]string{}
		for _, r := range j.rows(t) {
			require.False(t, r.Bad)
			got[strings.ToLower(r.Name)] = r.Value // the last one
		}
		require.Equal(t, want, got)
	})
}
