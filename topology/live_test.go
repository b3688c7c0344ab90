package topology_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

// TestMain lets the laws draw the same cases in each run, so that a failure is about what was changed; -rapid.seed and -rapid.checks
// of go test look for others.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
	os.Exit(livepg.Run(m))
}

// TestRealServer asks real servers whether they know and accept what the package renders.
func TestRealServer(t *testing.T) {
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		s := in.Started(t, "a")
		t.Run("settings", func(t *testing.T) { acceptsSettings(t, s) })
		t.Run("sync_names", func(t *testing.T) { acceptsSyncNames(t, s) })
		t.Run("access", func(t *testing.T) { acceptsAccess(t, s) })
	})
}

// everything is a cluster that asks for all that Render can say, on the loopback address of a real server.
func everything(s *livepg.Server) topology.Cluster {
	c := chain()
	for i := range c.Nodes {
		c.Nodes[i].Host = "127.0.0.1"
		c.Nodes[i].Port = s.Port + i
	}
	c.Slots = true
	c.Settings = map[string]string{"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "log_checkpoints": "on"}
	c.Admin = topology.Account{Name: livepg.Superuser}
	c.Monitor = topology.Account{Name: livepg.Observer}
	return c
}

// acceptsSettings starts another server with all that is rendered for it: it says that it is so.
func acceptsSettings(t *testing.T, s *livepg.Server) {
	b := s.In.Primary(t, "b")
	c := everything(b)
	cfg, err := c.Render("a", pgconf.Major(s.In.Major))
	require.NoError(t, err)
	settings := cfg.Values()
	for name := range settings { // what a plan says a change needs is what the server says
		p, known := guc.Lookup(pgconf.Major(s.In.Major), name)
		require.True(t, known)
		context := s.SQL(t, "SELECT context FROM pg_settings WHERE name = "+literal(t, name))
		require.Equal(t, context == "postmaster", p.Context.Action() == guc.Restart, name)
	}
	require.NoError(t, b.Set(t.Context(), settings))
	require.NoError(t, b.Start(t.Context()))
	require.Equal(t, "0", b.SQL(t, "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL"))
	for name, value := range settings {
		shown, err := guc.Parse(pgconf.Major(s.In.Major), name, b.SQL(t, "SHOW "+name))
		require.NoError(t, err)
		want, err := guc.Parse(pgconf.Major(s.In.Major), name, value)
		require.NoError(t, err)
		require.Equal(t, want, shown, name)
	}
}

func acceptsSyncNames(t *testing.T, s *livepg.Server) {
	for _, tt := range syncVectors {
		value, err := tt.c.SyncNamesFor("a", pgconf.Major(s.In.Major))
		require.NoError(t, err)
		s.SQL(t, "ALTER SYSTEM SET synchronous_standby_names = "+literal(t, value)) // it checks the syntax
	}
	s.SQL(t, "ALTER SYSTEM RESET synchronous_standby_names")
	_, err := s.Query(t.Context(), `ALTER SYSTEM SET synchronous_standby_names = 'FIRST 0 ("b")'`)
	require.Error(t, err, "the server does check it")
}

func acceptsAccess(t *testing.T, s *livepg.Server) {
	c := everything(s)
	c.Replication.User = "all"
	c.Nodes[0].Host, c.Nodes[1].Host, c.Nodes[2].From = "db1.example", "fd00::1", []string{"10.0.0.7/24"}
	c.Clients = []topology.Client{
		{User: "+ops", Database: "replication", Addresses: []string{"10.1.0.0/16"}},
		{User: `a "b" c`, Database: "sameuser", Addresses: []string{"0.0.0.0/0"}},
	}
	c.Monitor, c.Admin.From = topology.Account{}, []string{"127.0.0.1/32"} // ourselves
	cfg, err := c.Render("a", pgconf.Major(s.In.Major))
	require.NoError(t, err)
	file := hba.New("pg_hba.conf")
	for _, r := range cfg.Access {
		require.NoError(t, file.Append(r))
	}
	name := s.DataDir() + "/pg_hba.conf"
	require.NoError(t, s.In.Host.WriteFile(t.Context(), name, file.Bytes(), 0o600))
	s.Reloaded(t)
	require.Equal(t, "0", s.SQL(t, "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"))
	got := s.SQL(t, `SELECT string_agg(concat_ws(' ', type, database[1], user_name[1], address, netmask, auth_method), E'\n' ORDER BY line_number)
		FROM pg_hba_file_rules`)
	require.Equal(t, strings.TrimPrefix(`
host replication all db1.example scram-sha-256
host replication all fd00::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff scram-sha-256
host replication all 10.0.0.7 255.255.255.0 scram-sha-256
host postgres postgres db1.example scram-sha-256
host postgres postgres fd00::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff scram-sha-256
host postgres postgres 10.0.0.7 255.255.255.0 scram-sha-256
host postgres postgres 127.0.0.1 255.255.255.255 scram-sha-256
host replication +ops 10.1.0.0 255.255.0.0 scram-sha-256
host sameuser a "b" c 0.0.0.0 0.0.0.0 scram-sha-256`, "\n"), got)
}

func literal(t *testing.T, value string) string {
	t.Helper()
	quoted, err := pgconf.Quote(value)
	require.NoError(t, err)
	return "E" + quoted
}
