package hba

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/unified"
)

// ErrLine is matched by the error for the number of a line that a file does not have.
var ErrLine = errors.New("no such line")

// piece is a part of the content that begins and ends with a line.
type piece struct {
	text  string
	state pieceState
}

type pieceState uint8

const (
	kept pieceState = iota
	removed
	added
)

// Append adds a record as the last line, ending as the lines of the file do. The error is that of
// [Record.ValidateFor] for the file's major.
func (f *File) Append(r Record) error { return f.insert(len(f.text), r) }

// InsertBefore adds a record before a line, counted from 1, or as the last one if the line is the one after that. If the line
// continues the one before it (14+), the record goes before both. The line of the record ends as that line does. The error
// matches [ErrLine], or is that of Append.
func (f *File) InsertBefore(line int, r Record) error {
	l, err := f.line(line)
	if err != nil {
		return err
	}
	return f.insert(l.start, r)
}

// Remove takes out a line, counted from 1, whatever is in it, with all that continues it (14+) or that it continues. The error
// matches [ErrLine].
func (f *File) Remove(line int) error {
	l, err := f.line(line)
	if err == nil && l.start == l.end {
		err = fmt.Errorf("%w: %s has %d lines, not %d", ErrLine, f.name, line-1, line)
	}
	if err != nil {
		return err
	}
	f.splice(l.start, l.end, "")
	return nil
}

// line finds the logical line with a physical one in it. The one after the last is empty.
func (f *File) line(number int) (logicalLine, error) {
	lines := lineReader{text: f.text, major: f.major}
	for l, ok := lines.next(); ok; l, ok = lines.next() {
		if l.number <= number && number <= lines.number {
			return l, nil
		}
	}
	if number == lines.number+1 {
		return logicalLine{start: len(f.text), end: len(f.text)}, nil
	}
	return logicalLine{}, fmt.Errorf("%w: %s has %d lines, not %d", ErrLine, f.name, lines.number, number)
}

// insert adds a record where a line begins, or at the end.
func (f *File) insert(at int, r Record) error {
	if err := r.ValidateFor(f.major); err != nil {
		return err
	}
	eol := f.eol(at)
	from := at
	text := r.Text() + eol
	if endsContinued(f.text[:at]) {
		text = eol + text // an empty line, or the record would be read as a part of the line before it
	}
	if at > 0 && f.text[at-1] != '\n' { // the last line gets an end, so it changes
		from = strings.LastIndexByte(f.text[:at], '\n') + 1
		text = f.text[from:at] + eol + text
	}
	f.splice(from, at, text)
	return nil
}

// eol returns how a line that begins at some place ends. At the end of the file it is as the last line.
func (f *File) eol(at int) string {
	end := strings.IndexByte(f.text[at:], '\n')
	if end >= 0 {
		end += at
	} else {
		end = strings.LastIndexByte(f.text, '\n')
	}
	if end > 0 && f.text[end-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// splice replaces whole lines by others, and reads the result.
func (f *File) splice(from, to int, text string) {
	if f.pieces == nil && f.original != "" {
		f.pieces = []piece{{f.original, kept}}
	}
	i := f.cut(from)
	j := f.cut(to)
	var come []piece
	for _, p := range f.pieces[i:j] {
		if p.state != added {
			come = append(come, piece{p.text, removed})
		}
	}
	if text != "" {
		come = append(come, piece{text, added})
	}
	f.pieces = slices.Replace(f.pieces, i, j, come...)
	f.text = f.text[:from] + text + f.text[to:]
	_ = f.parse() // lines that are not valid were so before
}

// cut makes a piece begin at a place in the text, and returns its index, which is that after the last one at the end.
func (f *File) cut(at int) int {
	for i, p := range f.pieces {
		switch {
		case p.state == removed:
		case at == 0:
			return i
		case at < len(p.text):
			f.pieces = slices.Replace(f.pieces, i, i+1, piece{p.text[:at], p.state}, piece{p.text[at:], p.state})
			return i + 1
		default:
			at -= len(p.text)
		}
	}
	return len(f.pieces)
}

// Diff returns what the edits since Parse changed, as a unified diff with the name given to Parse as the name of both
// files. It is "" if the content is what was parsed. Secrets that options hold are shown, in changed lines and those around them.
func (f *File) Diff() string {
	if f.text == f.original {
		return ""
	}
	d := unified.New(f.name, f.name)
	for _, p := range f.pieces {
		switch p.state {
		case kept:
			d.Keep(p.text)
		case removed:
			d.Remove(p.text)
		case added:
			d.Add(p.text)
		}
	}
	return d.String()
}
