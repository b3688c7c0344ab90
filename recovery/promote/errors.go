package promote

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// ErrAlreadyPromoted is matched by a [*PrimaryError] of a server that has left the timeline on which it was a standby.
var ErrAlreadyPromoted = errors.New("the server has been promoted already")

// PrimaryError says that there is nothing to promote or to wait for: the server is not in recovery. It matches [ErrAlreadyPromoted] if
// its timeline is newer than [Standby.From].
type PrimaryError struct {
	State State
	From  wal.Timeline // zero if it is not known
}

func (e *PrimaryError) Error() string {
	if e.Is(ErrAlreadyPromoted) {
		return fmt.Sprintf("the server has been promoted already: it left timeline %d and is %v", e.From, e.State)
	}
	if e.From != 0 {
		return fmt.Sprintf("the server is not in recovery, and was not promoted from timeline %d: it is %v", e.From, e.State)
	}
	return fmt.Sprintf("the server is not in recovery: it is %v", e.State)
}

// Is reports whether target is [ErrAlreadyPromoted] and the server has been.
func (e *PrimaryError) Is(target error) bool {
	return target == ErrAlreadyPromoted && e.From != 0 && e.State.Timeline > e.From
}

// PausedError says that replay is paused, and that a server of this major would not notice a request until it goes on. Nothing was done.
type PausedError struct{ State State }

func (e *PausedError) Error() string {
	return fmt.Sprintf("the server is %v, and PostgreSQL %v does not end recovery before replay goes on: set Resume, "+
		"or run SELECT %s", e.State, e.State.Major, e.State.sql("pg_wal_replay_resume()"))
}

// NoWayError says that the server cannot be promoted with what is at hand. Nothing was done.
type NoWayError struct {
	Major pgconf.Major
	Why   []string // for each way
}

func (e *NoWayError) Error() string {
	return fmt.Sprintf("no way to promote this server of PostgreSQL %v: %s", e.Major, strings.Join(e.Why, "; "))
}

// TimeoutError says that ctx ended before the server accepted writes. The promotion may have taken place, or may still: a request
// cannot be taken back.
type TimeoutError struct {
	Way   Way
	State State // when it was last seen; its zero value if it never was
	Last  error // the last one of a look at the server, or nil
	Err   error // of the context
}

func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("%v before the server accepted writes; it was last seen as %v", e.Err, e.State)
	if e.State.Major == 0 {
		text = fmt.Sprintf("%v before the server accepted writes; it was never seen", e.Err)
	}
	if e.Last != nil {
		text += fmt.Sprintf("; the last look failed: %v", e.Last)
	}
	return text + "; it may still be promoted"
}

// Unwrap returns Err.
func (e *TimeoutError) Unwrap() error { return e.Err }
