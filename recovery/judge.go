package recovery

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Verdict is how a returning server may join the primary.
type Verdict string

// The verdicts, cheapest first.
const (
	Follow Verdict = "follow" // start as a standby with the data as it is
	Rewind Verdict = "rewind" // pg_rewind first: the data went on after the fork, or may have
	Clone  Verdict = "clone"  // a new base backup; the old data is set aside
)

// Returning is what is known of a stopped server that shall become a standby.
type Returning struct {
	// Control is its control data, read while it was stopped.
	Control datadir.Control

	// History is the history of Control.Timeline() from the server's own pg_wal. It tells that timeline from another one
	// to which a second promotion gave the same number. The zero value means unknown; such a server never follows, unless it
	// is on timeline 1, which has no history.
	History wal.History

	// EndOfWAL is the end of the last valid WAL record it holds of Control.Timeline(); [datadir.EndOfWAL] finds it. Zero means
	// unknown; then only a clean shutdown as a primary can prove that nothing came after the fork. So does a value that
	// contradicts the control data.
	EndOfWAL wal.LSN

	// Newer are the later timelines of which it has a history in its pg_wal. A server that starts as a standby follows the newest one,
	// be it the primary's or that of a promotion that failed or that others made and lost. Nil means that there is none, not that
	// nobody has looked.
	Newer []NewerTimeline

	// Label is its backup_label, nil if there is none.
	Label *wal.BackupLabel

	// CanRewind says that pg_rewind of its major is at hand. Whether its data permits it is read from Control.
	CanRewind bool
}

// NewerTimeline is a timeline after that of the control data. A standby that replayed a switch shows it there only later.
type NewerTimeline struct {
	History  wal.History
	EndOfWAL wal.LSN // the end of the last valid WAL record on the way to it; zero means unknown
}

// ErrNotStopped is matched by the error of [ReturningFrom] for a server that runs, or may.
var ErrNotStopped = errors.New("the server has to be stopped first")

// ReturningFrom makes a Returning of what its data directory says, without CanRewind. For that it reads the WAL since the last
// checkpoint ([datadir.EndOfWAL]; from 10 on), which takes a while if that is much. An error says that nothing can be judged: the
// server is not certainly stopped (who knows that it is may set d.Server.Life), or a file of it is damaged or of an unknown major.
// That its history or its WAL is missing is no error; a server of which nothing else is known will not follow.
func ReturningFrom(d datadir.Directory) (Returning, error) {
	if d.Server.Life != datadir.Stopped {
		return Returning{}, fmt.Errorf("%s: %w: %s", d.Path, ErrNotStopped, strings.Join(d.Server.Evidence, "; "))
	}
	historyErr := d.HistoryErr
	if errors.Is(historyErr, fs.ErrNotExist) {
		historyErr = nil
	}
	if err := errors.Join(d.MajorErr, d.ControlErr, historyErr, d.NewerErr, d.LabelErr); err != nil {
		return Returning{}, err
	}
	r := Returning{Control: d.Control, History: d.History, Label: d.Label, EndOfWAL: endOfWAL(d, d.History)}
	for _, h := range d.Newer {
		r.Newer = append(r.Newer, NewerTimeline{History: h, EndOfWAL: endOfWAL(d, h)})
	}
	return r, nil
}

// endOfWAL returns zero if the end cannot be found.
func endOfWAL(d datadir.Directory, h wal.History) wal.LSN {
	end, err := datadir.EndOfWAL(d.Path, d.Major, d.Control, h)
	if err != nil {
		return 0
	}
	return end
}

