package guc_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// left are parameters that the round trip leaves alone, and why.
var left = map[string]string{
	"bonjour":                 "not in every build",
	"db_user_namespace":       "changes who asks",
	"debug_discard_caches":    "has one value only",
	"default_with_oids":       "has one value only",
	"fsync":                   "given on the server's command line",
	"huge_page_size":          "the platform has a few sizes only",
	"io_method":               "depends on the build",
	"log_statement_stats":     "excludes the other kinds of statistics",
	"max_stack_depth":         "the operating system has a limit",
	"post_auth_delay":         "takes time",
	"pre_auth_delay":          "takes time",
	"role":                    "changes who asks",
	"session_authorization":   "changes who asks",
	"ssl":                     "needs a certificate",
	"ssl_renegotiation_limit": "has one value only",
	"transaction_deferrable":  "each transaction sets it",
	"transaction_isolation":   "each transaction sets it",
	"transaction_read_only":   "each transaction sets it",
}

// another returns a value that is not the default, if there is one for the round trip.
func another(p guc.Param) (string, bool) {
	if value, ok := anotherValue[p.Name]; ok {
		return value, true
	}
	switch p.Type {
	case guc.Bool:
		if p.Default == "on" {
			return "off", true
		}
		return "on", true
	case guc.Enum:
		i := slices.IndexFunc(p.Values, func(v guc.EnumValue) bool { return !v.Varies && v.Name != p.Default && v.Shown == v.Name })
		if i < 0 {
			return p.Default, true
		}
		return p.Values[i].Name, true
	case guc.Int:
		n := min(int(p.Min+(p.Max-p.Min)/3), 1e8) // before 12 a server cannot read all of what it shows
		if n > 128 {
			n -= n % 16 // some take multiples of 16 blocks only
		}
		return strconv.Itoa(n), true
	case guc.Real:
		return strconv.FormatFloat(p.Min+(p.Max-p.Min)/3, 'g', -1, 64), true
	}
	return "", false
}

// anotherValue has values of strings, and others that are particular. None of them makes the server wait for, load or write something.
var anotherValue = map[string]string{
	"DateStyle": "german", "TimeZone": "UTC", "archive_command": `cp "%p" '/arch/%f' # \ x`, "log_line_prefix": "%m '[%p]'\té\n ",
	"search_path": `"$user", "b ""c", public`, "application_name": "x\ty", "log_destination": "stderr, csvlog", "cluster_name": "a/é",
	"synchronous_standby_names": "", "primary_conninfo": "host=h password='it''s'", "restore_command": "cp /a/%f \"%p\"\n",
	"wal_consistency_checking": "heap, btree", "backtrace_functions": "a, b", "primary_slot_name": "s_1", "recovery_target_lsn": "0/3000148",
	"recovery_target_name": "before the flood", "recovery_target_timeline": "latest", "log_filename": "%Y.log", "listen_addresses": "*",
	"log_file_mode": "010", "temp_tablespaces": "", "recovery_target_time": "2020-01-01 00:00:00",
}

// raised are values that the server raises to the smallest that it can use, in other parameters than the round trip's.
var raised = map[string]string{"autovacuum_work_mem": "1", "wal_buffers": "1"}

// TestOracleRoundTrip writes values as SHOW and as pg_settings print them, for every parameter that a file can set; the server
// reads back the same text and shows the same value.
func TestOracleRoundTrip(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		j := newJudge(t, s)
		original, err := os.ReadFile(s.Path("postgresql.conf"))
		require.NoError(t, err)
		t.Cleanup(func() { j.load(t, original, "original") })

		values := map[string]guc.Value{}
		for _, p := range guc.Params(j.major) {
			if text, ok := another(p); ok && p.Context != guc.Internal && left[p.Name] == "" {
				v, err := p.Parse(text)
				require.NoError(t, err, "%s = %s", p.Name, text)
				values[p.Name] = v
			}
		}
		t.Logf("%d parameters", len(values))
		j.roundTrip(t, "shown", values, guc.Value.String)
		j.roundTrip(t, "setting", values, guc.Value.Setting)

		for name, text := range raised {
			v, err := guc.Parse(j.major, name, text)
			require.NoError(t, err)
			require.Equal(t, v.Setting(), j.atStart(t, name, text), name)
		}
	})
}

// roundTrip writes all values in a form.
func (j *judge) roundTrip(t *testing.T, round string, values map[string]guc.Value, form func(guc.Value) string) {
	t.Helper()
	f := pgconf.New("postgresql.conf")
	for name, v := range values {
		text := form(v)
		require.NoError(t, f.Set(name, text))
		again, err := guc.Parse(j.major, name, text)
		require.NoError(t, err)
		require.Equal(t, v.String(), again.String(), name)
	}
	j.load(t, f.Bytes(), round)
	rows, err := j.conn.Query(t.Context(), "select name, setting from pg_file_settings")
	require.NoError(t, err)
	read := map[string]string{}
	var name, text string
	_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error { read[strings.ToLower(name)] = text; return nil })
	require.NoError(t, err)
	for _, set := range f.Settings() {
		require.Equal(t, set.Value, read[strings.ToLower(set.Name)], set.Name)
	}

	session, err := pgx.Connect(t.Context(), j.server.Conninfo()) // with nothing set
	require.NoError(t, err)
	defer session.Close(t.Context())
	kinds := map[string]bool{}
	for name, v := range values {
		p, _ := guc.Lookup(j.major, name)
		if kind := fmt.Sprint(p.Type, p.Unit); p.Context == guc.Postmaster {
			if !kinds[kind] {
				text, err := pgconf.Quote(form(v))
				require.NoError(t, err)
				require.Equal(t, v.Setting(), j.atStart(t, name, text), name)
			}
			kinds[kind] = true
			continue
		}
		if shownElsewhere[name] != "" {
			continue
		}
		var shown string
		require.NoError(t, session.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&shown), name)
		require.Equal(t, v.String(), shown, name)
	}
	require.GreaterOrEqual(t, len(kinds), 4)
}

// load makes content the server's configuration and waits until it has taken it up.
func (j *judge) load(t *testing.T, content []byte, round string) {
	t.Helper()
	j.server.Write(t, "postgresql.conf", append(content, "\nunderstudy.round = "+round+"\n"...))
	ctx := context.WithoutCancel(t.Context()) // it also cleans up
	conn, err := pgx.Connect(ctx, j.server.Conninfo())
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "select pg_reload_conf()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var now *string
		err := conn.QueryRow(ctx, "select current_setting('understudy.round', true)").Scan(&now)
		return err == nil && now != nil && *now == round
	}, 30*time.Second, 10*time.Millisecond)
	j.server.Write(t, "postgresql.conf", content)
}

// atStart returns the value that a parameter has if the server starts with it.
func (j *judge) atStart(t *testing.T, name, quoted string) string {
	t.Helper()
	j.server.Write(t, "postgresql.conf", []byte(name+" = "+quoted+"\n"))
	return strings.TrimSuffix(j.postgres(t, "-D", j.server.Data, "-C", name), "\n")
}

// postgres runs the server's program as the owner of the server's files and returns what it prints.
func (j *judge) postgres(t *testing.T, args ...string) string {
	t.Helper()
	owner, err := localpg.Owner(j.server.Socket)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), j.server.Bin("postgres"), args...)
	cmd.Dir = j.server.Socket
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.Credential}
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, problems.String())
	return string(out)
}
