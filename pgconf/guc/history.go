package guc

import (
	_ "embed"
	"strconv"
	"sync"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// fatesText is hand-made: what became of parameters that are gone.
//
//go:embed fates.tsv
var fatesText string

// Fate is what became of a parameter that a major dropped.
type Fate struct {
	Name  string
	Major pgconf.Major // the first one that does not have it
	// To is the parameter that took its place, or "" if none did.
	To string
	// Convert says how the value of the old one becomes that of the new one.
	Convert Conversion
	// Reason is for people: why it is gone, and what to do instead.
	Reason string
}

// Conversion turns the value of an old parameter into that of the one that took its place.
type Conversion uint8

// The conversions.
const (
	Drop             Conversion = iota // there is nothing to take over
	Copy                               // as it is
	SegmentsToSize                     // a number of WAL segments, 16 MB each unless initdb was told otherwise, becomes their size
	CheckpointsToMax                   // checkpoint_segments: max_wal_size is three times their size
	PauseToAction                      // true is pause, false is promote
	ToSignalFile                       // standby_mode: on is the file standby.signal, off is recovery.signal
)

var conversionNames = [...]string{"drop", "copy", "segments_to_size", "checkpoints_to_max", "pause_to_action", "to_signal_file"}

// String returns the name of the conversion: "copy", "segments_to_size".
func (c Conversion) String() string { return nameOf(conversionNames[:], int(c)) }

var fates = sync.OnceValue(func() map[string][]Fate {
	all := map[string][]Fate{}
	for _, f := range table(fatesText) {
		m, _ := majors(f[1] + "-")
		all[f[0]] = append(all[f[0]], Fate{f[0], m, f[2], must[Conversion](conversionNames[:], f[3]), f[4]})
	}
	return all
})

// FateOf returns what became of a parameter, by its name in any case, of majors before m: how the step to a major up to m
// dropped it. It is false if m has the parameter, or never had it and nothing took its place. The parameters of recovery.conf,
// which moved into postgresql.conf in 12, have a fate only if they are not there under their old name.
func FateOf(name string, m pgconf.Major) (Fate, bool) {
	if catalogue().find(name, m) != nil {
		return Fate{}, false
	}
	list := fates()[ascii.Lower(name)]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Major <= m {
			return list[i], true
		}
	}
	return Fate{}, false
}

// History is the life of a parameter from 9.0 to 18.
type History struct {
	Name string
	// First and Last are the first and the last major that have it: [pgconf.Oldest] and [pgconf.Newest] if it is older or
	// still there. No parameter that went came back.
	First, Last pgconf.Major
	Changes     []Change // ordered by major
	Fate        *Fate    // nil if the newest major has it, or nothing is known
}

// Change is a fact about a parameter that is another one from a major on.
type Change struct {
	Major    pgconf.Major // the first one with the new fact
	Fact     string       // in the words of pg_settings: vartype, unit, context, boot_val, min_val, max_val, enumvals, category
	Old, New string
}

// HistoryOf returns the life of a parameter, by its name in any case. Names that are only known as another name for a
// parameter have none of their own.
func HistoryOf(name string) (History, bool) {
	list := catalogue().entries[ascii.Lower(name)]
	if len(list) == 0 {
		return History{}, false
	}
	last := list[len(list)-1]
	h := History{Name: last.param.Name, First: list[0].first, Last: last.last}
	for i := 1; i < len(list); i++ {
		h.Changes = append(h.Changes, changes(list[i-1].param, list[i].param, list[i].first)...)
	}
	if fate, ok := FateOf(name, pgconf.Newest); ok {
		h.Fate = &fate
	}
	return h, true
}

func changes(old, now Param, m pgconf.Major) []Change {
	var all []Change
	before, after := old.facts(), now.facts()
	for i, f := range before {
		if f.text != after[i].text {
			all = append(all, Change{m, f.name, f.text, after[i].text})
		}
	}
	return all
}

type fact struct{ name, text string }

func (p Param) facts() []fact {
	lo, hi := "", ""
	if p.Type == Int || p.Type == Real {
		lo, hi = strconv.FormatFloat(p.Min, 'g', -1, 64), strconv.FormatFloat(p.Max, 'g', -1, 64)
	}
	return []fact{
		{"vartype", p.Type.String()}, {"unit", string(p.Unit)}, {"context", p.Context.String()}, {"boot_val", p.Default},
		{"min_val", lo}, {"max_val", hi}, {"enumvals", commaList(p.listed())}, {"category", p.Category},
	}
}
