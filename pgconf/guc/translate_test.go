package guc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func ExampleTranslate() {
	f, err := pgconf.Parse("postgresql.conf", []byte(`wal_level = hot_standby		# for the standby
wal_keep_segments = 32
checkpoint_segments = 10
vacuum_defer_cleanup_age = 0
`))
	if err != nil {
		panic(err)
	}
	remarks, err := guc.Translate(f, pgconf.V9_4, 17)
	if err != nil {
		panic(err)
	}
	fmt.Print(string(f.Bytes()))
	fmt.Println(remarks[1])
	// Output:
	// wal_level = replica		# for the standby
	// wal_keep_size = 512MB
	// max_wal_size = 480MB
	// #vacuum_defer_cleanup_age = 0 # PostgreSQL 17: gone in 16: use hot_standby_feedback or replication slots
	// postgresql.conf:2: info: wal_keep_segments: now wal_keep_size, and the value is now 512MB (the size of that many WAL segments)
}

func ExampleTranslation_Apply() {
	main := pgconf.New("postgresql.conf")
	recovery, err := guc.ParseRecoveryConf("recovery.conf", []byte("standby_mode = 'on'\nrestore_command = 'cp /arch/%f %p'\n"), 11)
	if err != nil {
		panic(err)
	}
	done, err := guc.Translation{From: 11, To: 12, RecoveryConf: recovery, Pin: true}.Apply(main)
	if err != nil {
		panic(err)
	}
	get := func(name string) string { s, _ := main.Get(name); return s.Value }
	fmt.Println(get("restore_command"))
	fmt.Println(get("recovery_target_timeline"), get("jit"))
	fmt.Println("create", done.Signal)
	// Output:
	// cp /arch/%f %p
	// current off
	// create standby.signal
}

func ExampleParseRecoveryConf() {
	f, err := guc.ParseRecoveryConf("recovery.conf", []byte(`restore_command 'copy C:\arch\%f "%p"'`), pgconf.V9_0)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s", f.Bytes())
	// Output: restore_command = 'copy C:\\arch\\%f "%p"'
}

const v90, v91, v92, v93, v94, v95, v96 = pgconf.V9_0, pgconf.V9_1, pgconf.V9_2, pgconf.V9_3, pgconf.V9_4, pgconf.V9_5, pgconf.V9_6

