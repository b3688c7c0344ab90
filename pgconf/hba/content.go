package hba

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/unified"
)

// ErrLine is matched by the error for the number of a line that a file does not have.
var ErrLine = errors.New("no such line")

// content is the bytes of a file, and what edits made of them.
type content struct {
	name     string
	major    pgconf.Major
	text     string
	original string  // what was parsed
	pieces   []piece // what edits made of it; nil before the first one
}

// piece is a part of the content that begins and ends with a line.
type piece struct {
	text  string
	state pieceState
}

type pieceState uint8

const (
	kept pieceState = iota
	removed
	added
)

// each calls line for the tokens of each line that is not empty and no include directive. It collects the errors of the lines
// and of line.
func (c *content) each(line func(l *logicalLine, tokens *columns) *lineError) error {
	var errs pgconf.SyntaxErrors
	var tokens columns
	lines := lineReader{text: c.text, major: c.major}
	var l logicalLine
	for ok := lines.next(&l); ok; ok = lines.next(&l) {
		err := splitLine(&l, c.major, &tokens, nil)
		if err == nil && len(tokens.ends) == 0 {
			continue
		}
		if directive, _ := includeDirective(&tokens, c.major); err == nil && directive != "" {
			continue
		}
		if err == nil {
			err = line(&l, &tokens)
		}
		if err != nil {
			errs.Add(err.syntaxError(c.name, &l))
		}
	}
	return errs.Err()
}

// line finds the logical line with a physical one in it. The one after the last is empty.
func (c *content) line(number int) (logicalLine, error) {
	lines := lineReader{text: c.text, major: c.major}
	var l logicalLine
	for ok := lines.next(&l); ok; ok = lines.next(&l) {
		if l.number <= number && number <= lines.number {
			return l, nil
		}
	}
	if number == lines.number+1 {
		return logicalLine{start: len(c.text), end: len(c.text)}, nil
	}
	return logicalLine{}, fmt.Errorf("%w: %s has %d lines, not %d", ErrLine, c.name, lines.number, number)
}

// insert adds a line, given without its end, where a line begins, or at the end.
func (c *content) insert(at int, line string) {
	eol := c.eol(at)
	from := at
	text := line + eol
	if endsContinued(c.text[:at]) {
		text = eol + text // an empty line, or the new one would be read as a part of the line before it
	}
	if at > 0 && c.text[at-1] != '\n' { // the last line gets an end, so it changes
		from = strings.LastIndexByte(c.text[:at], '\n') + 1
		text = c.text[from:at] + eol + text
	}
	c.splice(from, at, text)
}

// remove takes out the logical line with a physical one in it.
func (c *content) remove(number int) error {
	l, err := c.line(number)
	if err == nil && l.start == l.end {
		err = fmt.Errorf("%w: %s has %d lines, not %d", ErrLine, c.name, number-1, number)
	}
	if err != nil {
		return err
	}
	c.splice(l.start, l.end, "")
	return nil
}

// eol returns how a line that begins at some place ends. At the end of the file it is as the last line.
func (c *content) eol(at int) string {
	end := strings.IndexByte(c.text[at:], '\n')
	if end >= 0 {
		end += at
	} else {
		end = strings.LastIndexByte(c.text, '\n')
	}
	if end > 0 && c.text[end-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// splice replaces whole lines by others.
func (c *content) splice(from, to int, text string) {
	if c.pieces == nil && c.original != "" {
		c.pieces = []piece{{c.original, kept}}
	}
	i := c.cut(from)
	j := c.cut(to)
	var come []piece
	for _, p := range c.pieces[i:j] {
		if p.state != added {
			come = append(come, piece{p.text, removed})
		}
	}
	if text != "" {
		come = append(come, piece{text, added})
	}
	c.pieces = slices.Replace(c.pieces, i, j, come...)
	c.text = c.text[:from] + text + c.text[to:]
}

// cut makes a piece begin at a place in the text, and returns its index, which is that after the last one at the end.
func (c *content) cut(at int) int {
	for i, p := range c.pieces {
		switch {
		case p.state == removed:
		case at == 0:
			return i
		case at < len(p.text):
			c.pieces = slices.Replace(c.pieces, i, i+1, piece{p.text[:at], p.state}, piece{p.text[at:], p.state})
			return i + 1
		default:
			at -= len(p.text)
		}
	}
	return len(c.pieces)
}

func asIs(text string) string { return text }

// hideSecrets cuts each line behind the first name of an option that holds a secret, in comments too, and the lines that it is
// continued in. The number of lines stays.
func hideSecrets(text string) string {
	var b strings.Builder
	continued := false
	for raw := range strings.Lines(text) {
		line := strings.TrimRight(raw, "\r\n")
		end := raw[len(line):]
		at := secretAt(line)
		if continued {
			at = 0
		}
		continued = at >= 0 && strings.HasSuffix(line, `\`)
		if at >= 0 {
			line = line[:at] + "***"
		}
		b.WriteString(line + end)
	}
	return b.String()
}

// secretAt returns where to cut a line that names a secret option: behind the name and its =. Else it is -1.
func secretAt(line string) int {
	start, end := len(line), -1
	for _, name := range secretOptions {
		if at := strings.Index(line, name); at >= 0 && at < start {
			start, end = at, at+len(name)
		}
	}
	if end >= 0 && strings.HasPrefix(line[end:], "=") {
		end++
	}
	return end
}

// diff is empty if the text is the original. show says how a text, which begins and ends with a line, is shown.
func (c *content) diff(show func(text string) string) string {
	if c.text == c.original {
		return ""
	}
	d := unified.New(c.name, c.name)
	for _, p := range c.pieces {
		switch p.state {
		case kept:
			d.Keep(show(p.text))
		case removed:
			d.Remove(show(p.text))
		case added:
			d.Add(show(p.text))
		}
	}
	return d.String()
}
