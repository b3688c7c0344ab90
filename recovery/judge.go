package recovery

import (
	"fmt"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Verdict is how a returning server may join the primary.
type Verdict string

// The verdicts, cheapest first.
const (
	Follow Verdict = "follow" // start as a standby with the data as it is
	Rewind Verdict = "rewind" // pg_rewind first: the data went on after the fork
	Clone  Verdict = "clone"  // a new base backup; the old data is set aside
)

// Returning is what is known of a stopped server that shall become a standby.
type Returning struct {
	// Control is its control data, read while it was stopped.
	Control Control

	// EndOfWAL is the end of the last valid WAL record it holds. Zero means unknown, which is the rule after a crash; then
	// only a clean shutdown as a primary can prove that nothing came after the fork.
	EndOfWAL wal.LSN

	// CanRewind says that pg_rewind of its major is at hand. Whether its data permits it is read from Control.
	CanRewind bool
}

// Leader is what is known of the primary to follow.
type Leader struct {
	SystemID wal.SystemID
	History  wal.History // of its current timeline
	Position wal.LSN     // its current write position
}

// Judgement is a verdict with its evidence.
type Judgement struct {
	Verdict Verdict
	Fork    wal.LSN // where the primary's history left the server's timeline; zero if it is still on it or never was
	Reason  string  // one sentence for the operator
}

// Judge decides whether a stopped server may follow a primary as it is. It is a pure function and never prefers the
// cheaper way in doubt: what is not proven to lie in the primary's history counts as diverged.
//
// The rule is that of the server itself (readTimeLineHistory and checkTimeLineSwitch in src/backend/access/transam): data
// of timeline T is shared with a newer timeline only before the switch point that the newer one's history names for T.
func Judge(r Returning, l Leader) Judgement {
	if r.Control.SystemID != l.SystemID {
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf(
			"it belongs to another cluster: system identifier %v, the primary has %v", r.Control.SystemID, l.SystemID)}
	}
	tli := r.Control.Timeline()
	if tli == l.History.Timeline {
		return judgeSameTimeline(r, l)
	}
	fork, shared := l.History.SwitchPoint(tli)
	if !shared {
		return diverged(r, 0, fmt.Sprintf("its timeline %d is not in the history of the primary's timeline %d", tli, l.History.Timeline))
	}
	switch {
	case r.EndOfWAL != 0 && r.EndOfWAL <= fork:
		return Judgement{Verdict: Follow, Fork: fork, Reason: fmt.Sprintf(
			"its WAL ends at %v, not after the fork at %v", r.EndOfWAL, fork)}
	case r.EndOfWAL != 0:
		return diverged(r, fork, fmt.Sprintf("its WAL ends at %v, after the fork at %v", r.EndOfWAL, fork))
	case r.Control.State == StateShutDown && r.Control.Checkpoint < fork:
		// The shutdown checkpoint is the last record, and a fork is never inside a record.
		return Judgement{Verdict: Follow, Fork: fork, Reason: fmt.Sprintf(
			"it was shut down cleanly at %v, before the fork at %v", r.Control.Checkpoint, fork)}
	case r.Control.State == StateShutDown:
		return diverged(r, fork, fmt.Sprintf("it wrote a checkpoint at %v, after the fork at %v", r.Control.Checkpoint, fork))
	default:
		return diverged(r, fork, fmt.Sprintf("it ended %q and nothing proves that its WAL stops before the fork at %v", r.Control.State, fork))
	}
}

// judgeSameTimeline handles a server that is on the primary's own timeline. A standby of it may follow unless it is ahead; a
// server that ended as a primary of that timeline shows that there were two, so nothing can be said about what they share.
// pg_rewind finds nothing to do between servers of one timeline, so the way out is always a clone.
func judgeSameTimeline(r Returning, l Leader) Judgement {
	tli := l.History.Timeline
	end := max(r.EndOfWAL, r.Control.Checkpoint, r.Control.MinRecoveryPoint)
	switch {
	case r.Control.State != StateShutDownInRecovery && r.Control.State != StateInArchiveRecovery:
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf(
			"it ended %q as a primary of timeline %d, which is the primary's own timeline: their WAL may differ without a fork", r.Control.State, tli)}
	case end > l.Position:
		return Judgement{Verdict: Clone, Fork: l.Position, Reason: fmt.Sprintf(
			"its WAL reaches %v but the primary of the same timeline is only at %v", end, l.Position)}
	default:
		return Judgement{Verdict: Follow, Reason: fmt.Sprintf("it is a standby on the primary's timeline %d and not ahead of it", tli)}
	}
}

// diverged chooses between rewind and clone.
func diverged(r Returning, fork wal.LSN, why string) Judgement {
	switch {
	case !r.Control.Rewindable():
		return Judgement{Verdict: Clone, Fork: fork, Reason: why + "; it has neither data checksums nor wal_log_hints, so it cannot be rewound"}
	case !r.CanRewind:
		return Judgement{Verdict: Clone, Fork: fork, Reason: why + "; pg_rewind of its major is not installed"}
	default:
		return Judgement{Verdict: Rewind, Fork: fork, Reason: why}
	}
}
