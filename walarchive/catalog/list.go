package catalog

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Listing is what an archive holds, by timeline. It prints as text and marshals as JSON.
type Listing struct {
	Timelines []TimelineInfo `json:"timelines"` // ascending
	Consumers []Consumer     `json:"consumers,omitempty"`
	Unknown   []string       `json:"unknown,omitempty"` // objects that are none of an archive's, sorted
}

// TimelineInfo is what an archive holds of a timeline.
type TimelineInfo struct {
	Timeline    wal.Timeline `json:"timeline"`
	Parent      wal.Timeline `json:"parent,omitempty"`       // zero for a first timeline, and if the history is not known
	SwitchPoint wal.LSN      `json:"switch_point,omitempty"` // where it left its parent
	History     HistoryState `json:"history"`
	First       string       `json:"first,omitempty"` // the segments are from First to Last; empty if there is none
	Last        string       `json:"last,omitempty"`
	Segments    int          `json:"segments"`           // how many there are: not all from First to Last if there is a gap
	Partial     []string     `json:"partial,omitempty"`  // partial segments
	Received    []string     `json:"received,omitempty"` // beginnings of segments that are still being received
	Repairs     []string     `json:"repairs,omitempty"`  // copies beside damaged ones
	Backups     []Backup     `json:"backups,omitempty"`
}

// HistoryState says what is known of a timeline's history file.
type HistoryState string

// The states.
const (
	HistoryNone       HistoryState = "none"       // timeline 1 has none and needs none
	HistoryThere      HistoryState = "there"      // read and understood
	HistoryMissing    HistoryState = "missing"    // the archive does not hold it
	HistoryUnreadable HistoryState = "unreadable" // the archive holds it, but it was not given to AddText or is damaged
)

// List returns what the archive holds.
func (c *Catalog) List() Listing {
	l := Listing{Consumers: c.Consumers(), Unknown: c.unknown}
	for _, t := range c.timelines() {
		l.Timelines = append(l.Timelines, c.info(t))
	}
	return l
}

func (c *Catalog) info(t wal.Timeline) TimelineInfo {
	i := TimelineInfo{Timeline: t, History: c.historyState(t)}
	if p := c.path(t).steps; len(p) > 1 {
		i.Parent, i.SwitchPoint = p[len(p)-2].timeline, p[len(p)-2].end
	}
	entries, counted := c.of(t), uint64(0)
	spans := c.holds(entries)
	if n := len(spans); n > 0 {
		i.First, i.Last = c.name(t, spans[0].first), c.name(t, spans[n-1].last)
	}
	for _, e := range entries {
		if e.isSegment() && (i.Segments == 0 || e.number != counted) {
			i.Segments++
			counted = e.number
		}
		switch {
		case e.object == ObjectReceived:
			i.Received = append(i.Received, e.name)
		case e.object == ObjectFile && strings.Contains(e.name, repairMark):
			i.Repairs = append(i.Repairs, e.name)
		case e.object == ObjectFile && e.file == wal.KindPartial:
			i.Partial = append(i.Partial, e.name)
		}
	}
	for _, b := range c.backups {
		if b.Timeline == t {
			i.Backups = append(i.Backups, b.Backup)
		}
	}
	return i
}

func (c *Catalog) historyState(t wal.Timeline) HistoryState {
	h := c.histories[t]
	switch {
	case h != nil && h.read:
		return HistoryThere
	case h != nil:
		return HistoryUnreadable
	case t == 1:
		return HistoryNone
	}
	return HistoryMissing
}

// String is a text of a few lines for each timeline.
func (l Listing) String() string {
	var b strings.Builder
	for _, t := range l.Timelines {
		b.WriteString(t.String())
	}
	for _, c := range l.Consumers {
		fmt.Fprintf(&b, "consumer %s: needs %s and later\n", c.Name, c.Segment)
	}
	for _, u := range l.Unknown {
		fmt.Fprintf(&b, "unknown object %q\n", u)
	}
	return b.String()
}

// String is a line about the timeline, and one for each thing that is not a plain segment.
func (i TimelineInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "timeline %d", i.Timeline)
	if i.Parent != 0 {
		fmt.Fprintf(&b, ", from timeline %d at %v", i.Parent, i.SwitchPoint)
	}
	if i.History == HistoryMissing || i.History == HistoryUnreadable {
		fmt.Fprintf(&b, ", history file %s", i.History)
	}
	switch i.Segments {
	case 0:
		b.WriteString(": no segment\n")
	case 1:
		fmt.Fprintf(&b, ": 1 segment, %s\n", i.First)
	default:
		fmt.Fprintf(&b, ": %d segments, %s to %s\n", i.Segments, i.First, i.Last)
	}
	for _, names := range []struct {
		what  string
		names []string
	}{{"partial", i.Partial}, {"received", i.Received}, {"repair", i.Repairs}} {
		for _, n := range names.names {
			fmt.Fprintf(&b, "  %s %s\n", names.what, n)
		}
	}
	for _, k := range i.Backups {
		fmt.Fprintf(&b, "  %v\n", k)
	}
	return b.String()
}

// String is a line about the backup.
func (b Backup) String() string {
	if b.Stop == 0 {
		return fmt.Sprintf("backup %s from %v, history file not read", b.Name, b.Start)
	}
	state := ""
	if !b.Complete {
		state = ", its WAL is not complete"
	}
	return fmt.Sprintf("backup %s %q, %v to %v%s", b.Name, b.Label, b.Start, b.Stop, state)
}
