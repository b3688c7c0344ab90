package hba

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Newest is the newest major whose rules this package knows. [Parse] and [New] apply them.
const Newest = 18

// File is the content of one pg_hba.conf: every byte of it, and the records in it. Make one with [Parse] or [New]. It is
// not safe for concurrent use.
type File struct {
	name    string
	major   int
	text    string
	records []Record
}

// Parse reads a pg_hba.conf by the rules of [Newest]. The name serves error messages only; nothing is read from disk.
//
// If lines are not valid, the error is a [pgconf.SyntaxErrors]. The File is there all the same and holds every byte, but
// its records are those of the valid lines only. A server refuses such a file as a whole.
func Parse(name string, b []byte) (*File, error) { return ParseFor(name, b, Newest) }

// ParseFor is Parse by the rules of another major, 10 or later.
func ParseFor(name string, b []byte, major int) (*File, error) {
	f := NewFor(name, major)
	f.text = string(b)
	var errs pgconf.SyntaxErrors
	for l := range logicalLines(f.text, major) {
		r, err := parseLine(l, major)
		switch {
		case err != nil:
			line, col := l.position(err.at)
			errs.Add(&pgconf.SyntaxError{File: name, Line: line, Col: col, Msg: err.msg})
		case r != nil:
			r.Line = l.number
			f.records = append(f.records, *r)
		}
	}
	return f, errs.Err()
}

// New returns an empty file to which the rules of [Newest] apply. The name serves error messages only.
func New(name string) *File { return NewFor(name, Newest) }

// NewFor is New by the rules of another major, 10 or later.
func NewFor(name string, major int) *File { return &File{name: name, major: major} }

// Bytes returns the content, as it would stand on disk. The caller owns the result.
func (f *File) Bytes() []byte { return []byte(f.text) }

// Records returns the records in file order, which is the order in which the server tries them. The caller owns the
// result.
func (f *File) Records() []Record {
	records := make([]Record, len(f.records))
	for i, r := range f.records {
		records[i] = r.clone()
	}
	return records
}

// Append adds a record as the last line, ending as the lines of the file do. The error is that of
// [Record.ValidateFor] for the file's major.
func (f *File) Append(r Record) error {
	if err := r.ValidateFor(f.major); err != nil {
		return err
	}
	eol := "\n"
	if strings.HasSuffix(f.text, "\r\n") || !strings.HasSuffix(f.text, "\n") && strings.Contains(f.text, "\r\n") {
		eol = "\r\n"
	}
	var b strings.Builder
	b.WriteString(f.text)
	if f.text != "" && !strings.HasSuffix(f.text, "\n") {
		b.WriteString(eol)
	}
	if endsContinued(f.text) {
		b.WriteString(eol) // an empty line, or the record would be read as a part of the last one
	}
	r = r.clone()
	r.Line = strings.Count(b.String(), "\n") + 1
	b.WriteString(r.Text())
	b.WriteString(eol)
	f.text = b.String()
	f.records = append(f.records, r)
	return nil
}

// Ensure appends a record unless the file has one that means the same ([Record.Equal]), and reports whether it did.
// Whether a line before it catches the same connections is not looked at. The error is that of Append.
func (f *File) Ensure(r Record) (changed bool, err error) {
	if err := r.ValidateFor(f.major); err != nil {
		return false, err
	}
	for _, have := range f.records {
		if have.Equal(r) {
			return false, nil
		}
	}
	return true, f.Append(r)
}
