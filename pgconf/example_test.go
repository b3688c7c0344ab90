package pgconf_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

const sample = `# - Connection Settings -
listen_addresses = 'localhost'      # what IP address(es) to listen on
#port = 5432                        # (change requires restart)
max_connections = 100
`

func ExampleParse() {
	f, err := pgconf.Parse("postgresql.conf", []byte(sample))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range f.Settings() {
		fmt.Printf("%d: %s is %q\n", s.Line, s.Name, s.Value)
	}
	// Output:
	// 2: listen_addresses is "localhost"
	// 4: max_connections is "100"
}

func ExampleParse_errors() {
	_, err := pgconf.Parse("postgresql.conf", []byte("search_path = \"$user\"\nshared_buffers = 1.5GB\n"))
	fmt.Println(err)
	// Output:
	// postgresql.conf:1:15: a value cannot begin with '"' unless it is in single quotes
	// postgresql.conf:2:21: more than one value; put the whole value in single quotes, or a # before a remark
}

func ExampleNew() {
	f := pgconf.New("standby.conf")
	_ = f.Set("hot_standby", "on")
	fmt.Printf("%s", f.Bytes())
	// Output: hot_standby = 'on'
}

func ExampleFile_Get() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("work_mem = 4MB\nWork_Mem = '64 MB'\n"))
	s, ok := f.Get("work_mem")
	fmt.Println(s.Value, s.Line, ok)
	// Output: 64 MB 2 true
}

func ExampleFile_Set() {
	f, _ := pgconf.Parse("postgresql.conf", []byte(sample))
	_ = f.Set("listen_addresses", "localhost, 10.0.0.1")
	_ = f.Set("port", "5433")
	_ = f.Set("archive_command", `archive "%p"`)
	fmt.Printf("%s", f.Bytes())
	// Output:
	// # - Connection Settings -
	// listen_addresses = 'localhost, 10.0.0.1' # what IP address(es) to listen on
	// port = 5433                         # (change requires restart)
	// max_connections = 100
	// archive_command = 'archive "%p"'
}

func ExampleFile_SetAll() {
	f := pgconf.New("postgresql.auto.conf")
	_ = f.SetAll(map[string]string{"wal_level": "replica", "max_wal_senders": "10"})
	fmt.Printf("%s", f.Bytes())
	// Output:
	// max_wal_senders = '10'
	// wal_level = 'replica'
}

func ExampleFile_Unset() {
	f, _ := pgconf.Parse("postgresql.auto.conf", []byte("primary_slot_name = 'b'\n"))
	_ = f.Unset("primary_slot_name")
	fmt.Printf("%s", f.Bytes())
	// Output: #primary_slot_name = 'b'
}

