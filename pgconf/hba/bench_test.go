package hba_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf/hba"
)

// manyRules is a file of n rules. In "mixed" they are for n roles in their networks, in "blocked" for n addresses.
func manyRules(kind string, n int) string {
	var b strings.Builder
	for i := range n {
		switch kind {
		case "mixed":
			fmt.Fprintf(&b, "%s db%d role%d,+group%d 10.%d.%d.0/24 scram-sha-256\n", []string{"host", "hostssl", "local"}[i%3], i%100, i, i%50, i>>8&255, i&255)
		case "blocked":
			fmt.Fprintf(&b, "host all all 10.%d.%d.%d/32 reject\n", i>>16&255, i>>8&255, i&255)
		case "masks":
			fmt.Fprintf(&b, "host all all 10.0.0.%d 255.%d.%d.255 reject\n", i&255, i>>8&255, i&255)
		case "regexps":
			fmt.Fprintf(&b, "host all /^r%d$ 10.0.%d.%d/32 reject\n", i, i>>8&255, i&255)
		case "roles":
			fmt.Fprintf(&b, "host all +r%d 10.0.%d.%d/32 reject\n", i, i>>8&255, i&255)
		}
	}
	return strings.Replace(b.String(), "local db", "host db", n)
}

func BenchmarkMatch(b *testing.B) {
	const n = 10_000
	for _, kind := range []string{"mixed", "blocked", "regexps"} {
		b.Run(fmt.Sprintf("file=%s/rules=%d", kind, n), func(b *testing.B) {
			m := hba.NewMatcher(load(b, manyRules(kind, n), 18), hba.Server{Member: func(string, string) (bool, error) { return false, nil }})
			c := hba.Conn{Transport: hba.OverTLS, Client: netip.MustParseAddr("192.0.2.1"), Database: "db7", User: "nobody"}
			b.ReportAllocs()
			for b.Loop() {
				if m.Match(c).Outcome != hba.NoneMatch {
					b.Fatal("matched")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/rule")
		})
	}
}

// BenchmarkMatchLate: every column but the user matches.
func BenchmarkMatchLate(b *testing.B) {
	const n = 10_000
	text := strings.Repeat("host all a,b,c,d 10.0.0.0/8 reject\n", n)
	m := hba.NewMatcher(load(b, text, 18), hba.Server{})
	c := hba.Conn{Transport: hba.OverTLS, Client: netip.MustParseAddr("10.0.2.1"), Database: "db7", User: "z"}
	b.ReportAllocs()
	for b.Loop() {
		m.Match(c)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/rule")
}

func BenchmarkNewMatcher(b *testing.B) {
	rules := load(b, manyRules("mixed", 10_000), 18)
	b.ReportAllocs()
	for b.Loop() {
		hba.NewMatcher(rules, hba.Server{})
	}
}

func BenchmarkLint(b *testing.B) {
	for _, kind := range []string{"mixed", "blocked", "masks", "regexps", "roles"} {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("file=%s/rules=%d", kind, n), func(b *testing.B) {
				rules := load(b, manyRules(kind, n), 18)
				b.ReportAllocs()
				for b.Loop() {
					hba.Lint(rules, hba.LintConfig{})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/rule")
			})
		}
	}
}

func BenchmarkEnsureRule(b *testing.B) {
	for _, kind := range []string{"mixed", "blocked"} {
		b.Run(fmt.Sprintf("file=%s/rules=10000", kind), func(b *testing.B) {
			text := []byte(manyRules(kind, 10_000))
			r := record(b, "host all web 10.0.0.0/8 scram-sha-256", 18)
			b.ReportAllocs()
			for b.Loop() {
				f, err := hba.Parse("f", text)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.EnsureRule(r, hba.EnsureConfig{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
