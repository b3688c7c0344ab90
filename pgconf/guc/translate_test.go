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
