package pgconf

import "strings"

// kind is the class of a token. The classes and the rule for choosing among them (longest match, then the order below)
// are those of guc-file.l.
type kind uint8

const (
	tokEnd         kind = iota // end of line or comment
	tokID                      // letter (letter or digit)*
	tokQualifiedID             // id.id
	tokString                  // '...'
	tokUnquoted                // letter (letter, digit or one of -._:/)*
	tokInteger                 // with unit
	tokReal                    // without unit
	tokEquals                  // =
	tokOpenString              // ' without its end on the same line
	tokBad                     // any other byte
)

// token is the text s[start:end] of the line it was found in.
type token struct {
	kind       kind
	start, end int
}

// next returns the first token of s at or after i. s is one line without its newline. A comment is an end.
func next(s string, i int) token {
	i = span(s, i, blanks)
	if i == len(s) || s[i] == '#' {
		return token{tokEnd, i, i}
	}
	switch c := s[i]; {
	case c == '=':
		return token{tokEquals, i, i + 1}
	case c == '\'':
		return nextString(s, i)
	case letters.is(c):
		return nextWord(s, i)
	default:
		return nextNumber(s, i)
	}
}

func nextString(s string, i int) token {
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == '\\':
			j++
		case s[j] != '\'':
		case j+1 < len(s) && s[j+1] == '\'':
			j++
		default:
			return token{tokString, i, j + 1}
		}
	}
	return token{tokOpenString, i, len(s)}
}

// nextWord relies on every identifier being an unquoted word as well, so that the longest match is always the word.
func nextWord(s string, i int) token {
	end := span(s, i, wordBytes)
	switch id := span(s, i, idBytes); {
	case id == end:
		return token{tokID, i, end}
	case s[id] == '.' && id+1 < end && letters.is(s[id+1]) && span(s, id+1, idBytes) == end:
		return token{tokQualifiedID, i, end}
	default:
		return token{tokUnquoted, i, end}
	}
}

func nextNumber(s string, i int) token {
	unsigned := i
	if s[i] == '+' || s[i] == '-' {
		unsigned++
	}
	integer, realEnd := integerEnd(s, unsigned), realEnd(s, unsigned)
	switch {
	case integer == 0 && realEnd == 0:
		return token{tokBad, i, i + 1}
	case integer >= realEnd:
		return token{tokInteger, i, integer}
	default:
		return token{tokReal, i, realEnd}
	}
}

// integerEnd returns the end of the unsigned integer with unit at i, or 0 if there is none. "0x" without a hexadecimal
// digit after it is the digit 0 with the unit x.
func integerEnd(s string, i int) int {
	end := span(s, i, digits)
	if end == i {
		return 0
	}
	if strings.HasPrefix(s[i:], "0x") {
		if hex := span(s, i+2, hexDigits); hex > i+2 {
			end = hex
		}
	}
	return span(s, end, unitLetters)
}

// realEnd returns the end of the unsigned real at i, or 0 if there is none. No digit is needed: "." is a real.
func realEnd(s string, i int) int {
	end := span(s, i, digits)
	if end == len(s) || s[end] != '.' {
		return 0
	}
	end = span(s, end+1, digits)
	if end == len(s) || s[end] != 'e' && s[end] != 'E' {
		return end
	}
	exponent := end + 1
	if exponent < len(s) && (s[exponent] == '+' || s[exponent] == '-') {
		exponent++
	}
	if e := span(s, exponent, digits); e > exponent {
		return e
	}
	return end
}

// class is a set of bytes, as bits that stand for groups of them.
type class uint8

const (
	blanks class = 1 << iota // space, tab and CR
	digits
	unitLetters  // ASCII letters
	otherLetters // _ and all bytes from 0x80 on
	dots
	wordMarks // the other bytes of an unquoted word, which are - : /
	hexLetters

	letters   = unitLetters | otherLetters
	idBytes   = letters | digits
	nameBytes = idBytes | dots
	wordBytes = nameBytes | wordMarks
	hexDigits = digits | hexLetters
)

var classes = classify()

func classify() (of [256]class) {
	for c := range of {
		if c >= 0x80 {
			of[c] = otherLetters
		}
	}
	add := func(bytes string, cl class) {
		for i := range len(bytes) {
			of[bytes[i]] |= cl
		}
	}
	add(" \t\r", blanks)
	add("0123456789", digits)
	add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", unitLetters)
	add("_", otherLetters)
	add(".", dots)
	add("-:/", wordMarks)
	add("abcdefABCDEF", hexLetters)
	return of
}

// is reports whether c is in the class.
func (cl class) is(c byte) bool { return classes[c]&cl != 0 }

// span returns the end of the longest run of bytes at i that are in the class.
func span(s string, i int, cl class) int {
	for i < len(s) && classes[s[i]]&cl != 0 {
		i++
	}
	return i
}
