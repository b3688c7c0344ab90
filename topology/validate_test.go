package topology_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
)

// faultsOf are the faults of a cluster, as "field: message".
func faultsOf(t *testing.T, c topology.Cluster) []topology.FieldError {
	t.Helper()
	err := c.Validate()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	var all []topology.FieldError
	for _, err := range joined.Unwrap() {
		var f *topology.FieldError
		require.ErrorAs(t, err, &f)
		all = append(all, *f)
	}
	return all
}

// TestValidateRefuses changes one thing of a good cluster in each case; exactly that is refused, by its field.
func TestValidateRefuses(t *testing.T) {
	type edit = func(c *topology.Cluster)
	a := func(change func(n *topology.Node)) edit { return func(c *topology.Cluster) { change(&c.Nodes[0]) } }
	b := func(change func(n *topology.Node)) edit { return func(c *topology.Cluster) { change(&c.Nodes[1]) } }
	d := func(change func(n *topology.Node)) edit { return func(c *topology.Cluster) { change(&c.Nodes[2]) } } // asynchronous
	set := func(name, value string) edit {
		return func(c *topology.Cluster) { c.Settings = map[string]string{name: value} }
	}
	tests := []struct {
		name  string
		edit  edit
		field string
		want  string
	}{
		{"witness_with_upstream", func(c *topology.Cluster) {
			*c = c.Attached(topology.Node{ID: "w", Host: "w", Witness: true, Upstream: "a"})
		}, "Nodes[3].Upstream", "follows nobody"},
		{"witness_with_data", func(c *topology.Cluster) {
			*c = c.Attached(topology.Node{ID: "w", Host: "w", Witness: true, DataDir: "/d"})
		}, "Nodes[3].Witness", "no server"},
		{"leader_as_id", func(c *topology.Cluster) { *c = c.Attached(topology.Node{ID: "leader", Host: "l", Upstream: "a"}) },
			"Nodes[3].ID", "stands for whichever"},
		{"from", b(func(n *topology.Node) { n.From = []string{"10.0.0.1"} }), "Nodes[1].From", "CIDR"},

		{"delay_negative", d(func(n *topology.Node) { n.Delay = -time.Second }), "Nodes[2].Delay", "negative"},
		{"delay_fraction", d(func(n *topology.Node) { n.Delay = time.Microsecond }), "Nodes[2].Delay", "whole milliseconds"},
		{"delay_too_long", d(func(n *topology.Node) { n.Delay = 25 * 24 * time.Hour }), "Nodes[2].Delay", "more than the server can count"},
		{"delay_of_the_primary", a(func(n *topology.Node) { n.Delay = time.Second }), "Nodes[0].Delay", "cannot be delayed"},
		{"delayed_and_sync", b(func(n *topology.Node) { n.Delay = time.Second }), "Nodes[1].Sync", "never synchronous"},
		{"archive_only_primary", a(func(n *topology.Node) { n.ArchiveOnly = true }), "Nodes[0].ArchiveOnly", "from nobody"},
		{"archive_only_and_sync", b(func(n *topology.Node) { n.ArchiveOnly = true }), "Nodes[1].Sync", "confirms no commit"},
		{"archive_only_without_archive", func(c *topology.Cluster) {
			c.Nodes[2].ArchiveOnly, c.Archive = true, topology.Archive{}
		}, "Nodes[2].ArchiveOnly", "there is no archive"},
		{"delayed_with_priority", d(func(n *topology.Node) { n.Delay, n.Priority = time.Second, 1 }), "Nodes[2].Priority", "never promoted"},

		{"data_dir_relative", b(func(n *topology.Node) { n.DataDir = "data" }), "Nodes[1].DataDir", "not absolute"},
		{"data_dir_not_clean", b(func(n *topology.Node) { n.DataDir = "/d/../e" }), "Nodes[1].DataDir", "shortest form"},
		{"data_dir_slash_at_end", b(func(n *topology.Node) { n.DataDir = "/d/" }), "Nodes[1].DataDir", "shortest form"},
		{"data_dir_root", b(func(n *topology.Node) { n.DataDir = "/" }), "Nodes[1].DataDir", "no data directory"},
		{"data_dir_newline", b(func(n *topology.Node) { n.DataDir = "/a\nb" }), "Nodes[1].DataDir", "control character"},
		{"data_dir_twice", func(c *topology.Cluster) {
			c.Nodes[0].DataDir, c.Nodes[1].DataDir, c.Nodes[1].Machine = "/srv/d", "/srv/d", "local"
		}, "Nodes[1].DataDir", "nodes a and b share the data directory /srv/d on machine local"},
		{"debian_cluster_twice", func(c *topology.Cluster) {
			c.Nodes[0].Service = topology.Service{Manager: topology.Debian, Cluster: "17/main"}
			c.Nodes[1].Service = c.Nodes[0].Service
		}, "Nodes[1].Service.Cluster", "share the Debian cluster"},

		{"machine", b(func(n *topology.Node) { n.Machine = "db2" }), "Nodes[1].Machine", "none of local, ssh://"},
		{"machine_with_password", b(func(n *topology.Node) { n.Machine = "ssh://u:p@h" }), "Nodes[1].Machine", "none of local"},
		{"machine_with_blank", b(func(n *topology.Node) { n.Machine = "docker://a b" }), "Nodes[1].Machine", "none of local"},
		{"manager", b(func(n *topology.Node) { n.Service.Manager = "runit" }), "Nodes[1].Service.Manager", "none of pg_ctl"},
		{"bin_dir", b(func(n *topology.Node) { n.Service.BinDir = "bin" }), "Nodes[1].Service.BinDir", "not absolute"},
		{"debian_without_cluster", b(func(n *topology.Node) { n.Service.Manager = topology.Debian }), "Nodes[1].Service.Cluster", "17/main"},
		{"debian_dash", b(func(n *topology.Node) { n.Service = topology.Service{Manager: topology.Debian, Cluster: "17/a-b"} }),
			"Nodes[1].Service.Cluster", "MAJOR/NAME"},
		{"systemd_without_unit", b(func(n *topology.Node) { n.DataDir, n.Service.Manager = "/d", topology.Systemd }),
			"Nodes[1].Service.Unit", "systemd unit"},
		{"systemd_without_data_dir", b(func(n *topology.Node) { n.Service = topology.Service{Manager: topology.Systemd, Unit: "pg"} }),
			"Nodes[1].Service.Manager", "needs the node's DataDir"},
		{"commands_none", b(func(n *topology.Node) { n.DataDir, n.Service.Manager = "/d", topology.Commands }),
			"Nodes[1].Service.Commands", "no command"},
		{"commands_unknown", b(func(n *topology.Node) {
			n.DataDir, n.Service = "/d", topology.Service{Manager: topology.Commands, Commands: map[string]string{"begin": "x"}}
		}), "Nodes[1].Service.Commands", `"begin" is none of`},
		{"commands_of_pg_ctl", b(func(n *topology.Node) { n.Service.Commands = map[string]string{"start": "x"} }),
			"Nodes[1].Service.Commands", "for manager commands"},
		{"unit_of_pg_ctl", b(func(n *topology.Node) { n.Service.Unit = "u" }), "Nodes[1].Service.Unit", "for manager systemd"},

		{"sync_number_negative", func(c *topology.Cluster) { c.Sync.Number = -1 }, "Sync.Number", "-1"},
		{"sync_method", func(c *topology.Cluster) { c.Sync.Method = "all" }, "Sync.Method", "neither first nor any"},
		{"sync_number_too_high", func(c *topology.Cluster) { c.Sync.Number = 2 }, "Sync", "while a is the primary"},
		{"sync_strict_after_promotion", func(c *topology.Cluster) { c.Sync.Strict = true; c.Nodes[2].Priority = -1 },
			"Sync", "while b is the primary"},
		{"sync_at_unknown", func(c *topology.Cluster) { c.Sync.At = []string{"moon"} }, "Sync.At", `"moon"`},
		{"sync_site_unknown", func(c *topology.Cluster) { c.Sync.Sites = map[string]topology.SyncRule{"moon": {}} },
			"Sync.Sites[moon]", `"moon"`},
		{"sync_at_where_nobody_is_synchronous", func(c *topology.Cluster) {
			c.Nodes[2].Site, c.Sync.At, c.Sync.Number = "far", []string{"far"}, 1
		}, "Sync", "with Sync at far"},

		{"secret", func(c *topology.Cluster) { c.Replication.Secret = "hunter2" }, "Replication.Secret", "neither env:NAME"},
		{"secret_relative_file", func(c *topology.Cluster) { c.Monitor = topology.Account{Name: "m", Secret: "file:x"} },
			"Monitor.Secret", "neither env:NAME"},
		{"passfile", func(c *topology.Cluster) { c.Replication.Passfile = ".pgpass" }, "Replication.Passfile", "not absolute"},
		{"conninfo_password", func(c *topology.Cluster) { c.Replication.Conninfo = map[string]string{"password": "hunter2"} },
			"Replication.Conninfo[password]", "Replication.Secret"},
		{"conninfo_name", func(c *topology.Cluster) { c.Replication.Conninfo = map[string]string{"application_name": "x"} },
			"Replication.Conninfo[application_name]", "node's id"},
		{"account_without_name", func(c *topology.Cluster) { c.Admin.Secret = "env:A" }, "Admin.Name", "no name"},
		{"account_from", func(c *topology.Cluster) { c.Admin = topology.Account{Name: "x", From: []string{"all"}} }, "Admin.From", "CIDR"},
		{"client_without_database", func(c *topology.Cluster) { c.Clients = []topology.Client{{User: "app"}} }, "Clients[0]", "both names"},
		{"client_address", func(c *topology.Cluster) {
			c.Clients = []topology.Client{{User: "app", Database: "d", Addresses: []string{"samenet"}}}
		}, "Clients[0].Addresses", "CIDR"},

		{"archive_url", func(c *topology.Cluster) { c.Archive = topology.Archive{URL: "ftp://x"} }, "Archive.URL", "none of"},
		{"archive_program", func(c *topology.Cluster) { c.Archive.Program = "/bin/walarchive" }, "Archive.Program", "empty"},
		{"archive_timeout", func(c *topology.Cluster) { c.Archive.Timeout = time.Millisecond }, "Archive.Timeout", "whole seconds"},
		{"archive_always", func(c *topology.Cluster) { c.Archive = topology.Archive{Always: true} }, "Archive.Always", "no command"},
		{"keep_wal", func(c *topology.Cluster) { c.KeepWAL = "much" }, "KeepWAL", "KeepWAL"},
		{"max_slot_keep", func(c *topology.Cluster) { c.MaxSlotKeep = "-5GB" }, "MaxSlotKeep", "MaxSlotKeep"},

		{"setting_port", set("port", "1"), "Settings[port]", "Port says that"},
		{"setting_in_capitals", set("PORT", "1"), "Settings[PORT]", "Port says that"},
		{"setting_sync", set("synchronous_standby_names", "*"), "Settings[synchronous_standby_names]", "Sync"},
		{"setting_conninfo", set("primary_conninfo", ""), "Settings[primary_conninfo]", "Upstream"},
		{"setting_wal_level", set("wal_level", "minimal"), "Settings[wal_level]", "replica or logical"},
		{"setting_hot_standby", set("hot_standby", "false"), "Settings[hot_standby]", "has to answer"},
		{"setting_senders", set("max_wal_senders", "3"), "Settings[max_wal_senders]", "at least 10"},
		{"setting_commit", set("synchronous_commit", "local"), "Settings[synchronous_commit]", "would not wait"},
		{"setting_commit_off", set("synchronous_commit", "no"), "Settings[synchronous_commit]", "would not wait"},
		{"setting_of_one_node", b(func(n *topology.Node) { n.Settings = map[string]string{"max_connections": "10"} }),
			"Nodes[1].Settings[max_connections]", "whole cluster"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(node("a", ""), sync(node("b", "a")), node("d", "a"))
			c.Archive = topology.Archive{Command: "cp %p /srv/%f", Restore: "cp /srv/%f %p"}
			require.NoError(t, c.Validate())
			tt.edit(&c)
			got := faultsOf(t, c)
			require.Len(t, got, 1, "%v", errors.Join(c.Validate()))
			require.Equal(t, tt.field, got[0].Field)
			require.Contains(t, got[0].Msg, tt.want)
			require.NotContains(t, got[0].Msg, "hunter2")
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	c := cluster(sync(node("a", "")), sync(node("b", "leader")), sync(node("d", "a")), node("e", "d"),
		topology.Node{ID: "w", Host: "a", Witness: true, Machine: "ssh://postgres@w:22"})
	c.Nodes[0].Site, c.Nodes[1].Site, c.Nodes[2].Site = "here", "here", "there"
	c.Nodes[3].Delay, c.Nodes[3].ArchiveOnly = time.Hour, true
	for i, machine := range []string{"local", "ssh://db@[fd00::1]:2222", "docker://pg-1"} {
		c.Nodes[i].Machine, c.Nodes[i].DataDir = machine, "/var/lib/postgresql/data"
	}
	c.Nodes[3].Service = topology.Service{Manager: topology.Debian, Cluster: "17/main"}
	c.Sync = topology.SyncPolicy{Strict: true, Sites: map[string]topology.SyncRule{
		"here": {At: []string{"there"}}, "there": {At: []string{"here"}},
	}}
	c.Archive = topology.Archive{URL: "s3://bucket/orders", Always: true, Timeout: time.Minute}
	c.Replication.Secret, c.Replication.Conninfo = "file:/etc/secret", map[string]string{"sslmode": "verify-full"}
	c.Settings = map[string]string{"wal_level": "logical", "max_wal_senders": "40", "auto_explain.log_min_duration": "1s"}
	require.NoError(t, c.Validate())
}

func TestArchivePlaceholders(t *testing.T) {
	c := chain()
	c.Nodes[0].DataDir = "/srv/a"
	tests := []struct{ id, text, want string }{
		{"a", "push {node} {host} {cluster} {data_dir} {child} {child_host} %p", "push a a orders /srv/a b b %p"},
		{"b", "push {child} ${HOME} ${child} {} %p", "push c ${HOME} ${child} {} %p"},
		{"c", "push {child_host}", "push b"}, // a leaf: whom it would find below it
	}
	for _, tt := range tests {
		c.Archive.Command = tt.text
		cfg, err := c.Render(topology.NodeID(tt.id), 17)
		require.NoError(t, err)
		require.Equal(t, tt.want, cfg.Values()["archive_command"])
	}
	for text, want := range map[string]string{
		"x {nodes}": "{nodes}: is not a placeholder", "x {data_dir}": "node b: archive: {data_dir}: the node has no DataDir",
	} {
		c.Archive.Command = text
		require.ErrorContains(t, c.Validate(), want)
	}
	alone := cluster(node("a", ""))
	alone.Archive.Command = "push {child}"
	require.ErrorContains(t, alone.Validate(), "there is no other node")
	alone.Name, alone.Archive.Command = "", "push {cluster}"
	require.ErrorContains(t, alone.Validate(), "the cluster has no name")
}

func TestArchiveProgram(t *testing.T) {
	c := chain()
	c.Archive = topology.Archive{URL: "file:///srv/the archive", Program: "/opt/walarchive", Timeout: -1}
	cfg, err := c.Render("b", 17)
	require.NoError(t, err)
	require.Equal(t, `/opt/walarchive --archive "file:///srv/the archive" push "%p"`, cfg.Values()["archive_command"])
	require.Equal(t, `/opt/walarchive --archive "file:///srv/the archive" fetch "%f" "%p"`, cfg.Recovery.RestoreCommand)
	require.Equal(t, "0", cfg.Values()["archive_timeout"])
	require.Empty(t, cfg.Recovery.ArchiveCleanupCommand)
}
