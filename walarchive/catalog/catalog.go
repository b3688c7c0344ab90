package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Catalog is what the names of an archive's objects tell, and the texts of its history files once [Catalog.AddText] has them.
// It is not safe for concurrent use.
type Catalog struct {
	segSize   uint32
	numbering wal.Numbering
	entries   []entry // of archived files and what belongs to them: by timeline, number, name
	histories map[wal.Timeline]*history
	backups   []*backup // by timeline, then position
	consumers []Consumer
	unknown   []string // objects that are no archive's, and names that this segment size cannot have
	paths     map[wal.Timeline]path
}

// entry is an object of the archive that is about a segment.
type entry struct {
	name     string
	number   uint64
	timeline wal.Timeline
	object   ObjectKind
	file     wal.Kind
}

// history is the history file of a timeline.
type history struct {
	names []string // the file, its repairs and records
	value wal.History
	read  bool
}

// backup is a backup history file.
type backup struct {
	Backup
	names []string
}

// Backup is a base backup, as its backup history file tells of it.
type Backup struct {
	Name     string       `json:"name"` // of the file: SEGMENT.XXXXXXXX.backup
	Timeline wal.Timeline `json:"timeline"`
	Start    wal.LSN      `json:"start"`
	Stop     wal.LSN      `json:"stop,omitempty"`  // zero if the file was not read: the backup may need any WAL from Start on
	Label    string       `json:"label,omitempty"` // what the user named it
	Complete bool         `json:"complete"`        // the archive holds all WAL from Start to Stop
	first    uint64       // number of the segment of Start
	last     uint64       // of the segment that holds the last byte before Stop
}

// Consumer is somebody who registered in the archive as in need of WAL.
type Consumer struct {
	Name    string      `json:"name"`
	Segment string      `json:"segment"` // the oldest that it needs
	segment wal.Segment // the same
}

// New reads the names of all objects of an archive, in any order, for a cluster of this segment size, in bytes. An
// invalid segment size is an error. Names that no archive writes are not: [Listing.Unknown] has them.
func New(names []string, segSize uint32) (*Catalog, error) {
	if !wal.ValidSegmentSize(segSize) {
		return nil, errors.New("segment size: want a power of two from 1 MiB to 1 GiB")
	}
	c := &Catalog{
		segSize: segSize, entries: make([]entry, 0, len(names)),
		histories: map[wal.Timeline]*history{}, paths: map[wal.Timeline]path{},
	}
	backups := map[wal.FileName]*backup{}
	for _, name := range names {
		o, err := ParseObject(name)
		if err != nil {
			c.unknown = append(c.unknown, name)
			continue
		}
		c.add(name, o, backups)
	}
	c.sort()
	return c, nil
}

func (c *Catalog) add(name string, o Object, backups map[wal.FileName]*backup) {
	if o.Kind == ObjectMarker {
		return
	}
	if o.File.Kind == wal.KindHistory {
		h := c.histories[o.File.Timeline]
		if h == nil {
			h = &history{}
			c.histories[o.File.Timeline] = h
		}
		h.names = append(h.names, name)
		return
	}
	seg, err := o.File.Segment(c.segSize)
	if err != nil {
		c.unknown = append(c.unknown, name)
		return
	}
	switch {
	case o.Kind == ObjectConsumer:
		c.consumers = append(c.consumers, Consumer{Name: o.Consumer, Segment: o.File.String(), segment: seg})
	case o.File.Kind == wal.KindBackup:
		b := backups[o.File]
		if b == nil {
			start := seg.Start(c.segSize) + wal.LSN(o.File.Offset)
			b = &backup{Backup: Backup{Name: o.File.String(), Timeline: seg.Timeline, Start: start, first: seg.Number}}
			backups[o.File] = b
			c.backups = append(c.backups, b)
		}
		b.names = append(b.names, name)
	default:
		c.entries = append(c.entries, entry{name: name, number: seg.Number, timeline: seg.Timeline, object: o.Kind, file: o.File.Kind})
	}
}

func (c *Catalog) sort() {
	c.entries = sortEntries(c.entries)
	slices.SortFunc(c.backups, func(a, b *backup) int {
		return cmp.Compare(a.Name, b.Name)
	})
	slices.SortFunc(c.consumers, func(a, b Consumer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.segment.Number, b.segment.Number), cmp.Compare(a.Segment, b.Segment))
	})
	c.consumers = slices.CompactFunc(c.consumers, func(a, b Consumer) bool { return a.Name == b.Name }) // the oldest counts
	for _, b := range c.backups {
		slices.Sort(b.names)
	}
	for _, h := range c.histories {
		slices.Sort(h.names)
	}
	slices.Sort(c.unknown)
}

// SetNumbering says how the cluster's major numbers its segments; see [wal.PageHeader.Numbering]. Without it, it is that of 9.3 and
// later. Call it before AddText.
func (c *Catalog) SetNumbering(n wal.Numbering) { c.numbering = n }

