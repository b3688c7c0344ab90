package pgnode_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

func TestParseClusters(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []pgnode.DebianCluster
		err        string
	}{
		{"none", "Ver Cluster Port Status Owner Data directory Log file\n", nil, ""},
		{"blanks", "" +
			"Ver Cluster Port Status          Owner    Data directory       Log file\n" +
			"9.6 old     5433 down,recovery   postgres /srv/my data         /var/log/a b.log\n" +
			"15  main    5432 online,patroni  my_user  /var/lib/pg/15/main  stderr,syslog\n" +
			"15  gone    5434 down,binaries_missing <unknown> <unknown> x\n", nil, "line 4"},
		{"all", "" +
			"Ver Cluster Port Status          Owner    Data directory       Log file\n" +
			"9.6 old     5433 down,recovery   postgres /srv/my data         /var/log/a b.log\n" +
			"15  main    5432 online,patroni  my_user  /var/lib/pg/15/main  stderr,syslog\n", []pgnode.DebianCluster{
			{Version: "9.6", Name: "old", Port: 5433, Remarks: []string{"recovery"}, Owner: "postgres", DataDir: "/srv/my data", LogFile: "/var/log/a b.log"},
			{
				Version: "15", Name: "main", Port: 5432, Online: true, Remarks: []string{"patroni"}, Owner: "my_user",
				DataDir: "/var/lib/pg/15/main", LogFile: "stderr,syslog",
			},
		}, ""},
		{"unknown", "" +
			"Ver Cluster Port      Status Owner     Data directory Log file\n" +
			"15  main    <unknown> down   <unknown> <unknown>      <unknown>\n", []pgnode.DebianCluster{
			{Version: "15", Name: "main", Remarks: []string{}},
		}, ""},
		{"no_head", "15 main 5432 down postgres /a /b\n", nil, "line 1"},
		{"empty", "", nil, "line 1"},
		{"bad_port", "Ver Cluster Port Status Owner    Data directory Log file\n15  main    543x down   postgres /a             /b\n", nil, "line 2"},
		{"short", "Ver Cluster Port Status Owner    Data directory Log file\n15  main\n", nil, "line 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pgnode.ParseClusters(tt.text)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			for i := range got {
				got[i].Remarks = append([]string{}, got[i].Remarks...)
				tt.want[i].Remarks = append([]string{}, tt.want[i].Remarks...)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// FuzzParseClusters: what was printed as a table is read back.
func FuzzParseClusters(f *testing.F) {
	f.Add("15", "main", 5432, "/srv/my data", "/var/log/x y.log")
	f.Fuzz(func(t *testing.T, version, name string, port int, data, log string) {
		wide := func(column string) string { // as Perl pads: by bytes
			return column + strings.Repeat(" ", max(len("Data directory"), len(data))-len(column))
		}
		text := fmt.Sprintf("%-5s %-9s %-7s %-8s %-6s %s %s\n%-5s %-9s %-7d %-8s %-6s %s %s\n",
			"Ver", "Cluster", "Port", "Status", "Owner", wide("Data directory"), "Log file",
			version, name, port, "online", "me", wide(data), log)
		got, err := pgnode.ParseClusters(text)
		plain := strings.Trim(data, " ") == data && strings.Trim(log, " ") == log && data != "" && log != "" &&
			!strings.ContainsAny(data+log, "\n\r<") && len(name) < 10 && len(version) < 6 && port >= 0 && port < 1e7
		_, cfgErr := pgnode.New(pgnode.Config{
			Host: host.NewLocal(host.LocalConfig{}), Manager: pgnode.Debian, Cluster: version + "/" + name, BinDir: "/b", DataDir: "/d",
		})
		if plain && cfgErr == nil {
			require.NoError(t, err, text)
			require.Equal(t, []pgnode.DebianCluster{{
				Version: version, Name: name, Port: port, Online: true, Remarks: []string{}, Owner: "me", DataDir: data, LogFile: log,
			}}, got)
		}
	})
}

// debianMajor is the one whose packages are installed, "" for none.
func debianMajor(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("pg_createcluster"); err != nil {
		localpg.Missing(t, "postgresql-common is not installed")
	}
	if os.Geteuid() != 0 {
		localpg.Missing(t, "only root can act for the user postgres, who owns Debian's clusters")
	}
	in := livepg.Newest(t)
	if !strings.HasPrefix(in.BinDir, "/usr/lib/postgresql/") {
		localpg.Missing(t, "no PostgreSQL of Debian's in /usr/lib/postgresql")
	}
	return strconv.Itoa(in.Major)
}

var asPostgres = host.NewLocal(host.LocalConfig{User: "postgres", KillAfter: 2 * time.Second})

func run(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	r, err := asPostgres.Run(t.Context(), host.Cmd{Path: name, Args: args, Env: []string{"LC_ALL=C"}})
	if err != nil && r.ExitCode < 0 {
		t.Fatal(err)
	}
	return string(r.Stdout) + string(r.Stderr), r.ExitCode
}

// throwAway returns the name of a cluster that does not exist yet and will not when the test is over.
func throwAway(t *testing.T, major string) string {
	t.Helper()
	name := fmt.Sprintf("us_%d", rand.Uint32())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 60*time.Second)
		defer cancel()
		cfg := pgnode.Config{Host: asPostgres, Manager: pgnode.Debian, Cluster: major + "/" + name}
		if n, err := pgnode.Open(ctx, cfg); err == nil {
			if err := n.Fence(ctx); err != nil {
				t.Errorf("fence: %v", err)
			}
			if t.Failed() {
				if log, err := asPostgres.ReadFile(ctx, n.LogFile()); err == nil {
					t.Logf("log of %s:\n%s", name, log)
				}
			}
			_, _ = asPostgres.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", `rm -rf -- "$1" "$1".*`, "sh", n.DataDir()}})
			_, _ = asPostgres.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", `rm -rf -- "$1" "$2"`, "sh", path.Dir(n.ConfigFile()), n.LogFile()}})
		}
	})
	return name
}

