package guc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// viewRow is a row of pg_file_settings.
type viewRow struct {
	Name, Setting, File string
	Line                int
	Applied             bool
}

// viewOf asks the server for its rows.
func viewOf(t *testing.T, s *oracle.Server) []viewRow {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Conninfo())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `select coalesce(name, ''), coalesce(setting, ''), sourcefile, sourceline, applied
		from pg_file_settings where sourcefile is not null order by seqno`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[viewRow])
	require.NoError(t, err)
	return all
}

// ourView is what we say the server shows.
func ourView(t *testing.T, s *oracle.Server, main string, args []string) []viewRow {
	t.Helper()
	c, _ := pgconf.Load(os.DirFS("/"), main, pgconf.Options{Major: pgconf.Major(s.Major), Args: args})
	require.NotNil(t, c)
	var all []viewRow
	for _, set := range guc.FileSettings(c) {
		all = append(all, viewRow{set.Spelling, set.Value, set.File, set.Line, set.Applied})
	}
	return all
}

// replace gives files of the data directory other contents until the test ends.
func replace(t *testing.T, s *oracle.Server, files map[string]string) {
	t.Helper()
	for name, text := range files {
		was, err := os.ReadFile(s.Path(name))
		t.Cleanup(func() {
			if err == nil {
				s.Write(t, name, was)
			} else {
				require.NoError(t, os.Remove(s.Path(name)))
			}
		})
		s.Write(t, name, []byte(strings.ReplaceAll(text, "$D", s.Data)))
	}
}

// own returns arguments that leave nearly all to the files.
func own(s *oracle.Server, more ...string) []string {
	return append([]string{"-D", s.Data, "-k", s.Socket, "-p", fmt.Sprint(s.Port), "-h", "", "-F"}, more...)
}

// startedFiles are files that a server starts with.
var startedFiles = map[string]string{
	"all": `
# duplicates
work_mem = 'nonsense'
work_mem = 2MB
WORK_MEM = 3MB
work_mem = 4MB
sort_mem = 5MB
Sort_Mem = 6MB
sort_mem = 7MB
TimeZone = 'nonsense'
TimeZone = 'Europe/Berlin'
timezone = 'UTC'
a.b = 1
a.b = 2
A.b = 3
A.b = 4
plpgsql.extra_warnings = 'none'
# restart_only
max_connections = 21
MAX_CONNECTIONS = 0x16
Max_Connections = 026
max_connections = 22
shared_buffers = 4MB
Shared_Buffers = 512
SHARED_BUFFERS = 4095kB
archive_mode = no
ARCHIVE_MODE = on
Archive_mode = false
wal_level = logical
WAL_LEVEL = hot_standby
Wal_Level = replica
port = 7777
fsync = on
ssl = off
cluster_name = 'A'
CLUSTER_NAME = 'B'
wal_buffers = -1
max_wal_senders = 3
superuser_reserved_connections = 2
huge_pages = off
unix_socket_directories = '/elsewhere'
# files
data_directory = '$D'
DATA_DIRECTORY = '$D/'
hba_file = '$D/./pg_hba.conf'
HBA_FILE = '$D/pg_hba.conf'
ident_file = '$D//pg_ident.conf'
config_file = '/elsewhere'
CONFIG_FILE = '$D/postgresql.conf'
external_pid_file = '$D/x.pid'
# of_sessions
transaction_isolation = 'serializable'
TRANSACTION_ISOLATION = 'read committed'
transaction_read_only = on
transaction_deferrable = off
seed = 0.5
bytea_output = escape
log_connections = on
post_auth_delay = 0
jit_nothing.x = 1
`,
	"of_the_documents": `
listen_addresses = '*'
wal_level = hot_standby
archive_mode = on
archive_command = 'test ! -f /share/primary_wal/%f && cp %p /share/primary_wal/%f'
archive_timeout = 60
max_wal_senders = 3
hot_standby = on
wal_keep_segments = 30  # until 12
synchronous_standby_names = '*'
`,
	"of_recovery_conf": `
primary_conninfo = 'host=x password=y'
recovery_target_timeline = 'latest'
work_mem = 1MB
`,
}

