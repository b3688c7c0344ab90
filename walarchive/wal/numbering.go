package wal

// Numbering says which segments follow each other. A position's text, a segment's number, its name and its start are the same for
// all majors; but before 9.3 the last segment of every 4 GiB was never used (XLogSegsPerFile in xlog_internal.h of 9.2), so numbers
// and positions have gaps there. The zero value is the numbering of 9.3 and later, without gaps.
type Numbering struct{ gaps bool }

// NumberingBefore93 is the numbering of PostgreSQL 9.0 to 9.2.
var NumberingBefore93 = Numbering{gaps: true}

// Numbering is that of the major that wrote the page.
func (h PageHeader) Numbering() Numbering { return Numbering{gaps: h.Magic < firstLaidOutLikeToday} }

// Next is the segment after s, on the same timeline. It panics if the segment size is not valid, as all methods do.
func (n Numbering) Next(s Segment, segSize uint32) Segment {
	s.Number++
	if !n.Used(s, segSize) {
		s.Number++
	}
	return s
}

// Previous is the segment before s, on the same timeline. Segment 0 has none: then it is false.
func (n Numbering) Previous(s Segment, segSize uint32) (Segment, bool) {
	if s.Number == 0 {
		return Segment{}, false
	}
	s.Number--
	if !n.Used(s, segSize) {
		s.Number--
	}
	return s, true
}

// Used reports whether a server writes a segment of this number at all. No server writes number 0, as its position 0/0 is no
// position; that counts as used here.
func (n Numbering) Used(s Segment, segSize uint32) bool {
	per := perLogID(segSize)
	return !n.gaps || s.Number%per != per-1
}

// SegmentsBetween is how many segments a server writes from one, included, to another, not included. It is negative if to comes
// before from. Timelines do not matter.
func (n Numbering) SegmentsBetween(from, to Segment, segSize uint32) int64 {
	return int64(n.ordinal(to.Number, segSize) - n.ordinal(from.Number, segSize)) //nolint:gosec // numbers have at most 44 bits
}

// Bytes is how many bytes of WAL lie between two positions, what pg_wal_lsn_diff says: to minus from. It is negative if to comes
// first. A position in a gap counts as the end of the gap.
func (n Numbering) Bytes(from, to LSN, segSize uint32) int64 {
	return int64(n.offset(to, segSize) - n.offset(from, segSize)) //nolint:gosec // right for any two less than 2^63 bytes apart
}

// Add is the position so many bytes after another.
func (n Numbering) Add(lsn LSN, bytes uint64, segSize uint32) LSN {
	at := n.offset(lsn, segSize) + bytes
	if !n.gaps {
		return LSN(at)
	}
	used := 1<<32 - uint64(segSize)
	return LSN(at/used<<32 + at%used)
}

// ordinal counts the used segments before a number.
func (n Numbering) ordinal(number uint64, segSize uint32) uint64 {
	per := perLogID(segSize)
	if !n.gaps {
		return number
	}
	return number/per*(per-1) + min(number%per, per-1)
}

// offset counts the bytes of WAL before a position.
func (n Numbering) offset(lsn LSN, segSize uint32) uint64 {
	mustBeValid(segSize)
	if !n.gaps {
		return uint64(lsn)
	}
	used := 1<<32 - uint64(segSize)
	return uint64(lsn>>32)*used + min(uint64(lsn&(1<<32-1)), used)
}
