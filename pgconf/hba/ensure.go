package hba

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// EnsureConfig is what [File.EnsureRule] and [File.RemoveRule] may know beside the file. The zero value serves for a file that
// names no others.
type EnsureConfig struct {
	// Server says what decides whether rules overlap; see [Server]. What is not known counts as possible.
	Server Server

	// FS has the files that the file names in include directives and with @, as [Load] takes them. They are read, never changed.
	FS fs.FS

	// BeforeReject allows EnsureRule to put a record before a rule that rejects some of its connections.
	BeforeReject bool
}

// Change says what EnsureRule or RemoveRule did.
type Change struct {
	Changed bool

	// File and Line are where the rule stands, now that the change has been made, that decides for the record's connections:
	// the record, or a rule that does the same for them. After RemoveRule they are empty.
	File string
	Line int

	Notes []Note // what somebody should know about it
}

// EnsureRule makes a record take effect. If the rules that are the first to take its connections do with them what the record
// says, nothing changes. Else the record goes directly before the first rule that would keep it from taking effect, or to the
// end if there is none. The same call again changes nothing.
//
// A rule keeps it from taking effect if it takes, over one of the transports of the record, everything that one of its
// databases and one of its users describe, and does something else with it; or if it may do so, depending on what the Server
// does not tell. Narrower rules before it are left in front as the exceptions that they are, and so are rules that reject
// a part of its connections. A [Note] names each of them, and each later rule that decides for less than it did. So a
// connection that the record describes is treated as it says, or a note of [NoteEarlier] and its kin says which rule decides.
//
// If an equal rule already stands in the file, too late to have its effect, its line moves. In an included file it is left.
//
// The record never goes before a rule that rejects some of its connections, unless BeforeReject says so: if that is the only
// way, the error matches [ErrReject]. Other errors are those of [Record.ValidateFor], and of [Load] for the file: the effect of a
// rule cannot be told in a file that a server refuses. After an error the file is unchanged.
func (f *File) EnsureRule(r Record, c EnsureConfig) (Change, error) {
	rule, m, err := f.prepare(r, c)
	if err != nil {
		return Change{}, err
	}
	p, err := m.plan(rule, c.BeforeReject, func(i int) int { return f.before(m.rules, i) })
	if err != nil {
		return Change{}, err
	}
	change := Change{Notes: p.notes}
	if p.at < 0 {
		change.File, change.Line = m.rules[p.by].File, m.rules[p.by].Line
		return change, nil
	}
	change.Changed, change.File = true, f.name
	change.Line, err = f.put(r, m.rules, p, &change.Notes)
	return change, err
}

// RemoveRule takes out every line of the file that holds a record which means the same as r. Notes say which rules are next to
// take its connections, and where an included file still has an equal one. The errors are those of EnsureRule.
func (f *File) RemoveRule(r Record, c EnsureConfig) (Change, error) {
	rule, m, err := f.prepare(r, c)
	if err != nil {
		return Change{}, err
	}
	var change Change
	test := newRuleTest(rule)
	var lines []int
	for i := range m.rules {
		other := m.rules[i]
		switch {
		case !other.Equal(rule.Record):
			if len(lines) > 0 && m.overlaps(&m.tests[i], &test) {
				change.Notes = append(change.Notes, Note{NoteNext, other,
					fmt.Sprintf("%s is next to decide for some of these connections, by %s", other.place(), other.Method)})
			}
		case other.File != f.name:
			change.Notes = append(change.Notes, Note{NoteRemaining, other, other.place() + " still says the same; it is in another file"})
		default:
			lines = append(lines, other.Line)
		}
	}
	for _, line := range slices.Backward(lines) {
		if err := f.Remove(line); err != nil {
			return Change{}, err
		}
	}
	change.Changed = len(lines) > 0
	return change, nil
}

// prepare reads the record and the file as a server does.
func (f *File) prepare(r Record, c EnsureConfig) (*Rule, *Matcher, error) {
	if err := r.ValidateFor(f.major); err != nil {
		return nil, nil, err
	}
	for _, t := range slices.Concat(r.Databases, r.Users) {
		if w := t.word(); w.isFileRef() {
			return nil, nil, fmt.Errorf("%w: %s stands for the content of a file; write the names", ErrRecord, t)
		}
	}
	one, err := Load(&overlay{name: "record", text: r.Text()}, "record", f.major)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	rules, err := Load(&overlay{c.FS, inFS(f.name), f.text}, f.name, f.major)
	if err != nil && len(rules.entries) > 0 { // a file without rules can have its first one
		return nil, nil, err
	}
	return &one.rules[0], NewMatcher(rules, c.Server), nil
}

