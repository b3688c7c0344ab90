package catalog

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestSortEntries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	for _, shift := range []int{60, 20, 1, 0} { // small numbers, and such as leave no bits for the place
		entries := make([]entry, 1000)
		for i := range entries {
			entries[i] = entry{timeline: wal.Timeline(r.Uint32N(3)), number: r.Uint64() >> shift, name: string(rune('a' + r.IntN(20)))}
		}
		want := slices.Clone(entries)
		slices.SortStableFunc(want, compareEntries)
		require.Equal(t, want, sortEntries(entries), "shift %d", shift)
	}
}
