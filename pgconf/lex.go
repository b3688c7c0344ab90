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
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	if i == len(s) || s[i] == '#' {
		return token{tokEnd, i, i}
	}
	switch c := s[i]; {
	case c == '=':
		return token{tokEquals, i, i + 1}
	case c == '\'':
		return nextString(s, i)
	case isLetter(c):
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
	end := span(s, i, isWordByte)
	switch id := span(s, i, isIDByte); {
	case id == end:
		return token{tokID, i, end}
	case s[id] == '.' && id+1 < end && isLetter(s[id+1]) && span(s, id+1, isIDByte) == end:
		return token{tokQualifiedID, i, end}
	default:
		return token{tokUnquoted, i, end}
	}
}

func nextNumber(s string, i int) token {
	digits := i
	if s[i] == '+' || s[i] == '-' {
		digits++
	}
	integer, realEnd := integerEnd(s, digits), realEnd(s, digits)
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
	end := span(s, i, isDigit)
	if end == i {
		return 0
	}
	if strings.HasPrefix(s[i:], "0x") {
		if hex := span(s, i+2, isHexDigit); hex > i+2 {
			end = hex
		}
	}
	return span(s, end, isUnitLetter)
}

// realEnd returns the end of the unsigned real at i, or 0 if there is none. No digit is needed: "." is a real.
func realEnd(s string, i int) int {
	end := span(s, i, isDigit)
	if end == len(s) || s[end] != '.' {
		return 0
	}
	end = span(s, end+1, isDigit)
	if end == len(s) || s[end] != 'e' && s[end] != 'E' {
		return end
	}
	exponent := end + 1
	if exponent < len(s) && (s[exponent] == '+' || s[exponent] == '-') {
		exponent++
	}
	if e := span(s, exponent, isDigit); e > exponent {
		return e
	}
	return end
}

// span returns the end of the longest run of bytes at i that are in the class.
func span(s string, i int, class func(byte) bool) int {
	for i < len(s) && class(s[i]) {
		i++
	}
	return i
}

func isBlank(c byte) bool      { return c == ' ' || c == '\t' || c == '\r' }
func isDigit(c byte) bool      { return '0' <= c && c <= '9' }
func isUnitLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isLetter(c byte) bool     { return isUnitLetter(c) || c == '_' || c >= 0x80 }
func isIDByte(c byte) bool     { return isLetter(c) || isDigit(c) }
func isWordByte(c byte) bool {
	return isIDByte(c) || c == '-' || c == '.' || c == ':' || c == '/'
}

func isHexDigit(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