// overlay is a file system in which one file has another content.
type overlay struct {
	fs.FS      // nil if there are no other files
	name, text string
}

// Open opens the other files.
func (o *overlay) Open(name string) (fs.File, error) {
	if o.FS == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNoFS}
	}
	return o.FS.Open(name)
}

// Stat looks at the other files, without opening them.
func (o *overlay) Stat(name string) (fs.FileInfo, error) {
	if o.FS == nil || name == o.name {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: errNoFS}
	}
	return fs.Stat(o.FS, name)
}

var errNoFS = errors.New("no file system was given to find it in")

// ReadFile reads any file.
func (o *overlay) ReadFile(name string) ([]byte, error) {
	switch {
	case name == o.name:
		return []byte(o.text), nil
	case o.FS == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNoFS}
	}
	return fs.ReadFile(o.FS, name)
}

// before returns the first rule that stands behind the nearest place in the file before rule i: for a rule of an included file,
// the first rule of all that is included after the last rule of the file itself.
func (f *File) before(rules []Rule, i int) int {
	if rules[i].File == f.name {
		return i
	}
	for i > 0 && rules[i-1].File != f.name {
		i--
	}
	return i
}

// put writes the record where the plan has it, and returns its line.
func (f *File) put(r Record, rules []Rule, p plan, notes *[]Note) (int, error) {
	line := f.lineFor(rules, p.at)
	moved := false
	for _, i := range p.equal {
		rule := rules[i]
		switch {
		case rule.File != f.name:
			*notes = append(*notes, Note{NoteCopied, rule, rule.place() + " says the same too late; it is in another file and stays"})
		case moved:
			*notes = append(*notes, Note{NoteUnreachable, rule, rule.place() + " says the same once more; it can be removed"})
		default:
			moved = true
			*notes = append(*notes, Note{NoteMoved, rule, rule.place() + " says the same too late, and moves to where it has an effect"})
			if err := f.moveLine(rule.Line, line); err != nil {
				return 0, err
			}
		}
	}
	if !moved {
		if err := f.InsertBefore(line, r); err != nil {
			return 0, err
		}
	}
	for _, have := range f.records {
		if have.Line >= line && (moved || have.Equal(r)) {
			return have.Line, nil
		}
	}
	return line, nil
}

// lineFor returns the line of the file before which a record stands before rule at.
func (f *File) lineFor(rules []Rule, at int) int {
	switch {
	case at == len(rules):
		return f.lines() + 1
	case rules[at].File == f.name:
		return rules[at].Line
	}
	after := 0
	if at > 0 {
		after = rules[at-1].Line
	}
	return f.includeAfter(after)
}

// lines returns the number of lines.
func (f *File) lines() int {
	n := strings.Count(f.text, "\n")
	if f.text != "" && !strings.HasSuffix(f.text, "\n") {
		n++
	}
	return n
}

// includeAfter returns the first include directive after a line.
func (f *File) includeAfter(line int) int {
	var c columns
	lines := lineReader{text: f.text, major: f.major}
	var l logicalLine
	for ok := lines.next(&l); ok; ok = lines.next(&l) {
		if l.number <= line || splitLine(&l, f.major, &c, nil) != nil {
			continue
		}
		if directive, _ := includeDirective(&c, f.major); directive != "" {
			return l.number
		}
	}
	return f.lines() + 1
}

// moveLine moves a line up before another, with all that continues it, as it is.
func (f *File) moveLine(from, before int) error {
	source, err := f.line(from)
	if err != nil {
		return err
	}
	target, err := f.line(before)
	if err != nil {
		return err
	}
	text := f.text[source.start:source.end]
	if !strings.HasSuffix(text, "\n") {
		text += f.eol(target.start)
	}
	if endsContinued(f.text[:target.start]) {
		text = f.eol(target.start) + text // as insert does
	}
	if endsContinued(text) { // it was the last line; nothing may join it now
		text += f.eol(target.start)
	}
	f.splice(source.start, source.end, "")
	f.splice(target.start, target.start, text)
	return nil
}
