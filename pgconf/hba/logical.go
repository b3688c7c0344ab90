package hba

import (
	"bytes"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// continuationSince is the major from which a backslash at the end of a line joins it with the next one.
const continuationSince = 14

// logicalLine is a line as the server's parser sees it, after continuation lines have been joined.
type logicalLine struct {
	text       string // without line end
	number     int    // of its first physical line, from 1
	joints     []int  // where in text each further physical line begins
	size       int    // of its last physical line, with the line end
	start, end int    // in the file, line ends included
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

// lineReader puts together the lines of a file as tokenize_auth_file in hba.c does. Line ends are stripped, and so are all
// carriage returns before them.
type lineReader struct {
	text   string
	major  pgconf.Major
	at     int // where the next line begins
	number int // of the last physical line
}

// next puts the next logical line into l, or reports false at the end of the file.
func (r *lineReader) next(l *logicalLine) bool {
	if r.at == len(r.text) {
		return false
	}
	raw := r.physical()
	*l = logicalLine{text: strings.TrimRight(raw, "\r\n"), number: r.number, size: len(raw), start: r.at - len(raw), end: r.at}
	if r.major >= continuationSince && strings.HasSuffix(l.text, `\`) {
		r.join(l)
	}
	return true
}

// physical takes the next line with its end.
func (r *lineReader) physical() string {
	raw := r.text[r.at:]
	if i := strings.IndexByte(raw, '\n'); i >= 0 {
		raw = raw[:i+1]
	}
	r.at += len(raw)
	r.number++
	return raw
}

// join appends the lines that continue l, which ends in a backslash.
func (r *lineReader) join(l *logicalLine) {
	joined := []byte(l.text[:len(l.text)-1])
	for open := true; open && r.at < len(r.text); {
		raw := r.physical()
		was := len(joined)
		l.joints, l.size, l.end = append(l.joints, was), len(raw), r.at
		joined = bytes.TrimRight(append(joined, raw...), "\r\n")
		// A backslash left of the last joint was there before and does not count again.
		open = len(joined) > was && joined[len(joined)-1] == '\\'
		if open {
			joined = joined[:len(joined)-1]
		}
	}
	l.text = string(joined)
}

// endsContinued reports whether the last line of a text ends in a backslash, so that a line after it could be read as
// its continuation.
func endsContinued(text string) bool {
	text = strings.TrimSuffix(text, "\n")
	last := text[strings.LastIndexByte(text, '\n')+1:]
	return strings.HasSuffix(strings.TrimRight(last, "\r"), `\`)
}