func ExampleQuote() {
	s, _ := pgconf.Quote(`it's a \`)
	fmt.Println(s)
	// Output: 'it''s a \\'
}

func ExampleSetting_IsInclude() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("port = 5432\ninclude_dir 'conf.d'\n"))
	for _, s := range f.Settings() {
		fmt.Println(s.Name, s.IsInclude())
	}
	// Output:
	// port false
	// include_dir true
}

func ExampleFile_Settings() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("  Work_Mem = '4MB' # per sort\n"))
	for _, s := range f.Settings() {
		fmt.Printf("%s:%d:%d: %s (%s) is %q\n", s.File, s.Line, s.Col, s.Spelling, s.Name, s.Value)
	}
	// Output: postgresql.conf:1:3: Work_Mem (work_mem) is "4MB"
}

func ExampleFile_Bytes() {
	const text = "a = 1\r\n  # as it was, with \t and all"
	f, _ := pgconf.Parse("postgresql.conf", []byte(text))
	fmt.Println(string(f.Bytes()) == text)
	// Output: true
}

func ExampleFile_SetKeeping() {
	f, _ := pgconf.Parse("postgresql.conf", []byte(sample))
	_ = f.SetKeeping("max_connections", "200")
	_ = f.SetKeeping("port", "5433")
	_ = f.SetKeeping("port", "5433")
	fmt.Printf("%s", f.Bytes())
	// Output:
	// # - Connection Settings -
	// listen_addresses = 'localhost'      # what IP address(es) to listen on
	// #port = 5432                        # (change requires restart)
	// port = 5433
	// #max_connections = 100
	// max_connections = 200
}

func ExampleFile_InsertAfter() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("wal_level       = replica   # for standbys\nport            = 5432\n"))
	_ = f.InsertAfter("wal_level", "max_wal_senders", "10")
	fmt.Printf("%s", f.Bytes())
	// Output:
	// wal_level       = replica   # for standbys
	// max_wal_senders = 10
	// port            = 5432
}

func ExampleFile_Comment() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("vacuum_defer_cleanup_age = 0\n"))
	_ = f.Comment("vacuum_defer_cleanup_age", "gone in 16")
	fmt.Printf("%s", f.Bytes())
	// Output: #vacuum_defer_cleanup_age = 0 # gone in 16
}

func ExampleFile_Rename() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("force_parallel_mode = off   # for tests only\n"))
	_ = f.Rename("force_parallel_mode", "debug_parallel_query")
	fmt.Printf("%s", f.Bytes())
	// Output: debug_parallel_query = off  # for tests only
}

func ExampleFile_SetBlock() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("port = 5432\nwal_level = minimal\n"))
	later, err := f.SetBlock("understudy", []pgconf.Setting{
		{Name: "wal_level", Value: "replica"},
		{Name: "max_wal_senders", Value: "10"},
	})
	fmt.Printf("%s%d lines overrule it, %v\n", f.Bytes(), len(later), err)
	// Output:
	// port = 5432
	// wal_level = minimal
	// # BEGIN managed block understudy
	// wal_level = 'replica'
	// max_wal_senders = '10'
	// # END managed block understudy
	// 0 lines overrule it, <nil>
}

func ExampleFile_SetBlock_damaged() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("# BEGIN managed block understudy\nport = 5432\n"))
	_, err := f.SetBlock("understudy", nil)
	fmt.Println(err)
	// Output:
	// managed block: postgresql.conf:1:1: a managed block begins here and does not end; put the begin and end lines in pairs again, or remove what is left of them
}

func ExampleFile_Block() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("# BEGIN managed block x\nport = 5432\n# END managed block x\n"))
	settings, ok, err := f.Block("x")
	fmt.Println(settings[0].Name, settings[0].Value, ok, err)
	// Output: port 5432 true <nil>
}

func ExampleFile_RemoveBlock() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("port = 5432"))
	_, _ = f.SetBlock("x", []pgconf.Setting{{Name: "port", Value: "5433"}})
	_ = f.RemoveBlock("x")
	fmt.Printf("%s", f.Bytes())
	// Output: port = 5432
}

func ExampleFile_Diff() {
	f, _ := pgconf.Parse("postgresql.conf", []byte(sample))
	_ = f.Set("port", "5433")
	fmt.Print(f.Diff())
	// Output:
	// --- postgresql.conf
	// +++ postgresql.conf
	// @@ -1,4 +1,4 @@
	//  # - Connection Settings -
	//  listen_addresses = 'localhost'      # what IP address(es) to listen on
	// -#port = 5432                        # (change requires restart)
	// +port = 5433                         # (change requires restart)
	//  max_connections = 100
}

func ExampleFile_DiffHiding() {
	f, _ := pgconf.Parse("postgresql.conf", []byte("primary_conninfo = 'host=a password=secret'\n"))
	_ = f.Set("hot_standby", "on")
	fmt.Print(f.DiffHiding(pgconf.MayHoldSecret))
	// Output:
	// --- postgresql.conf
	// +++ postgresql.conf
	// @@ -1 +1,2 @@
	//  primary_conninfo = '***'
	// +hot_standby = 'on'
}

func ExampleMayHoldSecret() {
	fmt.Println(pgconf.MayHoldSecret("primary_conninfo"), pgconf.MayHoldSecret("port"))
	// Output: true false
}

func ExampleSyntaxErrors() {
	_, err := pgconf.Parse("postgresql.conf", []byte("port 5432 5433\nwork_mem = 1.5GB\n"))
	var all pgconf.SyntaxErrors
	if errors.As(err, &all) {
		for _, e := range all {
			fmt.Println(e.File, e.Line, e.Col)
		}
	}
	// Output:
	// postgresql.conf 1 11
	// postgresql.conf 2 15
}

// A parser of one's own reports its errors in the same way.
func ExampleSyntaxErrors_Add() {
	var all pgconf.SyntaxErrors
	for i, line := range []string{"a b", "a"} {
		if !strings.Contains(line, " ") {
			all.Add(&pgconf.SyntaxError{File: "hosts", Line: i + 1, Col: len(line) + 1, Msg: "no address; write it behind the name"})
		}
	}
	fmt.Println(all.Err())
	// Output: hosts:2:2: no address; write it behind the name
}
