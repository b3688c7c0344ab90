package hba_test

import (
	"fmt"
	"net/netip"
	"testing/fstest"

	"github.com/understudy-ha/understudy/pgconf/hba"
)

func ExampleMatcher_Match() {
	rules, err := hba.Load(fstest.MapFS{"pg_hba.conf": {Data: []byte(`
hostssl all         all         all          scram-sha-256
host    replication replicator  10.0.0.0/24  scram-sha-256
host    all         +blocked    all          reject
`)}}, "pg_hba.conf", 17)
	if err != nil {
		panic(err)
	}
	m := hba.NewMatcher(rules, hba.Server{})
	for _, c := range []hba.Conn{
		{Transport: hba.OverTLS, Client: netip.MustParseAddr("10.0.0.7"), User: "replicator", Replication: hba.PhysicalReplication},
		{Transport: hba.OverTCP, Client: netip.MustParseAddr("10.9.0.7"), User: "replicator", Replication: hba.PhysicalReplication},
		{Transport: hba.OverTCP, Client: netip.MustParseAddr("10.0.0.7"), User: "app", Database: "shop"},
	} {
		result := m.Match(c)
		fmt.Println(result.Outcome, "-", result.Why())
	}
	// Output:
	// matched - pg_hba.conf:3 is the first that matches; its method is scram-sha-256
	// no rule - no rule matches, so the server refuses the connection
	// cannot say - it cannot be said whether pg_hba.conf:4 matches: whether user app matches +blocked is not known
}

func ExampleResult_Steps() {
	rules, _ := hba.Load(fstest.MapFS{"pg_hba.conf": {Data: []byte(`
local all all            peer
host  all all 10.0.0.0/8 scram-sha-256
host  all all all        reject
`)}}, "pg_hba.conf", 17)
	result := hba.NewMatcher(rules, hba.Server{}).Match(hba.Conn{
		Transport: hba.OverTCP, Client: netip.MustParseAddr("192.0.2.7"), User: "app", Database: "shop",
	})
	for step := range result.Steps() {
		fmt.Printf("%d: %s\n", step.Rule.Line, step.Why)
	}
	// Output:
	// 2: type local does not take connections over tcp
	// 3: address 10.0.0.0/8 does not hold 192.0.2.7
	// 4: it matches
}

func ExampleMemberships() {
	granted := hba.Memberships{"alice": {"dba"}, "dba": {"staff"}} // as in pg_auth_members
	rules, _ := hba.Load(fstest.MapFS{"pg_hba.conf": {Data: []byte("local all +staff peer\n")}}, "pg_hba.conf", 17)
	m := hba.NewMatcher(rules, hba.Server{Member: granted.Member})
	for _, user := range []string{"alice", "bob"} {
		fmt.Println(user, m.Match(hba.Conn{Database: "shop", User: user}).Outcome)
	}
	// Output:
	// alice matched
	// bob no rule
}
