package conninfo_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// parse is for strings that are known to be valid.
func parse(s string) conninfo.Info {
	info, err := conninfo.Parse(s)
	if err != nil {
		panic(err)
	}
	return info
}

func ExampleParse() {
	info, err := conninfo.Parse(`host=db1 port=5432 user=replicator password='it\'s me'`)
	password, ok := info.Get("password")
	fmt.Println(password, ok, err)
	fmt.Println(info)
	// Output:
	// it's me true <nil>
	// host=db1 port=5432 user=replicator password=********
}

func ExampleParse_uri() {
	info, err := conninfo.Parse("postgresql://app:s%26cret@db1:5432,db2/shop?target_session_attrs=primary")
	fmt.Println(info, err)
	// Output: user=app password=******** host=db1,db2 port=5432, dbname=shop target_session_attrs=primary <nil>
}

func ExampleParse_error() {
	_, err := conninfo.Parse("host=db1 password=my secret user=replicator")
	fmt.Println(err)
	_, err = conninfo.Parse("postgresql://app:100%@db1")
	fmt.Println(err)
	// Output:
	// connection string: column 22: no "=" after this word; a value with a blank needs single quotes
	// connection string: column 21: not a percent-encoded byte; write % itself as %25
}

func ExampleParseFor() {
	_, err := conninfo.ParseFor(12, "host=db1 channel_binding=require")
	fmt.Println(err)
	// Output: connection string: column 10: the libpq of PostgreSQL 12 has no such keyword
}

