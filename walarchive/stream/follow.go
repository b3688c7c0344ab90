package stream

import (
	"slices"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// source is what a server says of itself, as far as it decides where to go on.
type source struct {
	timeline wal.Timeline
	position wal.LSN
	primary  bool // certainly
	history  wal.History
}

// follow decides where receiving goes on after at. Behind at, up to end, WAL may be there that was not asked for again yet; whole
// says whether that holds a whole record at a position.
//
// The server's history must lead on from there: it is the same timeline, or it leaves that later, or here. The next timeline begins with
// its whole first segment, whose beginning is a copy of the old timeline's.
func follow(at place, end wal.LSN, whole func(wal.LSN) (bool, error), s source, segSize uint32) (place, error) {
	switch {
	case s.timeline < at.tli, s.timeline == at.tli && s.primary && s.position < at.lsn:
		return place{}, &BehindError{Timeline: at.tli, Received: end, Server: s.timeline, Position: s.position}
	case s.timeline == at.tli:
		return at, nil
	}
	i := slices.IndexFunc(s.history.Entries, func(e wal.HistoryEntry) bool { return e.Timeline == at.tli })
	if i < 0 {
		return place{}, &ForkedError{Timeline: at.tli, Received: end, Server: s.timeline}
	}
	left := s.history.Entries[i].End
	if at.lsn < left {
		return at, nil
	}
	if end > left {
		more, err := whole(left)
		if err != nil {
			return place{}, err
		}
		if more {
			return place{}, &ForkedError{Timeline: at.tli, Received: end, Server: s.timeline, Switch: left}
		}
	}
	next := s.timeline
	if i+1 < len(s.history.Entries) {
		next = s.history.Entries[i+1].Timeline
	}
	return place{next, segmentStart(left, segSize)}, nil
}

func segmentStart(lsn wal.LSN, segSize uint32) wal.LSN { return lsn - lsn%wal.LSN(segSize) }

// archiveEnd is where the WAL in an archive ends: behind the last complete segment of its newest timeline.
func archiveEnd(names []string, segSize uint32) (at place, found bool) {
	for _, name := range names {
		seg, err := wal.ParseSegment(name, segSize)
		if err != nil {
			continue
		}
		end := place{seg.Timeline, seg.Start(segSize) + wal.LSN(segSize)}
		if end.tli > at.tli || end.tli == at.tli && end.lsn > at.lsn {
			at, found = end, true
		}
	}
	return at, found
}
