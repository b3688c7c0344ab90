package wal

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the write-ahead log. Zero is no position: it is what the server calls invalid
// (InvalidXLogRecPtr). Two positions can be compared only within one timeline's history. Being bytes,
// positions of 9.3 and later can simply be subtracted.
type LSN uint64

// ParseLSN reads the text form of the server's pg_lsn type: one to eight hex digits of either case, a slash,
// one to eight hex digits, nothing else (pg_lsn_in_internal in pg_lsn.c). The error is a [*SyntaxError].
func ParseLSN(s string) (LSN, error) {
	hi, lo, found := strings.Cut(s, "/")
	if !found {
		return 0, lsnError(s, "want two hexadecimal numbers with a slash between")
	}
	h, okHi := parseHex32(hi, 1)
	l, okLo := parseHex32(lo, 1)
	if !okHi || !okLo {
		return 0, lsnError(s, "want one to eight hexadecimal digits on each side of the slash")
	}
	return LSN(h)<<32 | LSN(l), nil
}

func lsnError(s, msg string) error { return &SyntaxError{What: "LSN", Text: s, Msg: msg} }

// String is the server's form: upper-case hex, high and low half without padding, such as "16/B374D848".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// Compare is negative if l is before other, positive if after.
func (l LSN) Compare(other LSN) int { return cmp.Compare(l, other) }

// MarshalText is [LSN.String].
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is [ParseLSN].
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	if err == nil {
		*l = v
	}
	return err
}

// parseHex32 reads minDigits to eight hex digits of either case.
func parseHex32(s string, minDigits int) (uint32, bool) {
	if len(s) < minDigits || len(s) > 8 || strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 32)
	return uint32(v), err == nil
}
