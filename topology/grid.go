package topology

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is the parameter of an ANSI SGR sequence.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	yellow style = "33"
	cyan   style = "36"
)

// span is text in one style; a cell is one field of a table; a grid is a table.
type (
	span struct {
		text  string
		style style
	}
	cell []span
	grid [][]cell
)

// write writes the rows with their columns aligned, two blanks between them, and no blanks at the ends of lines.
func (g grid) write(b *strings.Builder, color bool) {
	var widths []int
	for _, row := range g {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], c.width())
		}
	}
	for _, row := range g {
		pending := 0 // blanks before the next text
		for i, c := range row {
			if c.width() > 0 {
				b.WriteString(strings.Repeat(" ", pending))
				pending = 0
				c.write(b, color)
			}
			pending += widths[i] - c.width() + 2
		}
		b.WriteByte('\n')
	}
}

func (c cell) width() int {
	n := 0
	for _, s := range c {
		n += width(s.text)
	}
	return n
}

func (c cell) write(b *strings.Builder, color bool) {
	for _, s := range c {
		if !color || s.style == plain || s.text == "" {
			b.WriteString(s.text)
			continue
		}
		b.WriteString("\x1b[" + string(s.style) + "m" + s.text + "\x1b[0m")
	}
}

// width is how many columns of a terminal a text takes.
func width(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case unicode.Is(wideRunes, r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// wideRunes take two columns: the blocks that Unicode's East Asian Width has as W or F, nearly.
var wideRunes = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115f, 1},
		{0x2e80, 0x303e, 1},
		{0x3041, 0xa4cf, 1},
		{0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1},
		{0xfe30, 0xfe6f, 1},
		{0xff01, 0xff60, 1},
		{0xffe0, 0xffe6, 1},
	},
	R32: []unicode.Range32{
		{0x1f300, 0x1f64f, 1},
		{0x1f680, 0x1f6ff, 1},
		{0x1f900, 0x1f9ff, 1},
		{0x20000, 0x3fffd, 1},
	},
}

// printable returns a text of one line that a terminal shows as it is: what would move the cursor, change colours or turn the direction
// of writing is escaped as in Go. Names and messages come from servers, and whoever connects to one may choose its application_name.
func printable(text string) string {
	clean := func(r rune) bool { return unicode.IsGraphic(r) && r != utf8.RuneError }
	if !strings.ContainsFunc(text, func(r rune) bool { return !clean(r) }) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case clean(r):
			b.WriteRune(r)
		case r == utf8.RuneError:
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i]), 16))
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// wrap breaks a text at blanks into lines of at most columns; a longer word stays whole. Zero or less does not wrap.
func wrap(text string, columns int) []string {
	if text == "" {
		return nil
	}
	if columns <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && width(line)+1+width(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
