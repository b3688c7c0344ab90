package pgconf

import "strings"

// tabWidth is how far apart tab stops are taken to be when a trailing comment keeps its column.
const tabWidth = 8

// pad returns tail, which is what follows the value on its line, with as many blanks at its front that a comment in it
// stands in the same column after the text before tail became now instead of was. If that reaches past the column, one
// blank remains. A tail without a comment, or with no blank before it, stays as it is.
func pad(was, now, tail string) string {
	gap := gapEnd(tail)
	if gap == 0 || gap == len(tail) || tail[gap] != '#' {
		return tail
	}
	return realign(was, now, tail)
}

// realign is pad for a tail that begins with blanks, whatever follows them.
func realign(was, now, tail string) string {
	gap := gapEnd(tail)
	before := column(0, was)
	at, target := column(0, now), column(before, tail[:gap])
	if at == before {
		return tail
	}
	tabs := strings.Contains(tail[:gap], "\t")
	switch {
	case at < target:
		return fill(at, target, tabs) + tail[gap:]
	case tabs:
		return "\t" + tail[gap:]
	}
	return " " + tail[gap:]
}

// gapEnd returns the length of the spaces and tabs at the front of s.
func gapEnd(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }

// fill returns the blanks that lead from one column to a later one.
func fill(at, target int, tabs bool) string {
	var b []byte
	for tabs && at/tabWidth < target/tabWidth {
		b = append(b, '\t')
		at = (at/tabWidth + 1) * tabWidth
	}
	for ; at < target; at++ {
		b = append(b, ' ')
	}
	return string(b)
}

// column returns the column after s, which begins in the given one. Every character but tab is one column wide.
func column(at int, s string) int {
	for i := range len(s) {
		switch {
		case s[i] == '\t':
			at = (at/tabWidth + 1) * tabWidth
		case s[i]&0xC0 != 0x80: // not a continuation byte of UTF-8
			at++
		}
	}
	return at
}