// next is the number of the segment after number.
func (c *Catalog) next(number uint64) uint64 {
	return c.numbering.Next(wal.Segment{Number: number}, c.segSize).Number
}

// Texts returns the names of the history and backup history files, sorted: the files to read and to hand to
// [Catalog.AddText]. One whose copy is damaged has the name of the file, not of a repair.
func (c *Catalog) Texts() []string {
	var names []string
	for t := range c.histories {
		names = append(names, t.HistoryName())
	}
	for _, b := range c.backups {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return names
}

// AddText gives the content of one of the files of [Catalog.Texts]. A text that does not parse is an error and counts as
// one that was not given: then nothing is concluded from it, and what may depend on it is kept.
func (c *Catalog) AddText(name string, content []byte) error {
	f, err := wal.ParseFileName(name)
	if err != nil {
		return err
	}
	clear(c.paths)
	switch f.Kind {
	case wal.KindHistory:
		h := c.histories[f.Timeline]
		if h == nil {
			return fmt.Errorf("%s is not in the archive", name)
		}
		v, err := wal.ParseHistory(f.Timeline, content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		h.value, h.read = v, true
		return nil
	case wal.KindBackup:
		return c.addBackup(name, content)
	}
	return fmt.Errorf("%s is no history file", name)
}

func (c *Catalog) addBackup(name string, content []byte) error {
	i, ok := c.findBackup(name)
	if !ok {
		return fmt.Errorf("%s is not in the archive", name)
	}
	h, err := wal.ParseBackupHistory(content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b := c.backups[i]
	if h.Start != b.Start || h.StartFile.Timeline != b.Timeline || h.Stop <= h.Start || h.StopFile.Timeline != b.Timeline {
		return fmt.Errorf("%s: is about another backup: timeline %d, %v to %v", name, h.StartFile.Timeline, h.Start, h.Stop)
	}
	b.Stop, b.Label = h.Stop, h.Label
	b.last = wal.SegmentOf(b.Timeline, h.Stop-1, c.segSize).Number
	b.Complete = c.holdsAll(b.Timeline, b.first, b.last)
	return nil
}

// findBackup relies on names sorting like timelines and positions.
func (c *Catalog) findBackup(name string) (int, bool) {
	return slices.BinarySearchFunc(c.backups, name, func(b *backup, name string) int { return cmp.Compare(b.Name, name) })
}

// Backups returns the base backups that the archive knows of, by timeline and position.
func (c *Catalog) Backups() []Backup {
	out := make([]Backup, len(c.backups))
	for i, b := range c.backups {
		out[i] = b.Backup
	}
	return out
}

// Consumers returns who registered, each with the oldest segment of its registrations, by name.
func (c *Catalog) Consumers() []Consumer { return slices.Clone(c.consumers) }

// name is the name of a segment.
func (c *Catalog) name(t wal.Timeline, number uint64) string {
	return wal.Segment{Timeline: t, Number: number}.Name(c.segSize)
}

func (c *Catalog) number(l wal.LSN) uint64 { return uint64(l) / uint64(c.segSize) }

// at is the index of the first entry at or after a segment.
func (c *Catalog) at(t wal.Timeline, number uint64) int {
	i, _ := slices.BinarySearchFunc(c.entries, entry{timeline: t, number: number}, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.timeline, b.timeline), cmp.Compare(a.number, b.number))
	})
	return i
}

// of are the entries of a timeline.
func (c *Catalog) of(t wal.Timeline) []entry {
	from := c.at(t, 0)
	n, _ := slices.BinarySearchFunc(c.entries[from:], t, func(e entry, t wal.Timeline) int {
		if e.timeline <= t {
			return -1
		}
		return 1
	})
	return c.entries[from : from+n]
}

// isSegment reports whether the entry is a complete segment, or a repair of one.
func (e entry) isSegment() bool { return e.object == ObjectFile && e.file == wal.KindSegment }

// span is a range of segment numbers, both included.
type span struct{ first, last uint64 }

// holds returns the ranges of complete segments among entries of one timeline.
func (c *Catalog) holds(entries []entry) []span {
	var spans []span
	for _, e := range entries {
		if !e.isSegment() {
			continue
		}
		if n := len(spans); n > 0 && (e.number == spans[n-1].last || e.number == c.next(spans[n-1].last)) {
			spans[n-1].last = e.number
		} else {
			spans = append(spans, span{e.number, e.number})
		}
	}
	return spans
}

// holdsAll reports whether all segments from first to last are there under the name of timeline t.
func (c *Catalog) holdsAll(t wal.Timeline, first, last uint64) bool {
	next := first
	for _, e := range c.entries[c.at(t, first):] {
		if e.timeline != t || e.number > next || next > last {
			break
		}
		if e.isSegment() && e.number == next {
			next = c.next(next)
		}
	}
	return next > last
}
