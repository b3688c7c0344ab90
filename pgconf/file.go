package pgconf

import (
	"math"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// File is the content of one configuration file: every byte of it, and the settings in it. Make one with [Parse] or
// [New]. It is not safe for concurrent use.
type File struct {
	name  string
	text  string // as it was parsed
	lines []line // as they are now
	edits []edit
}

// line is one line, with its end if it has one. It is small, since a file may have millions; what it says is looked at when
// somebody asks.
type line struct {
	at, end uint32 // in text; if the line is edited, at is its place in edits instead
	kind    lineKind
	edited  bool
}

// edit is a line that is not, or not as it is now, in the text.
type edit struct {
	raw     string
	at, end int // what it replaces of the text; end is 0 if nothing
}

type lineKind uint8

const (
	lineOther     lineKind = iota // empty, prose, or not valid
	lineSetting                   // sets a parameter
	lineCommented                 // a # with a letter behind it: perhaps a setting that is commented out
)

// maxText is the size of the largest text that Parse takes apart. Tests lower it.
var maxText uint64 = math.MaxUint32

// Setting is one assignment in a file. It is comparable.
type Setting struct {
	Name     string // folded to lower case (ASCII letters only), as the server compares it
	Spelling string // the name as it stands in the file
	Value    string // unquoted and unescaped
	File     string // name given to Parse
	Line     int    // number of its line, from 1
	Col      int    // where the name begins in it, from 1, in bytes
}

// IsInclude reports whether the setting is an include directive: include, include_if_exists (9.2+) or include_dir
// (9.3+). Its value is then a path, relative to the folder of the file that holds the line.
func (s Setting) IsInclude() bool { return isInclude(s.Name) }

func isInclude(name string) bool {
	return name == "include" || name == "include_if_exists" || name == "include_dir"
}

// Parse reads a configuration file. The name serves settings, errors and diffs; nothing is read from disk. Parse keeps no
// reference to b.
//
// If lines are not valid, the error is a [SyntaxErrors]. The File is there all the same and holds every byte, but the
// invalid lines count as comments: they are not among the settings and no edit touches them. A server refuses such a
// file as a whole, so a caller that goes on should know why.
func Parse(name string, b []byte) (*File, error) {
	f := &File{name: name, text: string(b)}
	var errs SyntaxErrors
	if uint64(len(b)) > maxText {
		f.lines, f.edits = []line{{edited: true}}, []edit{{raw: f.text, end: len(f.text)}}
		errs.Add(&SyntaxError{File: name, Line: 1, Col: 1, Msg: tooLarge})
		return f, errs.Err()
	}
	f.lines = make([]line, 0, strings.Count(f.text, "\n")+1)
	for at := 0; at < len(f.text); {
		end := len(f.text)
		if i := strings.IndexByte(f.text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		kind, bad := classifyLine(len(f.lines), f.text[at:end])
		f.lines = append(f.lines, line{at: uint32(at), end: uint32(end), kind: kind})
		if bad.msg != "" && len(errs) < MaxSyntaxErrors {
			errs.Add(&SyntaxError{File: name, Line: len(f.lines), Col: bad.at + 1, Msg: bad.message()})
		}
		at = end
	}
	return f, errs.Err()
}

// New returns an empty file. The name serves settings, errors and diffs.
func New(name string) *File { return &File{name: name} }

// Name returns the name given to Parse or New.
func (f *File) Name() string { return f.name }

// classifyLine returns the kind of line i, and what is wrong with it.
func classifyLine(i int, raw string) (lineKind, problem) {
	if i == 0 && strings.HasPrefix(raw, "\uFEFF") {
		return lineOther, problem{msg: badMark}
	}
	if i := span(raw, 0, blanks); i < len(raw) && raw[i] == '#' {
		if i+1 < len(raw) && letters.is(raw[i+1]) {
			return lineCommented, problem{}
		}
		return lineOther, problem{}
	}
	a, bad := parseLine(raw)
	if a.nameEnd > 0 {
		return lineSetting, problem{}
	}
	return lineOther, bad
}

// Bytes returns the content, as it would stand on disk. The caller owns the result.
func (f *File) Bytes() []byte {
	n := 0
	for i := range f.lines {
		n += len(f.raw(i))
	}
	b := make([]byte, 0, n)
	for i := range f.lines {
		b = append(b, f.raw(i)...)
	}
	return b
}

// Settings returns all settings in file order, duplicates and include directives among them.
func (f *File) Settings() []Setting { return f.settings(0, len(f.lines)) }

// settings returns those of a range of lines.
func (f *File) settings(from, to int) []Setting {
	n := 0
	for _, l := range f.lines[from:to] {
		if l.kind == lineSetting {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	all := make([]Setting, 0, n)
	for i := from; i < to; i++ {
		if f.lines[i].kind == lineSetting {
			all = append(all, f.setting(i))
		}
	}
	return all
}

// Get returns the setting that wins for a name, which is the last one in the file. Names compare without regard to the
// case of ASCII letters.
func (f *File) Get(name string) (Setting, bool) {
	i := f.find(ascii.Lower(name))
	if i < 0 {
		return Setting{}, false
	}
	return f.setting(i), true
}

func (f *File) setting(i int) Setting {
	a := f.assignment(i)
	spelling := a.spelling()
	return Setting{Name: ascii.Lower(spelling), Spelling: spelling, Value: a.value(), File: f.name, Line: i + 1, Col: a.nameAt + 1}
}

// find returns the index of the winning line for a folded name, or -1.
func (f *File) find(name string) int {
	for i := len(f.lines) - 1; i >= 0; i-- {
		if f.lines[i].kind == lineSetting && f.isNamed(i, name) {
			return i
		}
	}
	return -1
}

// raw returns a line with its end, if it has one.
func (f *File) raw(i int) string {
	l := f.lines[i]
	if l.edited {
		return f.edits[l.at].raw
	}
	return f.text[l.at:l.end]
}

// assignment takes a line apart, which must be of the kind lineSetting.
func (f *File) assignment(i int) assignment {
	a, _ := parseLine(f.raw(i))
	return a
}

// nameOf returns the name at the front of a line, as it is written, without a # before it. The line must be of the kind
// lineSetting or lineCommented.
func (f *File) nameOf(i int) string {
	raw := f.raw(i)
	at := nameStart(raw)
	return raw[at:span(raw, at, nameBytes)]
}

// isNamed reports whether the folded name stands at the front of a line of the kind lineSetting or lineCommented.
func (f *File) isNamed(i int, name string) bool {
	raw := f.raw(i)
	at := nameStart(raw)
	end := at + len(name)
	return end <= len(raw) && isFolded(raw[at:end], name) && (end == len(raw) || !nameBytes.is(raw[end]))
}

func nameStart(raw string) int {
	at := span(raw, 0, blanks)
	if raw[at] == '#' {
		at++
	}
	return at
}

// isFolded reports whether ascii.Lower(name) is folded, which is as long.
func isFolded(name, folded string) bool {
	for i := range len(name) {
		if ascii.LowerByte(name[i]) != folded[i] {
			return false
		}
	}
	return true
}