// refusedFiles are files that no server starts with; a server that runs says what it thinks of them.
var refusedFiles = map[string]string{
	"unknown_name":    "work_mem = 2MB\nno_such_parameter = 1\na.b = 1\nno_such_parameter = 2\n",
	"invalid_values":  "work_mem = 2XB\nfsync = maybe\nlog_min_messages = loud\nrandom_page_cost = x\na.b = ''\nwork_mem = 3MB\nWork_mem = 0\nport = 70000\n",
	"internal":        "server_version = 18\nblock_size = 8192\nwork_mem = 2MB\nserver_version_num = x\n",
	"syntax_error":    "work_mem = 2MB\nwork mem = 3MB\nfsync = on\n",
	"missing_include": "work_mem = 2MB\ninclude 'nothing'\nfsync = on\n",
	"restart_needed":  "max_connections = 30\nshared_buffers = 2MB\nport = 5432\nlisten_addresses = ''\nfsync = off\ncluster_name = ''\n",
	"of_other_majors": "vacuum_defer_cleanup_age = 0\nwork_mem = 1MB\n",
	"of_newer_majors": "transaction_timeout = 1min\nwork_mem = 1MB\n",
}

func TestOracleFileSettings(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		t.Run("as_packaged", func(t *testing.T) {
			require.Equal(t, viewOf(t, s), ourView(t, s, s.Path("postgresql.conf"), s.Args()))
		})
		for name, text := range refusedFiles {
			t.Run("refused/"+name, func(t *testing.T) {
				replace(t, s, map[string]string{"postgresql.conf": text})
				require.Equal(t, viewOf(t, s), ourView(t, s, s.Path("postgresql.conf"), s.Args()))
			})
		}
		t.Run("started", func(t *testing.T) {
			s.Stop(t)
			for name, text := range startedFiles {
				t.Run(name, func(t *testing.T) {
					args := own(s, "-c", "max-connections=22")
					unknown := name == "of_the_documents" && s.Major > 12 || name == "of_recovery_conf" && s.Major < 12
					if unknown { // it would not start later
						require.NoError(t, s.Start(args...))
					}
					replace(t, s, map[string]string{"postgresql.conf": text, "postgresql.auto.conf": "work_mem = '3MB'\n"})
					if !unknown {
						require.NoError(t, s.Start(args...))
					}
					require.Equal(t, viewOf(t, s), ourView(t, s, s.Path("postgresql.conf"), args))
				})
			}
			t.Run("debian", func(t *testing.T) { testDebian(t, s) })
		})
	})
}

// testDebian starts a server as Debian lays it out: its files in another folder than its data.
func testDebian(t *testing.T, s *oracle.Server) {
	etc := filepath.Join(s.Socket, "etc")
	require.NoError(t, os.MkdirAll(filepath.Join(etc, "conf.d"), 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(etc)) })
	sample, err := os.ReadFile(s.Path("postgresql.conf"))
	require.NoError(t, err)
	main := filepath.Join(etc, "postgresql.conf")
	for name, text := range map[string]string{
		main: string(sample) + fmt.Sprintf("data_directory = '%s'\nhba_file = '%s'\nident_file = 'data/%s'\nexternal_pid_file = '%s/pid'\ninclude_dir = 'conf.d'\nport=1\n",
			s.Data, s.Path("pg_hba.conf"), "pg_ident.conf", s.Socket),
		filepath.Join(etc, "conf.d", "10-us.conf"):   "max_connections = 30\nwork_mem = 2MB\nlog_min_duration_statement = 1h\n",
		filepath.Join(etc, "conf.d", "20-them.conf"): "work_mem = 3MB\nmax_connections = 31\n",
		s.Path("postgresql.conf"):                    "this is not read",
	} {
		was, err := os.ReadFile(name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644)) //nolint:gosec // the server reads it
		if err == nil {
			t.Cleanup(func() { require.NoError(t, os.WriteFile(name, was, 0o644)) }) //nolint:gosec // the server reads it
		}
	}
	replace(t, s, map[string]string{"postgresql.auto.conf": "log_min_duration_statement = '2h'\n"})
	args := slices.DeleteFunc(own(s, "-c", "config_file="+main), func(arg string) bool { return arg == "-D" || arg == s.Data })
	require.NoError(t, s.Start(args...))
	want := viewOf(t, s)
	require.Equal(t, want, ourView(t, s, main, args))
	require.Equal(t, want, ourView(t, s, "", args))
	require.Equal(t, s.Path("postgresql.auto.conf"), want[len(want)-1].File)
}
