package catalog

import (
	"maps"
	"slices"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// path is how WAL leads to a timeline: its ancestors, oldest first, then itself.
type path struct {
	steps []step
	known bool // false if the history file is not there or was not read: the ancestors are not known then
}

// step is a timeline's part of a path.
type step struct {
	timeline wal.Timeline
	begin    uint64  // number of the first segment that has this timeline's name on the path
	end      wal.LSN // the switch point to the next; zero for the last
}

// path returns the way to t. Timeline 1 has no history file and needs none.
func (c *Catalog) path(t wal.Timeline) path {
	if p, ok := c.paths[t]; ok {
		return p
	}
	h := c.histories[t]
	p := path{known: t == 1 || h != nil && h.read}
	begin := uint64(0)
	if h != nil && h.read {
		for _, e := range h.value.Entries {
			p.steps = append(p.steps, step{timeline: e.Timeline, begin: begin, end: e.End})
			begin = max(begin, c.number(e.End)) // a switch point before an earlier one is no reason to go back
		}
	}
	p.steps = append(p.steps, step{timeline: t, begin: begin})
	c.paths[t] = p
	return p
}

// find returns the part of t on the path.
func (p path) find(t wal.Timeline) (step, bool) {
	for _, s := range p.steps {
		if s.timeline == t {
			return s, true
		}
	}
	return step{}, false
}

// leads reports whether a recovery that starts at lsn on timeline from comes along the path.
func (p path) leads(from wal.Timeline, lsn wal.LSN) bool {
	s, ok := p.find(from)
	return ok && (s.end == 0 || lsn < s.end)
}

// own is the timeline's own part.
func (p path) own() step { return p.steps[len(p.steps)-1] }

// timelines returns those that have files or a history file, or are ancestors of one that has, ascending.
func (c *Catalog) timelines() []wal.Timeline {
	seen := map[wal.Timeline]bool{}
	for i := 0; i < len(c.entries); i += len(c.of(c.entries[i].timeline)) {
		seen[c.entries[i].timeline] = true
	}
	for _, b := range c.backups {
		seen[b.Timeline] = true
	}
	for t, h := range c.histories {
		seen[t] = true
		for _, e := range h.value.Entries {
			seen[e.Timeline] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