// Leader is what is known of the primary to follow.
type Leader struct {
	SystemID wal.SystemID
	History  wal.History // of its current timeline
	Position wal.LSN     // its write position, asked for after the other server was stopped
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
// The rule is that of the server itself (rescanLatestTimeLine in src/backend/access/transam/xlogrecovery.c, and the checks of
// the checkpoint and the minimum recovery point at its start): data of timeline T is shared with a newer timeline only
// before the switch point that the newer one's history names for T. Data that ends exactly there is shared.
//
// A server on a newer timeline than the primary is to be cloned even if it could be rewound: somebody promoted it after
// the primary, so its data may be the better one, and only a clone leaves it whole. So is one whose data is a base backup that has not
// been recovered to its end, which is consistent only further on, and one that pg_rewind left half-way. A server that was rewound
// may follow; its backup_label says so.
//
// That the WAL is still to be had which a standby needs to catch up is another question. Judge takes on trust, because neither control
// files nor histories show it:
//   - An archive that the standby will restore from has no history of a timeline that is not the primary's.
//   - A killed standby of the primary's own timeline has no more WAL than the primary: standbys receive only what the primary
//     has flushed.
//   - Two promotions that chose the same timeline number did not happen at the same position.
//   - Nobody started a copy of a server as a primary without promoting it (by removing its role file), which makes two primaries of
//     one timeline. If one of them returns to the other that is seen; if it returns to what the other became later, it is not.
func Judge(r Returning, l Leader) Judgement {
	tli := r.Control.Timeline()
	if r.Control.SystemID != l.SystemID {
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf(
			"it belongs to another cluster: system identifier %v, the primary has %v", r.Control.SystemID, l.SystemID)}
	}
	if why := unfinished(r); why != "" {
		return Judgement{Verdict: Clone, Reason: why}
	}
	if tli > l.History.Timeline {
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf(
			"its timeline %d is newer than the primary's timeline %d: make sure which of the two holds the data to keep", tli, l.History.Timeline)}
	}
	fork, shared := l.History.SwitchPoint(tli)
	if !shared && tli != l.History.Timeline {
		return diverged(r, 0, fmt.Sprintf("its timeline %d is not in the history of the primary's timeline %d", tli, l.History.Timeline))
	}
	for _, n := range r.Newer {
		if j, bad := judgeNewer(r, n, l); bad {
			return j
		}
	}
	doubt := doubtTimeline(r.History, tli, l.History)
	switch {
	case tli == l.History.Timeline:
		return judgeSameTimeline(r, l, doubt)
	case doubt != "":
		return diverged(r, 0, doubt)
	default:
		return judgeFork(r, fork)
	}
}

// unfinished says why the data is not yet that of any server, or nothing.
func unfinished(r Returning) string {
	c := r.Control
	switch {
	case r.Label != nil && r.Label.Method != wal.BackupRewound:
		return fmt.Sprintf("its backup_label makes it a base backup, from %v on, whose recovery has not begun", r.Label.Start)
	case r.Label != nil && c.State != datadir.StateInArchiveRecovery:
		return fmt.Sprintf("pg_rewind has begun with it and not finished: its control file still says %q", c.State)
	case c.BackupUnfinished():
		return fmt.Sprintf("the recovery of the base backup or the rewind from %v on that it was made of has not reached its end", c.BackupStart)
	default:
		return ""
	}
}

// judgeNewer handles a history in the server's pg_wal. It is false if that does not keep the server from following.
func judgeNewer(r Returning, n NewerTimeline, l Leader) (j Judgement, bad bool) {
	tli := n.History.Timeline
	if !l.History.Contains(tli) || doubtTimeline(n.History, tli, l.History) != "" {
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf("at its start it would follow timeline %d, of which its pg_wal holds a history, "+
			"and which is not the primary's: move %s away if nobody needs that timeline", tli, tli.HistoryName())}, true
	}
	fork, left := l.History.SwitchPoint(tli)
	switch {
	case left && n.EndOfWAL == 0:
		return diverged(r, fork, fmt.Sprintf("nothing proves that its WAL of timeline %d stops before the fork at %v", tli, fork)), true
	case left && n.EndOfWAL > fork:
		return diverged(r, fork, fmt.Sprintf("its WAL of timeline %d ends at %v, after the fork at %v", tli, n.EndOfWAL, fork)), true
	case !left && n.EndOfWAL > l.Position:
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf(
			"its WAL of the primary's timeline %d reaches %v but the primary is only at %v", tli, n.EndOfWAL, l.Position)}, true
	default:
		return Judgement{}, false
	}
}

