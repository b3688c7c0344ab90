package hba_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// load reads a rule set that must be valid.
func load(t testing.TB, text string, major pgconf.Major) *hba.Rules {
	t.Helper()
	rs, err := hba.Load(files("pg_hba.conf", text), "pg_hba.conf", major)
	require.NoError(t, err, text)
	return rs
}

// names are the answers of a resolver: PTR records and addresses.
type names struct {
	reverse map[string]string
	forward map[string][]string
	asked   []string
}

var errLookup = errors.New("no answer")

func (n *names) Reverse(a netip.Addr) (string, error) {
	n.asked = append(n.asked, a.String())
	if n.reverse[a.String()] == "?" {
		return "", errLookup
	}
	return n.reverse[a.String()], nil
}

func (n *names) Forward(name string) ([]netip.Addr, error) {
	n.asked = append(n.asked, name)
	var all []netip.Addr
	for _, a := range n.forward[name] {
		if a == "?" {
			return nil, errLookup
		}
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

func dns() *names {
	return &names{
		reverse: map[string]string{"10.0.0.1": "Db1.Example.com", "10.0.0.2": "db2.example.com", "10.0.0.3": "?", "10.0.0.4": "db4.example.com",
			"10.0.0.6": "example.com", "fd00::1": "db1.example.com"},
		forward: map[string][]string{"Db1.Example.com": {"192.0.2.1", "::ffff:10.0.0.1"}, "db2.example.com": {"10.0.0.9"},
			"db4.example.com": {"?"}, "example.com": {"10.0.0.6"}, "db1.example.com": {"10.0.0.1", "fd00::1"}},
	}
}

var members = hba.Memberships{"bob": {"grp"}, "carol": {"sub"}, "sub": {"grp", "sub"}}

// server is one that knows all it can.
func server() hba.Server {
	return hba.Server{
		Interfaces: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"),
			netip.MustParsePrefix("10.0.0.7/24"), netip.MustParsePrefix("fd00::7/64"), netip.MustParsePrefix("192.0.2.7/0")},
		Member:    members.Member,
		Superuser: func(user string) (bool, error) { return user == "super", nil },
		Resolver:  dns(),
	}
}

// conn makes a connection of words: tcp, tls or gss (else a socket), physical, logical, from=, db=, user=.
func conn(t testing.TB, s string) hba.Conn {
	t.Helper()
	c := hba.Conn{Database: "db1", User: "alice"}
	for _, w := range strings.Fields(s) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "tcp":
			c.Transport = hba.OverTCP
		case "tls":
			c.Transport = hba.OverTLS
		case "gss":
			c.Transport = hba.OverGSS
		case "physical":
			c.Replication = hba.PhysicalReplication
		case "logical":
			c.Replication = hba.LogicalReplication
		case "from":
			c.Client = netip.MustParseAddr(value)
		case "db":
			c.Database = value
		case "user":
			c.User = value
		default:
			t.Fatal(w)
		}
	}
	if c.Transport != hba.OverSocket && !c.Client.IsValid() {
		c.Client = netip.MustParseAddr("127.0.0.1")
	}
	return c
}

const (
	always = pgconf.Major(0)
	never  = pgconf.Major(99)
)

