package lookahead

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

func TestFollowing(t *testing.T) {
	switched := wal.History{Timeline: 3, Entries: []wal.HistoryEntry{{Timeline: 1, End: 0x400060}, {Timeline: 2, End: 0x700000}}}
	for name, c := range map[string]struct {
		history wal.History
		asked   wal.Segment
		n       int
		want    [][]string
	}{
		"one_timeline": {wal.History{Timeline: 1}, wal.Segment{Timeline: 1, Number: 1}, 2, [][]string{{segName(1, 2)}, {segName(1, 3)}}},
		"none":         {wal.History{Timeline: 1}, wal.Segment{Timeline: 1, Number: 1}, 0, nil},
		"switches": {switched, wal.Segment{Timeline: 1, Number: 2}, 6, [][]string{
			{segName(1, 3)}, {segName(2, 4), segName(1, 4)}, {segName(2, 5), segName(1, 5)}, {segName(2, 6), segName(1, 6)},
			{segName(3, 7), segName(2, 7), segName(1, 7)}, {segName(3, 8), segName(2, 8), segName(1, 8)},
		}},
		"never_back_to_an_older_timeline": {switched, wal.Segment{Timeline: 2, Number: 5}, 2, [][]string{
			{segName(2, 6)}, {segName(3, 7), segName(2, 7)},
		}},
		"before_its_timeline_begins": {switched, wal.Segment{Timeline: 3, Number: 2}, 1, [][]string{nil}},
		"the_last_segment_of_all":    {wal.History{Timeline: 1}, wal.Segment{Timeline: 1, Number: 1<<44 - 1}, 3, nil},
		"the_last_but_one_segment":   {wal.History{Timeline: 1}, wal.Segment{Timeline: 1, Number: 1<<44 - 2}, 3, [][]string{{segName(1, 1<<44-1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [][]string
			for _, names := range following(c.history, c.asked, c.n, segSize) {
				var texts []string
				for _, s := range names {
					texts = append(texts, s.Name(segSize))
				}
				got = append(got, texts)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// A model of how a server looks for the next segment (XLogFileReadAnyTLI) walks through random archives: whatever it asks for was
// foreseen, in its order.
func TestFollowing_foresees_a_server(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		h := wal.History{Timeline: 1}
		end := wal.LSN(0)
		for range r.IntN(4) {
			end += wal.LSN(1 + r.Uint64N(4*segSize))
			h.Entries = append(h.Entries, wal.HistoryEntry{Timeline: h.Timeline, End: end})
			h.Timeline += wal.Timeline(1 + r.IntN(3))
		}
		holds := func(s wal.Segment) bool {
			return rand.New(rand.NewPCG(seed, uint64(s.Timeline)<<32+s.Number)).IntN(4) > 0
		}
		at := wal.Segment{Timeline: 1, Number: 0}
		for range 20 {
			foreseen := following(h, at, 1, segSize)[0]
			found := false
			asked := []wal.Segment{}
			for _, s := range search(h, at.Timeline, at.Number+1) {
				asked = append(asked, s)
				if found = holds(s); found {
					at = s
					break
				}
			}
			require.Equal(t, asked, append([]wal.Segment{}, foreseen[:len(asked)]...), "seed %d", seed)
			if !found {
				break
			}
		}
	}
}

// search is the order in which a server whose last file was on timeline current looks for a segment.
func search(h wal.History, current wal.Timeline, number uint64) []wal.Segment {
	begin := map[wal.Timeline]wal.LSN{}
	last := wal.LSN(0)
	for _, e := range h.Entries {
		begin[e.Timeline], last = last, e.End
	}
	begin[h.Timeline] = last
	var asked []wal.Segment
	for tli := h.Timeline; tli >= current && tli > 0; tli-- {
		if from, ok := begin[tli]; ok && number >= uint64(from)/segSize {
			asked = append(asked, wal.Segment{Timeline: tli, Number: number})
		}
	}
	return asked
}
