package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

// BenchmarkCare is what list, gaps and a cleanup plan of a big archive cost, with and without reading the directory.
func BenchmarkCare(b *testing.B) {
	for _, segments := range []int{10_000, 100_000} {
		var names []string
		for n := range segments {
			names = append(names, name(1, uint64(n+1)))
		}
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		b.Run(fmt.Sprintf("from=names/segments=%d", segments), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				care(b, names)
			}
		})
		b.Run(fmt.Sprintf("from=directory/segments=%d", segments), func(b *testing.B) {
			path := b.TempDir()
			for _, n := range names {
				require.NoError(b, os.WriteFile(filepath.Join(path, n), nil, 0o600))
			}
			b.ReportAllocs()
			for b.Loop() {
				store, err := dir.Open(path)
				require.NoError(b, err)
				names, err := store.List(b.Context())
				require.NoError(b, err)
				care(b, names)
				store.Close()
			}
		})
	}
}

func care(b *testing.B, names []string) {
	c, err := catalog.New(names, segSize)
	require.NoError(b, err)
	if got := c.List().Timelines[0].Segments; got != len(names) {
		b.Fatalf("listed %d of %d segments", got, len(names))
	}
	if gaps := c.Gaps(catalog.GapConfig{}); len(gaps) > 0 {
		b.Fatal(gaps)
	}
	plan, err := c.Plan(catalog.Policy{Oldest: name(1, uint64(len(names)-1000))})
	require.NoError(b, err)
	if got := len(plan.Remove()); got != len(names)-1001 {
		b.Fatalf("%d files to remove", got)
	}
}