// freePort picks a port that nothing listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func openDebian(t *testing.T, major, name string) *pgnode.Node {
	t.Helper()
	n, err := pgnode.Open(t.Context(), pgnode.Config{
		Host: asPostgres, Manager: pgnode.Debian, Cluster: major + "/" + name, Timeout: 30 * time.Second,
	})
	require.NoError(t, err)
	return n
}

// TestDebian lives through the verbs on a real cluster, with the traps of pg_ctlcluster.
func TestDebian(t *testing.T) {
	t.Parallel()
	major := debianMajor(t)
	name := throwAway(t, major)
	ctx := t.Context()
	n := openDebian(t, major, name)
	require.Equal(t, path.Join("/var/lib/postgresql", major, name), n.DataDir(), "where it will be")

	require.NoError(t, n.Init(ctx, pgnode.InitConfig{Superuser: "postgres", Password: livepg.Password, Port: freePort(t)}))
	require.Error(t, n.Init(ctx, pgnode.InitConfig{Superuser: "postgres", Password: livepg.Password, Port: freePort(t)}), "it exists")
	n = openDebian(t, major, name)
	list, err := pgnode.Clusters(ctx, asPostgres)
	require.NoError(t, err)
	require.True(t, containsCluster(list, major+"/"+name, n.DataDir()), "%+v", list)
	require.Equal(t, path.Join("/etc/postgresql", major, name, "postgresql.conf"), n.ConfigFile())
	require.NoError(t, n.Set(ctx, map[string]string{"listen_addresses": "127.0.0.1", "fsync": "off", "shared_buffers": "8MB"}))
	require.NoError(t, asPostgres.WriteFile(ctx, path.Join(path.Dir(n.ConfigFile()), "conf.d/10.conf"), []byte("work_mem = '5MB'\n"), 0o644))
	require.NoError(t, n.Set(ctx, map[string]string{"work_mem": "6MB"}), "it stands in conf.d, which wins")
	data, err := asPostgres.ReadFile(ctx, path.Join(path.Dir(n.ConfigFile()), "conf.d/10.conf"))
	require.NoError(t, err)
	require.Equal(t, "work_mem = '6MB'\n", string(data))

	require.NoError(t, n.Start(ctx))
	var start *pgnode.StartError
	require.ErrorAs(t, n.Start(ctx), &start)
	require.Equal(t, pgnode.Runs, start.Kind)
	out, code := run(t, "pg_ctlcluster", major, name, "start")
	require.Equal(t, 2, code, out)
	s, err := n.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, pgnode.StatePrimary, s.State, "%v", s)
	out, code = run(t, "pg_ctlcluster", major, name, "promote")
	require.Equal(t, 1, code, out)
	require.ErrorContains(t, n.Promote(ctx), "not in standby mode")

	// A reload of a broken file, which exits with 0.
	good, err := asPostgres.ReadFile(ctx, n.ConfigFile())
	require.NoError(t, err)
	require.NoError(t, asPostgres.WriteFile(ctx, n.ConfigFile(), append(good, "no_such_parameter = 1\n"...), 0o644))
	out, code = run(t, "pg_ctlcluster", major, name, "reload")
	require.Equal(t, 0, code, out)
	r, err := n.Reload(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, pgnode.Refused, r.Outcome, "%+v", r)
	require.ErrorAs(t, n.Restart(ctx), &start)
	require.Equal(t, pgnode.FaultyConfig, start.Kind, "%v", start)
	require.Equal(t, n.ConfigFile(), start.File)
	require.NoError(t, asPostgres.WriteFile(ctx, n.ConfigFile(), good, 0o644))

	// Stopped; a second stop has nothing to do.
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Stop(ctx, pgnode.StopSmart))
	require.NoError(t, n.Stop(ctx, pgnode.StopFast))
	out, code = run(t, "pg_ctlcluster", major, name, "stop")
	require.Equal(t, 2, code, out)
	out, code = run(t, "pg_ctlcluster", major, name, "status")
	require.Equal(t, 3, code, out)
	_, err = n.Reload(ctx, nil)
	require.ErrorContains(t, err, "does not run")

	// A crash leaves lock files, and where nobody reaps it, a dead process with their number.
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Kill(ctx))
	require.Eventually(t, func() bool { s, err := n.Status(ctx); return err == nil && s.State == pgnode.StateStopped }, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, n.Fence(ctx))
	require.NoError(t, n.Restart(ctx))
	require.NoError(t, n.Stop(ctx, pgnode.StopImmediate))

	// Out of service: neither we nor the distribution's tools start it.
	startConf := path.Join(path.Dir(n.ConfigFile()), "start.conf")
	require.NoError(t, n.Retire(ctx, time.Now(), "another took over"))
	require.NoError(t, n.Retire(ctx, time.Now(), "again"))
	data, err = asPostgres.ReadFile(ctx, startConf)
	require.NoError(t, err)
	require.Contains(t, string(data), "\nmanual\n")
	require.ErrorIs(t, n.Start(ctx), pgnode.ErrRetired)
	out, code = run(t, "pg_ctlcluster", major, name, "start")
	require.Equal(t, 1, code, out)
	require.NoError(t, n.Unretire(ctx))
	data, err = asPostgres.ReadFile(ctx, startConf)
	require.NoError(t, err)
	require.Contains(t, string(data), "\nauto\n")
	require.NotContains(t, string(data), "understudy")

	require.NoError(t, asPostgres.WriteFile(ctx, startConf, []byte("disabled\n"), 0o644))
	require.ErrorAs(t, n.Start(ctx), &start)
	require.Equal(t, pgnode.BootDisabled, start.Kind, "%v", start)
	require.NoError(t, asPostgres.WriteFile(ctx, startConf, []byte("manual\n"), 0o644))
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Fence(ctx))
}

