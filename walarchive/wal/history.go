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
// refused. The error is a [*SyntaxError].
func ParseHistory(tli Timeline, b []byte) (History, error) {
	h := History{Timeline: tli}
	last, haveLast := Timeline(0), false
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.Trim(line, space)
		if text == "" || text[0] == '#' {
			continue
		}
		e, msg := parseHistoryLine(text)
		switch {
		case msg != "":
		case haveLast && e.Timeline <= last:
			msg = "timelines must increase"
		case e.Timeline >= tli:
			msg = "an ancestor must be below the file's own timeline " + strconv.FormatUint(uint64(tli), 10)
		}
		if msg != "" {
			return History{}, &SyntaxError{What: "timeline history", Text: text, Line: n, Msg: msg}
		}
		last, haveLast = e.Timeline, true
		h.Entries = append(h.Entries, e)
	}
	return h, nil
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

func parseHistoryLine(text string) (e HistoryEntry, msg string) {
	first, rest := cutSpace(text)
	if strings.Trim(first, "0123456789") != "" {
		return e, "want a timeline in decimal first"
	}
	tli, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		return e, "want a timeline in decimal first"
	}
	position, reason := cutSpace(rest)
	if _, err := ParseFileName(position); err == nil {
		return e, "the switch point is a file name, the format of PostgreSQL 9.0 to 9.2, which is not supported"
	}
	end, err := ParseLSN(position)
	if err != nil {
		return e, "want the switch point, an LSN, second"
	}
	return HistoryEntry{Timeline: Timeline(tli), End: end, Reason: reason}, ""
}

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
