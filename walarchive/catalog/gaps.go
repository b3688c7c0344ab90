package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Reason says why files are missing.
type Reason string

// The reasons.
const (
	ReasonLost         Reason = "lost"                // a recovery that comes by here ends here
	ReasonDropped      Reason = "dropped"             // given up on purpose, see GapConfig.Dropped
	ReasonBeforeBackup Reason = "before first backup" // no base backup and no consumer needs it
	ReasonInFlight     Reason = "in flight"           // near the newest end: later ones may have overtaken it
	// ReasonHistoryMissing is a timeline without its history file: nobody can tell where it left its parent, and a recovery
	// does not find it.
	ReasonHistoryMissing Reason = "history missing"
	// ReasonHistoryUnreadable is a history file that is there but was not read, or does not parse.
	ReasonHistoryUnreadable Reason = "history unreadable"
	// ReasonUnreachable is a history file whose absence hides the timelines after it: recovery_target_timeline = 'latest' asks
	// for one number after the other and stops at the first that is not there (findNewestTimeLine in timeline.c).
	ReasonUnreachable Reason = "later timelines unreachable"
)

// Gap is a range of files that are missing.
type Gap struct {
	Reason   Reason       `json:"reason"`
	Timeline wal.Timeline `json:"timeline"`
	First    string       `json:"first"` // segments, or history files
	Last     string       `json:"last"`  // included
	Count    uint64       `json:"count"`
}

// Bad reports whether the gap asks for somebody to look: it is neither harmless nor about to close.
func (g Gap) Bad() bool { return g.Reason != ReasonBeforeBackup && g.Reason != ReasonInFlight }

// String is a line.
func (g Gap) String() string {
	if g.First == g.Last {
		return fmt.Sprintf("timeline %d: %s missing: %s", g.Timeline, g.First, g.Reason)
	}
	return fmt.Sprintf("timeline %d: %s to %s missing, %d files: %s", g.Timeline, g.First, g.Last, g.Count, g.Reason)
}

// Gaps are all gaps of an archive: of segments by timeline and position, then of history files.
type Gaps []Gap

// String is a line for each.
func (g Gaps) String() string {
	var b strings.Builder
	for _, gap := range g {
		b.WriteString(gap.String() + "\n")
	}
	return b.String()
}

// Bad reports whether one of them is [Gap.Bad].
func (g Gaps) Bad() bool { return slices.ContainsFunc(g, Gap.Bad) }

// GapConfig is what [Catalog.Gaps] has to know besides the names.
type GapConfig struct {
	// InFlight is how many segments before a timeline's newest may still come, because several are pushed at once. Zero means
	// 16, negative none.
	InFlight int
	// Dropped are the names of segments that were given up on purpose. Others are no matter.
	Dropped []string
}

// Gaps returns the missing files. What must be there follows from the timelines' histories: a timeline begins with the
// segment of its switch point, and its parent's segments must lead up to the one before. What a parent's server wrote after
// the switch is its abandoned end; it is there as far as it is there. The archive begins with its oldest segment, whatever the
// timeline, and a timeline ends with its newest: nothing outside is a gap. A timeline whose history is not known begins with
// its own oldest segment.
func (c *Catalog) Gaps(cfg GapConfig) Gaps {
	switch {
	case cfg.InFlight == 0:
		cfg.InFlight = 16
	case cfg.InFlight < 0:
		cfg.InFlight = 0
	}
	oldest, ok := c.oldestSegment()
	if !ok {
		return c.historyGaps()
	}
	var gaps Gaps
	parts, dropped := c.parts(), c.droppedSegments(cfg.Dropped)
	for _, t := range c.timelines() {
		p, known := parts[t]
		w := c.window(t, p, known, uint64(cfg.InFlight)) //nolint:gosec // not negative
		w.dropped = dropped[t]
		for _, s := range complement(w.spans, max(w.begin, oldest), w.end) {
			gaps = w.classify(gaps, s)
		}
	}
	return append(gaps, c.historyGaps()...)
}

func (c *Catalog) oldestSegment() (oldest uint64, ok bool) {
	for _, e := range c.entries {
		if e.isSegment() && (!ok || e.number < oldest) {
			oldest, ok = e.number, true
		}
	}
	return oldest, ok
}

// part is a timeline's part in the ways to other timelines: from the first to before the last segment.
type part struct{ begin, end uint64 }

// parts returns the parts that histories know of.
func (c *Catalog) parts() map[wal.Timeline]part {
	parts := map[wal.Timeline]part{}
	for t, h := range c.histories {
		if !h.read {
			continue
		}
		steps := c.path(t).steps
		for i, s := range steps {
			p := part{begin: s.begin}
			if i+1 < len(steps) {
				p.end = steps[i+1].begin
			}
			if known, ok := parts[s.timeline]; ok {
				p = part{begin: min(p.begin, known.begin), end: max(p.end, known.end)}
			}
			parts[s.timeline] = p
		}
	}
	if _, ok := parts[1]; !ok {
		parts[1] = part{}
	}
	return parts
}

func (c *Catalog) droppedSegments(names []string) map[wal.Timeline][]uint64 {
	dropped := map[wal.Timeline][]uint64{}
	for _, name := range names {
		if s, err := wal.ParseSegment(name, c.segSize); err == nil {
			dropped[s.Timeline] = append(dropped[s.Timeline], s.Number)
		}
	}
	for _, numbers := range dropped {
		slices.Sort(numbers)
	}
	return dropped
}

