package pgconf_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

// argsVectors are command lines of postgres and what they set; the oracle test starts servers with them.
var argsVectors = []struct {
	since pgconf.Major // 0 for all
	until pgconf.Major // 0 for all
	args  string
	want  string // name=value …
}{
	{args: "-c work_mem=1MB", want: "work_mem=1MB"},
	{args: "-cwork_mem=1MB --work-mem=2MB", want: "work_mem=1MB work_mem=2MB"},
	{args: "--Work-Mem=2MB", want: "work_mem=2MB"},
	{args: "--cluster-name=a=b-c", want: "cluster_name=a=b-c"},
	{args: "-c cluster_name=", want: "cluster_name="},
	{args: "-c a.b=1", want: "a.b=1"},
	{args: "-W 0 --", want: "post_auth_delay=0"},
	{args: "-Fl -c ssl=off", want: "fsync=false ssl=true ssl=off"},
	{args: "-FN 30", want: "fsync=false max_connections=30"},
	{args: "-N30 -B 300 -S 128 -W 0", want: "max_connections=30 shared_buffers=300 work_mem=128 post_auth_delay=0"},
	{args: "-e -E", want: "datestyle=euro log_statement=all"},
	{args: "-s", want: "log_statement_stats=true"},
	{args: "-O -P -j -n", until: 15, want: "allow_system_table_mods=true ignore_system_indexes=true"},
	{args: "-O -P -j", want: "allow_system_table_mods=true ignore_system_indexes=true"},
	{args: "-fs -f i -fo -fb -ft -fn -fm -fh", want: "enable_seqscan=false enable_indexscan=false enable_indexonlyscan=false " +
		"enable_bitmapscan=false enable_tidscan=false enable_nestloop=false enable_mergejoin=false enable_hashjoin=false"},
	{args: "-tpa -t pl -te", want: "log_parser_stats=true log_planner_stats=true log_executor_stats=true"},
	{args: "-d 0", want: "log_min_messages=notice"},
	{args: "-d 1", until: 17, want: "log_min_messages=debug1 log_connections=true log_disconnections=true"},
	{args: "-d 1", since: 18, want: "log_min_messages=debug1 log_connections=all log_disconnections=true"},
	{args: "-d5", until: 17, want: "log_min_messages=debug5 log_connections=true log_disconnections=true log_statement=all " +
		"debug_print_parse=true debug_print_plan=true debug_print_rewritten=true"},
	{args: "-d5", since: 18, want: "log_min_messages=debug5 log_connections=all log_disconnections=true log_statement=all " +
		"debug_print_parse=true debug_print_plan=true debug_print_rewritten=true"},
	{args: "-T", until: 15, want: ""},
	{args: "-T", since: 16, want: "send_abort_for_crash=true"},
}

func load(t *testing.T, opt pgconf.Options, files map[string]string) *pgconf.Config {
	t.Helper()
	c, err := pgconf.Load(mount(files), "/d/postgresql.conf", opt)
	require.NoError(t, err)
	return c
}

func TestArgs(t *testing.T) {
	for _, v := range argsVectors {
		t.Run(v.args, func(t *testing.T) {
			major := v.until
			if major == 0 {
				major = pgconf.Newest
			}
			c := load(t, pgconf.Options{Major: major, Args: strings.Fields(v.args)}, map[string]string{"postgresql.conf": ""})
			var got []string
			for _, s := range c.Args() {
				require.Equal(t, pgconf.CommandLine, s.File)
				got = append(got, s.Name+"="+s.Value)
			}
			require.Equal(t, v.want, strings.Join(got, " "))
		})
	}
}

func TestArgsPaths(t *testing.T) {
	args := []string{"-p", "5433", "-h", "a b", "-i", "-k", "/tmp", "-C", "port", "-r", "x", "-o", "-x", "-D", "/x"}
	c := load(t, pgconf.Options{Args: args}, map[string]string{"postgresql.conf": ""})
	require.Equal(t, []string{
		"port=5433 command line:1", "listen_addresses=a b command line:3", "listen_addresses=* command line:5",
		"unix_socket_directories=/tmp command line:6",
	}, shown(c.Args()))
	require.Equal(t, "/x", c.DataDir())

	c = load(t, pgconf.Options{Major: pgconf.V9_2, Args: []string{"-k/x"}}, map[string]string{"postgresql.conf": ""})
	require.Equal(t, []string{"unix_socket_directory=/x command line:1"}, shown(c.Args()))
}

// TestArgsMain: the command line of a Debian server tells everything.
func TestArgsMain(t *testing.T) {
	files := fstest.MapFS{
		"etc/pg/main.conf": {Data: []byte("a=1\ndata_directory='/var/pg'")}, "var/pg/postgresql.auto.conf": {Data: []byte("a=2")},
		"var/pg/postgresql.conf": {Data: []byte("a=3")},
	}
	c, err := pgconf.Load(files, "", pgconf.Options{Args: []string{"-D", "/var/pg", "-c", "config_file=/etc/pg/main.conf"}})
	require.NoError(t, err)
	require.Equal(t, []string{"a=1 /etc/pg/main.conf:1", "data_directory=/var/pg /etc/pg/main.conf:2", "a=2 /var/pg/postgresql.auto.conf:1"}, shown(c.Entries()))
	c, err = pgconf.Load(files, "", pgconf.Options{Args: []string{"-D", "/var/pg"}})
	require.NoError(t, err)
	require.Equal(t, []string{"a=3 /var/pg/postgresql.conf:1", "a=2 /var/pg/postgresql.auto.conf:1"}, shown(c.Entries()))
	c, err = pgconf.Load(files, "", pgconf.Options{Args: []string{"-D", "pg"}, DataDir: "/var/pg"})
	require.NoError(t, err)
	require.Equal(t, "/var/pg/postgresql.conf", c.Main())
	for _, opt := range []pgconf.Options{{}, {Args: []string{"-D", "pg"}}} {
		_, err = pgconf.Load(files, "", opt)
		require.ErrorIs(t, err, pgconf.ErrArgs)
	}
}

// refusedArgs are command lines that postgres refuses.
var refusedArgs = []string{"x", "-", "-- x", "-p", "-c", "-c work_mem", "--work_mem", "-z", "-Fz", "-fx", "-tp", "-p 1 x"}

func TestArgsErrors(t *testing.T) {
	for _, args := range refusedArgs {
		c, err := pgconf.Load(mount(nil), "/d/postgresql.conf", pgconf.Options{Args: strings.Fields(args)})
		require.ErrorIs(t, err, pgconf.ErrArgs, args)
		require.Nil(t, c)
	}
	_, err := pgconf.Load(mount(nil), "/d/postgresql.conf", pgconf.Options{Args: []string{"primary_conninfo=secret"}})
	require.NotContains(t, err.Error(), "secret")
}