func containsCluster(list []pgnode.DebianCluster, name, dir string) bool {
	for _, c := range list {
		if c.String() == name {
			return c.DataDir == dir
		}
	}
	return false
}

// TestDebian_clone: a clone of a plain server keeps the cluster's own configuration and brings none.
func TestDebian_clone(t *testing.T) {
	t.Parallel()
	major := debianMajor(t)
	in := livepg.Newest(t)
	a := in.Started(t, "a")
	a.SQL(t, "ALTER SYSTEM SET work_mem = '77MB'")
	a.SQL(t, "INSERT INTO ledger VALUES (1)")
	name := throwAway(t, major)
	ctx := t.Context()
	n := openDebian(t, major, name)
	passfile := path.Join("/var/lib/postgresql", name+".pass")
	require.NoError(t, asPostgres.WriteFile(ctx, passfile, []byte("*:*:*:*:"+livepg.Password+"\n"), 0o600))
	t.Cleanup(func() { _ = asPostgres.Remove(context.WithoutCancel(t.Context()), passfile) })
	source := new(conninfo.Info).With("host", "127.0.0.1").With("port", strconv.Itoa(a.Port)).With("user", livepg.Replicator).
		With("passfile", passfile).With("application_name", "b")
	rule, err := hba.Parse("rules", []byte("host all all 127.0.0.1/32 scram-sha-256\n"))
	require.NoError(t, err)
	standby := pgnode.Standby{
		Settings: map[string]string{"work_mem": "9MB", "shared_buffers": "8MB", "max_connections": "100", "listen_addresses": "127.0.0.1", "wal_keep_size": "64MB"},
		Access:   rule.Records(), Recovery: recovery.Config{PrimaryConninfo: source, TargetTimeline: recovery.TimelineLatest},
	}
	require.ErrorContains(t, n.Clone(ctx, source, standby), "create the server's configuration first")

	require.NoError(t, n.Init(ctx, pgnode.InitConfig{Superuser: "postgres", Password: livepg.Password, Port: freePort(t)}))
	n = openDebian(t, major, name)
	_, err = n.SetAside(ctx, time.Now())
	require.NoError(t, err)
	require.NoError(t, n.Clone(ctx, source, standby))
	for _, brought := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
		there, err := asPostgres.Exists(ctx, path.Join(n.DataDir(), brought))
		require.NoError(t, err)
		require.False(t, there, brought)
	}
	i, err := n.Inspect(ctx)
	require.NoError(t, err)
	require.NoError(t, i.SettingsErr)
	require.Equal(t, recovery.StartsStandby, i.Start.Outcome, "%v", i.Start)
	require.Equal(t, "9MB", i.Settings["work_mem"].Value)
	require.Equal(t, major+"/"+name, i.Settings["cluster_name"].Value, "the machine's own stays")
	require.Equal(t, path.Join(path.Dir(n.ConfigFile()), "pg_hba.conf"), i.HBAFile)
	require.Contains(t, string(i.HBA), "127.0.0.1/32")
	require.Len(t, i.Asides, 1)
	require.Empty(t, i.Unfinished)
	require.Equal(t, major, i.Major.String())
	require.Equal(t, pgnode.StateStopped, i.Status.State)

	require.NoError(t, n.Start(ctx))
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ready, err := n.WaitReady(wait, nil)
	require.NoError(t, err)
	require.True(t, ready.Streaming)
	_, changed, err := n.EditHBA(ctx, func(f *hba.File) error {
		_, err := f.EnsureRule(rule.Records()[0], hba.EnsureConfig{FS: n.FS(ctx)})
		return err
	})
	require.NoError(t, err)
	require.False(t, changed, "it says so already")

	// The server it came from is rewound the other way: the copy takes over, and its own configuration stays through a rewind.
	require.NoError(t, n.Stop(ctx, pgnode.StopFast))
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Promote(ctx))
	s, err := n.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, pgnode.StatePrimary, s.State)
	a.SQL(t, "CHECKPOINT")
	before, err := asPostgres.ReadFile(ctx, n.ConfigFile())
	require.NoError(t, err)
	require.NoError(t, n.Kill(ctx))
	require.NoError(t, n.Fence(ctx))
	require.NoError(t, n.Rewind(ctx, source.With("user", livepg.Superuser).With("dbname", "postgres"), standby))
	after, err := asPostgres.ReadFile(ctx, n.ConfigFile())
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "the same edits change nothing")
	for _, brought := range []string{"postgresql.conf", "pg_hba.conf"} {
		there, err := asPostgres.Exists(ctx, path.Join(n.DataDir(), brought))
		require.NoError(t, err)
		require.False(t, there, brought)
	}
	require.NoError(t, n.Start(ctx))
	require.NoError(t, n.Fence(ctx))
}