// translations are one line each, for one step. A result that begins with # is without the remark on the line.
var translations = []struct {
	from, to  pgconf.Major
	old, want string
	severity  guc.Severity // of the remark about the line; none is expected if nothing changes and it is 0
}{
	// what is gone
	{v91, v92, "custom_variable_classes = 'a'", "#custom_variable_classes = 'a'", guc.Warning},
	{v91, v92, "silent_mode = on", "#silent_mode = on", guc.Warning},
	{v91, v92, "silent_mode = off", "#silent_mode = off", guc.Info},
	{v91, v92, "silent_mode = NO", "#silent_mode = NO", guc.Info},
	{v91, v92, "wal_sender_delay = 100ms", "#wal_sender_delay = 100ms", guc.Warning},
	{v93, v94, "krb_srvname = 'x'", "#krb_srvname = 'x'", guc.Warning},
	{v94, v95, "ssl_renegotiation_limit = 512MB", "#ssl_renegotiation_limit = 512MB", guc.Info},
	{v94, v95, "ssl_renegotiation_limit = 0", "ssl_renegotiation_limit = 0", guc.Info},
	{v96, 10, "sql_inheritance = off", "#sql_inheritance = off", guc.Warning},
	{10, 11, "replacement_sort_tuples = 1", "#replacement_sort_tuples = 1", guc.Warning},
	{11, 12, "default_with_oids = on", "#default_with_oids = on", guc.Warning},
	{11, 12, "default_with_oids = off", "default_with_oids = off", guc.Info},
	{11, 12, "dynamic_shared_memory_type = none", "#dynamic_shared_memory_type = none", guc.Warning},
	{11, 12, "dynamic_shared_memory_type = mmap", "dynamic_shared_memory_type = mmap", guc.Info},
	{13, 14, "operator_precedence_warning = off", "#operator_precedence_warning = off", guc.Info},
	{13, 14, "vacuum_cleanup_index_scale_factor = 0.2", "#vacuum_cleanup_index_scale_factor = 0.2", guc.Warning},
	{14, 15, "stats_temp_directory = 'pg_stat_tmp'", "#stats_temp_directory = 'pg_stat_tmp'", guc.Info},
	{15, 16, "promote_trigger_file = '/x'", "#promote_trigger_file = '/x'", guc.Warning},
	{15, 16, "vacuum_defer_cleanup_age = 5", "#vacuum_defer_cleanup_age = 5", guc.Warning},
	{16, 17, "db_user_namespace = on", "#db_user_namespace = on", guc.Warning},
	{16, 17, "old_snapshot_threshold = -1", "#old_snapshot_threshold = -1", guc.Info},
	{16, 17, "trace_recovery_messages = log", "#trace_recovery_messages = log", guc.Info},

	// what has another name
	{v92, v93, "replication_timeout = 30s", "wal_sender_timeout = 30s", guc.Info},
	{v92, v93, "unix_socket_directory = '/run'", "unix_socket_directories = '/run'", guc.Info},
	{v92, v93, "unix_socket_directory = '/a,b'", `unix_socket_directories = '"/a,b"'`, guc.Info},
	{v94, v95, "checkpoint_segments = 3", "max_wal_size = 144MB", guc.Info},
	{v94, 17, "checkpoint_segments = 64", "max_wal_size = 3GB", guc.Info},
	{v96, 10, "min_parallel_relation_size = 8MB", "min_parallel_table_scan_size = 8MB", guc.Info},
	{12, 13, "wal_keep_segments = 0", "wal_keep_size = 0MB", guc.Info},
	{12, 13, "wal_keep_segments = 0x10", "wal_keep_size = 256MB", guc.Info},
	{v90, 18, "wal_keep_segments = 64", "wal_keep_size = 1GB", guc.Info},
	{15, 16, "force_parallel_mode = regress", "debug_parallel_query = regress", guc.Info},
	{17, 18, "ssl_ecdh_curve = 'prime256v1'", "ssl_groups = 'prime256v1'", guc.Info},
	{12, 13, "wal_keep_segments = many", "wal_keep_segments = many", guc.Error},
	{12, 13, "WAL_Keep_Segments=2#x", "wal_keep_size=32MB#x", guc.Info},

	// what is spelled in another way
	{v95, v96, "wal_level = archive", "wal_level = replica", guc.Info},
	{v95, v96, "wal_level = 'HOT_STANDBY' # x", "wal_level = 'replica'     # x", guc.Info},
	{v95, v96, "wal_level = logical", "wal_level = logical", guc.Info},
	{v94, v95, "archive_mode = t", "archive_mode = on", guc.Info},
	{v94, v95, "archive_mode = yes", "archive_mode = yes", guc.Info},
	{v90, v91, "synchronous_commit = of", "synchronous_commit = off", guc.Info},
	{v96, 10, "password_encryption = on", "password_encryption = md5", guc.Info},
	{v96, 10, "password_encryption = off", "password_encryption = md5", guc.Warning},
	{13, 14, "password_encryption = true", "password_encryption = md5", guc.Info},
	{13, 14, "password_encryption = md5", "password_encryption = md5", guc.Info},
	{14, 15, "wal_compression = y", "wal_compression = pglz", guc.Info},
	{14, 15, "wal_compression = off", "wal_compression = off", guc.Info},
	{14, 15, "wal_compression = f", "wal_compression = off", guc.Info},
	{17, 18, "log_connections = on", "log_connections = on", guc.Info},
	{17, 18, "log_connections = t", "log_connections = on", guc.Info},
	{v96, 10, "max_wal_size = 64", "max_wal_size = 1GB", guc.Info},
	{v95, 18, "min_wal_size = 5", "min_wal_size = 80MB", guc.Info},
	{v96, 10, "max_wal_size = 2GB", "max_wal_size = 2GB", guc.Info},
	{v96, 10, "max_wal_size = 100MB", "max_wal_size = 100MB", guc.Info},
	{v96, 10, "max_wal_size = 1", "max_wal_size = 1", guc.Error},
	{v95, v96, "max_wal_size = 64", "max_wal_size = 64", guc.Info},
	{v95, v96, "synchronous_standby_names = 'a, b'", "synchronous_standby_names = 'a, b'", guc.Info},
	{v95, v96, "synchronous_standby_names = 'node-a, B'", `synchronous_standby_names = '"node-a", b'`, guc.Info},
	{v95, 10, "synchronous_standby_names = 'first'", `synchronous_standby_names = '"first"'`, guc.Info},
	{v96, 10, "synchronous_standby_names = '2 (a, any)'", `synchronous_standby_names = '2 (a, "any")'`, guc.Info},
	{v96, 10, "synchronous_standby_names = '*'", "synchronous_standby_names = '*'", guc.Info},
	{v94, v95, "synchronous_standby_names = 'a-b'", "synchronous_standby_names = 'a-b'", guc.Info},
	{15, 16, "archive_command = 'x %p %d 100%'", "archive_command = 'x %p %%d 100%%'", guc.Info},
	{15, 16, "archive_command = 'x %p %% %f'", "archive_command = 'x %p %% %f'", guc.Info},
	{14, 15, "archive_command = 'x %d'", "archive_command = 'x %d'", guc.Info},
	{15, 16, "archive_cleanup_command = 'x %r %f'", "archive_cleanup_command = 'x %r %%f'", guc.Info},
	{v96, 10, "archive_command = 'cp pg_xlog/%f /a'", "archive_command = 'cp pg_xlog/%f /a'", guc.Warning},

	// what is out of range
	{12, 13, "max_files_per_process = 30", "max_files_per_process = 30", guc.Error},
	{v95, v96, "checkpoint_timeout = 1h", "checkpoint_timeout = 1h", guc.Info},
	{v96, v95, "checkpoint_timeout = 2h", "checkpoint_timeout = 2h", guc.Error},
	{16, 17, "work_mem = x", "work_mem = x", guc.Error},

	// what nobody knows
	{16, 17, "shared_bufers = 1GB", "shared_bufers = 1GB", guc.Warning},
	{16, 17, "x.y = 1", "x.y = 1", guc.Info},
	{v92, v91, "x.y = 1", "x.y = 1", guc.Warning},
	{v92, v91, "include_if_exists = 'x'", "include_if_exists = 'x'", guc.Error},
	{v93, v92, "include_dir = 'x'", "include_dir = 'x'", guc.Error},
	{v93, v92, "include = 'x'", "include = 'x'", guc.Info},
	{16, 17, "sort_mem = 1MB", "sort_mem = 1MB", guc.Info},

	// backward
	{12, 11, "shared_buffers = '1.5GB'", "shared_buffers = '1536MB'", guc.Info},
	{12, 11, "vacuum_cost_delay = '2.0'", "vacuum_cost_delay = '2ms'", guc.Info},
	{12, 11, "vacuum_cost_delay = '0.5ms'", "vacuum_cost_delay = '0.5ms'", guc.Error},
	{12, 11, "statement_timeout = '1500000us'", "statement_timeout = '1500ms'", guc.Info},
	{11, 10, "work_mem = '1048576B'", "work_mem = '1MB'", guc.Info},
	{v94, v93, "work_mem = '1TB'", "work_mem = '1073741824'", guc.Info},
	{13, 12, "wal_keep_size = 100MB", "wal_keep_segments = 7", guc.Info},
	{v95, v94, "max_wal_size = 1GB", "checkpoint_segments = 22", guc.Info},
	{v95, v94, "max_wal_size = 2", "checkpoint_segments = 1", guc.Info},
	{v95, v94, "min_wal_size = 1GB", "#min_wal_size = 1GB", guc.Warning},
	{10, v96, "max_wal_size = 1024", "max_wal_size = 1GB", guc.Info},
	{16, 15, "debug_parallel_query = on", "force_parallel_mode = on", guc.Info},
	{18, 17, "ssl_groups = 'X25519:prime256v1'", "ssl_ecdh_curve = 'X25519'", guc.Info},
	{v93, v92, "wal_sender_timeout = 5s", "replication_timeout = 5s", guc.Info},
	{v93, v92, "unix_socket_directories = ' /a'", "unix_socket_directory = '/a'", guc.Info},
	{v93, v92, "unix_socket_directories = '/a, /b'", "unix_socket_directories = '/a, /b'", guc.Error},
	{10, v96, "min_parallel_table_scan_size = 8MB", "min_parallel_relation_size = 8MB", guc.Info},
	{v96, v95, "wal_level = replica", "wal_level = hot_standby", guc.Info},
	{v94, v93, "wal_level = logical", "wal_level = hot_standby", guc.Warning},
	{15, 14, "wal_compression = lz4", "wal_compression = on", guc.Warning},
	{15, 14, "wal_compression = pglz", "wal_compression = on", guc.Info},
	{10, v96, "password_encryption = scram-sha-256", "password_encryption = on", guc.Warning},
	{10, v96, "password_encryption = md5", "password_encryption = on", guc.Info},
	{v95, v94, "archive_mode = always", "archive_mode = on", guc.Warning},
	{v96, v95, "synchronous_commit = remote_apply", "synchronous_commit = on", guc.Warning},
	{v92, v91, "synchronous_commit = remote_write", "synchronous_commit = on", guc.Warning},
	{v91, v90, "synchronous_commit = local", "synchronous_commit = on", guc.Warning},
	{18, 17, "log_connections = 'receipt, all'", "log_connections = 'on'", guc.Info},
	{18, 17, "log_connections = ''", "log_connections = 'off'", guc.Info},
	{15, 14, "log_destination = 'jsonlog'", "log_destination = 'jsonlog'", guc.Error},
	{10, v96, "synchronous_standby_names = 'FIRST 2 (a, b)'", "synchronous_standby_names = '2 (a, b)'", guc.Info},
	{10, v95, "synchronous_standby_names = 'FIRST 1 (a, b)'", "synchronous_standby_names = 'a, b'", guc.Info},
	{10, v96, "synchronous_standby_names = 'ANY 1 (a, b)'", "synchronous_standby_names = 'ANY 1 (a, b)'", guc.Error},
	{12, 11, "primary_conninfo = 'host=x'", "#primary_conninfo = 'host=x'", guc.Warning},
	{17, 16, "summarize_wal = off", "#summarize_wal = off", guc.Info},
	{18, 10, "io_method = sync", "#io_method = sync", guc.Warning},
}

