package verifier

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ranges are characters, from first to last, in order.
type ranges [][2]rune

func (rs ranges) has(r rune) bool {
	_, ok := slices.BinarySearchFunc(rs, r, func(span [2]rune, r rune) int {
		if r >= span[0] && r <= span[1] {
			return 0
		}
		return cmp.Compare(span[0], r)
	})
	return ok
}

// joiner is what norm puts between the marks of a run that is longer than it bears. No mapped password has one of its own.
const joiner = '\u034f'

// prepare returns the bytes of a password that are hashed, as pg_saslprep and its callers do: ASCII as it is; otherwise mapped and
// normalised, if that may be. The server looks for characters that may not be before it normalises, not after as RFC 4013 has it.
func prepare(password string) (string, error) {
	if isASCII(password) || !utf8.ValidString(password) {
		return password, nil
	}
	mapped := strings.Map(mapping, password)
	if mapped == "" || strings.ContainsFunc(mapped, prohibited.has) || !readsOneWay(mapped) {
		return password, nil
	}
	prepared := norm.NFKC.String(mapped)
	if strings.ContainsRune(prepared, joiner) {
		return "", fmt.Errorf("%w: it has more than thirty combining marks in a row", ErrPassword)
	}
	return prepared, nil
}

// mapping is step 1 of SASLprep; -1 leaves the character out.
func mapping(r rune) rune {
	switch {
	case spaces.has(r):
		return ' '
	case nothing.has(r):
		return -1
	}
	return r
}

// readsOneWay is section 6 of RFC 3454: where a character is written from right to left, the first and the last one are, and none
// is written from left to right.
func readsOneWay(s string) bool {
	if !strings.ContainsFunc(s, rightToLeft.has) {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return rightToLeft.has(first) && rightToLeft.has(last) && !strings.ContainsFunc(s, leftToRight.has)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
