package stream

import (
	"errors"
	"fmt"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// ErrBusy says that another receiver uses the staging directory.
var ErrBusy = errors.New("another receiver uses the staging directory")

// ErrConnectionLost says that the server or the network went away. Run connects again.
var ErrConnectionLost = errors.New("the connection was lost")

// ForeignServerError says that the server belongs to another cluster than what was received before, or than the configuration says.
type ForeignServerError struct {
	Want, Got wal.SystemID // Got is the server's
}

func (e *ForeignServerError) Error() string {
	return fmt.Sprintf("the server belongs to the cluster with system identifier %s, not to %s, whose WAL is received here", e.Got, e.Want)
}

// SegmentSizeError says that a staged file has not the size of the server's segments.
type SegmentSizeError struct {
	File      string
	Want, Got int64 // bytes; Want is the server's wal_segment_size
}

func (e *SegmentSizeError) Error() string {
	return fmt.Sprintf("%s in the staging directory has %d bytes, but the server's WAL segments have %d", e.File, e.Got, e.Want)
}

// ForkedError says that the server's history leaves a timeline before what was received of it ends, or does not contain it. What was
// received beyond Switch, in the staging directory and in the archive, is WAL that this server never had: perhaps acknowledged commits of
// its predecessor. To follow this server, set the staging directory aside, as evidence, and begin with an empty one.
type ForkedError struct {
	Timeline wal.Timeline // of what was received
	Received wal.LSN      // its end
	Server   wal.Timeline // the server's
	Switch   wal.LSN      // where its history leaves Timeline, or zero if it never was on it
}

func (e *ForkedError) Error() string {
	if e.Switch == 0 {
		return fmt.Sprintf("the server, on timeline %d, has no timeline %d in its history, of which WAL was received up to %v", e.Server, e.Timeline, e.Received)
	}
	return fmt.Sprintf("the server, on timeline %d, left timeline %d at %v, but WAL of it was received up to %v", e.Server, e.Timeline, e.Switch, e.Received)
}

// BehindError says that the server is older than what was received: on an older timeline, or, a primary, at an older position of the
// same one, like a server that was restored from a backup and goes its own way.
type BehindError struct {
	Timeline, Server   wal.Timeline // Server is the server's
	Received, Position wal.LSN      // Position is the server's
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("the server is at %v on timeline %d, behind what was received: %v on timeline %d", e.Position, e.Server, e.Received, e.Timeline)
}

// DivergedError says that the server sent other bytes than those that were received before at the same place of the same timeline: two
// servers wrote it.
type DivergedError struct {
	File string // in the staging directory; it keeps its bytes
	LSN  wal.LSN
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("the server's WAL at %v is not what %s in the staging directory holds: two servers wrote this timeline", e.LSN, e.File)
}

// GapError says that the server no longer has the WAL that comes next. It matches the server's error.
type GapError struct {
	Timeline wal.Timeline
	From     wal.LSN // the first byte that is missing
	Err      error   // of the server
}

func (e *GapError) Error() string {
	return fmt.Sprintf("the server no longer has the WAL from %v on timeline %d on, so there would be a gap in what is received: "+
		"make a new base backup and go on beyond the gap (AcceptGap), or bring another server that still has it: %v", e.From, e.Timeline, e.Err)
}

func (e *GapError) Unwrap() error { return e.Err }

// SlotError says that the replication slot is missing, lost or of the wrong kind. It matches the server's error.
type SlotError struct {
	Slot string
	Err  error // of the server
}

func (e *SlotError) Error() string { return fmt.Sprintf("replication slot %s: %v", e.Slot, e.Err) }

func (e *SlotError) Unwrap() error { return e.Err }

// permanent reports whether trying again cannot help, or must not be done without somebody's decision.
func permanent(err error) bool {
	for _, target := range []any{new(*ForeignServerError), new(*SegmentSizeError), new(*ForkedError), new(*BehindError), new(*DivergedError),
		new(*GapError), new(*SlotError), new(*stagingError)} {
		if errors.As(err, target) {
			return true
		}
	}
	return false
}

// stagingError says that the staging directory failed in a way that makes it unclear what is durable.
type stagingError struct{ err error }

func (e *stagingError) Error() string { return "staging directory: " + e.err.Error() }
func (e *stagingError) Unwrap() error { return e.err }
