package guc

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Value is what a server makes of the text of a value: 1GB, 1024MB and 131072 are the same value of shared_buffers. Values
// of one parameter and major compare with ==. The zero Value is off.
type Value struct {
	kind   Type
	unit   Unit
	octal  bool
	number float64 // of Int and Real, in base units; 1 or 0 of Bool
	text   string  // of String and Enum
}

// Type returns the type of the parameter.
func (v Value) Type() Type { return v.kind }

// Number returns an Int or Real in base units. It is false for the other types.
func (v Value) Number() (float64, bool) { return v.number, v.kind == Int || v.kind == Real }

// Bool returns a Bool. It is false, false for the other types.
func (v Value) Bool() (value, ok bool) { return v.kind == Bool && v.number != 0, v.kind == Bool }

// String returns the value as SHOW prints it: "on", "8GB", "30s", "0.1", and what the string was. A Real has six digits
// there, so a server that reads this text may see another number; [Value.Setting] keeps all. (9.0 to 9.3, which do not know TB, print
// 1024GB for 1TB.)
func (v Value) String() string {
	switch v.kind {
	case Int:
		if v.octal {
			return fmt.Sprintf("%04o", int64(v.number))
		}
		n, unit := v.inLargestUnit(0)
		return strconv.FormatInt(int64(n), 10) + unit
	case Real:
		n, unit := v.inLargestUnit(1e-8)
		return strconv.FormatFloat(n, 'g', 6, 64) + unit
	}
	return v.Setting()
}

// Setting returns the value without a unit, as pg_settings.setting has it, but a Real with all its digits. What it returns
// can be written into a file and means the same value again, in the same major.
func (v Value) Setting() string {
	switch v.kind {
	case Bool:
		if v.number != 0 {
			return "on"
		}
		return "off"
	case Int:
		return strconv.FormatInt(int64(v.number), 10)
	case Real:
		return strconv.FormatFloat(v.number, 'g', -1, 64)
	}
	return v.text
}

// inLargestUnit returns a positive number in the largest unit in which it is whole, but for a relative difference of tolerance,
// as convert_int_from_base_unit and convert_real_from_base_unit of the server do. Others stay as they are and have no unit.
func (v Value) inLargestUnit(tolerance float64) (float64, string) {
	all := scales[v.unit]
	if v.number <= 0 || len(all) == 0 {
		return v.number, ""
	}
	for _, c := range all {
		if n := v.number / c.factor(); math.Abs(math.RoundToEven(n)/n-1) <= tolerance {
			return n, c.name
		}
	}
	smallest := all[len(all)-1]
	return v.number / smallest.factor(), smallest.name
}

// Parse reads a value for a parameter as a server of the major does when it stands in postgresql.conf. The name may be that
// of an extension's parameter, with a dot: then any text is a value, since only the extension knows it.
//
// The error is an [*UnknownError] or a [*ValueError]. A server may refuse a value that Parse accepts: the package comment
// lists what only a server can judge.
func Parse(m pgconf.Major, name, value string) (Value, error) {
	p, ok := Lookup(m, name)
	switch {
	case ok:
		return p.Parse(value)
	case isCustom(name):
		return Value{kind: String, text: value}, nil
	}
	return Value{}, unknown(m, name)
}

// Validate returns the error of [Parse].
func Validate(m pgconf.Major, name, value string) error {
	_, err := Parse(m, name, value)
	return err
}

// Parse reads a value for the parameter, as the function [Parse].
func (p Param) Parse(value string) (Value, error) {
	if p.Context == Internal {
		return Value{}, p.refuse(errReadOnly)
	}
	v := Value{kind: p.Type, unit: p.Unit, octal: octalModes[p.Name]}
	var err error
	switch p.Type {
	case Bool:
		v.number, err = parseBool(value)
	case Enum:
		word, ok := p.value(value)
		v.text = word.Shown
		if !ok {
			err = errWord
		}
	case Int:
		var n int64
		n, err = parseInt(p.Major, p.Unit, value)
		v.number = float64(n)
	case Real:
		v.number, err = parseReal(p.Major, p.Unit, value)
	case String:
		v.text = value
	}
	if err == nil && (p.Type == Int || p.Type == Real) && (v.number < p.Min || v.number > p.Max) {
		err = errRange
	}
	if check := checks[ascii.Lower(p.Name)]; err == nil && check != nil {
		v, err = check(p, v)
	}
	if err != nil {
		return Value{}, p.refuse(err)
	}
	return v, nil
}

// octalModes are the file modes, which SHOW prints in octal.
var octalModes = map[string]bool{"log_file_mode": true, "unix_socket_permissions": true, "data_directory_mode": true}

// parseBool reads what parse_bool_with_len of the server accepts: any case, and unique prefixes of the words. True is 1.
func parseBool(s string) (float64, error) {
	s = ascii.Lower(s)
	prefix := func(word string) bool { return s != "" && strings.HasPrefix(word, s) }
	switch {
	case prefix("true"), prefix("yes"), s == "on", s == "1":
		return 1, nil
	case prefix("false"), prefix("no"), s == "off", s == "of", s == "0":
		return 0, nil
	}
	return 0, errNotBool
}

// isCustom reports whether a name is that of an extension's parameter: two or more identifiers with dots between them, as
// valid_custom_variable_name of the server checks from 14 on. A file holds names with one dot only.
func isCustom(name string) bool {
	parts := 0
	for part := range strings.SplitSeq(name, ".") {
		if !isIdentifier(part) {
			return false
		}
		parts++
	}
	return parts > 1
}
