package guc_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// judge asks a server what it makes of values.
type judge struct {
	server *oracle.Server
	conn   *pgx.Conn
	major  pgconf.Major
}

// try sets a parameter, undoes it, and returns what SHOW printed meanwhile, or null if the server refused.
const try = `
create function pg_temp.try(name text, value text) returns text language plpgsql as $$
declare shown text;
begin
	perform set_config(name, value, true);
	shown := current_setting(name);
	raise exception using errcode = 'UNDO1', message = '=' || coalesce(shown, '');
exception
	when sqlstate 'UNDO1' then return substr(sqlerrm, 2);
	when others then return null;
end $$`

func newJudge(t *testing.T, s *oracle.Server) *judge {
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	j := &judge{s, conn, pgconf.Major(s.Major)}
	j.exec(t, "set client_min_messages = error; set log_min_messages = panic; set log_min_error_statement = panic")
	j.exec(t, try)
	return j
}

func (j *judge) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := j.conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

// trial is a value for a parameter and what the server made of it.
type trial struct {
	param    guc.Param
	value    string
	accepted bool
	shown    string // only if the server was asked with SET
	known    bool   // whether shown is
}

// ask fills in what the server says. What a session can change is set and shown; values that take a reload stand in a file that
// pg_file_settings judges; for values that take a restart, ALTER SYSTEM says whether they are good.
func (j *judge) ask(t *testing.T, trials []trial) {
	t.Helper()
	var set, file, alter []*trial
	for i := range trials {
		switch tr := &trials[i]; {
		case tr.param.Context >= guc.Superuser:
			set = append(set, tr)
		case tr.param.Context != guc.Sighup: // a file does not judge what sessions cannot change
			alter = append(alter, tr)
		default:
			file = append(file, tr)
		}
	}
	j.set(t, set)
	j.file(t, file)
	j.alter(t, alter)
}

func (j *judge) set(t *testing.T, trials []*trial) {
	t.Helper()
	names, values := make([]string, len(trials)), make([]string, len(trials))
	for i, tr := range trials {
		names[i], values[i] = tr.param.Name, tr.value
	}
	rows, err := j.conn.Query(t.Context(), `select i, pg_temp.try(n, v) from unnest($1::text[], $2::text[]) with ordinality u(n, v, i)`, names, values)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var i int
		var shown *string
		require.NoError(t, rows.Scan(&i, &shown))
		tr := trials[i-1]
		if tr.known = true; shown != nil {
			tr.accepted, tr.shown = true, *shown
		}
	}
	require.NoError(t, rows.Err())
}

// file writes files in which each line is judged: lines of one parameter differ in the case of the name, since a server
// ignores all but the last one of those that do not.
func (j *judge) file(t *testing.T, trials []*trial) {
	t.Helper()
	path := j.server.Path("postgresql.conf")
	original, err := os.ReadFile(path)
	require.NoError(t, err)
	defer j.server.Write(t, "postgresql.conf", original)
	for len(trials) > 0 {
		var text strings.Builder
		var rest, asked []*trial
		spellings := map[string]int{}
		for _, tr := range trials {
			n := spellings[tr.param.Name]
			spelling, ok := spell(tr.param.Name, n)
			if !ok {
				rest = append(rest, tr)
				continue
			}
			spellings[tr.param.Name] = n + 1
			asked = append(asked, tr)
			quoted, err := pgconf.Quote(tr.value)
			require.NoError(t, err)
			text.WriteString(spelling + " = " + quoted + "\n")
		}
		j.server.Write(t, "postgresql.conf", []byte(text.String()))
		rows, err := j.conn.Query(t.Context(), `select sourceline, error is null from pg_file_settings where sourcefile = $1`, path)
		require.NoError(t, err)
		var line int
		var accepted bool
		_, err = pgx.ForEachRow(rows, []any{&line, &accepted}, func() error { asked[line-1].accepted = accepted; return nil })
		require.NoError(t, err)
		trials = rest
	}
}

// spell returns the n-th way to write a name in upper and lower case.
func spell(name string, n int) (string, bool) {
	b := []byte(strings.ToLower(name))
	for i := 0; i < len(b) && n > 0; i++ {
		if 'a' <= b[i] && b[i] <= 'z' {
			b[i] -= byte(n&1) * ('a' - 'A')
			n >>= 1
		}
	}
	return string(b), n == 0
}

func (j *judge) alter(t *testing.T, trials []*trial) {
	t.Helper()
	for _, tr := range trials {
		_, err := j.conn.Exec(t.Context(), fmt.Sprintf("alter system set %s = %s", tr.param.Name, literal(tr.value)))
		tr.accepted = err == nil
	}
	j.exec(t, "alter system reset all")
}

func literal(s string) string {
	return "E'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(s) + "'"
}

var boolWords = []string{
	"on", "off", "true", "false", "yes", "no", "1", "0", "t", "f", "y", "n", "tr", "fals", "ye", "of", "ON", "False", "o", "onn", "offf",
	" on", "on ", "", "2", "-1", "01", "truee", "null", "default",
}

