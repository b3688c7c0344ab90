package failover_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/topology"
)

func ExamplePolicy_Step() {
	cluster := topology.Cluster{Nodes: []topology.Node{
		{ID: "master", Host: "10.0.0.1"}, {ID: "standby", Host: "10.0.0.2", Upstream: "master", Sync: true},
	}}
	policy := failover.Policy{FailAfter: 2 * time.Second}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	state := failover.Begin(cluster, start)
	for second := range 4 {
		status := topology.Status{At: start.Add(time.Duration(second) * time.Second), Nodes: []topology.Observation{
			{Node: "master", Err: errors.New("connection refused")},
			{Node: "standby", InRecovery: true, Timeline: 1, Position: 0x3000000},
		}}
		decision := policy.Step(state, failover.Observed{Status: status})
		state = decision.State
		fmt.Println(second, state.Phase, decision.Effects)
	}
	// Output:
	// 0 suspecting []
	// 1 suspecting []
	// 2 fencing [{master}]
	// 3 fencing []
}

func ExamplePolicy_Elect() {
	cluster := topology.Cluster{Nodes: []topology.Node{
		{ID: "a", Host: "10.0.0.1"}, {ID: "b", Host: "10.0.0.2", Upstream: "a", Sync: true}, {ID: "c", Host: "10.0.0.3", Upstream: "a"},
	}}
	state := failover.Begin(cluster, time.Time{})
	state.Phase = failover.Electing
	status := topology.Status{Nodes: []topology.Observation{
		{Node: "b", Err: errors.New("no route to host")},
		{Node: "c", InRecovery: true, Timeline: 1, Position: 0x3000000},
	}}
	fmt.Println(failover.Policy{}.Elect(state, status).Reasons)
	// Output:
	// [sync_unheard b: may hold acknowledged commits that nobody else has]
}
