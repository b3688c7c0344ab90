package pgconf

// tabWidth is how far apart tab stops are taken to be when a trailing comment keeps its column.
const tabWidth = 8

// pad returns tail, which is what follows the value on its line, with as many blanks at its front that a comment in it
// stands in the same column after the text before tail became now instead of was. If that reaches past the column, one
// blank remains. A tail without a comment, or with no blank before it, stays as it is.
func pad(was, now, tail string) string {
	blanks := span(tail, 0, func(c byte) bool { return c == ' ' || c == '\t' })
	if blanks == 0 || blanks == len(tail) || tail[blanks] != '#' {
		return tail
	}
	at, target := column(0, now), column(column(0, was), tail[:blanks])
	if at == column(0, was) {
		return tail
	}
	tabs := span(tail[:blanks], 0, func(c byte) bool { return c == ' ' }) < blanks
	if at >= target {
		if tabs {
			return "\t" + tail[blanks:]
		}
		return " " + tail[blanks:]
	}
	return fill(at, target, tabs) + tail[blanks:]
}

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
