package topology_test

import (
	"errors"
	"fmt"

	"github.com/understudy-ha/understudy/topology"
)

var orders = topology.Cluster{
	Name: "orders",
	Nodes: []topology.Node{
		{ID: "master", Host: "10.0.0.1"},
		{ID: "cascade", Host: "10.0.0.2", Upstream: "master", Sync: true},
		{ID: "downstream", Host: "10.0.0.3", Upstream: "cascade"},
	},
	Replication: topology.Replication{User: "replicator", Passfile: "/srv/pg/.pgpass"},
}

func ExampleCluster_Validate() {
	c := orders.Attached(topology.Node{ID: "reports", Host: "10.0.0.3", Upstream: "nobody"})
	fmt.Println(c.Validate())
	// Output:
	// nodes downstream and reports share the address 10.0.0.3:5432
	// node reports: upstream "nobody" is not a node of the cluster
}

func ExampleCluster_Render() {
	cfg, err := orders.Render("cascade", 17)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range cfg.Settings {
		fmt.Printf("%s = '%s'\n", s.Name, s.Value)
	}
	fmt.Println(cfg.Recovery.PrimaryConninfo)
	for _, r := range cfg.Access {
		fmt.Println(r)
	}
	// Output:
	// cluster_name = 'cascade'
	// hot_standby = 'on'
	// listen_addresses = '*'
	// max_replication_slots = '10'
	// max_wal_senders = '10'
	// password_encryption = 'scram-sha-256'
	// port = '5432'
	// synchronous_commit = 'on'
	// synchronous_standby_names = ''
	// wal_keep_size = '256MB'
	// wal_level = 'replica'
	// wal_log_hints = 'on'
	// host=10.0.0.1 port=5432 user=replicator passfile=/srv/pg/.pgpass application_name=cascade connect_timeout=5
	// host    replication     replicator      10.0.0.1/32             scram-sha-256
	// host    replication     replicator      10.0.0.2/32             scram-sha-256
	// host    replication     replicator      10.0.0.3/32             scram-sha-256
}

func ExampleCluster_Promoted() {
	shape := orders.Promoted("cascade")
	for _, n := range shape.Nodes {
		fmt.Printf("%s follows %q\n", n, n.Upstream)
	}
	// Output:
	// cascade (10.0.0.2:5432) follows ""
	// downstream (10.0.0.3:5432) follows "cascade"
}

func ExampleCluster_SyncNamesFor() {
	fmt.Println(orders.SyncNamesFor("master", 17))
	// Output: FIRST 1 ("cascade") <nil>
}

func ExampleDerive() {
	status := topology.Status{Nodes: []topology.Observation{
		{Node: "master", Err: errors.New("no route to host")},
		{Node: "cascade", Timeline: 2, Position: 0x5000148, Senders: []topology.Sender{
			{Name: "downstream", State: "streaming", SyncState: "async", Flushed: 0x5000148, Replayed: 0x5000000},
		}},
		{Node: "downstream", InRecovery: true, Timeline: 2, Position: 0x5000148,
			Receiver: &topology.Receiver{Status: "streaming", Host: "10.0.0.2", Port: 5432, Timeline: 2}},
	}}
	fmt.Print(topology.Derive(orders, status))
	// Output:
	// NODE           ROLE     STATE       TL  POSITION   FLUSH LAG  REPLAY LAG  TIME LAG
	// master         unknown  no answer   -   -          -          -           -
	// cascade        primary  read-write  2   0/5000148  -          -           -
	// └─ downstream  standby  streaming   2   0/5000148  0 B        328 B       0s
}

func ExampleBytes() {
	fmt.Println(topology.Bytes(312), topology.Bytes(16<<20))
	// Output: 312 B 16.0 MB
}
