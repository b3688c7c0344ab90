package pgconf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Set makes value the one that wins for name in this file, touching one line:
//
//   - If the file sets name, the winning (last) line gets the value. Spelling of the name, blanks, trailing comment and
//     line end stay; blanks before a trailing comment give or take so that it keeps its column. Earlier lines of the
//     same name stay as they are.
//   - Otherwise, if a line is that setting commented out, as #name = value with nothing between # and name, it is
//     uncommented: one that already has the value, or else the only one there is.
//   - Otherwise a line name = 'value' is appended, ending as the file's last line does.
//
// If name already has the value, nothing changes. A bare value stays bare where the new one can (a word of ASCII
// letters, an integer with or without unit), else it is quoted.
//
// The error matches [ErrName] for a name no file can hold and for the include directives, which add up instead of
// overruling each other, and [ErrValue] for a value with a NUL byte.
func (f *File) Set(name, value string) error {
	if err := check(name, value); err != nil {
		return err
	}
	f.set(name, f.locate(name, value))
	return nil
}

// SetAll sets every name to its value as [File.Set] does, in the order of the names. If one of them cannot be set,
// none is. It takes one pass over the file, however many names there are.
func (f *File) SetAll(values map[string]string) error {
	names := slices.Sorted(maps.Keys(values))
	goals := make(map[string]*goal, len(names))
	spelled := make(map[string]string, len(names))
	for _, name := range names {
		if err := check(name, values[name]); err != nil {
			return err
		}
		if other, ok := spelled[ascii.Lower(name)]; ok {
			return sameParameter(other, name)
		}
		spelled[ascii.Lower(name)] = name
		goals[ascii.Lower(name)] = newGoal(values[name])
	}
	f.locateAll(goals)
	for _, name := range names {
		f.set(name, goals[ascii.Lower(name)])
	}
	return nil
}

// SetKeeping is [File.Set], but what stood there before can still be read: if the value changes, a line #name = value
// with the old one is left above. A setting that is commented out stays so, and the new line goes below it, unless it has
// the value already. However often a value comes and goes, it is left once.
func (f *File) SetKeeping(name, value string) error {
	if err := check(name, value); err != nil {
		return err
	}
	g := f.locate(name, value)
	switch {
	case g.set >= 0:
		g.set += f.keepOld(g.set, value)
	case g.commented >= 0 && !g.same:
		a := uncommented(f.raw(g.commented))
		a.raw = a.body()
		f.insert(g.commented+1, a.withValue(value))
		return nil
	}
	f.set(name, g)
	return nil
}

// keepOld inserts what a line sets as a comment above it, unless that is value or one of the comments of the same name
// directly above has it. It returns the number of lines inserted.
func (f *File) keepOld(i int, value string) int {
	a := f.assignment(i)
	if a.value() == value {
		return 0
	}
	name := ascii.Lower(a.spelling())
	for up := i - 1; up >= 0 && f.lines[up].kind == lineCommented && f.isNamed(up, name); up-- {
		if old := uncommented(f.raw(up)); old.nameEnd > 0 && old.value() == a.value() {
			return 0
		}
	}
	a.raw = a.body()
	f.insert(i, a.commented(""))
	return 1
}

// InsertAfter is [File.Set], but if a line must be added, it goes below the last one that sets anchor, or else below the
// last one that is anchor commented out, and takes after it in indentation, blanks and quotes. Without such a line it is
// appended. The anchor may be an include directive.
func (f *File) InsertAfter(anchor, name, value string) error {
	if !isName(anchor) {
		return nameError(anchor)
	}
	if err := check(name, value); err != nil {
		return err
	}
	g := f.locate(name, value)
	i, a := f.anchor(ascii.Lower(anchor))
	if g.found() || i < 0 {
		f.set(name, g)
		return nil
	}
	a.raw = a.body()
	a, _ = parseLine(a.withName(name))
	f.insert(i+1, a.withValue(value))
	return nil
}

