package build_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// edit changes a file in the data directory of a node.
func (s *site) edit(t *testing.T, id topology.NodeID, name string, change func(string) string) {
	t.Helper()
	file := s.node(id).DataDir + "/" + name
	data, err := s.in.Host.ReadFile(t.Context(), file)
	require.NoError(t, err)
	changed := []byte(change(string(data)))
	require.False(t, bytes.Equal(data, changed), "nothing was changed in %s", file)
	require.NoError(t, s.in.Host.WriteFile(t.Context(), file, changed, 0o600))
}

func plus(line string) func(string) string {
	return func(text string) string { return text + line + "\n" }
}

func without(word string) func(string) string {
	return func(text string) string {
		var kept strings.Builder
		for line := range strings.Lines(text) {
			if !strings.Contains(line, word) {
				kept.WriteString(line)
			}
		}
		return kept.String()
	}
}

func (s *site) reload(t *testing.T, id topology.NodeID) { s.sql(t, id, "SELECT pg_reload_conf()") }

func (s *site) stop(t *testing.T, id topology.NodeID) {
	t.Helper()
	require.NoError(t, s.servers[id].Stop(t.Context(), pgnode.StopFast))
}

const recoveryFile = "understudy.recovery.conf"

// drifts are what people and accidents do to a cluster a < b < c, with b synchronous.
var drifts = []struct {
	name  string
	cause func(t *testing.T, s *site)
	want  string // in the plan
}{
	{"setting_in_file", func(t *testing.T, s *site) { s.edit(t, "b", "postgresql.conf", plus("wal_keep_size = 1GB")) }, "wal_keep_size"},
	{"setting_in_effect", func(t *testing.T, s *site) {
		s.edit(t, "a", "postgresql.conf", plus("wal_keep_size = 1GB"))
		s.reload(t, "a")
	}, "reload"},
	{"setting_forgotten", func(t *testing.T, s *site) { s.edit(t, "c", "postgresql.conf", without("wal_log_hints")) }, "wal_log_hints"},
	{"alter_system", func(t *testing.T, s *site) {
		s.sql(t, "a", "ALTER SYSTEM SET wal_keep_size = '2GB'")
		s.reload(t, "a")
	}, "wal_keep_size"},
	{"restart_pending", func(t *testing.T, s *site) {
		s.sql(t, "c", "ALTER SYSTEM SET wal_log_hints = off")
		require.NoError(t, s.servers["c"].Restart(t.Context()))
	}, "restart"},
	{"rule_removed", func(t *testing.T, s *site) { s.edit(t, "b", "pg_hba.conf", without("replicator")) }, "pg_hba.conf"},
	{"rule_shadowed", func(t *testing.T, s *site) {
		s.edit(t, "a", "pg_hba.conf", func(text string) string { return "host replication all 127.0.0.1/32 md5\n" + text })
		s.reload(t, "a")
	}, "pg_hba.conf"},
	{"upstream_by_alter_system", func(t *testing.T, s *site) {
		s.sql(t, "c", "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
		s.reload(t, "c")
	}, "upstream"},
	{"upstream_in_file", func(t *testing.T, s *site) {
		s.edit(t, "c", recoveryFile, func(text string) string {
			return strings.Replace(text, itoa(s.node("b").Port), itoa(s.node("a").Port), 1)
		})
		s.sql(t, "a", "SELECT pg_create_physical_replication_slot('c')")
		s.reload(t, "c")
		s.servers["a"].WaitSQLAs(t, "postgres", secrets["env:ADMIN"], "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'c'", "1")
	}, "upstream"},
	{"recovery_setting_removed", func(t *testing.T, s *site) { s.edit(t, "b", recoveryFile, without("primary_slot_name")) }, "slot"},
	{"slot_dropped", func(t *testing.T, s *site) {
		s.stop(t, "c")
		s.servers["b"].WaitSQLAs(t, "postgres", secrets["env:ADMIN"], "SELECT active FROM pg_replication_slots", "f")
		s.sql(t, "b", "SELECT pg_drop_replication_slot('c')")
	}, "create the slot c"},
	{"slot_left_over", func(t *testing.T, s *site) { s.sql(t, "a", "SELECT pg_create_physical_replication_slot('c', true)") }, "drop the slot c"},
	{"standby_stopped", func(t *testing.T, s *site) { s.stop(t, "b") }, "start"},
	{"standby_killed", func(t *testing.T, s *site) { require.NoError(t, s.servers["c"].Kill(t.Context())) }, "start"},
	{"primary_stopped", func(t *testing.T, s *site) { s.stop(t, "a") }, "start"},
	{"standby_gone", func(t *testing.T, s *site) {
		s.stop(t, "c")
		_, err := s.in.Host.Run(t.Context(), host.Cmd{Path: "mv", Args: []string{s.node("c").DataDir, s.node("c").DataDir + ".gone"}})
		require.NoError(t, err)
	}, "clone"},
	{"password_file_changed", func(t *testing.T, s *site) {
		require.NoError(t, s.in.Host.WriteFile(t.Context(), s.cluster.Replication.Passfile, []byte("*:*:*:*:wrong\n"), 0o600))
	}, "password"},
	{"password_file_open", func(t *testing.T, s *site) {
		_, err := s.in.Host.Run(t.Context(), host.Cmd{Path: "chmod", Args: []string{"0644", s.cluster.Replication.Passfile}})
		require.NoError(t, err)
	}, "password"},
	{"sync_names_changed", func(t *testing.T, s *site) {
		s.sql(t, "a", "ALTER SYSTEM SET synchronous_standby_names = ''")
		s.reload(t, "a")
	}, "synchronous_standby_names"},
	{"sync_names_of_a_stranger", func(t *testing.T, s *site) {
		s.edit(t, "a", "postgresql.conf", plus("synchronous_standby_names = 'nobody'"))
		s.reload(t, "a")
	}, "synchronous_standby_names"},
	{"role_weakened", func(t *testing.T, s *site) {
		s.sql(t, "a", "SET synchronous_commit = local; ALTER ROLE replicator NOREPLICATION; ALTER ROLE observer PASSWORD 'other'")
	}, "account"},
	{"role_dropped", func(t *testing.T, s *site) { s.sql(t, "a", "SET synchronous_commit = local; DROP ROLE observer") }, "account"},
	{"more_is_wanted", func(t *testing.T, s *site) { s.cluster.Settings["max_connections"] = "130" }, "max_connections"},
	{"less_is_wanted", func(t *testing.T, s *site) { s.cluster.Settings["max_connections"] = "90" }, "max_connections"},
}

// TestDrift: each difference is found, and closed by one plan; then nothing is left to do.
func TestDrift(t *testing.T) {
	t.Parallel()
	s := made(t, "a", "b<a+", "c<b")
	for _, d := range drifts {
		t.Run(d.name, func(t *testing.T) {
			d.cause(t, s)
			b := s.builder(t)
			plan, err := b.Plan(t.Context())
			require.NoError(t, err)
			require.Contains(t, strings.ToLower(plan.String()), d.want)
			require.NoError(t, b.Apply(t.Context(), plan), plan.String())
			s.settled(t)
		})
	}
}
