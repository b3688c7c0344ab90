package hba_test

import (
	"fmt"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

const sample = `# TYPE  DATABASE        USER            ADDRESS                 METHOD
local   all             postgres                                peer # admin
host    app,stage       "App User"      10.0.0.0/8              scram-sha-256
`

func ExampleParse() {
	f, err := hba.Parse("pg_hba.conf", []byte(sample))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range f.Records() {
		fmt.Println(r.Line, r.Type, r.Databases, r.Users[0].Text(), r.Method)
	}
	// Output:
	// 2 local [all] postgres peer
	// 3 host [app stage] App User scram-sha-256
}

func ExampleParse_errors() {
	_, err := hba.Parse("pg_hba.conf", []byte("host all all 10.0.0.0 md5\nlocal app ,stage all peer\n"))
	fmt.Println(err)
	// Output:
	// pg_hba.conf:1:23: after an address without /length the next column must be a mask of the same family, as 255.255.255.0
	// pg_hba.conf:2:18: unknown method; the usual one is scram-sha-256, in lower case
}

func ExampleParseFor() {
	text := []byte("local all all \\\n  peer\n")
	for _, major := range []pgconf.Major{13, 14} {
		f, err := hba.ParseFor("pg_hba.conf", text, major)
		fmt.Println(major, len(f.Records()), err != nil)
	}
	// Output:
	// 13 0 true
	// 14 1 false
}

func ExampleFile_Append() {
	f := hba.New("pg_hba.conf")
	err := f.Append(hba.Record{
		Type: hba.Host, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.Name("all"), hba.Member("ops")},
		Address: hba.Name("db1.example.com"), Method: hba.ScramSHA256,
	})
	fmt.Printf("%s%v\n", f.Bytes(), err)
	err = f.Append(hba.Record{Type: hba.Host, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.All}, Method: hba.Trust})
	fmt.Println(err)
	// Output:
	// host    all             "all",+ops      db1.example.com         scram-sha-256
	// <nil>
	// not a pg_hba record: no address; write All for every one
}

func ExampleName() {
	for _, name := range []string{"alice", "all", "+admins", "my db"} {
		fmt.Println(hba.Name(name))
	}
	// Output:
	// alice
	// "all"
	// "+admins"
	// "my db"
}
