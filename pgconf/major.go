package pgconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Major is a major version of PostgreSQL. The majors count up by one, so that they compare and loop as integers do: 10 to 18
// are themselves, and 9.6, the one before 10, is 9, down to 3 for 9.0. Write those as [V9_6] to [V9_0].
type Major int

// The majors before 10, and the first and the last one that this module knows.
const (
	V9_0 Major = iota + 3
	V9_1
	V9_2
	V9_3
	V9_4
	V9_5
	V9_6

	Oldest       = V9_0
	Newest Major = 18
)

// ErrMajor is matched by the error for a text that names no major from [Oldest] to [Newest].
var ErrMajor = errors.New("not a known major version of PostgreSQL")

// ParseMajor reads a major as people write it and as the file PG_VERSION has it: "9.6", "17". A minor release or what a
// packager added may follow, as in "9.6.24", "18beta1" and "17.2 (Debian 17.2-1)". The error matches [ErrMajor].
func ParseMajor(s string) (Major, error) {
	number, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	first, rest, _ := strings.Cut(number, ".")
	if first == "9" {
		first, _, _ = strings.Cut(rest, ".")
		if n, err := strconv.Atoi(first); err == nil && V9_0+Major(n) <= V9_6 && n >= 0 && len(first) == 1 {
			return V9_0 + Major(n), nil
		}
	} else if n, err := strconv.Atoi(first[:span(first, 0, digits)]); err == nil && Major(n) > V9_6 && Major(n) <= Newest {
		return Major(n), nil
	}
	return 0, fmt.Errorf("%w: %q (known are %s to %s)", ErrMajor, s, Oldest, Newest)
}

// String returns the major as people write it: "9.6", "17".
func (m Major) String() string {
	if m >= V9_0 && m <= V9_6 {
		return "9." + strconv.Itoa(int(m-V9_0))
	}
	return strconv.Itoa(int(m))
}

// MarshalText returns String.
func (m Major) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is [ParseMajor].
func (m *Major) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMajor(string(text))
	return err
}
