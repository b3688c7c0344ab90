package hba_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// tenantRules returns a pg_hba.conf with n rules of the usual kinds, one line of remarks for each ten.
func tenantRules(n int) string {
	var b strings.Builder
	for i := range n {
		switch i % 10 {
		case 0:
			fmt.Fprintf(&b, "# tenant %d\nlocal   all             postgres                                peer\n", i)
		case 1, 2, 3:
			fmt.Fprintf(&b, "host    tenant_%d        app_%d          10.%d.%d.0/24           scram-sha-256\n", i, i, i>>8&255, i&255)
		case 4:
			fmt.Fprintf(&b, "hostssl replication     replicator      10.0.%d.%d/32           scram-sha-256 clientcert=verify-full\n", i>>8&255, i&255)
		case 5:
			fmt.Fprintf(&b, "host    \"Tenant %d\",b   +readers,\"x\"   2001:db8:%x::/48      md5\n", i, i&0xffff)
		case 6:
			fmt.Fprintf(&b, "hostnossl all           all             192.168.0.0 255.255.0.0 reject\n")
		default:
			fmt.Fprintf(&b, "host\ttenant_%d\tapp_%d\thost%d.example.com\tmd5\t# remark\n", i, i, i)
		}
	}
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	text := []byte(tenantRules(10_000))
	for _, major := range []pgconf.Major{13, 18} {
		b.Run(fmt.Sprintf("rules=10000/major=%s", major), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := hba.ParseFor("f", text, major); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	fsys := files("f", tenantRules(10_000))
	b.Run("rules=10000", func(b *testing.B) {
		b.SetBytes(int64(len(fsys["f"].Data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := hba.Load(fsys, "f", pgconf.Newest); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInsertBefore(b *testing.B) {
	f, err := hba.Parse("f", []byte(tenantRules(10_000)))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("rules=10000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f.InsertBefore(5000, some); err != nil {
				b.Fatal(err)
			}
			if err := f.Remove(5000); err != nil {
				b.Fatal(err)
			}
		}
	})
}
