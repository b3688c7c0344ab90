package hba_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing/fstest"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

var etc = fstest.MapFS{ // os.DirFS("/") on a server
	"etc/postgresql/pg_hba.conf": {Data: []byte("local all postgres ident map=dba\nhost @apps /^app_ 10.0.0.0/8 ldap ldapserver=ldap1 ldapbasedn=o ldapbindpasswd=x\n" +
		"include_dir hba.d\nhost all all 10.0.0.0/33 md5\n")},
	"etc/postgresql/apps":               {Data: []byte("shop\nblog # not yet\n")},
	"etc/postgresql/hba.d/replica.conf": {Data: []byte("hostssl replication replicator samenet cert\n")},
	"etc/postgresql/pg_ident.conf":      {Data: []byte("dba   alice             postgres\nldap  /^(.*)@example\\.com$  \\1\nldap  boss@example.com    +staff\n")},
}

func ExampleLoad() {
	rules, err := hba.Load(etc, "/etc/postgresql/pg_hba.conf", 17)
	for _, r := range rules.All() {
		fmt.Println(r.Number, r.File, r.Line, r.Type, r.Databases, r.Users, r.Method)
	}
	fmt.Println(err)
	// Output:
	// 1 /etc/postgresql/pg_hba.conf 1 local [all] [postgres] peer
	// 2 /etc/postgresql/pg_hba.conf 2 host [shop blog] [/^app_] ldap
	// 3 /etc/postgresql/hba.d/replica.conf 1 hostssl [replication] [replicator] cert
	// /etc/postgresql/pg_hba.conf:4:14: the number after / must be 0 to 32
}

func ExampleRules_View() {
	rules, _ := hba.Load(etc, "/etc/postgresql/pg_hba.conf", 15)
	for _, row := range rules.View() {
		text, _ := json.Marshal(row)
		fmt.Println(string(text))
	}
	// Output:
	// {"line_number":1,"type":"local","database":["all"],"user_name":["postgres"],"address":null,"netmask":null,"auth_method":"peer","options":["map=dba"],"error":null}
	// {"line_number":2,"type":"host","database":["shop","blog"],"user_name":["/^app_"],"address":"10.0.0.0","netmask":"255.0.0.0","auth_method":"ldap","options":["ldapserver=ldap1","ldapbasedn=o","ldapbindpasswd=********","ldapscope=2"],"error":null}
	// {"line_number":3,"type":null,"database":null,"user_name":null,"address":null,"netmask":null,"auth_method":null,"options":null,"error":"an include line has exactly two columns, from PostgreSQL 16 on"}
	// {"line_number":4,"type":null,"database":null,"user_name":null,"address":null,"netmask":null,"auth_method":null,"options":null,"error":"the number after / must be 0 to 32"}
}

func ExampleRules_ViewSecrets() {
	rules, _ := hba.Load(etc, "/etc/postgresql/pg_hba.conf", 17)
	fmt.Println(rules.ViewSecrets()[1].Get("options"), rules.Major())
	// Output: [ldapserver=ldap1 ldapbasedn=o ldapbindpasswd=x ldapscope=2] 17
}

func ExampleRow_Get() {
	rules, _ := hba.Load(etc, "/etc/postgresql/pg_hba.conf", 17)
	row := rules.View()[3]
	fmt.Println(row.Get("rule_number"), row.Get("file_name"), row.Get("line_number"), row.Get("error"))
	// Output: <nil> /etc/postgresql/pg_hba.conf 4 the number after / must be 0 to 32
}

func ExampleFile_InsertBefore() {
	f, _ := hba.Parse("pg_hba.conf", []byte(sample))
	fmt.Println(f.InsertBefore(3, hba.Record{
		Type: hba.Host, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.Member("interns")}, Address: hba.All, Method: hba.Reject,
	}))
	fmt.Print(f.Diff())
	// Output:
	// <nil>
	// --- pg_hba.conf
	// +++ pg_hba.conf
	// @@ -1,3 +1,4 @@
	//  # TYPE  DATABASE        USER            ADDRESS                 METHOD
	//  local   all             postgres                                peer # admin
	// +host    all             +interns        all                     reject
	//  host    app,stage       "App User"      10.0.0.0/8              scram-sha-256
}

