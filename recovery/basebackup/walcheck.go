package basebackup

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// walRange is WAL that a copy needs: the bytes from start to end, of one timeline or, where the server does not say which, of several.
type walRange struct {
	first, last wal.Timeline
	start, end  wal.LSN
}

// segmentChecker looks at the page headers of WAL while it is written, and says at the end whether what a copy needs is there. The
// zero value without sizes takes nothing for a segment.
type segmentChecker struct {
	segSize uint32
	system  wal.SystemID

	segments map[wal.Segment]*segmentState
	current  *segmentState
}

// segmentState is what is known of a segment.
type segmentState struct {
	seg     wal.Segment
	have    int64 // bytes
	valid   int64 // up to the first page that does not belong there
	problem string
	zeros   bool // from there on, all pages are empty: the rest of a segment that was left by a switch

	head  [wal.SegmentHeaderSize]byte // of the current page
	first wal.PageHeader              // of the segment
	raw   [2]byte                     // magic number in the byte order of the server
	page  int64                       // bytes
}

func newSegmentChecker(segSize uint32, system wal.SystemID) *segmentChecker {
	return &segmentChecker{segSize: segSize, system: system, segments: map[wal.Segment]*segmentState{}}
}

// segment says which segment a file of a data directory is, if it is one.
func (c *segmentChecker) segment(name string) (wal.Segment, bool) {
	file, found := strings.CutPrefix(name, walDir+"/")
	if !found {
		return wal.Segment{}, false
	}
	seg, err := wal.ParseSegment(file, c.segSize)
	return seg, err == nil
}

func (c *segmentChecker) begin(seg wal.Segment) {
	c.current = &segmentState{seg: seg, zeros: true, page: 8192}
	c.segments[seg] = c.current
}

// write takes the next bytes of the current segment, if there is one.
func (c *segmentChecker) write(p []byte) {
	s := c.current
	if s == nil {
		return
	}
	for len(p) > 0 {
		at := s.have % s.page
		n := s.page - at
		if need := s.headerSize(); at < need {
			n = int64(copy(s.head[at:need], p))
			if at+n == need {
				c.header(s, s.have-at)
			}
		}
		n = min(n, int64(len(p)))
		s.have += n
		p = p[n:]
	}
}

func (c *segmentChecker) end() { c.current = nil }

// shortHeader is as much of a page header as says where the page belongs.
const shortHeader = 16

func (s *segmentState) headerSize() int64 {
	if s.have < s.page {
		return wal.SegmentHeaderSize
	}
	return shortHeader
}

// header looks at the header of the page that begins at offset.
func (c *segmentChecker) header(s *segmentState, offset int64) {
	if s.problem != "" {
		s.zeros = s.zeros && s.empty()
		return
	}
	if offset == 0 {
		s.problem = c.firstHeader(s)
	} else {
		s.problem = s.laterHeader(s.seg.Start(c.segSize) + wal.LSN(offset)) //nolint:gosec // below the segment size
	}
	if s.problem != "" {
		s.valid = offset
		s.zeros = offset > 0 && s.empty()
	}
}

func (s *segmentState) empty() bool { return [shortHeader]byte(s.head[:]) == [shortHeader]byte{} }

func (c *segmentChecker) firstHeader(s *segmentState) string {
	h, err := wal.ParseSegmentHeader(s.head[:])
	if err == nil {
		err = h.Check(s.seg, c.system, c.segSize)
	}
	if err != nil {
		return err.Error()
	}
	s.first, s.raw, s.page = h, [2]byte(s.head[:]), int64(h.BlockSize)
	return ""
}

func (s *segmentState) laterHeader(want wal.LSN) string {
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint16(s.raw[:]) != s.first.Magic {
		order = binary.BigEndian
	}
	switch at := wal.LSN(order.Uint64(s.head[8:])); {
	case [2]byte(s.head[:]) != s.raw:
		return fmt.Sprintf("no WAL page at %v", want)
	case at != want:
		return fmt.Sprintf("the page at %v is that of %v", want, at)
	}
	return ""
}

// covers returns a [*WALError] for the first segment of a range that is not there or not good.
func (c *segmentChecker) covers(r walRange) error {
	if r.end <= r.start {
		return nil
	}
	last := wal.SegmentOf(r.last, r.end-1, c.segSize)
	for seg := wal.SegmentOf(r.last, r.start, c.segSize); seg.Number <= last.Number; seg.Number++ {
		if err := c.check(seg, r); err != nil {
			return err
		}
	}
	return nil
}

// check looks at a segment as far as a range needs it. Of the timelines that are possible one is enough.
func (c *segmentChecker) check(seg wal.Segment, r walRange) error {
	need := min(int64(r.end-seg.Start(c.segSize)), int64(c.segSize)) //nolint:gosec // end is behind the start of its segments
	name := seg.Name(c.segSize)
	msg := "is missing"
	for tli := r.last; tli >= r.first && tli > 0; tli-- {
		s := c.segments[wal.Segment{Timeline: tli, Number: seg.Number}]
		if s == nil {
			continue
		}
		switch {
		case s.problem != "" && s.valid < need && !s.zeros:
			msg = s.problem
		case s.have < need:
			msg = fmt.Sprintf("has %d bytes of %d that are needed", s.have, need)
		default:
			return nil
		}
	}
	return &WALError{Segment: name, Msg: msg}
}
