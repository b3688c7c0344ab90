package topology_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

func TestMain(m *testing.M) { os.Exit(livepg.Run(m)) }

// TestRealServer asks real servers whether they know and accept what the package renders.
func TestRealServer(t *testing.T) {
	livepg.Each(t, func(t *testing.T, in *livepg.Install) {
		s := in.Started(t, "a")
		t.Run("settings", func(t *testing.T) { acceptsSettings(t, s) })
		t.Run("sync_names", func(t *testing.T) { acceptsSyncNames(t, s) })
		t.Run("access", func(t *testing.T) { acceptsAccess(t, s) })
	})
}

// restart are the settings of which the documentation of Settings says that they need one.
var restart = []string{
	"archive_mode", "cluster_name", "hot_standby", "max_replication_slots", "max_wal_senders", "port", "wal_level", "wal_log_hints",
}

func acceptsSettings(t *testing.T, s *livepg.Server) {
	settings, err := orders.NodeSettings("master", s.In.Major, replication)
	require.NoError(t, err)
	var restarts []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		context := s.SQL(t, "SELECT context FROM pg_settings WHERE name = "+literal(t, name))
		require.NotEmpty(t, context, "the server does not know %s", name)
		if context == "postmaster" {
			restarts = append(restarts, name)
		}
	}
	require.Equal(t, restart, restarts)

	// Another server starts with all of it, and says that it is so.
	b := s.In.Primary(t, "b")
	settings["port"] = strconv.Itoa(b.Port)
	require.NoError(t, b.Set(t.Context(), settings))
	require.NoError(t, b.Start(t.Context()))
	delete(settings, "archive_timeout") // shown in another unit
	for name, value := range settings {
		require.Equal(t, value, b.SQL(t, "SHOW "+name), name)
	}
	require.Equal(t, "0", b.SQL(t, "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL"))
}

func acceptsSyncNames(t *testing.T, s *livepg.Server) {
	for _, tt := range syncVectors {
		value := topology.SyncStandbyNames(tt.n, tt.names)
		s.SQL(t, "ALTER SYSTEM SET synchronous_standby_names = "+literal(t, value)) // it checks the syntax
	}
	s.SQL(t, "ALTER SYSTEM RESET synchronous_standby_names")
	_, err := s.Query(t.Context(), `ALTER SYSTEM SET synchronous_standby_names = 'FIRST 0 ("b")'`)
	require.Error(t, err, "the server does check it")
}

func acceptsAccess(t *testing.T, s *livepg.Server) {
	records, err := topology.Access(topology.Replication{User: "all"}, []string{"10.0.0.1/32", "fd00::/64", "10.0.0.7/24"}, []topology.Client{
		{User: "+ops", Database: "replication", Addresses: []string{"10.1.0.0/16"}},
		{User: `a "b" c`, Database: "sameuser", Addresses: []string{"0.0.0.0/0"}},
		{User: livepg.Superuser, Database: "postgres", Addresses: []string{"127.0.0.1/32"}}, // ourselves
	})
	require.NoError(t, err)
	file := hba.New("pg_hba.conf")
	for _, r := range records {
		require.NoError(t, file.Append(r))
	}
	name := s.DataDir() + "/pg_hba.conf"
	require.NoError(t, s.In.Host.WriteFile(t.Context(), name, file.Bytes(), 0o600))
	require.NoError(t, s.Reload(t.Context()))
	require.Equal(t, "0", s.SQL(t, "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"))
	got := s.SQL(t, `SELECT string_agg(concat_ws(' ', type, database[1], user_name[1], address, netmask, auth_method), E'\n' ORDER BY line_number)
		FROM pg_hba_file_rules`)
	require.Equal(t, strings.TrimPrefix(`
host replication all 10.0.0.1 255.255.255.255 scram-sha-256
host replication all fd00:: ffff:ffff:ffff:ffff:: scram-sha-256
host replication all 10.0.0.7 255.255.255.0 scram-sha-256
host replication +ops 10.1.0.0 255.255.0.0 scram-sha-256
host sameuser a "b" c 0.0.0.0 0.0.0.0 scram-sha-256
host postgres postgres 127.0.0.1 255.255.255.255 scram-sha-256`, "\n"), got)
}

func literal(t *testing.T, value string) string {
	t.Helper()
	quoted, err := pgconf.Quote(value)
	require.NoError(t, err)
	return "E" + quoted
}
