package hba

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Mapping is one line of pg_ident.conf: somebody whom the system knows by one name may log in as a role. The option map of a
// method names the lines that count.
type Mapping struct {
	Map        Token // name of the map
	SystemUser Token // name, or /regex; the name can come from ident, the operating system, Kerberos, a certificate or a token

	// Role is a name. In the name the first \1 stands for what the first group of a regular expression in SystemUser holds. From 16
	// on it may be All, [Member] or /regex too.
	Role Token
	Line int // number of its first line in the file, from 1, as in pg_ident_file_mappings; ignored by Append
}

// Text returns the mapping as a line of the file, without line end. It is worth something only if [Mapping.Validate] finds
// nothing wrong.
func (m Mapping) Text() string {
	return fmt.Sprintf("%-15s %-23s %s", string(m.Map), string(m.SystemUser), string(m.Role))
}

// String returns Text.
func (m Mapping) String() string { return m.Text() }

// ErrMapping is matched by the error for a mapping that cannot be written.
var ErrMapping = errors.New("not a pg_ident mapping")

// Validate is ValidateFor by the rules of [pgconf.Newest].
func (m Mapping) Validate() error { return m.ValidateFor(pgconf.Newest) }

// ValidateFor returns nil if a server of the major reads from the text of the mapping what the mapping says. Otherwise the error
// matches [ErrMapping] and names the column. A quoted token that begins with /, where that makes it a regular expression, is refused;
// write Token("/…") for one.
func (m Mapping) ValidateFor(major pgconf.Major) error {
	for _, c := range []struct {
		what   string
		token  Token
		regexp bool // a / before it makes it a regular expression
	}{{"map", m.Map, false}, {"system user", m.SystemUser, true}, {"role", m.Role, major >= regexSince}} {
		if msg := checkIdentToken(c.token, c.regexp, major); msg != "" {
			return fmt.Errorf("%w: %s %s", ErrMapping, c.what, msg)
		}
	}
	l := logicalLine{text: m.Text()}
	l.size = len(l.text) + len("\r\n")
	if err := splitLine(&l, major, &columns{}, nil); err != nil {
		return fmt.Errorf("%w: %s", ErrMapping, err.msg)
	}
	return nil
}

func checkIdentToken(t Token, regexp bool, major pgconf.Major) string {
	w := t.word()
	switch {
	case !t.isOne() || w.isFileRef():
		return fmt.Sprintf("%q is not one token; make it with Name", string(t))
	case !regexp || w.text == "" || w.text[0] != '/':
		return ""
	case w.quoted && w.token(major) == Name(w.text):
		return fmt.Sprintf("%q begins with /, which makes it a regular expression; no name like that can be written", w.text)
	}
	if _, err := CompileRegexp(w.text[1:], major); err != nil {
		return err.Error()
	}
	return ""
}

// Equal reports whether two mappings mean the same to a server. Line is ignored.
func (m Mapping) Equal(o Mapping) bool {
	return m.Map.Text() == o.Map.Text() && m.SystemUser.Text() == o.SystemUser.Text() && m.Role.meaning() == o.Role.meaning()
}

// IdentFile is the content of one pg_ident.conf: every byte of it, and the mappings in it. Make one with [ParseIdent] or
// [NewIdent]. It is not safe for concurrent use.
type IdentFile struct {
	content
	mappings []Mapping
}

// ParseIdent reads a pg_ident.conf as [ParseFor] reads a pg_hba.conf.
func ParseIdent(name string, b []byte, major pgconf.Major) (*IdentFile, error) {
	f := NewIdent(name, major)
	f.content.text = string(b)
	f.content.original = f.content.text
	err := f.parse()
	return f, err
}

// NewIdent returns an empty pg_ident.conf. The name serves error messages only.
func NewIdent(name string, major pgconf.Major) *IdentFile {
	return &IdentFile{content: content{name: name, major: major}}
}

func (f *IdentFile) parse() error {
	f.mappings = nil
	return f.content.each(func(l *logicalLine, tokens *columns) *lineError {
		r, err := parseMapping(tokens, len(l.text), f.content.major, false)
		if err == nil {
			r.Line = l.number
			f.mappings = append(f.mappings, r.Mapping)
		}
		return err
	})
}

// Bytes returns the content, as it would stand on disk. The caller owns the result.
func (f *IdentFile) Bytes() []byte { return []byte(f.content.text) }

// Mappings returns the mappings in file order, which is the order in which the server tries them. The caller owns the result.
func (f *IdentFile) Mappings() []Mapping { return append([]Mapping(nil), f.mappings...) }

// Append adds a mapping as the last line. The error is that of [Mapping.ValidateFor] for the file's major.
func (f *IdentFile) Append(m Mapping) error { return f.insert(len(f.content.text), m) }

// Ensure appends a mapping unless the file has one that means the same, and reports whether it did. The error is that of Append.
func (f *IdentFile) Ensure(m Mapping) (changed bool, err error) {
	if err := m.ValidateFor(f.content.major); err != nil {
		return false, err
	}
	for _, have := range f.mappings {
		if have.Equal(m) {
			return false, nil
		}
	}
	return true, f.Append(m)
}

// InsertBefore adds a mapping before a line, as [File.InsertBefore] does.
func (f *IdentFile) InsertBefore(line int, m Mapping) error {
	l, err := f.content.line(line)
	if err != nil {
		return err
	}
	return f.insert(l.start, m)
}

// Remove takes out a line, as [File.Remove] does.
func (f *IdentFile) Remove(line int) error {
	if err := f.content.remove(line); err != nil {
		return err
	}
	_ = f.parse() // lines that are not valid were so before
	return nil
}

func (f *IdentFile) insert(at int, m Mapping) error {
	if err := m.ValidateFor(f.content.major); err != nil {
		return err
	}
	f.content.insert(at, strings.TrimRight(m.Text(), " "))
	_ = f.parse() // lines that are not valid were so before
	return nil
}

// Diff returns what the edits since ParseIdent changed, as [File.Diff] does.
func (f *IdentFile) Diff() string { return f.content.diff(asIs) }

// parseMapping makes a mapping of the columns of a line, as parse_ident_line in hba.c does. Columns after the third do not count.
// load says that @files have been expanded.
func parseMapping(tokens *columns, end int, major pgconf.Major, load bool) (r IdentRule, err *lineError) {
	p := lineParser{columns: tokens, major: major, end: end, load: load}
	const form = "the line ends before the %s; a line is: map, system user, role"
	name := p.one("map", form)
	system := p.one("system user", form)
	role := p.one("role", form)
	r.Map, r.SystemUser, r.Role = name.token(major), system.token(major), role.token(major)
	r.system = p.identTerm(&system, true)
	r.role = p.identTerm(&role, major >= regexSince)
	return r, p.err
}

// identTerm returns what a word of pg_ident.conf stands for. wide says that a regular expression may stand there, and for a role
// keywords.
func (p *lineParser) identTerm(w *word, wide bool) term {
	if p.err != nil || !wide || w.text == "" || w.text[0] != '/' {
		return term{kind: termName, text: w.text}
	}
	return term{kind: termRegex, re: p.regexp(w)}
}