func TestTranslate(t *testing.T) {
	for _, test := range translations {
		t.Run(fmt.Sprintf("%s to %s %s", test.from, test.to, test.old), func(t *testing.T) {
			const rest = "# first\n%s\r\nport = 1 # last"
			f, err := pgconf.Parse("p", fmt.Appendf(nil, rest, test.old))
			require.NoError(t, err)
			remarks, err := guc.Translate(f, test.from, test.to)
			require.NoError(t, err)
			got, _, _ := strings.Cut(strings.TrimPrefix(string(f.Bytes()), "# first\n"), "\r\n")
			require.True(t, strings.HasSuffix(string(f.Bytes()), "\r\nport = 1 # last"), "%s", f.Bytes())
			if strings.HasPrefix(got, "#") {
				var why string
				got, why, _ = strings.Cut(got, " # ")
				require.Contains(t, why, "PostgreSQL "+test.to.String()+": ")
			}
			require.Equal(t, test.want, got)
			requireRemark(t, remarks, test.severity, test.old != got)

			again, err := pgconf.Parse("p", f.Bytes())
			require.NoError(t, err)
			_, err = guc.Translate(again, test.from, test.to)
			require.NoError(t, err)
			require.Empty(t, again.Diff(), "the second time nothing changes")
		})
	}
}

