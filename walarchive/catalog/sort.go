package catalog

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// sortEntries returns the entries by timeline, number and name. It sorts plain integers, number and place in one, which takes a
// third of the time that moving entries about does.
func sortEntries(entries []entry) []entry {
	keys, count := map[wal.Timeline][]uint64{}, map[wal.Timeline]int{}
	for _, e := range entries {
		count[e.timeline]++
	}
	placeBits := bits.Len(uint(len(entries)))
	for i, e := range entries {
		if bits.Len64(e.number)+placeBits > 64 {
			slices.SortFunc(entries, compareEntries)
			return entries
		}
		if keys[e.timeline] == nil {
			keys[e.timeline] = make([]uint64, 0, count[e.timeline])
		}
		keys[e.timeline] = append(keys[e.timeline], e.number<<placeBits|uint64(i)) //nolint:gosec // not negative
	}
	sorted := make([]entry, 0, len(entries))
	for _, t := range slices.Sorted(maps.Keys(keys)) {
		slices.Sort(keys[t])
		for _, key := range keys[t] {
			sorted = append(sorted, entries[key&(1<<placeBits-1)])
		}
	}
	sortRuns(sorted)
	return sorted
}

// sortRuns sorts by name what is about one segment.
func sortRuns(entries []entry) {
	for from := 0; from < len(entries); {
		to := from + 1
		for to < len(entries) && entries[to].number == entries[from].number && entries[to].timeline == entries[from].timeline {
			to++
		}
		if to > from+1 {
			slices.SortFunc(entries[from:to], compareEntries)
		}
		from = to
	}
}

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.timeline, b.timeline), cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name))
}
