package pgconf_test

import (
	"fmt"

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
