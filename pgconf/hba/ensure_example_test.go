package hba_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing/fstest"

	"github.com/understudy-ha/understudy/pgconf/hba"
)

var standby = hba.Record{
	Type: hba.Host, Databases: []hba.Token{hba.Replication}, Users: []hba.Token{hba.Name("replicator")},
	Address: hba.CIDR(netip.MustParsePrefix("10.0.0.2/32")), Method: hba.ScramSHA256,
}

func ExampleFile_EnsureRule() {
	f, err := hba.Parse("pg_hba.conf", []byte(`
local all         all             peer
host  replication all  samenet    md5
`))
	if err != nil {
		panic(err)
	}
	for range 2 {
		change, err := f.EnsureRule(standby, hba.EnsureConfig{})
		fmt.Println(change.Changed, change.Line, err)
		for _, note := range change.Notes {
			fmt.Println(note.Code, "-", note.Text)
		}
	}
	fmt.Printf("%s", f.Bytes())
	// Output:
	// true 3 <nil>
	// overridden - pg_hba.conf:3 no longer decides for some connections, which came by md5
	// false 3 <nil>
	//
	// local all         all             peer
	// host    replication     replicator      10.0.0.2/32             scram-sha-256
	// host  replication all  samenet    md5
}

func ExampleFile_EnsureRule_rejected() {
	f, _ := hba.Parse("pg_hba.conf", []byte("host all,replication all all reject\n"))
	_, err := f.EnsureRule(standby, hba.EnsureConfig{})
	fmt.Println(errors.Is(err, hba.ErrReject), err)
	change, err := f.EnsureRule(standby, hba.EnsureConfig{BeforeReject: true})
	fmt.Println(change.Changed, err)
	// Output:
	// true a rule that rejects stands in the way: pg_hba.conf:1
	// true <nil>
}

func ExampleFile_RemoveRule() {
	f, _ := hba.Parse("pg_hba.conf", []byte(`local all all peer
host replication replicator 10.0.0.2 255.255.255.255 scram-sha-256
host replication all 10.0.0.0/24 reject
`))
	change, err := f.RemoveRule(standby, hba.EnsureConfig{})
	fmt.Println(change.Changed, err)
	for _, note := range change.Notes {
		fmt.Println(note.Code, "-", note.Text)
	}
	fmt.Printf("%s", f.Bytes())
	// Output:
	// true <nil>
	// next-rule - pg_hba.conf:3 is next to decide for some of these connections, by reject
	// local all all peer
	// host replication all 10.0.0.0/24 reject
}

func ExampleLint() {
	rules, err := hba.Load(fstest.MapFS{"pg_hba.conf": {Data: []byte(`
host all         all        10.0.0.0/8   md5
host all         app        10.1.0.0/16  scram-sha-256
host replication $REP_USER  10.0.0.2/32  scram-sha-256
`)}}, "pg_hba.conf", 17)
	if err != nil {
		panic(err)
	}
	for _, f := range hba.Lint(rules, hba.LintConfig{ReplicationUser: "replicator", Peers: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}) {
		fmt.Println(f.Line, f.Severity, f.Code, "-", f.Message)
	}
	// Output:
	// 2 warning md5 - md5 is weak, and deprecated
	// 3 warning unreachable - it is never reached: all its connections go to pg_hba.conf:2
	// 4 error placeholder - user $REP_USER looks like a placeholder; the server takes it for a name
	// 0 error peer-refused - 10.0.0.2 cannot replicate from here as replicator: no rule matches, so the server refuses the connection
}
