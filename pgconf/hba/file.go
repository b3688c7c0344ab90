package hba

import (
	"github.com/understudy-ha/understudy/pgconf"
)

// File is the content of one pg_hba.conf: every byte of it, and the records in it. Make one with [Parse] or [New]. It is
// not safe for concurrent use.
type File struct {
	content
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
	f.content.text = string(b)
	f.content.original = f.content.text
	err := f.parse()
	return f, err
}

// parse reads the records out of the text.
func (f *File) parse() error {
	f.records = nil
	p := lineParser{major: f.content.major}
	return f.content.each(func(l *logicalLine, tokens *columns) *lineError {
		p.columns = tokens
		if err := p.parse(len(l.text)); err != nil {
			return err
		}
		p.rule.Line = l.number
		f.records = append(f.records, p.rule.Record)
		return nil
	})
}

// New returns an empty file to which the rules of [pgconf.Newest] apply. The name serves error messages only.
func New(name string) *File { return NewFor(name, pgconf.Newest) }

// NewFor is New by the rules of another major.
func NewFor(name string, major pgconf.Major) *File {
	return &File{content: content{name: name, major: major}}
}

// Bytes returns the content, as it would stand on disk. The caller owns the result.
func (f *File) Bytes() []byte { return []byte(f.content.text) }

// Records returns the records in file order, which is the order in which the server tries them. The caller owns the
// result.
func (f *File) Records() []Record {
	records := make([]Record, len(f.records))
	for i, r := range f.records {
		records[i] = r.clone()
	}
	return records
}