// requireRemark looks for the one about line 2.
func requireRemark(t *testing.T, remarks []guc.Remark, want guc.Severity, changed bool) {
	t.Helper()
	var found []guc.Remark
	for _, r := range remarks {
		require.NotEqual(t, 1, r.Line)
		require.NotEqual(t, 3, r.Line)
		if r.Line == 2 {
			found = append(found, r)
			require.NotEmpty(t, r.What)
			require.NotEmpty(t, r.Why)
		}
	}
	if !changed && want == guc.Info {
		require.Empty(t, found)
		return
	}
	require.Len(t, found, 1)
	require.Equal(t, want, found[0].Severity, found[0].String())
}

// Every parameter that goes in some major, forward or backward, is translated or commented out.
func TestTranslateKnowsEveryStep(t *testing.T) {
	for from := pgconf.Oldest; from <= pgconf.Newest; from++ {
		for to := pgconf.Oldest; to <= pgconf.Newest; to++ {
			var text strings.Builder
			for _, p := range guc.Params(from) {
				if p.Context != guc.Internal && !p.Hidden {
					text.WriteString(line(t, p.Name, defaultText(p)))
				}
			}
			f, err := pgconf.Parse("p", []byte(text.String()))
			require.NoError(t, err)
			remarks, err := guc.Translate(f, from, to)
			require.NoError(t, err)
			refused := map[int]bool{}
			for _, r := range remarks {
				refused[r.Line] = refused[r.Line] || r.Severity == guc.Error && r.Code == ""
			}
			for _, s := range f.Settings() {
				err := guc.Validate(to, s.Name, s.Value)
				require.Equal(t, refused[s.Line], err != nil, "%s to %s: %v %v", from, to, s, err)
			}
		}
	}
}