func ExampleFile_Remove() {
	f, _ := hba.Parse("pg_hba.conf", []byte(sample))
	fmt.Println(f.Remove(1), f.Remove(2), f.Remove(2))
	fmt.Printf("%s", f.Bytes())
	// Output:
	// <nil> <nil> no such line: pg_hba.conf has 1 lines, not 2
	// local   all             postgres                                peer # admin
}

func ExampleFile_Diff() {
	f := hba.NewFor("pg_hba.conf", pgconf.V9_6)
	fmt.Println(f.Append(hba.Record{
		Type: hba.Host, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.All}, Address: hba.CIDR(netip.MustParsePrefix("::1/128")), Method: hba.MD5,
	}))
	fmt.Print(f.Diff())
	// Output:
	// <nil>
	// --- pg_hba.conf
	// +++ pg_hba.conf
	// @@ -0,0 +1 @@
	// +host    all             all             ::1/128                 md5
}

func ExampleFile_DiffHiding() {
	f, err := hba.Parse("pg_hba.conf", []byte("host all all 10.0.0.0/8 radius radiusservers=10.0.0.9 radiussecrets=sesame\n"))
	fmt.Println(err)
	fmt.Println(f.Append(hba.Record{Type: hba.Local, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.All}, Method: hba.Peer}))
	fmt.Print(f.DiffHiding())
	// Output:
	// <nil>
	// <nil>
	// --- pg_hba.conf
	// +++ pg_hba.conf
	// @@ -1 +1,2 @@
	//  host all all 10.0.0.0/8 radius radiusservers=10.0.0.9 radiussecrets=***
	// +local   all             all                                     peer
}

func ExampleFile_Records() {
	f, _ := hba.Parse("pg_hba.conf", []byte(sample))
	for _, r := range f.Records() {
		fmt.Println(r)
	}
	// Output:
	// local   all             postgres                                peer
	// host    app,stage       "App User"      10.0.0.0/8              scram-sha-256
}

func ExampleRecord_ValidateFor() {
	r := hba.Record{
		Type: hba.Host, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.All}, Address: hba.All, Method: hba.RADIUS,
		Options: []hba.Option{{Name: "radiusserver", Value: "10.0.0.9"}, {Name: "radiussecret", Value: "x"}},
	}
	fmt.Println(r.ValidateFor(pgconf.V9_6))
	fmt.Println(r.Validate())
	// Output:
	// <nil>
	// not a pg_hba record: option radiusserver is not known after PostgreSQL 9.6
}

func ExampleRecord_Equal() {
	f, _ := hba.Parse("pg_hba.conf", []byte("host \"a\",b c 10.1.2.3 255.0.0.0 md5\nhost b,a c 10.0.0.0/8 md5\n"))
	fmt.Println(f.Records()[0].Equal(f.Records()[1]))
	// Output: true
}

func ExampleRecord_Text() {
	r := hba.Record{
		Type: hba.Local, Databases: []hba.Token{hba.All}, Users: []hba.Token{hba.All}, Method: hba.LDAP,
		Options: []hba.Option{{Name: "ldapserver", Value: "ldap1"}, {Name: "ldapbasedn", Value: "dc=a,dc=b"}, {Name: "ldapbindpasswd", Value: "x"}},
	}
	fmt.Println(r.Text())
	fmt.Println(r)
	// Output:
	// local   all             all                                     ldap ldapserver=ldap1 "ldapbasedn=dc=a,dc=b" ldapbindpasswd=x
	// local   all             all                                     ldap ldapserver=ldap1 "ldapbasedn=dc=a,dc=b" ldapbindpasswd=********
}

func ExampleMember() {
	fmt.Println(hba.Member("admins"), hba.Member("my admins"))
	// Output: +admins +"my admins"
}

