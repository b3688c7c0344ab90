package pgconf

import "strings"

// File is the content of one configuration file: every byte of it, and the settings in it. Make one with [Parse] or
// [New]. It is not safe for concurrent use.
type File struct {
	name  string
	lines []line
}

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

// Parse reads a configuration file. The name serves error messages only; nothing is read from disk. Parse keeps no
// reference to b.
//
// If lines are not valid, the error is a [SyntaxErrors]. The File is there all the same and holds every byte, but the
// invalid lines count as comments: they are not among the settings and no edit touches them. A server refuses such a
// file as a whole, so a caller that goes on should know why.
func Parse(name string, b []byte) (*File, error) {
	f := New(name)
	var errs SyntaxErrors
	rest := string(b)
	f.lines = make([]line, 0, strings.Count(rest, "\n")+1)
	for rest != "" {
		raw := rest
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			raw = rest[:i+1]
		}
		rest = rest[len(raw):]
		l, bad := parseLine(raw)
		if len(f.lines) == 0 && strings.HasPrefix(raw, "\uFEFF") {
			l, bad = line{raw: raw, bad: true}, &lineError{0, "the file starts with a UTF-8 byte order mark, which the server takes as part of a name; save it without"}
		}
		f.lines = append(f.lines, l)
		if bad != nil {
			errs.Add(&SyntaxError{File: name, Line: len(f.lines), Col: bad.at + 1, Msg: bad.msg})
		}
	}
	return f, errs.Err()
}

// New returns an empty file. The name serves error messages only.
func New(name string) *File { return &File{name: name} }

// Bytes returns the content, as it would stand on disk. The caller owns the result.
func (f *File) Bytes() []byte {
	n := 0
	for i := range f.lines {
		n += len(f.lines[i].raw)
	}
	b := make([]byte, 0, n)
	for i := range f.lines {
		b = append(b, f.lines[i].raw...)
	}
	return b
}

// Settings returns all settings in file order, duplicates and include directives among them.
func (f *File) Settings() []Setting {
	var all []Setting
	for i := range f.lines {
		if f.lines[i].name != "" {
			all = append(all, f.setting(i))
		}
	}
	return all
}

// Get returns the setting that wins for a name, which is the last one in the file. Names compare without regard to the
// case of ASCII letters.
func (f *File) Get(name string) (Setting, bool) {
	i := f.find(fold(name))
	if i < 0 {
		return Setting{}, false
	}
	return f.setting(i), true
}

func (f *File) setting(i int) Setting {
	l := &f.lines[i]
	return Setting{Name: l.name, Spelling: l.raw[l.nameAt:l.nameEnd], Value: l.value, File: f.name, Line: i + 1, Col: l.nameAt + 1}
}

// find returns the index of the winning line for a folded name, or -1.
func (f *File) find(name string) int {
	if name == "" {
		return -1
	}
	for i := len(f.lines) - 1; i >= 0; i-- {
		if f.lines[i].name == name {
			return i
		}
	}
	return -1
}

// fold lower-cases ASCII letters and leaves all other bytes alone, as the server compares names.
func fold(name string) string {
	lower := func(c byte) bool { return c < 'A' || 'Z' < c }
	if span(name, 0, lower) == len(name) {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if !lower(c) {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}
