// Package unified renders the difference between two texts as a unified diff, for programs that know what they changed: it
// is told which lines stayed, went and came, so it never searches for them and takes linear time.
package unified

import (
	"fmt"
	"strings"
)

// margin is the number of unchanged lines shown around a change.
const margin = 3

// Diff is a unified diff that is being written. Make one with [New], give it the lines of both texts in order with Keep,
// Remove and Add, and take the result from String.
//
// Each of the three takes any number of whole lines with their ends. Only the last line of the old and of the new text may
// be without one; a line that gains or loses its end is removed and added.
type Diff struct {
	names         string // the two lines at the top
	hunks         strings.Builder
	old, new      int      // lines of each text so far
	before        []string // while no hunk is open: the last kept lines, at most margin
	hunk          *hunk    // nil if none is open
	removed, come []string // since the last kept line
}

// hunk is a part of the diff with its changes and the lines around them.
type hunk struct {
	body               strings.Builder
	oldStart, newStart int // lines before it
	oldCount, newCount int
	kept               []string // after the last change, at most 2*margin
}

// New returns an empty diff between texts of the two names.
func New(oldName, newName string) *Diff {
	return &Diff{names: "--- " + quoteName(oldName) + "\n+++ " + quoteName(newName) + "\n"}
}

// Keep appends lines that both texts have.
func (d *Diff) Keep(text string) {
	if text == "" {
		return
	}
	d.settle()
	for d.hunk != nil && text != "" {
		var line string
		line, text = cut(text)
		d.old, d.new = d.old+1, d.new+1
		d.hunk.kept = append(d.hunk.kept, line)
		if len(d.hunk.kept) > 2*margin {
			d.close()
		}
	}
	n := count(text)
	d.old, d.new = d.old+n, d.new+n
	for _, line := range last(text, margin) {
		d.before = lastOf(append(d.before, line), margin)
	}
}

// Remove appends lines that only the old text has.
func (d *Diff) Remove(text string) { d.removed = appendLines(d.removed, text) }

// Add appends lines that only the new text has.
func (d *Diff) Add(text string) { d.come = appendLines(d.come, text) }

// String returns the diff of the lines given so far, or "" if none was removed or added.
func (d *Diff) String() string {
	d.settle()
	d.close()
	if d.hunks.Len() == 0 {
		return ""
	}
	return d.names + d.hunks.String()
}

// settle writes the changes since the last kept line, what went before what came.
func (d *Diff) settle() {
	if len(d.removed)+len(d.come) == 0 {
		return
	}
	if d.hunk == nil {
		d.hunk = &hunk{oldStart: d.old - len(d.before), newStart: d.new - len(d.before), kept: d.before}
		d.before = nil
	}
	h := d.hunk
	h.write(' ', h.kept)
	h.write('-', d.removed)
	h.write('+', d.come)
	d.old, d.new = d.old+len(d.removed), d.new+len(d.come)
	h.kept, d.removed, d.come = nil, nil, nil
}

// close ends the open hunk, if there is one, behind its last change.
func (d *Diff) close() {
	h := d.hunk
	if h == nil {
		return
	}
	h.write(' ', h.kept[:min(len(h.kept), margin)])
	fmt.Fprintf(&d.hunks, "@@ -%s +%s @@\n", place(h.oldStart, h.oldCount), place(h.newStart, h.newCount))
	d.hunks.WriteString(h.body.String())
	d.before, d.hunk = lastOf(h.kept, margin), nil
}

func (h *hunk) write(mark byte, lines []string) {
	for _, line := range lines {
		h.body.WriteByte(mark)
		h.body.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			h.body.WriteString("\n\\ No newline at end of file\n")
		}
	}
	if mark != '+' {
		h.oldCount += len(lines)
	}
	if mark != '-' {
		h.newCount += len(lines)
	}
}

// place says where the lines of a hunk are in a text. An empty place is named by the line before it.
func place(before, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}

// cut takes the first line off a text.
func cut(text string) (line, rest string) {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return text[:i+1], text[i+1:]
	}
	return text, ""
}

func appendLines(lines []string, text string) []string {
	for line := range strings.Lines(text) {
		lines = append(lines, line)
	}
	return lines
}

// count returns the number of lines.
func count(text string) int {
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	return n
}

// last returns the last n lines, or all if there are fewer.
func last(text string, n int) []string {
	at := len(text)
	for ; n > 0 && at > 0; n-- {
		at = strings.LastIndexByte(text[:at-1], '\n') + 1
	}
	return appendLines(nil, text[at:])
}

func lastOf(lines []string, n int) []string { return lines[max(len(lines)-n, 0):] }

// quoteName writes a file name so that patch and git read it back: in double quotes with octal escapes if there are control
// bytes, quotes or backslashes in it, and with a tab behind it, as before a date, if there is a blank.
func quoteName(name string) string {
	plain := func(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c != 0x7f }
	var b strings.Builder
	special := false
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			special = true
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	switch {
	case special:
		return `"` + b.String() + `"`
	case strings.Contains(name, " "):
		return name + "\t"
	}
	return name
}
