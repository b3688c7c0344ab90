package guc

import (
	"math"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

const maxReal = math.MaxFloat64

// parseInt reads an integer in base units, as parse_int of the server's guc.c does. Its text is C's: strtol with base 0, and
// from 12 on strtod if that stops at a fraction or an exponent.
func parseInt(m pgconf.Major, u Unit, s string) (int64, error) {
	n, rest, over := cInteger(s)
	if m < 12 {
		return parseOldInt(m, u, n, s, rest, over)
	}
	f := float64(n)
	if over || rest != "" && strings.ContainsRune(".eE", rune(rest[0])) {
		var err error
		if f, rest, err = cFloat(s); err != nil {
			return 0, err
		}
	}
	if len(rest) == len(s) {
		return 0, errNotNumber
	}
	f, err := toBase(m, u, f, rest)
	if err != nil {
		return 0, err
	}
	if f = math.RoundToEven(f); f > math.MaxInt32 || f < math.MinInt32 {
		return 0, errRange
	}
	return int64(f), nil
}

// parseOldInt is the end of parseInt before 12: whole numbers of a unit only, and what is left of the base unit is cut off.
func parseOldInt(m pgconf.Major, u Unit, n int64, s, rest string, over bool) (int64, error) {
	switch {
	case len(rest) == len(s):
		return 0, errNotNumber
	case over || n != int64(int32(n)):
		return 0, errRange
	}
	unit := strings.Trim(rest, cSpace)
	if unit == "" {
		return n, nil
	}
	c, _, ok := findScale(m, u, unit)
	switch {
	case !ok && strings.ContainsAny(unit[:1], ".eE"):
		return 0, errNotWhole
	case !ok:
		return 0, errUnit
	}
	if n = n * c.mul / c.div; n != int64(int32(n)) { // the product wraps around in the server too
		return 0, errRange
	}
	return n, nil
}

// parseReal reads a real number in base units, as parse_real of guc.c does. Before 12 no real parameter has a unit.
func parseReal(m pgconf.Major, u Unit, s string) (float64, error) {
	f, rest, err := cFloat(s)
	if err != nil {
		return 0, err
	}
	return toBase(m, u, f, rest)
}

// toBase converts a number that is followed by rest, which may be a unit, into base units. What is given in a unit is first
// rounded to a whole multiple of the next smaller one, as convert_to_base_unit of guc.c does from 12 on.
func toBase(m pgconf.Major, u Unit, f float64, rest string) (float64, error) {
	unit := strings.Trim(rest, cSpace)
	if unit == "" {
		return f, nil
	}
	c, next, ok := findScale(m, u, unit)
	if !ok {
		return 0, errUnit
	}
	f *= c.factor()
	if next.name != "" {
		f = math.RoundToEven(f/next.factor()) * next.factor()
	}
	return f, nil
}

func (c scale) factor() float64 { return float64(c.mul) / float64(c.div) }

// findScale finds a unit and the next smaller one, if there is one.
func findScale(m pgconf.Major, u Unit, name string) (c, next scale, ok bool) {
	all := u.scalesOf(m)
	for i, c := range all {
		if c.name == name {
			if i+1 < len(all) {
				next = all[i+1]
			}
			return c, next, true
		}
	}
	return scale{}, scale{}, false
}

// cSpace are the bytes that isspace knows in the C locale.
const cSpace = " \t\n\v\f\r"

// cInteger is strtol with base 0: blanks, a sign, and decimal, 0 and octal or 0x and hexadecimal digits. rest is what follows
// them, or all of s if there is no digit. If the number does not fit into 64 bits, over is true.
func cInteger(s string) (n int64, rest string, over bool) {
	t := strings.TrimLeft(s, cSpace)
	sign, t := cutSign(t)
	base, t, rest := cDigits(t)
	if t == "" {
		return 0, s, false
	}
	n, err := strconv.ParseInt(sign+t, base, 64)
	return n, rest, err != nil
}

// cDigits splits off the digits of a C integer, whose prefix says what base they have.
func cDigits(s string) (base int, digits, rest string) {
	base, set := 10, decimalDigits
	switch {
	case len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' && strings.IndexByte(hexDigits, s[2]) >= 0:
		base, set, s = 16, hexDigits, s[2:]
	case strings.HasPrefix(s, "0"):
		base, set = 8, "01234567"
	}
	end := spanOf(s, set)
	return base, s[:end], s[end:]
}

// cFloat is strtod. NaN and infinity, which no parameter takes, are errNotNumber and errRange; so is what a double cannot
// hold, be it too large or too small.
func cFloat(s string) (f float64, rest string, err error) {
	sign, t := cutSign(strings.TrimLeft(s, cSpace))
	if len(t) >= 3 && ascii.Lower(t[:3]) == "inf" {
		return 0, s, errRange
	}
	number, rest, zero := cutFloat(t)
	if number == "" {
		return 0, s, errNotNumber
	}
	f, err = strconv.ParseFloat(sign+number, 64)
	if err != nil || !zero && math.Abs(f) < 0x1p-1022 {
		return 0, s, errRange
	}
	return f, rest, nil
}

func cutSign(s string) (sign, rest string) {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[:1], s[1:]
	}
	return "", s
}

// cutFloat splits off the longest prefix that C reads as a decimal or hexadecimal floating-point number, in Go's spelling,
// and says whether all its digits are zero.
func cutFloat(s string) (number, rest string, zero bool) {
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		if digits, exponent := scanFloat(s[2:], hexDigits, "pP"); digits > 0 {
			mantissa, end := s[2:2+digits], 2+digits+exponent
			number = "0x" + s[2:end]
			if exponent == 0 {
				number += "p0" // Go insists on it
			}
			return number, s[end:], strings.Trim(mantissa, "0.") == ""
		}
	}
	digits, exponent := scanFloat(s, decimalDigits, "eE")
	end := digits + exponent
	return s[:end], s[end:], strings.Trim(s[:digits], "0.") == ""
}

// scanFloat returns the lengths of the mantissa, which is 0 if it has no digit, and of the exponent that follows.
func scanFloat(s, digits, marks string) (mantissa, exponent int) {
	whole := spanOf(s, digits)
	mantissa = whole
	if strings.HasPrefix(s[whole:], ".") {
		fraction := spanOf(s[whole+1:], digits)
		if whole+fraction == 0 {
			return 0, 0
		}
		mantissa += 1 + fraction
	}
	if mantissa == 0 || mantissa == len(s) || strings.IndexByte(marks, s[mantissa]) < 0 {
		return mantissa, 0
	}
	sign, power := cutSign(s[mantissa+1:])
	if n := spanOf(power, decimalDigits); n > 0 {
		exponent = 1 + len(sign) + n
	}
	return mantissa, exponent
}

const (
	decimalDigits = "0123456789"
	hexDigits     = "0123456789abcdefABCDEF"
)

// spanOf returns how many leading bytes of s are in set.
func spanOf(s, set string) int { return len(s) - len(strings.TrimLeft(s, set)) }
