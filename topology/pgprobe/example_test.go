package pgprobe_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/pgprobe"
)

// A cluster is observed once and drawn. The password comes from the password file of libpq.
func ExampleProber_Observe() {
	ctx := context.Background()
	cluster := topology.Cluster{Name: "orders", Nodes: []topology.Node{
		{ID: "master", Host: "10.0.0.1"}, {ID: "cascade", Host: "10.0.0.2", Upstream: "master"},
	}}
	connect := map[topology.NodeID]string{}
	for _, n := range cluster.Nodes {
		connect[n.ID] = "host=" + n.Host + " user=observer dbname=postgres"
	}
	p, err := pgprobe.New(pgprobe.Config{Connect: connect, Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	fmt.Print(topology.Derive(cluster, p.Observe(ctx)))
}

func ExampleNew() {
	_, err := pgprobe.New(pgprobe.Config{Connect: map[topology.NodeID]string{"master": "host=10.0.0.1 port=postgres password=secret"}})
	fmt.Println(err)
	// Output: node master: connection string: invalid port
}

// A row is sent through the observed tree.
func ExampleVerify() {
	ctx := context.Background()
	var tree topology.Tree // as observed, see Prober.Observe
	connect := map[topology.NodeID]string{"master": "host=10.0.0.1 user=canary", "cascade": "host=10.0.0.2 user=canary"}
	v, err := pgprobe.Verify(ctx, tree, pgprobe.VerifyConfig{Connect: connect, Timeout: 5 * time.Second})
	for _, a := range v.Arrivals {
		fmt.Println(a.Node, a.Visible, a.Latency, "of these after", a.Upstream, a.Hop)
	}
	fmt.Println("the row is", v.Fate)
	fmt.Println(err)
	// Output:
	// the row is not written
	// no node is known to be a primary
}

func ExampleDifference_Same() {
	c := pgprobe.Comparison{Primary: "master", Rows: 2, Nodes: []pgprobe.Difference{{Node: "cascade", Missing: []string{"7\tnew"}}}}
	for _, d := range c.Nodes {
		fmt.Println(d.Node, d.Same(), d.Missing)
	}
	// Output: cascade false [7	new]
}