// anchor returns the line below which a new one belongs and what it says, or -1.
func (f *File) anchor(name string) (int, assignment) {
	if i := f.find(name); i >= 0 {
		return i, f.assignment(i)
	}
	for i := len(f.lines) - 1; i >= 0; i-- {
		if f.lines[i].kind == lineCommented && f.isNamed(i, name) {
			if a := uncommented(f.raw(i)); a.nameEnd > 0 {
				return i, a
			}
		}
	}
	return -1, assignment{}
}

// Unset makes the file say nothing about name: all its lines are commented out by a # before the name, so that a
// reader still sees what was there; a comment after the value keeps its column. A later Set with the same value takes
// the # away again. Note that a commented-out line still shows its value; who must be rid of a secret sets another
// value first. The error matches [ErrName], under the conditions of Set.
func (f *File) Unset(name string) error { return f.Comment(name, "") }

// Comment is [File.Unset] with a remark that says why: it is put at the end of each line that is commented out, behind
// a #. Bytes of it that a line cannot hold become blanks. A later Set that uncomments such a line leaves the remark.
func (f *File) Comment(name, remark string) error {
	if err := checkName(name); err != nil {
		return err
	}
	remark = strings.TrimSpace(strings.Map(printable, remark))
	name = ascii.Lower(name)
	for i := range f.lines {
		if f.lines[i].kind == lineSetting && f.isNamed(i, name) {
			f.put(i, f.assignment(i).commented(remark))
		}
	}
	return nil
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// Rename gives every line that sets one name another one, and leaves value, place and remark as they are. Where more than one
// blank or a tab follows the name, the = and the value keep their columns if there is room. Lines that are commented
// out stay. If the file does not set the old name, nothing changes.
//
// The error matches [ErrName] under the conditions of Set, and [ErrSet] if the file sets the new name too: then nothing
// changes, since only the caller can know which of the values is meant.
func (f *File) Rename(old, name string) error {
	if err := checkName(old); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	from, to := ascii.Lower(old), ascii.Lower(name)
	if f.find(from) < 0 {
		return nil
	}
	if i := f.find(to); from != to && i >= 0 {
		return fmt.Errorf("%w: %s, in line %d of %s; comment out one of the two before %s is renamed", ErrSet, name, i+1, f.name, old)
	}
	for i := range f.lines {
		if f.lines[i].kind == lineSetting && f.isNamed(i, from) {
			f.put(i, f.assignment(i).withName(name))
		}
	}
	return nil
}

// set gives a name its value where it was found, or else in a new line at the end.
func (f *File) set(name string, g *goal) {
	switch {
	case g.set >= 0:
		f.put(g.set, f.assignment(g.set).withValue(g.value))
	case g.commented >= 0:
		f.put(g.commented, uncommented(f.raw(g.commented)).withValue(g.value))
	default:
		f.insert(len(f.lines), newLine(name, g.value))
	}
}

// newLine returns a line without its end.
func newLine(name, value string) string {
	return mustRead(name+" = "+quoted(value), name, value)
}

// check says why name and value cannot be written.
func check(name, value string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := checkValue(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func checkName(name string) error {
	if !isName(name) {
		return nameError(name)
	}
	if isInclude(ascii.Lower(name)) {
		return fmt.Errorf("%w: %q is a directive, of which there may be many; edit its line by hand", ErrName, name)
	}
	return nil
}

func nameError(name string) error {
	return fmt.Errorf("%w: %q (letters, digits and _, with one dot at most between two words)", ErrName, name)
}

func sameParameter(a, b string) error {
	return fmt.Errorf("%w: %q and %q are the same parameter; give one of them", ErrName, a, b)
}

// isName reports whether a file can hold the name.
func isName(name string) bool {
	t := next(name, 0)
	return (t.kind == tokID || t.kind == tokQualifiedID) && t.start == 0 && t.end == len(name)
}
