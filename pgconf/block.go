package pgconf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// The lines around a managed block, each with the marker behind it.
const (
	blockBegin = "# BEGIN managed block "
	blockEnd   = "# END managed block "
)

// SetBlock makes the settings, in their order, the whole content of the managed block with that marker: the lines between
//
//	# BEGIN managed block MARKER
//	# END managed block MARKER
//
// If the file has no such block, it is appended, so that it wins over everything above; one that is there stays where it is.
// Of each setting only Name and Value count. The same block twice changes nothing; lines that are right already stay
// as they are. What other edits do inside a block lasts until the next SetBlock. A marker names the tool or purpose the
// block belongs to; it is a text without control bytes, and without blanks around it.
//
// later are the settings below the block that overrule one in it, and the include directives below it, whose files may.
// To put the block at the end again, remove it first.
//
// The error matches [ErrBlock] for a text that is no marker, and if the begin and end lines of the file's blocks do not
// pair up, because somebody has damaged one: then it holds a [*SyntaxError] too, and a person must look. For names and
// values it is as for [File.SetAll]. With an error nothing changes.
func (f *File) SetBlock(marker string, settings []Setting) (later []Setting, err error) {
	names, texts, err := blockLines(settings)
	if err != nil {
		return nil, err
	}
	b, ok, err := f.block(marker)
	if err != nil {
		return nil, err
	}
	if !ok {
		f.appendBlock(slices.Concat([]string{blockBegin + marker}, texts, []string{blockEnd + marker}))
		return nil, nil
	}
	end := f.replaceLines(b.begin+1, b.end, texts)
	for _, s := range f.settings(end, len(f.lines)) {
		if names[s.Name] || s.IsInclude() {
			later = append(later, s)
		}
	}
	return later, nil
}

// Block returns the settings in the managed block with that marker. It reports whether there is such a block; without
// settings it may be all the same. The error matches [ErrBlock], under the conditions of SetBlock.
func (f *File) Block(marker string) (settings []Setting, ok bool, err error) {
	b, ok, err := f.block(marker)
	if !ok || err != nil {
		return nil, false, err
	}
	return f.settings(b.begin, b.end), true, nil
}

// RemoveBlock takes a managed block out, its begin and end line included: a file to which SetBlock appended it is as it was.
// Without such a block nothing changes. The error matches [ErrBlock], under the conditions of SetBlock.
func (f *File) RemoveBlock(marker string) error {
	b, ok, err := f.block(marker)
	if !ok || err != nil {
		return err
	}
	open, eol := f.isOpen(b.end), lineEnd(f.raw(b.begin))
	f.remove(b.begin, b.end+1)
	if open && b.begin > 0 {
		f.put(b.begin-1, strings.TrimSuffix(f.raw(b.begin-1), eol))
	}
	return nil
}

// blockLines renders settings, and returns the folded names.
func blockLines(settings []Setting) (names map[string]bool, texts []string, err error) {
	names = map[string]bool{}
	for _, s := range settings {
		if err := check(s.Name, s.Value); err != nil {
			return nil, nil, err
		}
		if names[ascii.Lower(s.Name)] {
			return nil, nil, fmt.Errorf("%w: %q is given twice", ErrName, s.Name)
		}
		names[ascii.Lower(s.Name)] = true
		texts = append(texts, newLine(s.Name, s.Value))
	}
	return names, texts, nil
}

// appendBlock appends lines. If the file's last line has no end, the last one of the block will have none.
func (f *File) appendBlock(texts []string) {
	n := len(f.lines)
	open := n > 0 && f.isOpen(n-1)
	f.insert(n, texts...)
	if last := len(f.lines) - 1; open {
		f.put(last, strings.TrimRight(f.raw(last), "\r\n"))
	}
}

// replaceLines puts others in place of the lines from begin up to end, and returns where those end. It keeps the equal ones
// at the front and at the back.
func (f *File) replaceLines(begin, end int, texts []string) int {
	same := func(i int, text string) bool { return strings.TrimRight(f.raw(i), "\r\n") == text }
	for begin < end && len(texts) > 0 && same(begin, texts[0]) {
		begin, texts = begin+1, texts[1:]
	}
	after := 0
	for begin < end-after && len(texts) > after && same(end-1-after, texts[len(texts)-1-after]) {
		after++
	}
	texts = texts[:len(texts)-after]
	f.remove(begin, end-after)
	f.insert(begin, texts...)
	return begin + len(texts) + after
}

// managedBlock is where a block begins and ends: the lines with the marker.
type managedBlock struct{ begin, end int }

// block finds a block. All blocks of the file are looked at, since a damaged one may reach into any other.
func (f *File) block(marker string) (found managedBlock, ok bool, err error) {
	if marker == "" || strings.TrimSpace(marker) != marker || strings.Map(printable, marker) != marker {
		return found, false, fmt.Errorf("%w: %q is no marker; take a short text without control bytes", ErrBlock, marker)
	}
	open := -1 // the line where a block has begun
	seen := map[string]int{}
	for i := range f.lines {
		begins, ends := f.blockMarkers(i)
		switch {
		case begins == "" && ends == "":
		case begins != "" && open >= 0:
			return found, false, f.damaged(i, "a managed block begins here, but that of line %d has not ended", open+1)
		case begins != "" && seen[begins] > 0:
			return found, false, f.damaged(i, "the same managed block begins in line %d already", seen[begins])
		case begins != "":
			open, seen[begins] = i, i+1
		case open < 0 || seen[ends] != open+1:
			return found, false, f.damaged(i, "a managed block ends here that has not begun")
		default:
			if ends == marker {
				found, ok = managedBlock{open, i}, true
			}
			open = -1
		}
	}
	if open >= 0 {
		return found, false, f.damaged(open, "a managed block begins here and does not end")
	}
	return found, ok, nil
}

// blockMarkers returns the marker of a line where a block begins or ends.
func (f *File) blockMarkers(i int) (begins, ends string) {
	if f.lines[i].kind != lineOther {
		return "", ""
	}
	text := strings.Trim(f.raw(i), " \t\r\n")
	if marker, ok := strings.CutPrefix(text, blockBegin); ok {
		return marker, ""
	}
	if marker, ok := strings.CutPrefix(text, blockEnd); ok {
		return "", marker
	}
	return "", ""
}

func (f *File) damaged(i int, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...) + "; put the begin and end lines in pairs again, or remove what is left of them"
	return fmt.Errorf("%w: %w", ErrBlock, &SyntaxError{File: f.name, Line: i + 1, Col: 1, Msg: msg})
}