// defaultText returns a text for the default that the parameter takes.
func defaultText(p guc.Param) string {
	if v, err := p.Parse(p.Default); err == nil {
		return v.String()
	}
	return texts[strings.ToLower(p.Name)]
}

// recoveries are a recovery.conf and what becomes of it. From 12 on that is what postgresql.conf has then.
var recoveries = []struct {
	name       string
	from, to   pgconf.Major
	text, want string
	signal     string
	errors     int
}{
	{"standby", v94, 17, "standby_mode = on\nprimary_conninfo = 'host=h'\n", "primary_conninfo = 'host=h'\n", "standby.signal", 0},
	{"targeted", 11, 12, "restore_command = 'x'\nstandby_mode = off\n", "restore_command = 'x'\n", "recovery.signal", 0},
	{"nothing", 11, 12, "", "", "recovery.signal", 0},
	{"trigger file", 11, 15, "trigger_file = '/x'", "promote_trigger_file = '/x'\n", "recovery.signal", 0},
	{"no trigger file any more", 11, 16, "trigger_file = '/x'", "", "recovery.signal", 0},
	{"pause", v94, 12, "pause_at_recovery_target = false", "recovery_target_action = 'promote'\n", "recovery.signal", 0},
	{"pause that is none", v94, 12, "pause_at_recovery_target = x", "", "recovery.signal", 1},
	{"last target", v94, 12, "recovery_target_xid = 5\nrecovery_target_name = n", "recovery_target_name = 'n'\n", "recovery.signal", 0},
	{"last target is empty", 10, 12, "recovery_target = immediate\nrecovery_target_name = ''", "", "recovery.signal", 0},
	{"first target", v93, 12, "recovery_target_time = '2014-01-01'\nrecovery_target_xid = 5\nrecovery_target_name = n", "recovery_target_xid = '5'\n", "recovery.signal", 0},
	{"first target is empty", v93, 12, "recovery_target_name = n\nrecovery_target_xid = ''", "recovery_target_name = 'n'\n", "recovery.signal", 0},
	{"target by the clock", 11, 12, "recovery_target_time = 'now'", "", "recovery.signal", 1},
	{"timeline", 11, 12, "recovery_target_timeline = 'latest'", "recovery_target_timeline = 'latest'\n", "recovery.signal", 0},
	{"last line", 11, 12, "restore_command = 'x'\nrestore_command = 'y'", "restore_command = 'y'\n", "recovery.signal", 0},
	{"last line is empty", 11, 12, "restore_command = 'x'\nrestore_command = ''", "", "recovery.signal", 0},
	{"percent", 11, 16, "restore_command = 'x %d'", "restore_command = 'x %%d'\n", "recovery.signal", 0},
	{"fraction is no value", 11, 12, "recovery_min_apply_delay = x", "", "recovery.signal", 1},
	{"upper case", 11, 12, "STANDBY_MODE = on", "", "recovery.signal", 1},
	{"unknown", 11, 12, "standby = on", "", "recovery.signal", 1},
	{"include", 11, 12, "include 'x'", "", "recovery.signal", 0},
	{"9.0", v90, 12, `restore_command any 'copy C:\a "%p"' # x`, "restore_command = 'copy C:\\\\a \"%p\"'\n", "recovery.signal", 0},

	{"in place", v94, v95, "pause_at_recovery_target = on # x\nstandby_mode = on", "recovery_target_action = pause # x\nstandby_mode = on", "", 0},
	{"in place, back", v95, v94, "recovery_target_action = promote", "pause_at_recovery_target = false", "", 0},
	{"in place, back, not possible", v95, v94, "recovery_target_action = shutdown", "#recovery_target_action = shutdown # PostgreSQL 9.4: up to 9.4 there is only pause or promote", "", 0},
	{"in place, both", v94, v95, "recovery_target_action = pause\npause_at_recovery_target = on",
		"recovery_target_action = pause\n#pause_at_recovery_target = on # PostgreSQL 9.5: recovery_target_action is set already", "", 0},
	{"in place, too new", v94, v93, "primary_slot_name = s", "#primary_slot_name = s # PostgreSQL 9.3: it came with 9.4", "", 0},
	{"in place, as it is", 10, 11, "recovery_target_lsn = '0/1'", "recovery_target_lsn = '0/1'", "", 0},
}

