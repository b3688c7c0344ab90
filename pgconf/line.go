package pgconf

import (
	"fmt"
	"strings"
)

// assignment is a line that sets a parameter, taken apart. The offsets are into raw.
type assignment struct {
	raw               string // with its end, if it has one
	nameAt, nameEnd   int    // nameEnd is 0 if the line sets nothing
	valueAt, valueEnd int
	equals            bool // a = stands between name and value
}

// problem is a SyntaxError before it knows its file and line.
type problem struct {
	at   int    // from 0
	msg  string // empty if there is none
	char byte   // for badStart
}

// The messages for what is wrong with a line. They never show the text of a value.
const (
	badMark    = "the file starts with a UTF-8 byte order mark, which the server takes as part of a name; save it without"
	tooLarge   = "a text of 4 GiB or more is not read"
	badName    = "not a parameter name: only letters, digits, _ and one dot may stand in it"
	badBegin   = "a line must begin with a parameter name or #"
	manyValues = "more than one value; put the whole value in single quotes, or a # before a remark"
	nulInValue = "NUL byte in a value, where the server would cut it off; remove it"
	noValue    = "no value; write '' for an empty one"
	twoWords   = "a value of two words with a dot between needs single quotes"
	twoEquals  = "a second = before the value; remove it, or put the value in single quotes"
	openQuote  = "the quote is not closed on this line; write a quote inside a value as ''"
	badStart   = "a value cannot begin with %q unless it is in single quotes"
)

func (p problem) message() string {
	if p.msg == badStart {
		return fmt.Sprintf(badStart, p.char)
	}
	return p.msg
}

// parseLine takes a line apart, with or without its newline. One that is not valid sets nothing.
func parseLine(raw string) (assignment, problem) {
	s := strings.TrimSuffix(raw, "\n")
	name := next(s, 0)
	switch name.kind {
	case tokID, tokQualifiedID:
	case tokEnd:
		return assignment{}, problem{}
	case tokUnquoted:
		return assignment{}, problem{at: name.start, msg: badName}
	default:
		return assignment{}, problem{at: name.start, msg: badBegin}
	}
	a := assignment{raw: raw, nameAt: name.start, nameEnd: name.end}
	value := next(s, name.end)
	if value.kind == tokEquals {
		a.equals = true
		value = next(s, value.end)
	}
	if p := checkToken(s, value); p.msg != "" {
		return assignment{}, p
	}
	if after := next(s, value.end); after.kind != tokEnd {
		return assignment{}, problem{at: after.start, msg: manyValues}
	}
	a.valueAt, a.valueEnd = value.start, value.end
	return a, problem{}
}

// checkToken says why a token that stands where a value is due is none.
func checkToken(s string, t token) problem {
	switch t.kind {
	case tokID, tokUnquoted, tokInteger, tokReal:
		return problem{}
	case tokString:
		if i := strings.IndexByte(s[t.start:t.end], 0); i >= 0 {
			return problem{at: t.start + i, msg: nulInValue}
		}
		return problem{}
	case tokEnd:
		return problem{at: t.start, msg: noValue}
	case tokQualifiedID:
		return problem{at: t.start, msg: twoWords}
	case tokEquals:
		return problem{at: t.start, msg: twoEquals}
	case tokOpenString:
		return problem{at: t.start, msg: openQuote}
	default:
		return problem{at: t.start, msg: badStart, char: s[t.start]}
	}
}

// spelling returns the name as it is written.
func (a assignment) spelling() string { return a.raw[a.nameAt:a.nameEnd] }

// value returns the value, decoded.
func (a assignment) value() string {
	text := a.raw[a.valueAt:a.valueEnd]
	if text[0] == '\'' {
		return unquote(text)
	}
	return text
}

// body is what the line is up to the end of the value, without a remark.
func (a assignment) body() string { return a.raw[:a.valueEnd] }

// withBody returns the line with another body. A comment after the value keeps its column if there is room.
func (a assignment) withBody(body string) string {
	return body + pad(a.body(), body, a.raw[a.valueEnd:])
}

// withValue returns the line with another value. One without quotes stays without where the new one can.
func (a assignment) withValue(value string) string {
	if a.value() == value {
		return a.raw
	}
	text := quoted(value)
	bare := a.raw[a.valueAt] != '\'' && a.valueAt > a.nameEnd // "a+1" is a setting, "a1" would be none
	if bare && isBare(value) {
		text = value
	}
	return mustRead(a.withBody(a.raw[:a.valueAt]+text), a.spelling(), value)
}

// withName returns the line with another name. If more than one blank or a tab follows the name, what comes after the blanks
// keeps its column.
func (a assignment) withName(name string) string {
	head, tail := a.raw[:a.nameAt]+name, a.raw[a.nameEnd:a.valueEnd]
	if gap := span(tail, 0, blanks); gap > 1 || gap == 1 && tail[0] == '\t' {
		tail = realign(a.raw[:a.nameEnd], head, tail)
	}
	return mustRead(a.withBody(head+tail), name, a.value())
}

// commented returns the line with a # before the name, and with a remark after everything else if that is not empty.
func (a assignment) commented(remark string) string {
	text := a.withBody(a.raw[:a.nameAt] + "#" + a.raw[a.nameAt:a.valueEnd])
	if remark == "" {
		return text
	}
	end := len(strings.TrimRight(text, " \t\r\n"))
	return text[:end] + " # " + remark + text[end:]
}

// uncommented takes apart what a comment line would be without its #. It sets nothing unless it is a setting with a =.
func uncommented(raw string) assignment {
	hash := span(raw, 0, blanks)
	a, _ := parseLine(raw[:hash] + raw[hash+len("#"):])
	if !a.equals {
		return assignment{}
	}
	a.raw = a.body() + pad(raw[:a.valueEnd+len("#")], a.body(), a.raw[a.valueEnd:])
	return a
}

// mustRead returns the line if it reads back as written. If not, our own rendering broke.
func mustRead(raw, name, value string) string {
	if a, _ := parseLine(raw); a.nameEnd == 0 || a.spelling() != name || a.value() != value {
		panic("pgconf: a line does not read back as written")
	}
	return raw
}

// lineEnd returns the end of a line, "\n" for one that has none.
func lineEnd(raw string) string {
	if strings.HasSuffix(raw, "\r\n") {
		return "\r\n"
	}
	return "\n"
}
