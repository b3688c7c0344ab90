package wal

import (
	"cmp"
	"fmt"
	"math/bits"
)

// DefaultSegmentSize is the size of a WAL file, in bytes, unless initdb --wal-segsize (11+) or the build
// (before) chose another.
const DefaultSegmentSize = 16 << 20

// ValidSegmentSize reports whether size is one that the server accepts: a power of two from 1 MiB to 1 GiB
// (IsValidWalSegSize in xlog_internal.h).
func ValidSegmentSize(size uint32) bool {
	return bits.OnesCount32(size) == 1 && size >= 1<<20 && size <= 1<<30
}

// Segment names one WAL file. Number counts files from position 0, so the file's first byte is at Number times
// the segment size. Its name also depends on the segment size, so the methods take it, in bytes; they panic
// if [ValidSegmentSize] does not hold for it.
type Segment struct {
	Timeline Timeline
	Number   uint64
}

// SegmentOf returns the segment that holds the byte at lsn. It panics if segSize is not valid.
func SegmentOf(tli Timeline, lsn LSN, segSize uint32) Segment {
	mustBeValid(segSize)
	return Segment{Timeline: tli, Number: uint64(lsn) / uint64(segSize)}
}

// ParseSegment reads the name of a WAL segment, 24 upper-case hex digits, for a cluster of this segment size.
// A name that cannot occur with this size, such as one that ends in FFFFFFFF, is refused. The error is a
// [*SyntaxError].
func ParseSegment(name string, segSize uint32) (Segment, error) {
	f, err := ParseFileName(name)
	if err != nil {
		return Segment{}, err
	}
	if f.Kind != KindSegment {
		return Segment{}, &SyntaxError{What: "WAL segment name", Text: name, Msg: "is a " + f.Kind.String() + " file"}
	}
	return f.Segment(segSize)
}

// Name is the file name: timeline, high and low part of the number, each as eight upper-case hex digits.
func (s Segment) Name(segSize uint32) string {
	per := perLogID(segSize)
	return fmt.Sprintf("%08X%08X%08X", uint32(s.Timeline), uint32(s.Number/per), uint32(s.Number%per))
}

// Start is the position of the segment's first byte.
func (s Segment) Start(segSize uint32) LSN {
	mustBeValid(segSize)
	return LSN(s.Number * uint64(segSize))
}

// Next is the following segment of the same timeline, for PostgreSQL 9.3 and later; see [Numbering] for older ones.
func (s Segment) Next() Segment { return Segment{Timeline: s.Timeline, Number: s.Number + 1} }

// Compare orders segments by number, then by timeline: as WAL was written.
func (s Segment) Compare(other Segment) int {
	return cmp.Or(cmp.Compare(s.Number, other.Number), cmp.Compare(s.Timeline, other.Timeline))
}

// End is the position after the segment's last byte. Of the last possible segment that is beyond all positions, and 0.
func (s Segment) End(segSize uint32) LSN { return s.Start(segSize) + LSN(segSize) }

// perLogID is the number of segments that share the middle part of the name: those of 4 GiB.
func perLogID(segSize uint32) uint64 {
	mustBeValid(segSize)
	return 1 << 32 / uint64(segSize)
}

func mustBeValid(segSize uint32) {
	if !ValidSegmentSize(segSize) {
		panic(fmt.Sprintf("wal: segment size %d is not a power of two from 1 MiB to 1 GiB", segSize))
	}
}
