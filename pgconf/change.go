package pgconf

import (
	"slices"
	"strings"
)

// put gives a line other content, its end included.
func (f *File) put(i int, raw string) {
	if raw == f.raw(i) {
		return
	}
	l := &f.lines[i]
	l.kind, _ = classifyLine(i, raw)
	if l.edited {
		f.edits[l.at].raw = raw
		return
	}
	f.edits = append(f.edits, edit{raw, int(l.at), int(l.end)})
	l.at, l.edited = uint32(len(f.edits)-1), true
}

// insert adds lines, given without their ends, before line i or at the end of the file. They end as the line before them
// does, which gets an end if it has none.
func (f *File) insert(i int, texts ...string) {
	eol := f.lineEndAt(i)
	if i > 0 && f.isOpen(i-1) {
		f.put(i-1, f.raw(i-1)+eol)
	}
	added := make([]line, len(texts))
	for j, text := range texts {
		raw := text + eol
		kind, _ := classifyLine(i+j, raw)
		added[j] = line{at: uint32(len(f.edits)), kind: kind, edited: true}
		f.edits = append(f.edits, edit{raw: raw})
	}
	f.lines = slices.Insert(f.lines, i, added...)
}

// remove takes lines out.
func (f *File) remove(from, to int) {
	for _, l := range f.lines[from:to] {
		if l.edited {
			f.edits[l.at] = edit{}
		}
	}
	f.lines = slices.Delete(f.lines, from, to)
	if from == 0 && len(f.lines) > 0 {
		f.lines[0].kind, _ = classifyLine(0, f.raw(0)) // a byte order mark counts in the first line only
	}
}

// isOpen reports whether a line has no end.
func (f *File) isOpen(i int) bool { return !strings.HasSuffix(f.raw(i), "\n") }

// lineEndAt returns the end for a line that is inserted before line i: that of the nearest line before it that has one, or
// else of the first line.
func (f *File) lineEndAt(i int) string {
	i--
	if i > 0 && f.isOpen(i) {
		i--
	}
	if len(f.lines) == 0 {
		return "\n"
	}
	return lineEnd(f.raw(max(i, 0)))
}
