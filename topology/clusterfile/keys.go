package clusterfile

import (
	"regexp"

	"github.com/understudy-ha/understudy/topology"
)

// What follows is all that a cluster file may say. Parse, Render and Schema read this table and nothing else.

var (
	anyText = text{want: "a text"}
	absPath = text{want: "an absolute path", pattern: regexp.MustCompile(`^/`)}
	nodeID  = text{want: "a name of a-z, 0-9 and _, a letter or _ first, at most 63 characters", pattern: regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)}
	network = text{want: "an address in CIDR form, such as 10.0.0.2/32", pattern: regexp.MustCompile(`^[0-9A-Fa-f.:]+/[0-9]{1,3}$`)}
	secret  = text{want: "env:NAME or file:/path, which say where the password is, and never the password", pattern: regexp.MustCompile(`^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$`)}
	machine = text{
		want:    "local, ssh://user@host:port or docker://container",
		pattern: regexp.MustCompile(`^(local|(ssh|docker)://[^ ]+)$`),
	}
	archivePlace = text{want: "a place such as file:///dir, sftp://user@host/dir or s3://bucket/prefix", pattern: regexp.MustCompile(`^[a-z0-9]+://[^ ]+$`)}
)

var clusterKeys = group{keys: []key{
	{name: "name", field: "Name", of: anyText, doc: "The cluster's name, for people and for {cluster} in commands."},
	{name: "nodes", field: "Nodes", of: groups{nodeKeys}, required: true,
		doc: "The servers. Their order counts: synchronous standbys are chosen in it. The one without upstream is the primary."},
	{name: "sync", field: "Sync", of: syncKeys,
		doc: "For how many of the nodes with sync: true the primary waits before it acknowledges a commit. By default for the first one."},
	{name: "replication", field: "Replication", of: replicationKeys, doc: "How the nodes reach each other."},
	{name: "monitor", field: "Monitor", of: accountKeys, doc: "The account that observes, a member of pg_monitor."},
	{name: "admin", field: "Admin", of: accountKeys, doc: "The account that creates slots and accounts, a superuser."},
	{name: "archive", field: "Archive", of: archiveKeys, doc: "Where WAL goes and comes from, besides streaming."},
	{name: "slots", field: "Slots", of: flag{},
		doc: "Whether every standby streams through a replication slot of its upstream, which then keeps the WAL it needs."},
	{name: "max_slot_keep", field: "MaxSlotKeep", of: size{unbounded: true},
		doc: "How much WAL a slot may keep (max_slot_wal_keep_size, 13+), 10GB by default. -1 is no bound: a standby that is away then fills the disk of its upstream."},
	{name: "keep_wal", field: "KeepWAL", of: size{},
		doc: "How much WAL every node keeps in any case (wal_keep_size), 256MB by default."},
	{name: "clients", field: "Clients", of: groups{clientKeys}, doc: "Who may connect, besides the nodes and the accounts."},
	{name: "settings", field: "Settings", of: table{},
		doc: "Parameters of postgresql.conf for all nodes. They win over what would be set, except where that would break the cluster, which is refused."},
}}

var nodeKeys = group{keys: []key{
	{name: "id", field: "ID", of: nodeID, required: true,
		doc: "The node's name, under which it also streams (application_name): a-z, 0-9 and _."},
	{name: "host", field: "Host", of: anyText, required: true,
		doc: "The name or address by which the other nodes reach the server, IPv6 without brackets."},
	{name: "port", field: "Port", of: number{1, 65535}, doc: "Its TCP port, 5432 by default."},
	{name: "from", field: "From", of: list{network},
		doc: "Addresses or networks, in CIDR form, from which the node connects to the others, if host is not that."},
	{name: "upstream", field: "Upstream", of: nodeID,
		doc: "The node it streams from: a node's id, or leader for whichever is the primary. Without it the node is the primary."},
	{name: "sync", field: "Sync", of: flag{}, doc: "Whether a primary may wait for this node before it acknowledges a commit."},
	{name: "delay", field: "Delay", of: duration{},
		doc: "How long after its commit a transaction is replayed here, such as 1h. A delayed standby is never synchronous and never promoted."},
	{name: "archive_only", field: "ArchiveOnly", of: flag{},
		doc: "Whether it takes its WAL from the archive alone and connects to nobody; upstream then is the node below which it is shown."},
	{name: "witness", field: "Witness", of: flag{}, doc: "Whether it is a member without data, which only helps the others to a majority."},
	{name: "site", field: "Site", of: anyText, doc: "The place whose loss takes the node along: a room, a data centre."},
	{name: "priority", field: "Priority", of: number{-1000000, 1000000},
		doc: "Orders candidates for promotion that are equally far: the highest wins, 0 by default. Negative means never."},
	{name: "tags", field: "Tags", of: table{}, doc: "Facts for people and their tools."},
	{name: "machine", field: "Machine", of: machine,
		doc: "How commands and files reach its machine: local (the default), ssh://user@host:port or docker://container."},
	{name: "data_dir", field: "DataDir", of: absPath,
		doc: "The data directory on that machine, absolute. Left out for a cluster of Debian's, whose configuration names it."},
	{name: "service", field: "Service", of: serviceKeys, doc: "What starts and stops the server, pg_ctl by default."},
	{name: "settings", field: "Settings", of: table{},
		doc: "Parameters of postgresql.conf for this node alone. They win over those of the cluster."},
}}