// matchVectors say from which major on a rule matches a connection, or that it cannot match.
var matchVectors = []struct {
	rule, conn   string
	since, until pgconf.Major // matches from since to before until (0 is no end)
}{
	// Types.
	{"local all all trust", "", always, 0},
	{"local all all trust", "tcp", never, 0},
	{"host all all 0.0.0.0/0 trust", "", never, 0},
	{"host all all 0.0.0.0/0 trust", "tcp", always, 0},
	{"host all all 0.0.0.0/0 trust", "tls", always, 0},
	{"host all all 0.0.0.0/0 trust", "gss", 12, 0},
	{"hostssl all all 0.0.0.0/0 trust", "tcp", never, 0},
	{"hostssl all all 0.0.0.0/0 trust", "tls", always, 0},
	{"hostssl all all 0.0.0.0/0 trust", "gss", never, 0},
	{"hostnossl all all 0.0.0.0/0 trust", "tcp", always, 0},
	{"hostnossl all all 0.0.0.0/0 trust", "tls", never, 0},
	{"hostnossl all all 0.0.0.0/0 trust", "gss", 12, 0},
	{"hostgssenc all all 0.0.0.0/0 trust", "tcp", never, 0},
	{"hostgssenc all all 0.0.0.0/0 trust", "tls", never, 0},
	{"hostgssenc all all 0.0.0.0/0 trust", "gss", 12, 0},
	{"hostnogssenc all all 0.0.0.0/0 trust", "tcp", 12, 0},
	{"hostnogssenc all all 0.0.0.0/0 trust", "tls", 12, 0},
	{"hostnogssenc all all 0.0.0.0/0 trust", "gss", never, 0},
	{"hostnogssenc all all 0.0.0.0/0 trust", "", never, 0},

	// Databases.
	{"local db1 all trust", "", always, 0},
	{"local DB1 all trust", "", never, 0},
	{"local a,db1,b all trust", "", always, 0},
	{"local db1 all trust", "physical", never, 0},
	{"local all all trust", "physical", never, 0},
	{"local replication all trust", "physical", always, 0},
	{"local db1,replication all trust", "physical", always, 0},
	{"local replication all trust", "logical", always, 10},
	{"local all all trust", "logical", 10, 0},
	{"local db1 all trust", "logical", 10, 0},
	{`local "replication" all trust`, "db=replication", always, 0},
	{`local "replication" all trust`, "physical", never, 0},
	{"local replication all trust", "db=replication", never, 0},
	{`local "all" all trust`, "", never, 0},
	{`local "all" all trust`, "db=all", always, 0},
	{`local a"ll" all trust`, "", pgconf.V9_2, 0},
	{`local ""all all trust`, "", never, 0},
	{"local ALL all trust", "", never, 0},
	{"local sameuser all trust", "", never, 0},
	{"local sameuser all trust", "db=alice", always, 0},
	{"local sameuser all trust", "db=", always, 0},
	{"local alice all trust", "db=", always, 0},
	{`local "sameuser" all trust`, "db=alice", never, 0},
	{"local sameuser all trust", "db=alice physical", never, 0},
	{"local samerole all trust", "user=bob db=grp", always, 0},
	{"local samegroup all trust", "user=bob db=grp", always, 0},
	{"local samerole all trust", "user=carol db=grp", always, 0},
	{"local samerole all trust", "user=super db=grp", always, pgconf.V9_2},
	{"local samerole all trust", "db=alice", always, 0},
	{"local samerole all trust", "db=grp", never, 0},
	{"local +grp all trust", "user=bob db=grp", never, 0},
	{"local +grp all trust", "db=+grp", always, 0},
	{"local / all trust", "", 16, 0},
	{"local /db1 all trust", "db=db12", 16, 0},
	{"local /db1 all trust", "db=/db1", always, 0},
	{"local /^db1$ all trust", "db=db12", never, 0},
	{`local "/a b" all trust`, "db=xa", never, 0},
	{`local "/b,c|db" all trust`, "", 16, 0},
	{"local all /^al trust", "", 16, 0},
	{"local / all trust", "physical", never, 0},

	// Users.
	{"local all alice trust", "", always, 0},
	{"local all Alice trust", "", never, 0},
	{"local all a,alice,b trust", "", always, 0},
	{`local all "all" trust`, "", never, 0},
	{`local all "all" trust`, "user=all", always, 0},
	{"local all +grp trust", "user=bob", always, 0},
	{"local all +grp trust", "user=carol", always, 0},
	{"local all +grp trust", "user=grp", always, 0},
	{"local all +grp trust", "", never, 0},
	{"local all +grp trust", "user=super", always, pgconf.V9_2},
	{`local all +"grp" trust`, "user=bob", always, 0},
	{`local all "+grp" trust`, "user=bob", always, pgconf.V9_2},
	{`local all "+grp" trust`, "user=+grp", pgconf.V9_2, 0},
	{"local all + trust", "user=super", never, 0},
	{"local all / trust", "", 16, 0},
	{"local all sameuser trust", "db=alice", never, 0},
	{"local all replication trust", "physical", never, 0},
	{"local replication alice trust", "physical", always, 0},
	{"local all " + strings.Repeat("u", 63) + " trust", "user=" + strings.Repeat("u", 70), always, 0},
	{"local " + strings.Repeat("d", 63) + " all trust", "db=" + strings.Repeat("d", 64), always, 0},

	// Addresses.
	{"host all all 127.9.9.9/8 trust", "tcp", always, 0},
	{"host all all 127.0.0.0 255.0.0.0 trust", "tcp", always, 0},
	{"host all all 127.0.0.2/32 trust", "tcp", never, 0},
	{"host all all 127.0.0.1 255.0.0.255 trust", "tcp from=127.9.9.1", always, 0},
	{"host all all 127.0.0.1 255.0.0.255 trust", "tcp from=127.0.0.2", never, 0},
	{"host all all ::/0 trust", "tcp", never, 0},
	{"host all all ::ffff:0:0/96 trust", "tcp", never, 0},
	{"host all all ::ffff:127.0.0.1/128 trust", "tcp from=::ffff:127.0.0.1", never, 0},
	{"host all all 127.0.0.1/32 trust", "tcp from=::ffff:127.0.0.1", always, 0},
	{"host all all 0.0.0.0/0 trust", "tcp from=::1", never, 0},
	{"host all all ::/0 trust", "tcp from=::1", always, 0},
	{"host all all ::1/128 trust", "tcp from=::1", always, 0},
	{"host all all ::2/127 trust", "tcp from=::1", never, 0},
	{"host all all fe80::/10 trust", "tcp from=fe80::1%eth0", always, 0},
	{"host all all fe80::1%eth1/128 trust", "tcp from=fe80::1%eth0", always, 0},
	{"host all all 10/8 trust", "tcp from=10.1.1.1", never, 0},
	{"host all all 10/8 trust", "tcp from=0.1.1.1", always, 0},
	{"host all all all trust", "tcp", pgconf.V9_1, 0},
	{"host all all all trust", "tcp from=fd00::9", pgconf.V9_1, 0},
	{"host all all samehost trust", "tcp", always, 0},
	{"host all all samehost trust", "tcp from=127.0.0.2", never, 0},
	{"host all all samehost trust", "tcp from=192.0.2.7", always, 0},
	{"host all all samenet trust", "tcp from=127.0.0.2", always, 0},
	{"host all all samenet trust", "tcp from=10.0.0.99", always, 0},
	{"host all all samenet trust", "tcp from=10.0.1.99", never, 0},
	{"host all all samenet trust", "tcp from=192.0.2.8", never, 0},
	{"host all all samenet trust", "tcp from=fd00::99", always, 0},
	{"host all all samenet trust", "tcp from=fd01::99", never, 0},
	{"host all all db1.example.com trust", "tcp from=10.0.0.1", pgconf.V9_1, 0},
	{"host all all DB1.example.COM trust", "tcp from=fd00::1", pgconf.V9_1, 0},
	{"host all all .example.com trust", "tcp from=10.0.0.1", pgconf.V9_1, 0},
	{"host all all .com trust", "tcp from=10.0.0.1", pgconf.V9_1, 0},
	{"host all all .example.com trust", "tcp from=10.0.0.6", never, 0},
	{"host all all .b1.example.com trust", "tcp from=10.0.0.1", never, 0},
	{"host all all example.com trust", "tcp from=10.0.0.1", never, 0},
	{"host all all db2.example.com trust", "tcp from=10.0.0.2", never, 0}, // does not lead back
	{"host all all .example.com trust", "tcp from=10.0.0.5", never, 0},    // has no name
	{"host all all * trust", "tcp from=10.0.0.1", never, 0},
}

