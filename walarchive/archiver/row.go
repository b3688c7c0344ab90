package archiver

import (
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Row is what a server says about its archiving at one moment.
type Row struct {
	Now         time.Time // by the server's clock, as all times here
	InRecovery  bool
	Mode        string  // archive_mode: off, on or always (9.5+)
	NoCommand   bool    // there is neither an archive_command nor an archive_library
	Position    wal.LSN // written; on a standby received or replayed, whichever is further
	SegmentSize uint32  // bytes

	Archived     int64 // files since StatsReset
	LastArchived string
	LastTime     time.Time // when; zero if never
	Failed       int64     // attempts since StatsReset
	LastFailed   string
	FailedTime   time.Time
	StatsReset   time.Time

	Ready int64 // files that wait; -1 if the role may not look
}

// State is what an archiver's row comes to.
type State string

// The states.
const (
	OK      State = "ok"      // nothing waits but what is being archived now
	Behind  State = "behind"  // more waits than Limits allows
	Failing State = "failing" // the last attempt failed, or there is no command: WAL piles up
	Off     State = "off"     // this server does not archive
)

// Limits say when an archiver is behind.
type Limits struct {
	// Segments may wait without a word. Zero means 2, negative none.
	Segments int64
}

// Status is what a [Row] means.
type Status struct {
	State        State
	Why          string    // in words
	Segments     int64     // that wait to be archived; -1 if nobody knows
	Bytes        int64     // of WAL that only the server has: from the end of the last archived segment to the position; -1 if nobody knows
	LastArchived string    // the file
	LastTime     time.Time // when it was archived; zero if never
	FailingSince time.Time // of the failures now, the first that was seen; zero if the last attempt was good
	Failed       int64     // attempts since the statistics were reset
}

// Judge says what the row means. before is what the last one meant; the zero Status is right for the first.
func (r Row) Judge(l Limits, before Status) Status {
	switch {
	case l.Segments == 0:
		l.Segments = 2
	case l.Segments < 0:
		l.Segments = 0
	}
	s := Status{State: OK, Why: "up to date", LastArchived: r.LastArchived, LastTime: r.LastTime, Failed: r.Failed}
	s.Segments, s.Bytes = r.behind()
	failing := r.FailedTime.After(r.LastTime)
	if failing {
		s.FailingSince = r.FailedTime
		if since := before.FailingSince; !since.IsZero() && since.After(r.LastTime) {
			s.FailingSince = since
		}
	}
	switch {
	case r.Mode == "off":
		s.State, s.Why = Off, "archive_mode is off"
	case r.InRecovery && r.Mode != "always":
		s.State, s.Why = Off, "a standby archives with archive_mode = always only"
	case r.NoCommand:
		s.State, s.Why = Failing, "archive_mode is "+r.Mode+", but there is no archive_command: WAL piles up"
	case failing:
		s.State, s.Why = Failing, "the last attempt, at "+r.LastFailed+", failed; the reason is in the server's log"
	case s.Segments > l.Segments:
		s.State, s.Why = Behind, "more files wait than allowed"
	}
	return s
}

// behind returns how many segments wait and how many bytes only the server has.
func (r Row) behind() (segments, bytes int64) {
	segments, bytes = r.Ready, -1
	f, err := wal.ParseFileName(r.LastArchived)
	if err != nil || f.Kind != wal.KindSegment || !wal.ValidSegmentSize(r.SegmentSize) || r.Position == 0 {
		return segments, bytes
	}
	last, err := f.Segment(r.SegmentSize)
	if err != nil {
		return segments, bytes
	}
	end := last.Next().Start(r.SegmentSize)
	bytes = int64(max(r.Position, end) - end) //nolint:gosec // positions of one server are less than 2^63 apart
	if segments < 0 {
		segments = bytes / int64(r.SegmentSize) // the one that is being written does not wait
	}
	return segments, bytes
}