var serviceKeys = group{keys: []key{
	{name: "manager", field: "Manager",
		of:  word{string(topology.PgCtl), string(topology.Debian), string(topology.Systemd), string(topology.Commands)},
		doc: "What starts and stops the server, pg_ctl by default."},
	{name: "bin_dir", field: "BinDir", of: absPath, doc: "The folder of the server's programs. Left out for Debian, where the major tells."},
	{name: "cluster", field: "Cluster", of: text{want: "a Debian cluster, as in 17/main", pattern: regexp.MustCompile(`^[0-9.]+/[^ /]+$`)},
		doc: "The name of a Debian cluster, as in 17/main."},
	{name: "unit", field: "Unit", of: anyText, doc: "The name of a systemd unit, as in postgresql-17.service."},
	{name: "commands", field: "Commands", of: table{keys: word{"start", "stop", "restart", "reload", "promote", "status"}},
		doc: "Commands of your own, by what they do. stop gets the mode (smart, fast, immediate) as $1. What is missing is done by pg_ctl."},
}}

var ruleShort = &short{
	want: "a text such as any 1 or first 2", pattern: regexp.MustCompile(`^(first|any)(?: ([1-9][0-9]{0,2}))?$`),
	keys: []string{"method", "number"},
}

var ruleKeys = group{short: ruleShort, keys: []key{
	{name: "method", field: "Method", of: word{string(topology.First), string(topology.Any)},
		doc: "first waits for the first ones of the nodes in their order (the default), any for as many of them, be it whichever."},
	{name: "number", field: "Number", of: number{1, 1000}, doc: "How many to wait for, 1 by default."},
	{name: "at", field: "At", of: list{anyText}, doc: "Only standbys at these sites count; by default all do."},
}}

var syncKeys = group{short: ruleShort, keys: append(ruleKeys.keys[:len(ruleKeys.keys):len(ruleKeys.keys)],
	key{name: "sites", field: "Sites", of: named{ruleKeys}, doc: "Rules of their own for a primary at one of these sites."},
	key{name: "strict", field: "Strict", of: flag{},
		doc: "Whether commits wait, however long, while fewer standbys are there than asked for. Otherwise the number follows those that are there, down to none."},
)}

var replicationKeys = group{keys: []key{
	{name: "user", field: "User", of: anyText, required: true,
		doc: "The role with which standbys stream and clones are made. It needs LOGIN and REPLICATION, nothing else."},
	{name: "secret", field: "Secret", of: secret,
		doc: "Where its password is, env:NAME or file:/path, for writing passfile. Without it passfile is your business."},
	{name: "conninfo", field: "Conninfo", of: table{}, doc: "Further connection parameters: sslmode, sslrootcert and the like."},
	{name: "passfile", field: "Passfile", of: absPath,
		doc: "The libpq password file on each node, readable by the server's OS user alone."},
}}

var accountKeys = group{
	short: &short{want: "the name of a role", pattern: regexp.MustCompile(`^([^ :]+)$`), keys: []string{"name"}},
	keys: []key{
		{name: "name", field: "Name", of: anyText, required: true, doc: "The name of the role."},
		{name: "secret", field: "Secret", of: secret,
			doc: "Where its password is, env:NAME or file:/path. Left out if none is needed: a password file, a certificate, peer authentication."},
		{name: "database", field: "Database", of: anyText, doc: "The database to connect to, postgres by default."},
		{name: "from", field: "From", of: list{network},
			doc: "Addresses or networks, in CIDR form, from which it connects, besides the nodes."},
	},
}

var archiveKeys = group{
	short: &short{want: "a place such as file:///dir", pattern: regexp.MustCompile(`^([a-z0-9]+://[^ ]+)$`), keys: []string{"url"}},
	keys: []key{
		{name: "command", field: "Command", of: anyText,
			doc: "The archive_command of every node (%p and %f), run on whichever is the primary. {node}, {host}, {cluster}, {data_dir}, {child} and {child_host} are filled in."},
		{name: "restore", field: "Restore", of: anyText,
			doc: "The restore_command of every standby (%f and %p), for where streaming cannot go on."},
		{name: "cleanup", field: "Cleanup", of: anyText,
			doc: "The archive_cleanup_command (%r). Only right where the archive has one consumer."},
		{name: "url", field: "URL", of: archivePlace,
			doc: "A place that the program walarchive knows: file, sftp or s3. It makes the commands that are left out."},
		{name: "program", field: "Program", of: absPath, doc: "The path of walarchive on every machine; by default it is found in the server's PATH."},
		{name: "timeout", field: "Timeout", of: duration{none: true},
			doc: "archive_timeout: how old WAL may get before it is archived, 60s by default; none for as long as it takes to fill a segment."},
		{name: "always", field: "Always", of: flag{}, doc: "Whether standbys archive, too (archive_mode=always)."},
	},
}

var clientKeys = group{keys: []key{
	{name: "user", field: "User", of: anyText, required: true, doc: "The role, by its name and nothing else."},
	{name: "database", field: "Database", of: anyText, required: true, doc: "The database, by its name and nothing else."},
	{name: "addresses", field: "Addresses", of: list{network}, required: true,
		doc: "Addresses or networks in CIDR form from which it connects."},
}}

// homes are the places where a key is known.
func homes(name string) []string { return clusterKeys.homes("", name) }

func (g group) homes(at, name string) []string {
	var found []string
	for _, k := range g.keys {
		if k.name == name {
			found = append(found, home(at))
		}
		switch of := k.of.(type) {
		case group:
			found = append(found, of.homes(join(at, k.name), name)...)
		case groups:
			found = append(found, of.of.homes(join(at, k.name)+"[…]", name)...)
		}
	}
	return found
}

func home(at string) string {
	if at == "" {
		return "the top of the file"
	}
	return at
}
