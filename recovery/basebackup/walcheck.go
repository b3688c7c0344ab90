package basebackup

import (
	"errors"
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
	have  int64 // bytes
	chain *wal.Chain
	err   error // the chain's
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
	chain := wal.NewChain(wal.ChainConfig{Segment: seg, SystemID: c.system, SegmentSize: c.segSize, Unfinished: true})
	c.current = &segmentState{chain: chain}
	c.segments[seg] = c.current
}

// write takes the next bytes of the current segment, if there is one.
func (c *segmentChecker) write(p []byte) {
	if s := c.current; s != nil {
		s.have += int64(len(p))
		_, s.err = s.chain.Write(p)
	}
}

func (c *segmentChecker) end() { c.current = nil }

// lacks says why the segment does not hold so many bytes of WAL from its start, or the end of it before them. It is empty if it does.
func (s *segmentState) lacks(need int64) string {
	var page *wal.ChainError
	switch {
	case s.chain.ValidEnd() >= need:
	case errors.As(s.chain.Rest(), &page) && !s.chain.Switched():
		return fmt.Sprintf("at %v: %s", page.Want, page.Msg)
	case s.err != nil:
		return s.err.Error()
	case s.have < need:
		return fmt.Sprintf("has %d bytes of %d that are needed", s.have, need)
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
		if msg = s.lacks(need); msg == "" {
			return nil
		}
	}
	return &WALError{Segment: name, Msg: msg}
}