// candidates are values at and around the bounds of what a parameter takes. With all of them come all kinds of spellings.
func candidates(p guc.Param, all bool) []string {
	switch p.Type {
	case guc.Bool:
		if !all {
			return boolWords[:6]
		}
		return boolWords
	case guc.Enum:
		words := []string{"", "debug", "archive", "hot_standby", "info", "fatal", "panic", "default", "md5", "plain", "auto", "none", "always"}
		words = append(words, boolWords...)
		for _, v := range p.Values {
			words = append(words, v.Name, strings.ToUpper(v.Name), v.Name+" ", " "+v.Name, v.Name+"x")
		}
		return words
	case guc.Int, guc.Real:
		return numbers(p, all)
	}
	return stringsFor[p.Name]
}

func numbers(p guc.Param, all bool) []string {
	step := 1.0
	if p.Type == guc.Real {
		step = 0.25
	}
	values := []string{"0", "1.5", "5kB", "5s"}
	for _, n := range []float64{p.Min, p.Max, p.Min - step, p.Max + step, math.Floor(p.Min/2 + p.Max/2)} {
		values = append(values, strconv.FormatFloat(n, 'f', -1, 64))
	}
	if all {
		values = append(values, "1", "-1", "64", ".5", "-.5", "1e2", "1e-3", "0x10", "010", "", " 7", "7 ", "x", "1x", "nan", "1e400", "4294967296")
	}
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d", "KB", "m"} {
		if all {
			values = append(values, "0"+unit, "3"+unit, "1.3"+unit, "1.5 "+unit, "1000"+unit, "12345678"+unit, "-1"+unit, unit)
		}
		if size := base[unit] / base[string(p.Unit)]; size > 0 && (all || unit == "MB" || unit == "min") {
			for _, n := range []float64{math.Trunc(p.Min / size), math.Trunc(p.Max / size)} {
				values = append(values, fmt.Sprintf("%.0f%s", n, unit), fmt.Sprintf("%.0f%s", n-1, unit), fmt.Sprintf("%.0f%s", n+1, unit))
			}
		}
	}
	return values
}

var base = map[string]float64{
	"B": 1, "kB": 1 << 10, "8kB": 8 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40,
	"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6,
}

// stringsFor are values for the strings that have a grammar of their own.
var stringsFor = map[string][]string{
	"DateStyle": {
		"iso", "german", "german,mdy", "mdy, german", "Postgresxx", "iso,sql", "ISO, iso", "us", "european", "noneuropean", "default", "",
		"sql,default", "x", `"ISO", ymd`, "ymd dmy", "ymd,dmy", "iso,", "german,ymd", "postgre", "us,us", "mdy,us", "SQL,DMY",
	},
	"search_path": append([]string{`a,"b c"`, `"$user", public`}, lists...), "temp_tablespaces": {"", "a b", "pg_default", ",", `"`},
	"backtrace_functions": {"", "a, b", "a-b", "a\n", "a\r", "A_9\t", "a;"}, "default_table_access_method": {"", "heap", strings.Repeat("a", 64)},
	"application_name":                 {"", "x~", "a\xe9b", "a\tb\x7f\x01"},
	"createrole_self_grant":            append([]string{"set", "set, INHERIT", "x", `"SET"`}, lists...),
	"restrict_nonsystem_relation_kind": {"", "view", "view, foreign-table", "x", "View", `"VIEW"`, "view,"},
	"wal_consistency_checking":         {"", "all", "heap, btree", "xlog", "Generic", "x", "heap,all", "HEAP2", "hash,gin,gist,sequence,spgist,brin", `"Heap"`, "all,"},
	"log_destination":                  {"", "stderr, csvlog", "STDERR,jsonlog", "a", "stderr,stderr", `"stderr"`, `"STDERR"`, "stderr,", "syslog", "stderr syslog"},
	"primary_slot_name":                {"", "ABC", "a-b", "a_9", strings.Repeat("a", 63), strings.Repeat("a", 64), "a b"},
	"synchronized_standby_slots":       append([]string{"a, b", "A", `"A"`, "a-b", "*", `""`}, lists...),
	"recovery_target":                  {"", "immediate", "Immediate", "x", "immediate "},
	"recovery_target_xid": {
		"", "x", "1x", "0x1", "-1", " 5", "99999999999", "99999999999999999999999", "2", "18446744073709551615", "18446744073709551616", "-18446744073709551616",
		"0xffffffffffffffffff", "0777777777777777777777", "07777777777777777777777", "07777777777777777777777x",
	},
	"recovery_target_timeline": {
		"", "x", "Latest", "latest", "current", "0", "1x", "4294967296", "99999999999999999999", "0x10", "-1", "-99999999999999999999",
	},
	"recovery_target_lsn":  {"", "0/0", "0/1 ", " 0/1", "x", "FFFFFFFF/ffffffff", "000000001/1", "1", "1/", "/1", "1/1/1", "-1/1", "0x1/1"},
	"recovery_target_name": {"", "a", strings.Repeat("a", 63), strings.Repeat("a", 64)},
	"recovery_target_time": {"", "2020-01-01 00:00", "now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity"},
	"log_connections": {
		"", "receipt, authentication", "on", "on, receipt", "all", "receipt,all", "t", "TRUE", "no", "authorization,setup_durations", "x", "1", "0", "yes,no",
		"on,on", "on,", `"ON"`, "receipt receipt", "all,all", "off", "off,receipt", "Receipt",
	},
	"debug_io_direct":           {"", "data, wal,wal_init", "x", "DATA", "data,", `"Data"`},
	"synchronous_standby_names": syncVectors(),
}

