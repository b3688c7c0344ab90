package topology_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

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

func ExampleNewCluster() {
	c, err := topology.NewCluster("orders").
		Replication("replicator", "env:REPLICATOR_PASSWORD", "/var/lib/postgresql/.pgpass").
		Primary("db1", "10.0.0.1").Sync().
		Standby("db2", "10.0.0.2", topology.Leader).Sync().
		Standby("reports", "10.0.0.3", "db2").Delay(time.Hour).
		Build()
	fmt.Println(c.Nodes, err)
	_, err = topology.NewCluster("orders").Primary("db1", "10.0.0.1").Standby("db2", "10.0.0.2", "db3").Build()
	fmt.Println(err)
	// Output:
	// [db1 (10.0.0.1:5432) db2 (10.0.0.2:5432) reports (10.0.0.3:5432)] <nil>
	// node db2: upstream "db3" is not a node of the cluster
}

func ExampleNewPlan() {
	c := topology.Cluster{
		Nodes:       []topology.Node{{ID: "db1", Host: "10.0.0.1"}, {ID: "db2", Host: "10.0.0.2", Upstream: "db1", Sync: true}},
		Replication: topology.Replication{User: "replicator"},
	}
	empty := topology.Inspection{Major: 17, Processes: topology.Stopped}
	o := topology.Observed{Inspections: []topology.Inspection{empty, empty}}
	o.Inspections[0].Node, o.Inspections[1].Node = "db1", "db2"
	fmt.Print(topology.NewPlan(c, o))
	// Output:
	//   1. db1  make the first data directory of the cluster
	//             because: no node of the cluster has data
	//   2. db1  start
	//             because: the primary is stopped
	//   3. db1  make the account replicator for replication
	//             because: the cluster works with this account; whether the primary has it was not to be asked
	//   4. db2  clone it from db1 and start it
	//             because: the standby has no data
	//   5. db2  wait until it streams from db1
	//             because: the next step counts on it
	//   6. db1  set synchronous_standby_names: '' -> 'FIRST 1 ("db2")', by reload
	//             because: commits wait for db2, who stream then
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

// observed is what the nodes of orders said at noon.
var observed = topology.Status{At: noon, Nodes: []topology.Observation{
	primary("master", 1, 0x5000148, row("cascade", "10.0.0.2", "sync", 0x5000148, 0x5000148)),
	standby("cascade", 1, 0x5000148, 0x5000148, "10.0.0.1"),
	silent("downstream"),
}}

// report shows what was observed, with one problem.
func report() topology.Report {
	return topology.Report{
		Cluster: orders.Name, At: observed.At, Tree: topology.Derive(orders, observed),
		Problems: []topology.Problem{{
			Code: topology.Silent, Severity: topology.Critical, Node: "downstream",
			Msg: "connection refused", Remedy: "see whether the server runs",
		}},
	}
}

func ExampleReport_Text() {
	fmt.Print(report().Text(topology.TextOptions{Width: 80}))
	// Output:
	// NODE           ROLE     STATE            TL  POSITION   FLUSH LAG  REPLAY LAG  TIME LAG
	// master         primary  read-write       1   0/5000148  -          -           -
	// └─ cascade     standby  streaming, sync  1   0/5000148  0 B        0 B         0s
	// downstream !!  unknown  no answer        -   -          -          -           -
	//
	// critical  silent  downstream
	//           connection refused
	//           → see whether the server runs
}

func ExampleReport_ProblemText() {
	fmt.Print(report().ProblemText(topology.TextOptions{}))
	// Output:
	// critical  silent  downstream
	//           connection refused
	//           → see whether the server runs
}

func ExampleReport_Table() {
	fmt.Print(report().Table())
	// Output:
	// SERVER      APPLICATION_NAME  CLIENT_ADDR  STATE      SYNC_PRIORITY  SYNC_STATE
	// master      cascade           10.0.0.2     streaming  1              sync
	// cascade     (no rows)
	// downstream  (no answer)
	//
	// REPLICATION STATUS  orders  2026-01-01 12:00:00 UTC
	// SERVER                                 BYTES     BEHIND
	// master (10.0.0.1:5432)      current    83886408
	// cascade (10.0.0.2:5432)     receive    83886408  0.0 kB
	//                             replay     83886408  0.0 kB
	// downstream (10.0.0.3:5432)  no answer  -         -
}

func ExampleReport_Mermaid() {
	for line := range strings.Lines(report().Mermaid()) {
		if strings.Contains(line, "-->") || strings.Contains(line, "-.->") {
			fmt.Print(line)
		}
	}
	// Output:
	//   n0 -->|"streaming, sync<br/>flush lag 0 B<br/>replay lag 0 B, 0s"| n1
	//   n1 -.->|"wanted"| n2
}

func ExampleReport_DOT() {
	for line := range strings.Lines(report().DOT()) {
		if strings.Contains(line, "->") {
			fmt.Print(line)
		}
	}
	// Output:
	//   n0 -> n1 [label="streaming, sync\nflush lag 0 B\nreplay lag 0 B, 0s"];
	//   n1 -> n2 [label="wanted", style=dotted, color="#90a0aa", fontcolor="#5b6770", arrowhead=empty];
}

func ExampleReport_JSON() {
	text, err := report().JSON()
	if err != nil {
		fmt.Println(err)
		return
	}
	var d topology.Document
	if err := json.Unmarshal(text, &d); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("version", d.Version, d.Level)
	for _, n := range d.Nodes {
		if n.Link != nil {
			fmt.Println(n.ID, "below", n.Link.Upstream, n.Link.Evidence, n.Link.SyncState, *n.Link.ReplayBytes)
		}
	}
	// Output:
	// version 1 critical
	// cascade below master confirmed sync 0
}