// window is what should be there of a timeline, and what tells the reasons apart for what is not.
type window struct {
	catalog    *Catalog
	timeline   wal.Timeline
	spans      []span   // what is there
	begin, end uint64   // what should be there; end is excluded
	flying     uint64   // from here on a segment may still come
	wanted     uint64   // from here on a backup or consumer needs it
	dropped    []uint64 // ascending
}

func (c *Catalog) window(t wal.Timeline, p part, known bool, inFlight uint64) window {
	entries := c.of(t)
	w := window{catalog: c, timeline: t, spans: c.holds(entries), begin: p.begin, end: p.end, flying: p.end, wanted: c.wantedFrom(t)}
	if len(entries) == 0 {
		return w
	}
	newest := entries[len(entries)-1].number
	w.end = max(w.end, newest)
	w.flying = max(p.end, newest-min(newest, inFlight))
	if !known { // nothing tells where it begins
		w.begin = newest
		if len(w.spans) > 0 {
			w.begin = w.spans[0].first
		}
	}
	return w
}

// wantedFrom returns the first segment on the timeline that a base backup or consumer of the timeline or an ancestor needs.
// If there are no backups and no consumers at all, everything is wanted.
func (c *Catalog) wantedFrom(t wal.Timeline) uint64 {
	if len(c.backups) == 0 && len(c.consumers) == 0 {
		return 0
	}
	from, p := uint64(1<<64-1), c.path(t)
	for _, b := range c.backups {
		if b.first < from && p.leads(b.Timeline, b.Start) {
			from = b.first
		}
	}
	for _, k := range c.consumers {
		if k.segment.Number < from && (k.segment.Timeline == 0 || p.leads(k.segment.Timeline, k.segment.Start(c.segSize))) {
			from = k.segment.Number
		}
	}
	return from
}

// complement returns what lies from begin to before end and in none of the spans.
func complement(spans []span, begin, end uint64) []span {
	var out []span
	next := begin
	for _, s := range spans {
		if s.first >= end {
			break
		}
		if s.first > next {
			out = append(out, span{next, s.first - 1})
		}
		next = max(next, s.last+1)
	}
	if next < end {
		out = append(out, span{next, end - 1})
	}
	return out
}

// classify appends the missing range, cut where the reason changes.
func (w *window) classify(gaps Gaps, s span) Gaps {
	s, ok := w.catalog.used(s)
	if !ok {
		return gaps
	}
	cuts := []uint64{s.first, s.last + 1}
	for _, n := range append([]uint64{w.flying, w.wanted}, w.droppedIn(s)...) {
		for _, cut := range []uint64{n, n + 1} {
			if cut > s.first && cut <= s.last {
				cuts = append(cuts, cut)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i, from := range cuts[:len(cuts)-1] {
		g := Gap{Reason: w.reason(from), Timeline: w.timeline, Count: w.catalog.count(from, cuts[i+1])}
		if n := len(gaps); i > 0 && gaps[n-1].Reason == g.Reason {
			gaps[n-1].Count += g.Count
			gaps[n-1].Last = w.catalog.name(w.timeline, cuts[i+1]-1)
			continue
		}
		g.First, g.Last = w.catalog.name(w.timeline, from), w.catalog.name(w.timeline, cuts[i+1]-1)
		gaps = append(gaps, g)
	}
	return gaps
}

// used cuts numbers off the ends of a range that no server uses.
func (c *Catalog) used(s span) (span, bool) {
	unused := func(n uint64) bool { return !c.numbering.Used(wal.Segment{Number: n}, c.segSize) }
	if unused(s.first) {
		s.first++
	}
	if s.last > s.first && unused(s.last) {
		s.last--
	}
	return s, s.first <= s.last
}

// count is how many segments there are from first to before end.
func (c *Catalog) count(first, end uint64) uint64 {
	n := c.numbering.SegmentsBetween(wal.Segment{Number: first}, wal.Segment{Number: end}, c.segSize)
	return uint64(n) //nolint:gosec // end is not before first
}

func (w *window) droppedIn(s span) []uint64 {
	from, _ := slices.BinarySearch(w.dropped, s.first)
	to, _ := slices.BinarySearch(w.dropped, s.last+1)
	return w.dropped[from:to]
}

func (w *window) reason(number uint64) Reason {
	_, dropped := slices.BinarySearch(w.dropped, number)
	switch {
	case dropped:
		return ReasonDropped
	case number < w.wanted:
		return ReasonBeforeBackup
	case number >= w.flying:
		return ReasonInFlight
	}
	return ReasonLost
}

// historyGaps returns the history files that are missing or were not read.
func (c *Catalog) historyGaps() Gaps {
	var gaps Gaps
	add := func(reason Reason, from, to wal.Timeline) {
		gaps = append(gaps, Gap{Reason: reason, Timeline: from, First: from.HistoryName(), Last: to.HistoryName(), Count: uint64(to-from) + 1})
	}
	last := wal.Timeline(0)
	if len(c.histories) > 0 {
		last = slices.Max(slices.Collect(maps.Keys(c.histories)))
	}
	next := wal.Timeline(2)
	for _, t := range c.timelines() {
		if t < 2 {
			continue
		}
		if t > next && next < last {
			add(ReasonUnreachable, next, min(t, last)-1)
		}
		next = t + 1
		switch c.historyState(t) {
		case HistoryMissing:
			add(ReasonHistoryMissing, t, t)
		case HistoryUnreadable:
			add(ReasonHistoryUnreadable, t, t)
		}
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return cmp.Compare(a.Timeline, b.Timeline) })
	return gaps
}
