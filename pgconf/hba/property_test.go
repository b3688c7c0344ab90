package hba_test

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// naive says of one record whether it takes a connection, in the plainest way: the manual's sentences one by one, for a server
// that knows everything (see server), from 10 on.
func naive(r hba.Record, c hba.Conn, major pgconf.Major) bool {
	return naiveType(r.Type, c.Transport) && (r.Type == hba.Local || naiveAddress(r, c.Client)) && naiveDatabase(r, c, major) && naiveUser(r, c, major)
}

func naiveType(kind hba.ConnType, over hba.Transport) bool {
	switch over {
	case hba.OverSocket:
		return kind == "local"
	case hba.OverTCP:
		return kind == "host" || kind == "hostnossl" || kind == "hostnogssenc"
	case hba.OverTLS:
		return kind == "host" || kind == "hostssl" || kind == "hostnogssenc"
	case hba.OverGSS:
		return kind == "host" || kind == "hostnossl" || kind == "hostgssenc"
	}
	return false
}

func naiveAddress(r hba.Record, client netip.Addr) bool {
	text := r.Address.Text()
	known := server()
	switch {
	case !r.Address.Quoted() && text == "all":
		return true
	case !r.Address.Quoted() && text == "samehost":
		return slices.ContainsFunc(known.Interfaces, func(p netip.Prefix) bool { return p.Addr() == client })
	case !r.Address.Quoted() && text == "samenet":
		return slices.ContainsFunc(known.Interfaces, func(p netip.Prefix) bool {
			return p.Addr() == client || p.Bits() > 0 && p.Contains(client)
		})
	case r.Mask != "":
		return naiveMasked(netip.MustParseAddr(text), netip.MustParseAddr(r.Mask), client)
	case strings.Contains(text, "/"):
		host, length, _ := strings.Cut(text, "/")
		n, err := strconv.Atoi(length)
		return err == nil && netip.PrefixFrom(naiveIP(host), n).Contains(client)
	}
	name, _ := known.Resolver.Reverse(client)
	addresses, _ := known.Resolver.Forward(name)
	leads := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a.Unmap() == client })
	if strings.HasPrefix(text, ".") {
		return leads && strings.HasSuffix(strings.ToLower(name), strings.ToLower(text))
	}
	return leads && strings.EqualFold(name, text)
}

// naiveIP knows the shorthands of this file.
func naiveIP(s string) netip.Addr {
	switch s {
	case "127":
		s = "0.0.0.127"
	case "127.1":
		s = "127.0.0.1"
	}
	return netip.MustParseAddr(s)
}

func naiveMasked(a, mask, client netip.Addr) bool {
	x, m, y := a.AsSlice(), mask.AsSlice(), client.AsSlice()
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i]&m[i] != y[i]&m[i] {
			return false
		}
	}
	return true
}

func naiveDatabase(r hba.Record, c hba.Conn, major pgconf.Major) bool {
	for _, t := range r.Databases {
		text, keyword := t.Text(), !t.Quoted()
		database := c.Database
		if database == "" {
			database = c.User
		}
		member, _ := members.Member(c.User, database)
		switch {
		case keyword && text == "replication":
			if c.Replication == hba.PhysicalReplication {
				return true
			}
		case c.Replication == hba.PhysicalReplication:
		case keyword && text == "all",
			keyword && text == "sameuser" && database == c.User,
			keyword && (text == "samerole" || text == "samegroup") && member,
			naiveName(text, database, major, !keyword || text != "all" && text != "sameuser" && text != "samerole" && text != "samegroup"):
			return true
		}
	}
	return false
}

func naiveUser(r hba.Record, c hba.Conn, major pgconf.Major) bool {
	for _, t := range r.Users {
		text, keyword := t.Text(), !t.Quoted()
		if keyword && text == "all" {
			return true
		}
		if role, ok := strings.CutPrefix(text, "+"); ok && keyword {
			if is, _ := members.Member(c.User, role); is {
				return true
			}
			continue
		}
		if naiveName(text, c.User, major, true) {
			return true
		}
	}
	return false
}

func naiveName(text, name string, major pgconf.Major, isName bool) bool {
	if strings.HasPrefix(text, "/") && major >= 16 {
		return regexp.MustCompile(text[1:]).MatchString(name) // those of this file mean the same in Go
	}
	return isName && text == name
}