func ExampleParseJDBC() {
	info, err := conninfo.ParseJDBC("jdbc:postgresql://db1,db2:5433/shop?user=app&targetServerType=primary&currentSchema=s")
	fmt.Println(info)
	fmt.Println(err)
	// Output:
	// host=db1,db2 port=5432,5433 dbname=shop user=app target_session_attrs=read-write
	// currentSchema: libpq has no keyword for it
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

func ExampleInfo_Without() {
	fmt.Println(parse("host=db1 password=secret").Without("password").Text())
	// Output: host=db1
}

func ExampleInfo_Get() {
	info := parse("host=db1 user=''")
	for _, key := range append(info.Keys(), "port") {
		value, ok := info.Get(key)
		fmt.Printf("%s %q %v\n", key, value, ok)
	}
	// Output:
	// host "db1" true
	// user "" true
	// port "" false
}

func ExampleInfo_Text() {
	info := new(conninfo.Info).With("user", "alice").With("password", `it's`)
	fmt.Println(info.Text())
	fmt.Println(info.String())
	// Output:
	// user=alice password='it\'s'
	// user=alice password=********
}

func ExampleInfo_URI() {
	fmt.Println(parse("host=db1,db2 port=5433 user=app dbname='my shop' sslmode=require").URI())
	fmt.Println(parse("host=/run/postgresql dbname=shop").URI())
	// Output:
	// postgresql://app@db1:5433,db2:5433/my%20shop?sslmode=require
	// postgresql://%2Frun%2Fpostgresql/shop
}

func ExampleInfo_JDBC() {
	url, err := parse("host=db1,db2 dbname=shop target_session_attrs=read-write keepalives_idle=30").JDBC()
	fmt.Println(url)
	fmt.Println(err)
	_, err = parse("host=/run/postgresql").JDBC()
	fmt.Println(err)
	// Output:
	// jdbc:postgresql://db1,db2/shop?targetServerType=primary
	// keepalives_idle: pgjdbc has no such property
	// host: a Unix socket, which pgjdbc cannot use; name a host
}

func ExampleInfo_Redacted() {
	fmt.Println(parse("host=db1 user=app password=secret").Redacted().URI())
	// Output: postgresql://app:********@db1
}

func ExampleInfo_Equal() {
	fmt.Println(parse("host=db1 user=app").Equal(parse("postgresql://app@db1")))
	fmt.Println(parse("host=db1 user=app").Equal(parse("postgresql://app@db1:5432")))
	// Output:
	// true
	// false
}

func ExampleInfo_Same() {
	fmt.Println(parse("host=db1 user=app").Same(parse("postgresql://app@DB1:5432/app?sslmode=prefer")))
	fmt.Println(parse("host=db1 user=app").Same(parse("postgresql://app@db2")))
	// Output:
	// true
	// false
}

func ExampleInfo_Hosts() {
	hosts, err := parse("host=db1,db2,/run/postgresql hostaddr=,10.0.0.2, port=5433").Hosts()
	for _, h := range hosts {
		fmt.Println(h, h.IsSocket(), h.Addr)
	}
	fmt.Println(err)
	_, err = parse("host=db1,db2,db3 port=5432,5433").Hosts()
	fmt.Println(err)
	// Output:
	// db1:5433 false invalid IP
	// db2:5433 false 10.0.0.2
	// /run/postgresql/.s.PGSQL.5433 true invalid IP
	// <nil>
	// port: 2 ports for 3 hosts; give each host one, or one for all
}

func ExampleInfo_WithHosts() {
	a := conninfo.HostPort{Host: "db1", Port: 5432}
	b := conninfo.HostPort{Host: "db2", Addr: netip.MustParseAddr("10.0.0.2"), Port: 5433}
	fmt.Println(parse("user=app host=old").WithHosts(a, b))
	// Output: user=app host=db1,db2 port=5432,5433 hostaddr=,10.0.0.2
}

func ExampleInfo_Server() {
	server, ok := parse("host=db1 user=app").Server()
	fmt.Println(server, ok)
	_, ok = parse("host=db1,db2").Server()
	fmt.Println(ok)
	// Output:
	// db1:5432 true
	// false
}

func ExampleHostPort_Same() {
	a, _ := parse("host=db1.example.com").Server()
	b, _ := parse("host=DB1.example.com. port=5432").Server()
	fmt.Println(a.Same(b))
	// Output: true
}

func ExampleInfo_TargetSessionAttrs() {
	target, err := parse("host=db1,db2 target_session_attrs=prefer-standby").TargetSessionAttrs()
	fmt.Println(target, target.Since(), err)
	_, err = parse("target_session_attrs=master").TargetSessionAttrs()
	fmt.Println(err)
	// Output:
	// prefer-standby 14 <nil>
	// target_session_attrs: not a value that it can have; PostgreSQL 18 knows any, read-write, read-only, primary, standby, prefer-standby
}

func ExampleInfo_LoadBalanceHosts() {
	fmt.Println(parse("host=db1,db2 load_balance_hosts=random").LoadBalanceHosts())
	// Output: true <nil>
}

func ExampleInfo_Validate() {
	info := parse("host=db1 target_session_attrs=primary sslmode=on channel_binding=require dbname=shop database=x")
	fmt.Println(info.Validate(12))
	var errs conninfo.OptionErrors
	if errors.As(info.Validate(18), &errs) {
		for _, e := range errs {
			fmt.Println(e.Keyword, errors.Is(e, conninfo.ErrKeyword))
		}
	}
	// Output:
	// target_session_attrs: not a value that it can have; PostgreSQL 12 knows any, read-write; sslmode: not a value that it can have; PostgreSQL 12 knows disable, allow, prefer, require, verify-ca, verify-full; channel_binding: the libpq of PostgreSQL 12 has no such keyword; it is new in 13; database: libpq has no such keyword; perhaps dbname is meant
	// sslmode false
	// database true
}

// A walreceiver of PostgreSQL 12 would fail on what pg_basebackup 16 writes into primary_conninfo.
func ExampleInfo_For() {
	info, err := parse("user=replicator host=db1 sslmode=prefer sslnegotiation=postgres channel_binding=prefer").For(12)
	fmt.Println(info)
	fmt.Println(err)
	// Output:
	// user=replicator host=db1 sslmode=prefer
	// sslnegotiation: the libpq of PostgreSQL 12 has no such keyword; it is new in 17; channel_binding: the libpq of PostgreSQL 12 has no such keyword; it is new in 13
}

func ExampleKeywords() {
	for _, k := range conninfo.Keywords(18) {
		if !k.In(17) {
			fmt.Println(k.Name, k.Secret)
		}
	}
	// Output:
	// max_protocol_version false
	// min_protocol_version false
	// oauth_client_id false
	// oauth_client_secret true
	// oauth_issuer false
	// oauth_scope false
	// scram_client_key true
	// scram_server_key true
	// sslkeylogfile false
}

func ExampleLookupKeyword() {
	k, ok := conninfo.LookupKeyword("tty")
	fmt.Println(k.Since, k.Until, k.In(13), k.In(pgconf.Newest), ok)
	// Output: 9.0 14 true false true
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

func ExamplePassfile_Lookup() {
	f, _ := conninfo.ParsePassfile(".pgpass", []byte("*:*:replication:*:a\ndb1:5432:shop:app:b\n*:*:*:app:c\n"))
	for _, host := range []string{"db1", "db2", "db3"} {
		fmt.Println(f.Lookup(host, "", "shop", "app"))
	}
	fmt.Println(f.Lookup("db1", "5432", "replication", "replicator"))
	fmt.Println(f.Lookup("db1", "5432", "shop", "nobody"))
	// Output:
	// b true
	// c true
	// c true
	// a true
	//  false
}

func ExamplePassfile_Ensure() {
	f, _ := conninfo.ParsePassfile(".pgpass", []byte("# for everybody\n*:*:*:*:old\n"))
	for _, password := range []string{"first", "second"} {
		err := f.Ensure(conninfo.PassEntry{Host: "db1", Port: "5432", Database: conninfo.Any, User: "app", Password: password})
		fmt.Printf("%s%v\n", f.Bytes(), err)
	}
	// Output:
	// # for everybody
	// db1:5432:*:app:first
	// *:*:*:*:old
	// <nil>
	// # for everybody
	// db1:5432:*:app:second
	// *:*:*:*:old
	// <nil>
}

func ExamplePassfile_Remove() {
	f, _ := conninfo.ParsePassfile(".pgpass", []byte("db1:5432:*:app:x\n*:*:*:*:y\n"))
	fmt.Println(f.Remove(conninfo.PassEntry{Host: "db1", Port: "5432", Database: conninfo.Any, User: "app"}))
	fmt.Printf("%s", f.Bytes())
	// Output:
	// true
	// *:*:*:*:y
}

func ExampleCheckPassfileMode() {
	fmt.Println(conninfo.CheckPassfileMode(0o640))
	fmt.Println(conninfo.CheckPassfileMode(0o600))
	// Output:
	// libpq ignores the password file: its mode is 0640, which lets others in; make it 0600
	// <nil>
}

func ExampleParseServiceFile() {
	f, err := conninfo.ParseServiceFile("pg_service.conf", []byte("[shop]\nhost=db1\nport = 5433\n"))
	fmt.Println(f.Services())
	fmt.Println(err)
	// Output:
	// [shop]
	// pg_service.conf:3:1: a blank before "="; remove it, and the one after it, which would belong to the value
}

func ExampleServiceFile_Lookup() {
	f, _ := conninfo.ParseServiceFile("pg_service.conf", []byte("[shop]\nhost=db1\nport=5433\n"))
	fmt.Println(f.Lookup("shop"))
	_, err := f.Lookup("bank")
	fmt.Println(err, errors.Is(err, conninfo.ErrService))
	// Output:
	// host=db1 port=5433 <nil>
	// not a service: pg_service.conf does not define "bank" true
}

func ExampleServiceFile_Ensure() {
	f, _ := conninfo.ParseServiceFile("pg_service.conf", []byte("# ours\n[shop]\nhost=db1\n"))
	err := f.Ensure("shop", parse("host=db2 port=5433"))
	fmt.Printf("%s%v\n", f.Bytes(), err)
	// Output:
	// # ours
	// [shop]
	// host=db2
	// port=5433
	// <nil>
}

func ExampleServiceFile_Unset() {
	f, _ := conninfo.ParseServiceFile("pg_service.conf", []byte("[shop]\nhost=db1\nport=5433\n"))
	removed, err := f.Unset("shop", "port")
	fmt.Printf("%s%v %v\n", f.Bytes(), removed, err)
	// Output:
	// [shop]
	// host=db1
	// true <nil>
}

func ExampleInfo_Expand() {
	f, _ := conninfo.ParseServiceFile("pg_service.conf", []byte("[shop]\nhost=db1\nport=5433\nuser=app\n"))
	fmt.Println(parse("service=shop user=me").Expand(f))
	// Output: user=me host=db1 port=5433 <nil>
}