func TestTranslateRecoveryConf(t *testing.T) {
	for _, test := range recoveries {
		t.Run(test.name, func(t *testing.T) {
			recovery, err := guc.ParseRecoveryConf("recovery.conf", []byte(test.text), test.from)
			require.NoError(t, err)
			before := string(recovery.Bytes())
			main := pgconf.New("postgresql.conf")
			tr := guc.Translation{From: test.from, To: test.to, RecoveryConf: recovery}
			done, err := tr.Apply(main)
			require.NoError(t, err)
			require.Equal(t, test.signal, done.Signal)
			got := string(recovery.Bytes())
			if test.to >= 12 {
				require.Equal(t, before, got)
				got = string(main.Bytes())
			}
			require.Equal(t, test.want, got)
			bad := 0
			for _, r := range done.Remarks {
				require.NotContains(t, r.What, "host=h")
				if r.Severity == guc.Error {
					bad++
				}
			}
			require.Equal(t, test.errors, bad, "%v", done.Remarks)

			again, err := tr.Apply(main)
			require.NoError(t, err)
			require.Equal(t, test.signal, again.Signal)
			require.Equal(t, test.want, map[bool]string{true: string(main.Bytes()), false: string(recovery.Bytes())}[test.to >= 12])
		})
	}
}

func TestParseRecoveryConf(t *testing.T) {
	tests := []struct{ name, old, want string }{
		{"same in both", "standby_mode = 'on' # x\r\n", "standby_mode = 'on' # x\r\n"},
		{"comment and blank", "# 'x'\n\n  \n", "# 'x'\n\n  \n"},
		{"backslash", `restore_command = 'a\b'` + "\n", `restore_command = 'a\\b'` + "\n"},
		{"quotes", `restore_command = 'a''b'`, `restore_command = 'a''b'`},
		{"quotes and backslash", `x = 'a''b\c'`, `x = 'a''b\\c'`},
		{"junk before the value", "standby_mode = xx 'on' # y\n", "standby_mode = 'on' # y\n"},
		{"no blank", "standby_mode='on'", "standby_mode='on'"},
		{"last line open", `x 'a\'`, `x = 'a\\'`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := guc.ParseRecoveryConf("r", []byte(test.old), pgconf.V9_0)
			require.NoError(t, err)
			require.Equal(t, test.want, string(f.Bytes()))
		})
	}
	for _, bad := range []string{"standby_mode = on'", "standby_mode = 'on", "standby_mode = 'on' x"} {
		f, err := guc.ParseRecoveryConf("r", []byte(bad), pgconf.V9_0)
		require.Error(t, err, bad)
		require.Equal(t, bad, string(f.Bytes()))
	}
	f, err := guc.ParseRecoveryConf("r", []byte(`x = 'a\b'`), pgconf.V9_1)
	require.NoError(t, err)
	require.Equal(t, `x = 'a\b'`, string(f.Bytes()))
}

