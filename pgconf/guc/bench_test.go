package guc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/guc"
)

// BenchmarkDecode is what the first use of the package costs; importing it costs nothing.
func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		require.Greater(b, guc.Decode(), 400)
	}
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := guc.Lookup(17, "Max_Wal_Size"); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, c := range []struct{ kind, name, value string }{
		{"bool", "fsync", "on"}, {"integer", "work_mem", "64MB"}, {"real", "random_page_cost", "1.1"}, {"enum", "wal_level", "replica"},
		{"string", "archive_command", "cp %p /archive/%f"}, {"sync", "synchronous_standby_names", `ANY 1 (a, "b-1", c)`},
		{"unknown", "shared_bufers", "1GB"},
	} {
		b.Run("kind="+c.kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := guc.Validate(17, c.name, c.value); (err == nil) != (c.kind != "unknown") {
					b.Fatal(err)
				}
			}
		})
	}
}
