package pgconf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
	quoted, err := check(name, value)
	if err != nil {
		return err
	}
	if i := f.find(fold(name)); i >= 0 {
		f.lines[i] = f.lines[i].with(value, quoted)
		return nil
	}
	if i, l := f.commentedOut(fold(name), value); i >= 0 {
		f.lines[i] = l.with(value, quoted)
		return nil
	}
	f.appendLine(name + " = " + quoted)
	return nil
}

// SetAll sets every name to its value as [File.Set] does, in the order of the names. If one of them cannot be set,
// none is.
func (f *File) SetAll(values map[string]string) error {
	names := slices.Sorted(maps.Keys(values))
	spelled := make(map[string]string, len(names))
	for _, name := range names {
		if _, err := check(name, values[name]); err != nil {
			return err
		}
		if other, ok := spelled[fold(name)]; ok {
			return fmt.Errorf("%w: %q and %q are the same parameter; give one of them", ErrName, other, name)
		}
		spelled[fold(name)] = name
	}
	for _, name := range names {
		if err := f.Set(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}

// Unset makes the file say nothing about name: all its lines are commented out by a # before the name, so that a
// reader still sees what was there; a comment after the value keeps its column. A later Set with the same value takes the # away again. Note that a
// commented-out line still shows its value; who must be rid of a secret sets another value first.
// The error matches [ErrName], under the conditions of Set.
func (f *File) Unset(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	name = fold(name)
	for i, l := range f.lines {
		if l.name == name {
			f.lines[i] = line{raw: l.replaced(l.nameAt, l.nameAt, "#")}
		}
	}
	return nil
}

// check returns value in quotes if name and value can be written.
func check(name, value string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	quoted, err := Quote(value)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return quoted, nil
}

func checkName(name string) error {
	t := next(name, 0)
	if t.kind != tokID && t.kind != tokQualifiedID || t.start != 0 || t.end != len(name) {
		return fmt.Errorf("%w: %q (letters, digits and _, with one dot at most between two words)", ErrName, name)
	}
	if isInclude(fold(name)) {
		return fmt.Errorf("%w: %q is a directive, of which there may be many; edit its line by hand", ErrName, name)
	}
	return nil
}

// commentedOut looks for the line to uncomment for a folded name. It returns its index and what the line is without
// its #, or -1.
func (f *File) commentedOut(name, value string) (int, line) {
	at, only, count := -1, line{}, 0
	for i := range f.lines {
		l, ok := f.lines[i].uncommented(name)
		if !ok {
			continue
		}
		if l.value == value {
			return i, l
		}
		at, only = i, l
		count++
	}
	if count != 1 {
		return -1, line{}
	}
	return at, only
}

// uncommented returns the setting that a comment line would be without its #, if it is one of that name.
func (l line) uncommented(name string) (line, bool) {
	blanks := span(l.raw, 0, isBlank)
	body, ok := strings.CutPrefix(l.raw[blanks:], "#")
	if !ok || len(body) < len(name) || fold(body[:len(name)]) != name {
		return line{}, false
	}
	u, err := parseLine(l.raw[:blanks] + body)
	if err != nil || u.name != name || !u.equals {
		return line{}, false
	}
	l.valueEnd = u.valueEnd + len("#")
	u.raw = l.replaced(blanks, blanks+len("#"), "")
	return u, true
}

// with returns the line with another value.
func (l line) with(value, quoted string) line {
	if l.value == value {
		return l
	}
	text := quoted
	bare := l.raw[l.valueAt] != '\'' && l.valueAt > l.nameEnd // "a+1" is a setting, "a1" would be none
	if bare && isBare(value) {
		text = value
	}
	n, err := parseLine(l.replaced(l.valueAt, l.valueEnd, text))
	if err != nil || n.name != l.name || n.value != value {
		panic("pgconf: an edited line does not read back as written") // our own rendering broke
	}
	return n
}

// replaced returns raw with other text at [from:to], which is not after the value. A comment after the value keeps its
// column if there is room.
func (l line) replaced(from, to int, text string) string {
	head := l.raw[:from] + text + l.raw[to:l.valueEnd]
	return head + pad(l.raw[:l.valueEnd], head, l.raw[l.valueEnd:])
}

// appendLine adds text as a last line, and ends the line before it if that is open.
func (f *File) appendLine(text string) {
	eol := "\n"
	if n := len(f.lines); n > 0 {
		last := f.lines[n-1].raw
		if !strings.HasSuffix(last, "\n") {
			if n > 1 {
				eol = lineEnd(f.lines[n-2].raw)
			}
			f.lines[n-1].raw += eol
		}
		eol = lineEnd(f.lines[n-1].raw)
	}
	l, err := parseLine(text + eol)
	if err != nil {
		panic("pgconf: an appended line does not read back as written") // our own rendering broke
	}
	f.lines = append(f.lines, l)
}

func lineEnd(raw string) string {
	if strings.HasSuffix(raw, "\r\n") {
		return "\r\n"
	}
	return "\n"
}
