package guc_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// reloader changes the postgresql.conf of a running server.
type reloader struct {
	server *oracle.Server
	base   string // its own file
	marks  int
}

func newReloader(t *testing.T, s *oracle.Server) *reloader {
	t.Helper()
	base, err := os.ReadFile(s.Path("postgresql.conf"))
	require.NoError(t, err)
	r := &reloader{server: s, base: string(base)}
	t.Cleanup(func() { r.load(t, "") })
	return r
}

// state is what a server says about a parameter.
type state struct {
	setting string
	pending bool
}

// load makes the server read its own file with lines added. It returns what new sessions see, once they see it.
func (r *reloader) load(t *testing.T, lines string) map[string]state {
	t.Helper()
	r.marks++
	mark := strconv.Itoa(r.marks)
	text := r.base
	if lines != "" {
		text += "\n" + lines + "\nunderstudy.mark = " + mark + "\n"
	}
	r.server.Write(t, "postgresql.conf", []byte(text))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	conn := r.connect(ctx, t)
	_, err := conn.Exec(ctx, "select pg_reload_conf()")
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))
	for {
		conn := r.connect(ctx, t)
		var now string
		require.NoError(t, conn.QueryRow(ctx, "select coalesce(current_setting('understudy.mark', true), '')").Scan(&now))
		r.requireNoError(ctx, t, conn)
		if now == mark || lines == "" {
			all := states(ctx, t, conn)
			require.NoError(t, conn.Close(ctx))
			return all
		}
		require.NoError(t, conn.Close(ctx))
		time.Sleep(5 * time.Millisecond) // the postmaster reads the file at its leisure
	}
}

// requireNoError looks for lines that the server refuses.
func (r *reloader) requireNoError(ctx context.Context, t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var refused []string
	rows, err := conn.Query(ctx, "select name || ': ' || error from pg_file_settings where error is not null and "+
		"not exists (select 1 from pg_settings s where lower(s.name) = lower(pg_file_settings.name) and s.pending_restart)")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		refused = append(refused, text)
	}
	require.NoError(t, rows.Err())
	require.Empty(t, refused)
}

func (r *reloader) connect(ctx context.Context, t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, r.server.Conninfo())
	require.NoError(t, err)
	return conn
}

func states(ctx context.Context, t *testing.T, conn *pgx.Conn) map[string]state {
	t.Helper()
	rows, err := conn.Query(ctx, "select lower(name), coalesce(setting, ''), pending_restart from pg_settings")
	require.NoError(t, err)
	defer rows.Close()
	all := map[string]state{}
	for rows.Next() {
		var name string
		var s state
		require.NoError(t, rows.Scan(&name, &s.setting, &s.pending))
		all[name] = s
	}
	require.NoError(t, rows.Err())
	return all
}

// untried are the parameters that the tests of Diff do not change on a server: the test's server has them on its command line,
// they lock the test out, they exclude each other, or the build refuses them.
var untried = []string{
	"tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout", // a Unix socket has none of them
	"bonjour", "db_user_namespace", "log_statement_stats", "listen_addresses", "port", "unix_socket_directories", "fsync", "shared_buffers", "max_connections",
	"ssl", "session_preload_libraries", "local_preload_libraries", "post_auth_delay", "pre_auth_delay", "client_encoding",
	"restore_command", "log_destination", "event_triggers",
	"transaction_isolation", "transaction_read_only", "transaction_deferrable", "session_authorization", "role", "is_superuser",
	"commit_timestamp_buffers", "subtransaction_buffers", "transaction_buffers", "io_max_concurrency", // 0 or -1 is what a server computes at start
	"config_file", "data_directory", "hba_file", "ident_file", "max_stack_depth",
}

// texts are values for strings; without one a string is not tried.
var texts = map[string]string{
	"archive_cleanup_command": "x %r", "application_name": "app", "cluster_name": "c",
	"datestyle": "SQL, DMY", "timezone": "Europe/Berlin", "log_timezone": "Europe/Berlin", "search_path": "a, b", "krb_server_keyfile": "/x",
	"log_filename": "x", "log_directory": "x", "log_line_prefix": "%p ", "primary_conninfo": "host=h", "primary_slot_name": "s",
	"recovery_end_command": "x", "recovery_target_name": "n", "shared_preload_libraries": "x", "external_pid_file": "/x", "bonjour_name": "b",
	"synchronous_standby_names": "a", "temp_tablespaces": "pg_default", "unix_socket_group": "g", "wal_consistency_checking": "all",
	"promote_trigger_file": "/x", "stats_temp_directory": "/tmp", "syslog_ident": "i", "dynamic_library_path": "/x", "xmlbinary": "hex",
	"ssl_ciphers": "HIGH", "ssl_cert_file": "c", "ssl_key_file": "k", "ssl_ca_file": "a", "ssl_crl_file": "r", "ssl_dh_params_file": "d",
	"archive_library": "l", "backtrace_functions": "f", "jit_provider": "j", "createrole_self_grant": "set",
	"debug_io_direct": "data", "extension_control_path": "/x", "log_connections": "receipt", "synchronized_standby_slots": "s", "event_source": "e",
	"default_text_search_config": "pg_catalog.german", "lc_messages": "C.UTF-8", "lc_monetary": "C.UTF-8", "lc_numeric": "C.UTF-8",
	"lc_time": "C.UTF-8", "ssl_passphrase_command": "p", "restrict_nonsystem_relation_kind": "view", "recovery_target_timeline": "5",
}