// lists are good and bad lists of names.
var lists = []string{"", " ", ",", "a,", ",a", "a b", `"a`, "a\vb", "a\v,b", "a\f,\tb\r\n", `"a""b"`, `"a"b`, `a"b`, "a,,b", "\xa0", `a, "", b`}

func syncVectors() []string {
	all := append([]string(nil), lists...)
	for _, v := range syncNameVectors {
		all = append(all, v.value)
	}
	return all
}

// stricter says why a server refuses values that Parse accepts: it looks at more than the value.
var stricter = map[string]string{
	"autovacuum_max_workers": "the sum of all kinds of processes has a limit",
	"bonjour":                "not in every build",
	"max_connections":        "the sum of all kinds of processes has a limit",
	"max_stack_depth":        "the operating system has a limit",
	"max_wal_senders":        "the sum of all kinds of processes has a limit",
	"max_worker_processes":   "the sum of all kinds of processes has a limit",
	"transaction_deferrable": "only at the begin of a transaction",
	"transaction_isolation":  "only at the begin of a transaction",
}

// shownElsewhere says why SHOW does not print what was set.
var shownElsewhere = map[string]string{
	"archive_command":         "it is (disabled) without archive_mode",
	"seed":                    "it is never shown",
	"tcp_keepalives_count":    "it is 0 for a Unix socket",
	"tcp_keepalives_idle":     "it is 0 for a Unix socket",
	"tcp_keepalives_interval": "it is 0 for a Unix socket",
	"tcp_user_timeout":        "it is 0 for a Unix socket",
}

// varies reports whether a value is a word that some builds do not have.
func varies(p guc.Param, value string) bool {
	return slices.ContainsFunc(p.Values, func(v guc.EnumValue) bool { return v.Varies && strings.EqualFold(v.Name, value) })
}

// TestOracleValues lets each server judge values of each of its parameters.
func TestOracleValues(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		var trials []trial
		seen := map[string]bool{}
		for _, p := range guc.Params(j.major) {
			kind := fmt.Sprint(p.Type, p.Unit, p.Context >= guc.Superuser)
			for _, value := range candidates(p, !seen[kind]) {
				if p.Name == "exit_on_error" && value != "off" {
					continue // the function that tries it fails on purpose
				}
				trials = append(trials, trial{param: p, value: value})
			}
			seen[kind] = true
		}
		j.ask(t, trials)
		accepted := 0
		for _, tr := range trials {
			v, err := guc.Parse(j.major, tr.param.Name, tr.value)
			if tr.accepted {
				accepted++
			}
			switch {
			case err == nil && !tr.accepted && (stricter[tr.param.Name] != "" || varies(tr.param, tr.value)):
			case (err == nil) != tr.accepted:
				t.Errorf("%s = %q: server accepts: %v, but Parse says %v", tr.param.Name, tr.value, tr.accepted, err)
			case err == nil && tr.known && shownElsewhere[tr.param.Name] == "" && tr.shown != v.String():
				t.Errorf("%s = %q: server shows %q, but Parse %q", tr.param.Name, tr.value, tr.shown, v.String())
			}
		}
		t.Logf("%d values, %d of them accepted", len(trials), accepted)
		require.Greater(t, accepted, len(trials)/10)
	})
}

// TestOracleVectors lets each server judge the vectors of the other tests, as SET and in a file.
func TestOracleVectors(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		var trials []trial
		var wants []string
		for _, v := range numberVectors {
			p, ok := guc.Lookup(j.major, v.name)
			require.True(t, ok, v.name)
			trials, wants = append(trials, trial{param: p, value: v.value}), append(wants, wantOf(v.want, j.major))
		}
		j.ask(t, trials)
		for i, tr := range trials {
			require.Equal(t, wants[i] != refused, tr.accepted, "%s = %q", tr.param.Name, tr.value)
			if !tr.accepted || !tr.known {
				continue
			}
			want, err := guc.Parse(j.major, tr.param.Name, wants[i])
			require.NoError(t, err)
			require.Equal(t, want.String(), tr.shown, "%s = %q", tr.param.Name, tr.value)
		}
	})
}
