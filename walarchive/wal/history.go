package wal

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// HistoryEntry is one ancestor of a timeline: Timeline's WAL belongs to the history up to, not including, End.
type HistoryEntry struct {
	Timeline Timeline
	End      LSN    // the switch point: the first byte of the next timeline
	Reason   string // why the switch was made, in the words of the server that made it
}

// History says which WAL leads to a timeline: Timeline itself, and before it its ancestors, oldest first. The
// zero Entries is the history of timeline 1, and of one whose history file is lost.
type History struct {
	Timeline Timeline
	Entries  []HistoryEntry
}

// ParseHistory reads the content of the history file of timeline tli, or the same bytes from TIMELINE_HISTORY on a
// replication connection. Like the server (readTimeLineHistory in timeline.c) it skips empty lines and comments
// and demands ancestors that increase and stay below tli. Unlike it, it takes no sign, no 0x and no overflow,
// none of which a server ever wrote. History files of 9.0 to 9.2 name a WAL file instead of a position and are
// refused; see [ParseHistoryBefore93]. The error is a [*SyntaxError].
func ParseHistory(tli Timeline, b []byte) (History, error) {
	h := History{Timeline: tli}
	err := historyLines(tli, b, func(ancestor Timeline, position, reason string) string {
		if _, err := ParseFileName(position); err == nil {
			return "the switch point is a file name, the format of PostgreSQL 9.0 to 9.2"
		}
		end, err := ParseLSN(position)
		if err != nil {
			return "want the switch point, an LSN, second"
		}
		h.Entries = append(h.Entries, HistoryEntry{Timeline: ancestor, End: end, Reason: reason})
		return ""
	})
	if err != nil {
		return History{}, err
	}
	return h, nil
}

// historyLines passes the lines of a history file to add, which says what is wrong with one.
func historyLines(tli Timeline, b []byte, add func(ancestor Timeline, position, reason string) string) error {
	n, last, haveLast := 0, uint64(0), false
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.Trim(line, space)
		if text == "" || text[0] == '#' {
			continue
		}
		first, rest := cutSpace(text)
		position, reason := cutSpace(rest)
		ancestor, err := parseDecimal(first, 32)
		var msg string
		switch {
		case err != nil:
			msg = "want a timeline in decimal first"
		case haveLast && ancestor <= last:
			msg = "timelines must increase"
		case ancestor >= uint64(tli):
			msg = "an ancestor must be below the file's own timeline " + strconv.FormatUint(uint64(tli), 10)
		default:
			msg = add(Timeline(ancestor), position, reason) //nolint:gosec // of 32 bits
		}
		if msg != "" {
			return &SyntaxError{What: "timeline history", Text: text, Line: n, Msg: msg}
		}
		last, haveLast = ancestor, true
	}
	return nil
}

// Bytes is the inverse of [ParseHistory], in the form of writeTimeLineHistory in timeline.c: an empty line between two
// ancestors. A server's file may have one more such line after a reason that itself ends in a newline.
func (h History) Bytes() []byte {
	var b bytes.Buffer
	for i, e := range h.Entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%d\t%v\t%s\n", e.Timeline, e.End, e.Reason)
	}
	return b.Bytes()
}

// space is what isspace accepts in the C locale.
const space = " \t\n\v\f\r"

// cutSpace splits text after its first word.
func cutSpace(text string) (word, rest string) {
	i := strings.IndexAny(text, space)
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimLeft(text[i:], space)
}

// Contains reports whether tli is the timeline itself or one of its ancestors.
func (h History) Contains(tli Timeline) bool {
	_, ancestor := h.SwitchPoint(tli)
	return ancestor || tli == h.Timeline
}

// SwitchPoint returns where the history leaves tli: the first byte that belongs to the next timeline. It is
// false for the history's own timeline, which has no end, and for one that is not in the history.
func (h History) SwitchPoint(tli Timeline) (LSN, bool) {
	for _, e := range h.Entries {
		if e.Timeline == tli {
			return e.End, true
		}
	}
	return 0, false
}

// HistoryBefore93 is a history as PostgreSQL 9.0 to 9.2 wrote it: it does not say where a timeline was left, but in which segment.
type HistoryBefore93 struct {
	Timeline Timeline
	Entries  []HistoryEntryBefore93
}

// HistoryEntryBefore93 is one ancestor of a timeline.
type HistoryEntryBefore93 struct {
	Timeline Timeline
	Last     FileName // the last segment of which it is the timeline; the next timeline begins as a copy of it
	Reason   string   // why the switch was made, in the words of the server that made it
}

// ParseHistoryBefore93 reads a history file of PostgreSQL 9.0 to 9.2, with the rules of [ParseHistory].
func ParseHistoryBefore93(tli Timeline, b []byte) (HistoryBefore93, error) {
	h := HistoryBefore93{Timeline: tli}
	err := historyLines(tli, b, func(ancestor Timeline, position, reason string) string {
		last, err := ParseFileName(position)
		if err != nil || last.Kind != KindSegment {
			return "want the last segment of the timeline second"
		}
		h.Entries = append(h.Entries, HistoryEntryBefore93{Timeline: ancestor, Last: last, Reason: reason})
		return ""
	})
	if err != nil {
		return HistoryBefore93{}, err
	}
	return h, nil
}

// Bytes is the inverse of [ParseHistoryBefore93], in the form of [History.Bytes].
func (h HistoryBefore93) Bytes() []byte {
	var b bytes.Buffer
	for i, e := range h.Entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%d\t%v\t%s\n", e.Timeline, e.Last, e.Reason)
	}
	return b.Bytes()
}
