package hba

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// File is the content of one pg_hba.conf: every byte of it, and the records in it. Make one with [Parse] or [New]. It is
// not safe for concurrent use.
type File struct {
	name    string
	major   pgconf.Major
	text    string
	records []Record
}

// Parse reads a pg_hba.conf by the rules of [pgconf.Newest]. The name serves error messages only; nothing is read from disk.
//
// If lines are not valid, the error is a [pgconf.SyntaxErrors]. The File is there all the same and holds every byte, but
// its records are those of the valid lines only. A server refuses such a file as a whole.
func Parse(name string, b []byte) (*File, error) { return ParseFor(name, b, pgconf.Newest) }

// ParseFor is Parse by the rules of another major.
func ParseFor(name string, b []byte, major pgconf.Major) (*File, error) {
	f := NewFor(name, major)
	f.text = string(b)
	var errs pgconf.SyntaxErrors
	p := lineParser{columns: &columns{}, major: major}
	lines := lineReader{text: f.text, major: major}
	for l, ok := lines.next(); ok; l, ok = lines.next() {
		err := splitLine(&l, major, p.columns, nil)
		if err == nil && len(p.ends) == 0 {
			continue
		}
		if directive, _ := includeDirective(p.columns, major); err == nil && directive != "" {
			continue
		}
		if err == nil {
			err = p.parse(len(l.text))
		}
		if err != nil {
			errs.Add(err.syntaxError(name, &l))
			continue
		}
		p.rule.Line = l.number
		f.records = append(f.records, p.rule.Record)
	}
	return f, errs.Err()
}

// New returns an empty file to which the rules of [pgconf.Newest] apply. The name serves error messages only.
func New(name string) *File { return NewFor(name, pgconf.Newest) }

// NewFor is New by the rules of another major.
func NewFor(name string, major pgconf.Major) *File { return &File{name: name, major: major} }

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