func TestTranslateMistakes(t *testing.T) {
	f := pgconf.New("p")
	_, err := guc.Translate(f, 2, 17)
	require.ErrorIs(t, err, pgconf.ErrMajor)
	_, err = guc.Translate(f, 17, 19)
	require.ErrorIs(t, err, pgconf.ErrMajor)
	_, err = guc.Translation{From: 10, To: 17}.Apply()
	require.Error(t, err)
	for _, size := range []int64{-1, 1, 1 << 19, 3 << 20, 1 << 31} {
		_, err = guc.Translation{From: 10, To: 17, SegmentSize: size}.Apply(f)
		require.Error(t, err)
	}
	_, err = guc.Translation{From: 12, To: 17, RecoveryConf: f}.Apply(f)
	require.Error(t, err)
	require.Empty(t, f.Bytes())
}

func translated(t *testing.T, tr guc.Translation, text string) (string, []guc.Remark) {
	t.Helper()
	f, err := pgconf.Parse("p", []byte(text))
	require.NoError(t, err)
	done, err := tr.Apply(f)
	require.NoError(t, err)
	return string(f.Bytes()), done.Remarks
}

func TestTranslateSegmentSize(t *testing.T) {
	got, _ := translated(t, guc.Translation{From: v96, To: 17, SegmentSize: 64 << 20}, "wal_keep_segments = 2\nmax_wal_size = 10\n")
	require.Equal(t, "wal_keep_size = 128MB\nmax_wal_size = 640MB\n", got)
	got, _ = translated(t, guc.Translation{From: 13, To: 12, SegmentSize: 1 << 30}, "wal_keep_size = 1025MB\n")
	require.Equal(t, "wal_keep_segments = 2\n", got)
}

// A name that is there under its new name too, in whatever file, must not be set twice.
func TestTranslateSetAlready(t *testing.T) {
	a, err := pgconf.Parse("a", []byte("wal_keep_segments = 2\nwal_keep_segments = 3\n"))
	require.NoError(t, err)
	b, err := pgconf.Parse("b", []byte("wal_keep_size = 1GB\n"))
	require.NoError(t, err)
	done, err := guc.Translation{From: 12, To: 13}.Apply(a, b)
	require.NoError(t, err)
	require.Equal(t, "#wal_keep_segments = 2 # PostgreSQL 13: wal_keep_size is set already\n#wal_keep_segments = 3 # PostgreSQL 13: wal_keep_size is set already\n", string(a.Bytes()))
	require.Empty(t, b.Diff())
	require.Equal(t, guc.Warning, done.Remarks[0].Severity)

	got, remarks := translated(t, guc.Translation{From: 12, To: 13}, "wal_keep_segments = 2\nwal_keep_segments = 3\n")
	require.Equal(t, "wal_keep_size = 2\nwal_keep_size = 48MB\n", got, "the last line counts")
	require.Equal(t, 2, remarks[0].Line)
	require.Zero(t, remarks[1].Line)
}

