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