var allMajors = []pgconf.Major{
	pgconf.V9_0, pgconf.V9_1, pgconf.V9_2, pgconf.V9_3, pgconf.V9_4, pgconf.V9_5, pgconf.V9_6, 10, 11, 12, 13, 14, 15, 16, 17, 18,
}

func TestMatchVectors(t *testing.T) {
	for _, v := range matchVectors {
		t.Run(v.rule+"/"+v.conn, func(t *testing.T) {
			c := conn(t, v.conn)
			for _, major := range allMajors {
				if c.Transport == hba.OverGSS && major < 12 {
					continue
				}
				rs, err := hba.Load(files("f", v.rule), "f", major)
				want := major >= v.since && (v.until == 0 || major < v.until)
				if err != nil {
					require.False(t, want, "%s: %v", major, err)
					continue
				}
				got := hba.NewMatcher(rs, server()).Match(c)
				if want {
					require.Equal(t, hba.Matched, got.Outcome, "%s: %s", major, got.Why())
					require.Zero(t, got.Index)
				} else {
					require.Equal(t, hba.NoneMatch, got.Outcome, "%s: %s", major, got.Why())
					require.Equal(t, -1, got.Index)
				}
			}
		})
	}
}

// TestMatchCannotSay: what decides is not known. rules is the file; the index is that of the rule in doubt, or -1.
func TestMatchCannotSay(t *testing.T) {
	failing := func(string) (bool, error) { return false, errLookup }
	for name, c := range map[string]struct {
		rules, conn string
		major       pgconf.Major
		edit        func(s *hba.Server)
		index       int
		outcome     hba.Outcome
		why         string
	}{
		"member": {"local all +grp reject\nlocal all all trust", "", 18, func(s *hba.Server) { s.Member = nil }, 0, hba.CannotSay,
			"pg_hba.conf:1 matches: whether user alice matches +grp is not known"},
		"member_fails": {"local db2 +grp reject\nlocal all +grp trust", "", 18,
			func(s *hba.Server) { s.Member = func(string, string) (bool, error) { return false, errLookup } }, 1, hba.CannotSay, ""},
		"member_of_itself":  {"local all +alice trust", "", 18, func(s *hba.Server) { s.Member = nil }, 0, hba.Matched, ""},
		"member_beside_yes": {"local all +grp,alice trust", "", 18, func(s *hba.Server) { s.Member = nil }, 0, hba.Matched, ""},
		"samerole":          {"local samerole all trust", "", 18, func(s *hba.Server) { s.Member = nil }, 0, hba.CannotSay, "database db1"},
		"superuser":         {"local all +grp trust", "", pgconf.V9_1, func(s *hba.Server) { s.Superuser = nil }, 0, hba.CannotSay, ""},
		"superuser_fails":   {"local all +grp trust", "", pgconf.V9_1, func(s *hba.Server) { s.Superuser = failing }, 0, hba.CannotSay, ""},
		"superuser_or_not":  {"local all +grp trust", "user=bob", pgconf.V9_1, func(s *hba.Server) { s.Superuser = nil }, 0, hba.Matched, ""},
		"superuser_later":   {"local all +grp trust", "", pgconf.V9_2, func(s *hba.Server) { s.Superuser = nil }, -1, hba.NoneMatch, ""},
		"superuser_no_role": {"local all +ghost trust", "user=super", pgconf.V9_1,
			func(s *hba.Server) { s.Member = func(_, role string) (bool, error) { return role != "ghost", nil } }, -1, hba.NoneMatch, ""},
		"interfaces":        {"host all all samehost trust", "tcp", 18, func(s *hba.Server) { s.Interfaces = nil }, 0, hba.CannotSay, "interfaces"},
		"interfaces_net":    {"host all all samenet trust", "tcp", 18, func(s *hba.Server) { s.Interfaces = nil }, 0, hba.CannotSay, "interfaces"},
		"no_resolver":       {"host all all h trust", "tcp", 18, func(s *hba.Server) { s.Resolver = nil }, 0, hba.CannotSay, "name lookup"},
		"no_need_of_one":    {"host db2 all h trust", "tcp", 18, func(s *hba.Server) { s.Resolver = nil }, -1, hba.NoneMatch, ""},
		"reverse_fails":     {"host all all h trust", "tcp from=10.0.0.3", 18, nil, 0, hba.CannotSay, "the name of 10.0.0.3 is not known"},
		"forward_fails":     {"host all all .com trust", "tcp from=10.0.0.4", 18, nil, 0, hba.CannotSay, "addresses of db4.example.com are not"},
		"forward_not_asked": {"host all all h trust", "tcp from=10.0.0.4", 18, nil, -1, hba.NoneMatch, ""},
		"no_user":           {"local all all trust", "user=", 18, nil, -1, hba.CannotSay, "no user"},
		"no_gss":            {"host all all all trust", "gss", 11, nil, -1, hba.CannotSay, "GSSAPI"},
		"tls_off":           {"host all all all trust", "tls", 18, func(s *hba.Server) { s.NoSSL = true }, -1, hba.CannotSay, "ssl is off"},
		"hostssl_refused": {"host all all all trust\nhostssl all all all trust", "tcp", pgconf.V9_6, func(s *hba.Server) { s.NoSSL = true },
			-1, hba.CannotSay, "pg_hba.conf:2"},
		"hostssl_never": {"hostssl all all all trust", "tcp", 10, func(s *hba.Server) { s.NoSSL = true }, -1, hba.NoneMatch, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := server()
			if c.edit != nil {
				c.edit(&s)
			}
			got := hba.NewMatcher(load(t, c.rules, c.major), s).Match(conn(t, c.conn))
			require.Equal(t, c.outcome, got.Outcome, got.Why())
			require.Equal(t, c.index, got.Index)
			require.Contains(t, got.Why(), c.why)
			rule, ok := got.Rule()
			require.Equal(t, c.index >= 0, ok)
			if ok {
				require.Equal(t, c.index+1, rule.Line)
			}
		})
	}
	got := hba.NewMatcher(load(t, "host all all all trust", 18), server()).Match(hba.Conn{Transport: hba.OverTLS, User: "a"})
	require.Equal(t, hba.CannotSay, got.Outcome)
	require.Contains(t, got.Why(), "no client address")
	got = hba.NewMatcher(load(t, "host all all all trust", 18), server()).Match(hba.Conn{Transport: 9, User: "a"})
	require.Equal(t, hba.CannotSay, got.Outcome)
	require.Equal(t, hba.CannotSay, hba.Result{}.Outcome)
	require.NotEmpty(t, hba.Result{}.Why())
}

