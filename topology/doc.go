// Package topology says what a PostgreSQL cluster should look like and what it does look like.
//
// [Cluster] is the desired shape: nodes, and who streams from whom. It is a value, checked by [Cluster.Validate], and it
// answers what each node's machine must say: [Cluster.Render] has the settings of postgresql.conf, the rules of pg_hba.conf, how a
// standby follows, its slots and passwords.
//
//	c := topology.Cluster{
//		Name: "orders",
//		Nodes: []topology.Node{
//			{ID: "master", Host: "10.0.0.1"},
//			{ID: "cascade", Host: "10.0.0.2", Upstream: "master", Sync: true},
//			{ID: "downstream", Host: "10.0.0.3", Upstream: "cascade", Sync: true},
//		},
//	}
//
// [Status] is what was observed, one [Observation] a node, each with its time. [Derive] puts observations together to a
// [Tree]: roles are computed from what the servers say about themselves and each other, never from names. A node that did
// not answer is [RoleUnknown], which is not the same as down.
//
// The package is pure: it reads no clock, opens no connection and writes no file. Observing is done by topology/pgprobe,
// running commands and writing files by topology/host and topology/pgnode.
//
// # What a tree can be wrong about
//
// The answers of the nodes come within a second or so of each other, not at one moment. While a standby changes its upstream, a
// tree may show it detached, or still where it was; the next one is right. A row that an upstream keeps of a connection that
// has broken does not count against the standby's own word. Two nodes that both accept writes are both shown as primaries:
// which of them is the right one is not to be seen from a tree.
//
// A standby's position is what it knows it has. One that has just started replays what lies in its pg_wal before it asks its
// upstream for more, so for a while it may have more than it says.
//
// # Showing
//
// A [Report] is shown in five forms: [Report.Text] for terminals, [Report.Table] with the figures of the usual monitor scripts,
// [Report.DOT] and [Report.Mermaid] for pictures, and [Report.JSON] for tools. What a form has from a node that did not answer is what
// others say of it, and is marked so. Names and messages come from servers: no form lets them steer a terminal, or end a text too early.
//
// Descriptions are read by topology/clusterfile, and carried out by topology/build.
package topology
