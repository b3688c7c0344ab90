package catalog

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Target is a recovery that somebody thinks of.
type Target struct {
	// From is where it starts: the name of a backup history file, or of the segment with the redo position.
	From string
	// Timeline is where it ends. Zero is the newest that the archive knows, as for recovery_target_timeline = 'latest'.
	Timeline wal.Timeline
	// LSN is how far it goes. Zero is as far as the archive goes.
	LSN wal.LSN
}

// FileState says whether a file that a recovery needs is there.
type FileState string

// The states.
const (
	FileThere   FileState = "there"
	FileMissing FileState = "missing"
	// FileBeginning is a segment of which the archive holds only the beginning: as a partial segment or one that is still
	// being received.
	FileBeginning FileState = "beginning only"
)

// NeededFiles is a range of files in a row with one state.
type NeededFiles struct {
	First string    `json:"first"` // a history file, or a segment
	Last  string    `json:"last"`  // included
	Count uint64    `json:"count"`
	State FileState `json:"state"`
	Have  string    `json:"have,omitempty"` // FileBeginning: the object that holds the beginning
}

// Need is what a recovery needs, in the order in which the server asks.
type Need struct {
	Timeline wal.Timeline  `json:"timeline"` // where it ends
	Files    []NeededFiles `json:"files"`
}

// Missing returns how many files are not there, or not whole.
func (n Need) Missing() uint64 {
	missing := uint64(0)
	for _, f := range n.Files {
		if f.State != FileThere {
			missing += f.Count
		}
	}
	return missing
}

// String is a line for each range of files.
func (n Need) String() string {
	var b strings.Builder
	for _, f := range n.Files {
		b.WriteString(f.First)
		if f.Count > 1 {
			fmt.Fprintf(&b, " to %s, %d files", f.Last, f.Count)
		}
		fmt.Fprintf(&b, ": %s", f.State)
		if f.Have != "" {
			fmt.Fprintf(&b, " (%s)", f.Have)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TargetError says that a recovery is not possible, whatever files there are.
type TargetError struct{ Msg string }

func (e *TargetError) Error() string { return "no such recovery: " + e.Msg }

// Need returns the files that a recovery needs and whether each is there: the history file of its timeline, and from
// each segment the one with the newest timeline's name on the way, which is the first that the server asks for. A target that
// no recovery from there can reach is a [*TargetError]; a From that is no name is a [*wal.SyntaxError].
func (c *Catalog) Need(t Target) (Need, error) {
	start, err := c.startOf(t.From)
	if err != nil {
		return Need{}, err
	}
	if t.Timeline == 0 {
		t.Timeline = c.newestTimeline(start.Timeline)
	}
	n := Need{Timeline: t.Timeline}
	if t.Timeline != 1 {
		n.Files = append(n.Files, c.neededHistory(t.Timeline))
	}
	p := c.path(t.Timeline)
	if t.Timeline != start.Timeline && !p.known {
		return n, targetErrorf("the history file of timeline %d was not read, so nobody knows the way to it", t.Timeline)
	}
	if err := c.reachable(t, start, p); err != nil {
		return n, err
	}
	last := c.lastNeeded(t, start)
	for i, s := range p.steps {
		end := last + 1
		if i+1 < len(p.steps) {
			end = min(end, p.steps[i+1].begin)
		}
		if from := max(s.begin, start.first); from < end {
			n.Files = append(n.Files, c.neededSegments(s.timeline, from, end)...)
		}
	}
	return n, nil
}

func targetErrorf(format string, args ...any) error {
	return &TargetError{Msg: fmt.Sprintf(format, args...)}
}

// startOf returns the backup that name stands for, or one that starts with the segment.
func (c *Catalog) startOf(name string) (Backup, error) {
	f, err := wal.ParseFileName(name)
	if err != nil {
		return Backup{}, err
	}
	seg, err := f.Segment(c.segSize)
	switch {
	case err != nil:
		return Backup{}, err
	case f.Kind == wal.KindSegment:
		return Backup{Timeline: seg.Timeline, Start: seg.Start(c.segSize), first: seg.Number}, nil
	case f.Kind != wal.KindBackup:
		return Backup{}, &wal.SyntaxError{What: "start of a recovery", Text: name, Msg: "want a segment or a backup history file"}
	}
	i, ok := c.findBackup(name)
	if !ok {
		return Backup{}, targetErrorf("the archive does not know the backup %s", name)
	}
	return c.backups[i].Backup, nil
}

// newestTimeline is the one that recovery_target_timeline = 'latest' ends on: the last whose history file is there, without
// a number left out.
func (c *Catalog) newestTimeline(from wal.Timeline) wal.Timeline {
	for c.histories[from+1] != nil {
		from++
	}
	return from
}

func (c *Catalog) reachable(t Target, start Backup, p path) error {
	switch s, ok := p.find(start.Timeline); {
	case !ok:
		return targetErrorf("timeline %d does not come out of timeline %d", t.Timeline, start.Timeline)
	case s.end != 0 && start.Start >= s.end:
		return targetErrorf("timeline %d leaves timeline %d at %v, before the start at %v", t.Timeline, start.Timeline, s.end, start.Start)
	case t.LSN != 0 && t.LSN < max(start.Start, start.Stop):
		return targetErrorf("%v is before the backup is consistent, at %v", t.LSN, max(start.Start, start.Stop))
	}
	return nil
}

// lastNeeded is the number of the last segment that the recovery needs.
func (c *Catalog) lastNeeded(t Target, start Backup) uint64 {
	if t.LSN != 0 {
		return c.number(t.LSN - 1)
	}
	last := max(start.first, start.last)
	if spans := c.holds(c.of(t.Timeline)); len(spans) > 0 {
		last = max(last, spans[len(spans)-1].last)
	}
	return max(last, c.path(t.Timeline).own().begin)
}

func (c *Catalog) neededHistory(t wal.Timeline) NeededFiles {
	n := NeededFiles{First: t.HistoryName(), Last: t.HistoryName(), Count: 1, State: FileMissing}
	if c.histories[t] != nil {
		n.State = FileThere
	}
	return n
}

// neededSegments returns the state of the segments from first to before end.
func (c *Catalog) neededSegments(t wal.Timeline, first, end uint64) []NeededFiles {
	var out []NeededFiles
	add := func(first, end uint64, state FileState, have string) {
		if first >= end {
			return
		}
		if s, ok := c.used(span{first, end - 1}); ok {
			out = append(out, NeededFiles{First: c.name(t, s.first), Last: c.name(t, s.last), Count: c.count(s.first, s.last+1), State: state, Have: have})
		}
	}
	entries := c.entries[c.at(t, first):c.at(t, end)]
	next := first
	for _, there := range c.holds(entries) {
		c.addMissing(add, entries, next, there.first)
		add(there.first, there.last+1, FileThere, "")
		next = there.last + 1
	}
	c.addMissing(add, entries, next, end)
	return out
}

// addMissing adds a range without complete segments. Of some the beginning may be there.
func (c *Catalog) addMissing(add func(first, end uint64, state FileState, have string), entries []entry, next, end uint64) {
	for _, e := range entries {
		beginning := e.object == ObjectReceived || e.object == ObjectFile && e.file == wal.KindPartial
		if !beginning || e.number < next || e.number >= end {
			continue
		}
		add(next, e.number, FileMissing, "")
		add(e.number, e.number+1, FileBeginning, e.name)
		next = e.number + 1
	}
	add(next, end, FileMissing, "")
}