// first returns the index of the rule that takes a connection, or -1.
func naiveFirst(rules []hba.Rule, c hba.Conn, major pgconf.Major) int {
	return slices.IndexFunc(rules, func(r hba.Rule) bool { return naive(r.Record, c, major) })
}

var (
	kinds   = []string{"local", "host", "host", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"}
	hostsIn = append([]string{"10.0.0.1/32", "10.0.0.0/24", "10.0.0.0 255.0.0.255", "db1.example.com", ".example.com", "fd00::/64", "fd00::1/128"}, addresses...)
	methods = []string{"trust", "reject", "reject", "md5", "scram-sha-256", "scram-sha-256", "password"}
	clients = []string{"127.0.0.1", "127.0.0.2", "127.9.9.1", "::1", "10.0.0.1", "10.0.0.2", "10.9.0.1", "fd00::1", "fd00::2"}
)

// drawRecord draws what may be added: without shorthands of addresses.
func drawRecord(t *rapid.T) hba.Record {
	for {
		f, err := hba.Parse("record", []byte(drawLine(t, "record")))
		if r := f.Records(); err == nil && r[0].Validate() == nil {
			return r[0]
		}
	}
}

func drawLine(t *rapid.T, label string) string {
	list := func(from []string) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(from), 1, 3).Draw(t, label), ",")
	}
	kind := rapid.SampledFrom(kinds).Draw(t, label)
	line := kind + " " + list(databases) + " " + list(users)
	if kind != "local" {
		line += " " + rapid.SampledFrom(hostsIn).Draw(t, label)
	}
	return line + " " + rapid.SampledFrom(methods).Draw(t, label)
}

func drawConn(t *rapid.T) hba.Conn {
	c := hba.Conn{
		Transport:   hba.Transport(rapid.IntRange(0, 3).Draw(t, "transport")),
		Database:    rapid.SampledFrom([]string{"db1", "DB1", "db12", "alice", "grp", "all", "replication", "+grp", "/b1$", ""}).Draw(t, "database"),
		User:        rapid.SampledFrom([]string{"alice", "bob", "carol", "super", "grp", "sub", "all", "+grp", "ghost"}).Draw(t, "user"),
		Replication: hba.Walsender(rapid.IntRange(0, 2).Draw(t, "replication")),
	}
	if c.Transport != hba.OverSocket {
		c.Client = netip.MustParseAddr(rapid.SampledFrom(clients).Draw(t, "client"))
	}
	return c
}

func drawText(t *rapid.T, most int) string {
	lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawLine(t, "rule") }), 1, most).Draw(t, "file")
	return strings.Join(lines, "\n") + "\n"
}

// TestMatchAgainstNaive: Match and the naive reading agree, and the steps lead to what Match says.
func TestMatchAgainstNaive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		major := rapid.SampledFrom([]pgconf.Major{12, 15, 16, 18}).Draw(rt, "major")
		text := drawText(rt, 8)
		rules := load(t, text, major)
		m := hba.NewMatcher(rules, server())
		for range 10 {
			c := drawConn(rt)
			got := m.Match(c)
			want := naiveFirst(rules.All(), c, major)
			require.Equal(rt, want, got.Index, "%+v\n%s", c, text)
			require.Equal(rt, want >= 0, got.Outcome == hba.Matched)
			for step := range got.Steps() {
				require.Equal(rt, step.Index == want, step.Why == "it matches", step.Why)
			}
		}
	})
}

// TestMatchKnowingLess: what is said without knowing everything is the same as what is said with it.
func TestMatchKnowingLess(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := drawText(rt, 8)
		rules := load(t, text, 18)
		c := drawConn(rt)
		got := hba.NewMatcher(rules, hba.Server{}).Match(c)
		want := hba.NewMatcher(rules, server()).Match(c)
		if got.Outcome == hba.CannotSay {
			require.True(rt, want.Index < 0 || got.Index <= want.Index, "the doubt is before what decides")
			return
		}
		require.Equal(rt, want.Index, got.Index, "%+v\n%s", c, text)
	})
}