func TestTranslatePins(t *testing.T) {
	for from := pgconf.Oldest; from <= pgconf.Newest; from++ {
		for to := pgconf.Oldest; to <= pgconf.Newest; to++ {
			tr := guc.Translation{From: from, To: to, Pin: true}
			got, remarks := translated(t, tr, "# nothing\n")
			again, _ := translated(t, tr, got)
			require.Equal(t, got, again)
			for _, r := range remarks {
				require.Equal(t, guc.Info, r.Severity, "%s to %s: %s", from, to, r)
				require.Zero(t, r.Line)
			}
			for _, s := range settingsOf(t, got) {
				p, ok := guc.Lookup(from, s.Name)
				require.True(t, ok)
				v, err := guc.Parse(to, s.Name, s.Value)
				require.NoError(t, err)
				told, _ := translated(t, guc.Translation{From: from, To: to}, line(t, p.Name, defaultText(p)))
				want, err := guc.Parse(to, s.Name, settingsOf(t, told)[0].Value)
				require.NoError(t, err)
				require.Equal(t, want, v)
			}
			if from == to {
				require.Equal(t, "# nothing\n", got)
			}
		}
	}
	got, _ := translated(t, guc.Translation{From: v96, To: 10, Pin: true}, "# nothing\n")
	require.Equal(t, "# nothing\nhot_standby = 'off'\nlog_directory = 'pg_log'\nlog_line_prefix = ''\nmax_parallel_workers_per_gather = '0'\n"+
		"max_replication_slots = '0'\nmax_wal_senders = '0'\nwal_level = 'minimal'\n", got)
}

// What the new major would not start with, and the old one did, is put right or told.
func TestTranslateKeepsStarting(t *testing.T) {
	got, remarks := translated(t, guc.Translation{From: v96, To: 17}, "wal_level = minimal\n")
	require.Equal(t, "wal_level = minimal\nmax_wal_senders = '0'\n", got)
	for _, r := range remarks {
		require.NotEqual(t, guc.Error, r.Severity, r)
	}
	_, remarks = translated(t, guc.Translation{From: 10, To: 11}, "max_connections = 12\nmax_wal_senders = 10\n")
	require.Equal(t, guc.NoConnectionsLeft, remarks[0].Code)
	require.Equal(t, guc.Error, remarks[0].Severity)
	require.Equal(t, 1, remarks[0].Line)
	_, remarks = translated(t, guc.Translation{From: 11, To: 12}, "wal_level = minimal\n")
	for _, r := range remarks {
		require.Empty(t, r.Code, "it did not start before either")
	}
}

// Wrong names cost time, so not all of many are looked into.
func TestTranslateGuesses(t *testing.T) {
	text := ""
	for i := range 150 {
		text += fmt.Sprintf("shared_bufers_%d = 1\n", i)
	}
	_, remarks := translated(t, guc.Translation{From: 17, To: 17}, "work_men = 1\n"+text)
	require.Len(t, remarks, 151)
	require.Contains(t, remarks[0].Why, "did you mean work_mem?")
	require.Equal(t, "unknown parameter", remarks[150].Why)
}

// A line that is overruled by one that spells the name in another way counts for the server, but does not win.
func TestTranslateOtherSpelling(t *testing.T) {
	got, remarks := translated(t, guc.Translation{From: 14, To: 15}, "WAL_compression = y\nwal_compression = t\nwal_compression = off\n")
	require.Equal(t, "WAL_compression = y\nwal_compression = t\nwal_compression = off\n", got)
	require.Equal(t, 1, remarks[0].Line)
	require.Equal(t, guc.Error, remarks[0].Severity)
	require.NotEqual(t, 2, remarks[1].Line, "a server does not look at it")
	got, remarks = translated(t, guc.Translation{From: 12, To: 13}, "WAL_KEEP_SEGMENTS = 1\nwal_keep_segments = 2\n")
	require.Equal(t, "wal_keep_size = 1\nwal_keep_size = 32MB\n", got)
	require.Equal(t, 2, remarks[0].Line)
}
