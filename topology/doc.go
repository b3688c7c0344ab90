// Package topology says what a PostgreSQL cluster should look like and what it does look like.
//
// [Cluster] is the desired shape: nodes, and who streams from whom. It is a value, checked by [Cluster.Validate], and it
// answers what each node's configuration must be: [Cluster.Settings] for postgresql.conf, [Cluster.Access] for pg_hba.conf.
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
// # What it does not do yet
//
// It reads no topology file, and it does not compare the desired with the observed shape.
package topology