// other returns a value for a parameter that is not the one it has, or "".
func other(p guc.Param, now guc.Value) string {
	switch p.Type {
	case guc.Bool:
		if on, _ := now.Bool(); on {
			return "off"
		}
		return "on"
	case guc.Enum:
		for _, v := range p.Values {
			if v.Shown != now.String() && !v.Varies {
				return v.Name
			}
		}
	case guc.Int, guc.Real:
		n, _ := now.Number()
		return otherNumber(p, n)
	case guc.String:
		return texts[strings.ToLower(p.Name)]
	}
	return ""
}

func otherNumber(p guc.Param, n float64) string {
	step := 16.0 // some take multiples of it only
	switch {
	case p.Type == guc.Real:
		step = (p.Max - p.Min) / 16
		if step > 1e6 {
			step = 1
		}
	case p.Unit == guc.Milliseconds:
		step = 600000 // no time-out ends the test
	}
	for _, try := range []float64{n + step, n - step, n + 1, n - 1, p.Max, p.Min} {
		if try >= p.Min && try <= p.Max && try != n {
			return strconv.FormatFloat(try, 'f', -1, 64)
		}
	}
	return ""
}

// respelled writes a value in another way.
func respelled(p guc.Param, v guc.Value) string {
	switch p.Type {
	case guc.Bool:
		if on, _ := v.Bool(); on {
			return "YeS"
		}
		return "f"
	case guc.Enum:
		return strings.ToUpper(v.String())
	case guc.Int:
		if n, _ := v.Number(); p.Unit == guc.NoUnit && n >= 0 {
			return fmt.Sprintf("0x%x", int64(n))
		}
		return v.String()
	case guc.Real:
		n, _ := v.Number()
		return strconv.FormatFloat(n, 'e', -1, 64)
	}
	return v.Setting()
}

// tried returns the parameters that the tests change, with the value each of them has now.
func tried(m pgconf.Major, base []pgconf.Setting) (params []guc.Param, now []guc.Value) {
	for _, p := range guc.Params(m) {
		name := strings.ToLower(p.Name)
		if p.Context == guc.Internal || p.Hidden || slices.Contains(untried, name) {
			continue
		}
		text := p.Default
		for _, s := range base {
			if s.Name == name {
				text = s.Value
			}
		}
		v, err := p.Parse(text)
		if err != nil {
			continue
		}
		params, now = append(params, p), append(now, v)
	}
	return params, now
}

func settingsOf(t *testing.T, text string) []pgconf.Setting {
	t.Helper()
	f, err := pgconf.Parse("postgresql.conf", []byte(text))
	require.NoError(t, err)
	return f.Settings()
}

func line(t *testing.T, name, value string) string {
	t.Helper()
	quoted, err := pgconf.Quote(value)
	require.NoError(t, err)
	return name + " = " + quoted + "\n"
}

func TestOracleDiff(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		// What an earlier test left pending stays so until a restart, also if its line is gone.
		require.NoError(t, s.Start(s.Args()...))
		r := newReloader(t, s)
		m := pgconf.Major(s.Major)
		base := settingsOf(t, r.base)
		params, now := tried(m, base)
		before := r.load(t, "understudy.x = 1")

		var same, change strings.Builder
		changed := map[string]string{}
		for i, p := range params {
			if _, ok := before[strings.ToLower(p.Name)]; !ok {
				continue // this build does not have it
			}
			if p.Type != guc.String {
				same.WriteString(line(t, strings.ToUpper(p.Name), respelled(p, now[i])))
			}
			if value := other(p, now[i]); value != "" {
				change.WriteString(line(t, p.Name, value))
				changed[strings.ToLower(p.Name)] = value
			}
		}
		require.Empty(t, guc.Diff(base, settingsOf(t, r.base+same.String()), m))
		after := r.load(t, same.String())
		for _, p := range params {
			name := strings.ToLower(p.Name)
			require.Equal(t, before[name], after[name], name)
		}

		old := r.connect(t.Context(), t)
		defer old.Close(t.Context())
		diff := guc.Diff(base, settingsOf(t, r.base+change.String()), m)
		after = r.load(t, change.String())
		stays := states(t.Context(), t, old)
		actions := map[guc.Action]int{}
		var wrong []string
		for _, d := range diff {
			name := strings.ToLower(d.Name)
			require.NoError(t, d.Err, name)
			require.Contains(t, changed, name)
			delete(changed, name)
			actions[d.Action]++
			is := after[name]
			inNew, inOld := is.setting != before[name].setting, stays[name].setting != before[name].setting
			if is.pending != (d.Action == guc.Restart) || inNew != (d.Action != guc.Restart) || inOld != (d.Action == guc.Reload) {
				wrong = append(wrong, fmt.Sprintf("%s %s: pending %t, in new sessions %t, in old ones %t", name, d.Action, is.pending, inNew, inOld))
			}
		}
		require.Empty(t, wrong)
		require.Empty(t, changed, "each change is found")
		require.Equal(t, guc.Restart, guc.Needs(diff))
		t.Logf("%d parameters unchanged by another spelling; changed: %v", len(params), actions)
	})
}