// doubtTimeline says why timeline tli of a server with this own history may not be the one that the primary's history names,
// or nothing. Every promotion copies its parent's history, so the same timeline has the same ancestors everywhere.
func doubtTimeline(own wal.History, tli wal.Timeline, primary wal.History) string {
	if tli == 1 {
		return "" // initdb made it, once
	}
	if own.Timeline != tli || len(own.Entries) == 0 { // each but the first has an ancestor
		return fmt.Sprintf("the history of its timeline %d is not known, so it may be another one than the primary's of that number", tli)
	}
	younger := func(e wal.HistoryEntry) bool { return e.Timeline >= tli }
	ancestors := slices.DeleteFunc(slices.Clone(primary.Entries), younger)
	same := func(a, b wal.HistoryEntry) bool { return a.Timeline == b.Timeline && a.End == b.End }
	if !slices.EqualFunc(own.Entries, ancestors, same) {
		return fmt.Sprintf("it is on another timeline %d than the primary's of that number: their histories differ", tli)
	}
	return ""
}

// judgeFork handles a server on a timeline that the primary left at fork. The last checkpoint begins before the end of the
// server's WAL and, like any record, ends before the fork if it begins before it.
func judgeFork(r Returning, fork wal.LSN) Judgement {
	c := r.Control
	known := r.EndOfWAL > c.Checkpoint && r.EndOfWAL >= c.MinRecoveryPoint
	follow := func(format string, args ...any) Judgement {
		return Judgement{Verdict: Follow, Fork: fork, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.Checkpoint >= fork:
		return diverged(r, fork, fmt.Sprintf("its last checkpoint is at %v, not before the fork at %v", c.Checkpoint, fork))
	case c.MinRecoveryPoint > fork:
		return diverged(r, fork, fmt.Sprintf("it replayed WAL up to %v, after the fork at %v", c.MinRecoveryPoint, fork))
	case r.EndOfWAL > fork:
		return diverged(r, fork, fmt.Sprintf("its WAL ends at %v, after the fork at %v", r.EndOfWAL, fork))
	case known:
		return follow("its WAL ends at %v, not after the fork at %v", r.EndOfWAL, fork)
	case c.State == datadir.StateShutDown:
		// The shutdown checkpoint is the last record of its WAL.
		return follow("it was shut down cleanly at %v, before the fork at %v", c.Checkpoint, fork)
	default:
		return diverged(r, fork, fmt.Sprintf("it ended %q and nothing proves that its WAL stops before the fork at %v", c.State, fork))
	}
}

// judgeSameTimeline handles a server that is on the primary's own timeline. A standby of it may follow unless it is ahead; a
// server that ended as a primary of that timeline shows that there were two, so nothing can be said about what they share.
// pg_rewind finds nothing to do between servers of one timeline, so the way out is always a clone.
func judgeSameTimeline(r Returning, l Leader, doubt string) Judgement {
	c, tli := r.Control, l.History.Timeline
	clone := func(format string, args ...any) Judgement {
		return Judgement{Verdict: Clone, Reason: fmt.Sprintf(format, args...)}
	}
	end := max(r.EndOfWAL, c.Checkpoint, c.MinRecoveryPoint)
	switch {
	case c.State != datadir.StateShutDownInRecovery && c.State != datadir.StateInArchiveRecovery:
		return clone("it ended %q as a primary of timeline %d, which is the primary's own timeline: their WAL may differ without a fork", c.State, tli)
	case doubt != "":
		return clone("%s", doubt)
	case end > l.Position || c.Checkpoint == l.Position: // a checkpoint record begins there
		return clone("its WAL reaches %v but the primary of the same timeline is only at %v", end, l.Position)
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