func ExampleCIDR() {
	fmt.Println(hba.CIDR(netip.MustParsePrefix("10.0.0.0/8")))
	// Output: 10.0.0.0/8
}

func ExampleToken_Text() {
	for _, t := range []hba.Token{`all`, `"all"`, `"x""y"`, `+"my admins"`} {
		fmt.Println(t.Text(), t.Quoted())
	}
	// Output:
	// all false
	// all true
	// x"y true
	// +my admins false
}

func ExampleCompileRegexp() {
	for _, pattern := range []string{`^app_\d+$`, `(.)\1`, `a**`} {
		re, err := hba.CompileRegexp(pattern, pgconf.Newest)
		if err != nil {
			fmt.Println(err)
			continue
		}
		matched, why := re.Match("app_7")
		fmt.Printf("%v %q\n", matched, why)
	}
	// Output:
	// true ""
	// false "it refers back to a group"
	// not a regular expression of PostgreSQL: there is nothing before a quantifier that it could repeat
}

func ExampleParseIdent() {
	f, err := hba.ParseIdent("pg_ident.conf", []byte("dba alice postgres\ndba bob\n"), 17)
	fmt.Println(f.Mappings(), err)
	// Output: [dba             alice                   postgres] pg_ident.conf:2:8: the line ends before the role; a line is: map, system user, role
}

func ExampleIdentFile_Ensure() {
	f := hba.NewIdent("pg_ident.conf", 17)
	for range 2 {
		fmt.Println(f.Ensure(hba.Mapping{Map: hba.Name("dba"), SystemUser: hba.Name("Alice Smith"), Role: hba.Name("all")}))
	}
	fmt.Printf("%s", f.Bytes())
	// Output:
	// true <nil>
	// false <nil>
	// dba             "Alice Smith"           "all"
}

func ExampleIdentFile_Remove() {
	f, _ := hba.ParseIdent("pg_ident.conf", []byte("# map user role\ndba alice postgres\n"), 17)
	fmt.Println(f.Remove(2), f.InsertBefore(1, hba.Mapping{Map: "dba", SystemUser: "bob", Role: "postgres"}), f.Append(hba.Mapping{}))
	fmt.Print(f.Diff())
	// Output:
	// <nil> <nil> not a pg_ident mapping: map "" is not one token; make it with Name
	// --- pg_ident.conf
	// +++ pg_ident.conf
	// @@ -1,2 +1,2 @@
	// +dba             bob                     postgres
	//  # map user role
	// -dba alice postgres
}

func ExampleMapping_ValidateFor() {
	m := hba.Mapping{Map: "m", SystemUser: "alice", Role: hba.Name("/x")}
	fmt.Println(m.ValidateFor(15))
	fmt.Println(m.Validate())
	// Output:
	// <nil>
	// not a pg_ident mapping: role "/x" begins with /, which makes it a regular expression; no name like that can be written
}

func ExampleIdentMaps_Match() {
	maps, err := hba.LoadIdent(etc, "/etc/postgresql/pg_ident.conf", 17)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, role := range []string{"bob", "carol"} {
		for _, user := range []string{"bob@example.com", "boss@example.com"} {
			r := maps.Match(hba.Login{Map: "ldap", SystemUser: user, Role: role, Member: hba.Memberships{"carol": {"staff"}}.Member})
			fmt.Println(user, role, r.Outcome)
		}
	}
	// Output:
	// bob@example.com bob matched
	// boss@example.com bob no rule
	// bob@example.com carol no rule
	// boss@example.com carol matched
}

func ExampleLoadIdent() {
	maps, err := hba.LoadIdent(etc, "/etc/postgresql/pg_ident.conf", 17)
	for _, m := range maps.All() {
		fmt.Println(m.Number, m.Line, m.Map, m.SystemUser, m.Role)
	}
	fmt.Println(len(maps.View()), err)
	// Output:
	// 1 1 dba alice postgres
	// 2 2 ldap /^(.*)@example\.com$ \1
	// 3 3 ldap boss@example.com +staff
	// 3 <nil>
}
