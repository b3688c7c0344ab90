package lookahead

import "github.com/understudy-ha/understudy/walarchive/wal"

// following lists, for each of the n segments after asked, the names that a server may ask for, in its order: the newest timeline of its
// target's history first, down to that of asked, without those that begin later (XLogFileReadAnyTLI in xlogrecovery.c).
func following(h wal.History, asked wal.Segment, n int, segSize uint32) [][]wal.Segment {
	type stretch struct {
		timeline wal.Timeline
		first    uint64 // number of its first segment
	}
	var stretches []stretch // oldest first
	first := uint64(0)
	for _, e := range h.Entries {
		stretches = append(stretches, stretch{e.Timeline, first})
		first = wal.SegmentOf(e.Timeline, e.End, segSize).Number
	}
	stretches = append(stretches, stretch{h.Timeline, first})

	var positions [][]wal.Segment
	for seg := asked.Next(); len(positions) < n && seg.Start(segSize) > asked.Start(segSize); seg = seg.Next() {
		var names []wal.Segment
		for i := len(stretches) - 1; i >= 0 && stretches[i].timeline >= asked.Timeline; i-- {
			if stretches[i].first <= seg.Number {
				names = append(names, wal.Segment{Timeline: stretches[i].timeline, Number: seg.Number})
			}
		}
		positions = append(positions, names)
	}
	return positions
}
