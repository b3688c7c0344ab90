package hba

import (
	"bytes"
	"iter"
	"strings"
)

// continuationSince is the major from which a backslash at the end of a line joins it with the next one.
const continuationSince = 14

// logicalLine is a line as the server's parser sees it, after continuation lines have been joined.
type logicalLine struct {
	text   string // without line end
	number int    // of its first physical line, from 1
	joints []int  // where in text each further physical line begins
	size   int    // of its last physical line, with the line end
}

// position returns the physical line and column of a place in the text.
func (l logicalLine) position(at int) (line, col int) {
	line, start := l.number, 0
	for _, j := range l.joints {
		if j > at {
			break
		}
		line, start = line+1, j
	}
	return line, at - start + 1
}

// logicalLines yields the lines of a file as tokenize_auth_file in hba.c puts them together. Line ends are stripped, and
// so are all carriage returns before them.
func logicalLines(text string, major int) iter.Seq[logicalLine] {
	return func(yield func(logicalLine) bool) {
		number := 0
		var l logicalLine
		var joined []byte
		open := false // the last physical line was continued
		for raw := range strings.Lines(text) {
			number++
			if !open {
				l, joined = logicalLine{number: number}, joined[:0]
			} else {
				l.joints = append(l.joints, len(joined))
			}
			l.size = len(raw)
			was := len(joined)
			joined = bytes.TrimRight(append(joined, raw...), "\r\n")
			// A backslash left of the last joint was there before and does not count again.
			open = major >= continuationSince && len(joined) > was && joined[len(joined)-1] == '\\'
			if open {
				joined = joined[:len(joined)-1]
				continue
			}
			l.text = string(joined)
			if !yield(l) {
				return
			}
		}
		if open {
			l.text = string(joined)
			yield(l)
		}
	}
}

// endsContinued reports whether the last line of a file ends in a backslash, so that a line after it could be read as
// its continuation.
func endsContinued(text string) bool {
	text = strings.TrimSuffix(text, "\n")
	last := text[strings.LastIndexByte(text, '\n')+1:]
	return strings.HasSuffix(strings.TrimRight(last, "\r"), `\`)
}