// TestEnsureTakesEffect: whatever the file is, each connection that the record describes is treated as the record says, or by a
// rule that a note names. The same again changes nothing; what stood in the file is still there, in its order.
func TestEnsureTakesEffect(t *testing.T) {
	refused, changed, effective := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		text := drawText(rt, 8)
		r := drawRecord(rt)
		cfg := hba.EnsureConfig{BeforeReject: rapid.Bool().Draw(rt, "beforeReject")}
		if rapid.Bool().Draw(rt, "knowing") {
			cfg.Server = server()
		}
		f, err := hba.Parse("f", []byte(text))
		require.NoError(rt, err)
		was := load(t, text, 18).All()
		change, err := f.EnsureRule(r, cfg)
		if err != nil {
			require.ErrorIs(rt, err, hba.ErrReject)
			require.False(rt, cfg.BeforeReject)
			require.Equal(rt, text, string(f.Bytes()))
			refused++
			return
		}
		require.Equal(rt, change.Changed, text != string(f.Bytes()))
		if change.Changed {
			changed++
		}
		rules := load(t, string(f.Bytes()), 18)
		m := hba.NewMatcher(rules, server())
		for range 20 {
			c := drawConn(rt)
			result := m.Match(c)
			decides, ok := result.Rule()
			if !naive(r, c, 18) { // not the record's business, but what was decided before stays
				old := naiveFirst(was, c, 18)
				require.Equal(rt, old >= 0, ok)
				if ok {
					require.True(rt, decides.Equal(was[old].Record), "%+v", c)
				}
				continue
			}
			require.True(rt, ok)
			if sameTreatment(decides.Record, r) {
				effective++
				continue
			}
			require.True(rt, slices.ContainsFunc(change.Notes, func(n hba.Note) bool {
				return strings.HasPrefix(string(n.Code), "earlier-") && n.Rule.Equal(decides.Record)
			}), "%+v: %s decides, and no note says so: %v\n%s---\n%s", c, decides, change.Notes, text, f.Bytes())
		}
		after := string(f.Bytes())
		again, err := f.EnsureRule(r, cfg)
		require.NoError(rt, err)
		require.False(rt, again.Changed)
		require.Equal(rt, after, string(f.Bytes()))

		_, err = f.RemoveRule(r, cfg)
		require.NoError(rt, err)
		require.False(rt, slices.ContainsFunc(f.Records(), r.Equal))
	})
	require.Positive(t, min(changed, effective))
	t.Log(refused, "refused", changed, "changed", effective, "effective")
}

func sameTreatment(a, b hba.Record) bool {
	return a.Method == b.Method && slices.Equal(a.Options, b.Options)
}

// TestRejectsStay: without leave, no connection that was rejected gets in because of a record.
func TestRejectsStay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := drawText(rt, 8)
		r := drawRecord(rt)
		f, err := hba.Parse("f", []byte(text))
		require.NoError(rt, err)
		cfg := hba.EnsureConfig{}
		if rapid.Bool().Draw(rt, "knowing") {
			cfg.Server = server()
		}
		if _, err := f.EnsureRule(r, cfg); err != nil {
			return
		}
		before, after := hba.NewMatcher(load(t, text, 18), server()), hba.NewMatcher(load(t, string(f.Bytes()), 18), server())
		for range 20 {
			c := drawConn(rt)
			if rule, ok := before.Match(c).Rule(); ok && rule.Method == hba.Reject {
				still, _ := after.Match(c).Rule()
				require.Equal(rt, hba.Reject, still.Method, "%+v: %s\n%s---\n%s", c, r, text, f.Bytes())
			}
		}
	})
}

// TestUnreachableIsNeverReached, whatever the server knows.
func TestUnreachableIsNeverReached(t *testing.T) {
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		text := drawText(rt, 12)
		rules := load(t, text, 18)
		cfg := hba.LintConfig{}
		if rapid.Bool().Draw(rt, "knowing") {
			cfg.Server = server()
		}
		dead := map[int]bool{}
		for _, finding := range hba.Lint(rules, cfg) {
			if finding.Code == hba.CodeUnreachable || finding.Code == hba.CodeRedundant {
				dead[finding.Line] = true
				found++
			}
		}
		for range 20 {
			c := drawConn(rt)
			if i := naiveFirst(rules.All(), c, 18); i >= 0 {
				require.False(rt, dead[rules.All()[i].Line], "%+v\n%s", c, text)
			}
		}
	})
	require.Positive(t, found)
}
