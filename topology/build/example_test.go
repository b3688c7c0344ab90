package build_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/host"
)

// A plan is the dry run: it says what would be done, and what not, and why. Here no machine can be reached, which is no proof of anything.
func ExampleBuilder_Plan() {
	b, err := build.New(build.Config{
		Cluster: topology.Cluster{
			Name: "orders",
			Nodes: []topology.Node{
				{ID: "alpha", Host: "127.0.0.1", Port: 1, DataDir: "/srv/pg/17", Service: topology.Service{BinDir: "/usr/pgsql-17/bin"}},
			},
			Replication: topology.Replication{User: "replicator", Conninfo: map[string]string{"sslmode": "disable"}},
			Admin:       topology.Account{Name: "postgres"},
		},
		Host:    func(topology.Node) (host.Host, error) { return nil, errors.New("no route to it") },
		Timeout: time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := b.Plan(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("steps:", len(plan.Steps))
	for _, r := range plan.Refused {
		fmt.Println(r.Why)
	}
	// Output:
	// steps: 0
	// nothing is planned for any node without the primary
	// its machine cannot be looked at: reach the machine of node alpha: no route to it
}
