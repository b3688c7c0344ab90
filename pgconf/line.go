package pgconf

import (
	"fmt"
	"strings"
)

// line is one line of a file. The offsets are into raw and mean something only if name is set.
type line struct {
	raw  string // with its end, if it has one
	bad  bool   // not valid; never a setting
	name string // folded; empty if the line holds no setting

	value             string // decoded
	nameAt, nameEnd   int
	valueAt, valueEnd int
	equals            bool // a = stands between name and value
}

// lineError is a SyntaxError before it knows its file and line. at counts from 0.
type lineError struct {
	at  int
	msg string
}

// parseLine reads one line, with or without its newline. If the line is not valid the result is marked bad.
func parseLine(raw string) (line, *lineError) {
	l := line{raw: raw}
	err := l.parse(strings.TrimSuffix(raw, "\n"))
	if err != nil {
		return line{raw: raw, bad: true}, err
	}
	return l, nil
}

func (l *line) parse(s string) *lineError {
	name := next(s, 0)
	if name.kind == tokEnd {
		return nil
	}
	if name.kind != tokID && name.kind != tokQualifiedID {
		return nameError(name)
	}
	value := next(s, name.end)
	if value.kind == tokEquals {
		l.equals = true
		value = next(s, value.end)
	}
	text, err := valueOf(s, value)
	if err != nil {
		return err
	}
	if after := next(s, value.end); after.kind != tokEnd {
		return &lineError{after.start, "more than one value; put the whole value in single quotes, or a # before a remark"}
	}
	l.name, l.value = fold(s[name.start:name.end]), text
	l.nameAt, l.nameEnd = name.start, name.end
	l.valueAt, l.valueEnd = value.start, value.end
	return nil
}

func nameError(t token) *lineError {
	if t.kind == tokUnquoted {
		return &lineError{t.start, "not a parameter name: only letters, digits, _ and one dot may stand in it"}
	}
	return &lineError{t.start, "a line must begin with a parameter name or #"}
}

// valueOf decodes the token that stands where a value is due. Its errors never show the text.
func valueOf(s string, t token) (string, *lineError) {
	text := s[t.start:t.end]
	switch t.kind {
	case tokID, tokUnquoted, tokInteger, tokReal:
		return text, nil
	case tokString:
		if i := strings.IndexByte(text, 0); i >= 0 {
			return "", &lineError{t.start + i, "NUL byte in a value, where the server would cut it off; remove it"}
		}
		return unquote(text), nil
	case tokEnd:
		return "", &lineError{t.start, "no value; write '' for an empty one"}
	case tokQualifiedID:
		return "", &lineError{t.start, "a value of two words with a dot between needs single quotes"}
	case tokEquals:
		return "", &lineError{t.start, "a second = before the value; remove it, or put the value in single quotes"}
	case tokOpenString:
		return "", &lineError{t.start, "the quote is not closed on this line; write a quote inside a value as ''"}
	default:
		return "", &lineError{t.start, fmt.Sprintf("a value cannot begin with %q unless it is in single quotes", text[0])}
	}
}