func TestSteps(t *testing.T) {
	rules := load(t, `
local all all trust
hostssl all all all trust
host all all 10.0.0.0 255.255.255.0 trust
host all all ::/0 trust
host all all samehost trust
host all all db1.example.com trust
host app,"b c" bob,+grp all trust
host app all nobody.example.com trust
host all all all scram-sha-256
host all all all reject
`, 18)
	s := server()
	got := hba.NewMatcher(rules, s).Match(conn(t, "tcp from=10.1.0.1"))
	var why []string
	for step := range got.Steps() {
		require.Equal(t, step.Index, len(why))
		require.Equal(t, step.Index+2, step.Rule.Line)
		why = append(why, step.Why)
	}
	require.Equal(t, []string{
		"type local does not take connections over tcp",
		"type hostssl does not take connections over tcp",
		"address 10.0.0.0 255.255.255.0 does not hold 10.1.0.1",
		"address ::/0 is of the other family than 10.1.0.1",
		"address samehost does not hold 10.1.0.1",
		"host name db1.example.com: 10.1.0.1 has no name",
		`database app,"b c" does not match db1; user bob,+grp does not match alice`,
		"database app does not match db1",
		"it matches",
	}, why)
	require.Equal(t, "pg_hba.conf:10 is the first that matches; its method is scram-sha-256", got.Why())
	require.Equal(t, []string{"10.1.0.1"}, s.Resolver.(*names).asked, "once, and not for rules that do not need it")

	got = hba.NewMatcher(rules, s).Match(conn(t, "tcp physical from=10.0.0.1"))
	require.Equal(t, hba.NoneMatch, got.Outcome)
	require.Equal(t, "no rule matches, so the server refuses the connection", got.Why())
	n := 0
	for step := range got.Steps() {
		n++
		require.NotContains(t, step.Why, "it matches")
		if n == 4 {
			break
		}
	}
}

func TestMemberships(t *testing.T) {
	for _, c := range []struct {
		user, role string
		want       bool
	}{{"a", "a", true}, {"bob", "grp", true}, {"carol", "grp", true}, {"grp", "bob", false}, {"a", "grp", false}, {"sub", "sub", true}} {
		is, err := members.Member(c.user, c.role)
		require.NoError(t, err)
		require.Equal(t, c.want, is, c)
	}
}
