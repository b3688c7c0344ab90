package conninfo_test

import (
	"fmt"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

func ExampleParse() {
	info, err := conninfo.Parse(`host=db1 port=5432 user=replicator password='it\'s me'`)
	password, ok := info.Get("password")
	fmt.Println(password, ok, err)
	fmt.Println(info)
	// Output:
	// it's me true <nil>
	// host=db1 port=5432 user=replicator password=********
}

func ExampleParse_error() {
	_, err := conninfo.Parse("host=db1 password=my secret user=replicator")
	fmt.Println(err)
	// Output: connection string: column 22: no "=" after this word; a value with a blank needs single quotes
}

func ExampleInfo_With() {
	var info conninfo.Info
	info = info.With("host", "db1").With("user", "replicator")
	standby := info.With("host", "db2").With("application_name", "third floor")
	fmt.Println(info)
	fmt.Println(standby)
	fmt.Println(standby.Without("user"))
	// Output:
	// host=db1 user=replicator
	// host=db2 user=replicator application_name='third floor'
	// host=db2 application_name='third floor'
}

func ExampleInfo_Text() {
	info := new(conninfo.Info).With("user", "alice").With("password", `it's`)
	fmt.Println(info.Text())
	fmt.Println(info.String())
	// Output:
	// user=alice password='it\'s'
	// user=alice password=********
}

func ExamplePassEntry() {
	e := conninfo.PassEntry{Host: "::1", Port: "5432", Database: "replication", User: "replicator", Password: "se:cret"}
	line, err := e.Text()
	fmt.Println(line, err)
	fmt.Println(e)
	// Output:
	// \:\:1:5432:replication:replicator:se\:cret <nil>
	// ::1:5432:replication:replicator:********
}

func ExampleParsePassfile() {
	f, err := conninfo.ParsePassfile(".pgpass", []byte("# ours\n*:*:*:replicator:secret\ndb1:5432:app:alice:a:b\n"))
	fmt.Println(f.Entries())
	fmt.Println(err)
	// Output:
	// [*:*:*:replicator:********]
	// .pgpass:3:21: a colon in the password needs a backslash, as \:
}
