package guc

import (
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Difference is a parameter for which two configurations mean different values.
type Difference struct {
	Name string // as the catalogue spells it

	// Old and New are the settings that win. Where the parameter is not set, Value is its built-in default as SHOW prints it and
	// there is no File and Line. Values may be secrets.
	Old, New      pgconf.Setting
	WasSet, IsSet bool

	// Action is what a running server needs for the new value. For a parameter of an extension it is [Restart]: only the
	// extension knows better.
	Action Action

	// Err says why the server refuses the new value: an [*UnknownError] or a [*ValueError]. A server that reloads skips the value
	// (9.2+) or, for an unknown name or before 9.2, the whole configuration; one that starts does not start. Action is then
	// [Nothing].
	Err error
}

// Diff compares two configurations of a server of one major by what they mean: 1GB and 1024MB are equal, and so are a line
// that sets the default and no line. The settings of each are in the order in which the server reads them; the last line of a
// name wins. [pgconf.File.Settings] has them for one file. Include directives are skipped: what they stand for must be
// among the settings.
//
// The result is ordered by name. A value that the server refuses, old or new, is compared by its text.
//
// Strings compare byte for byte, as the server compares them where it matters, which is whether to ask for a restart. For a few of
// the others (DateStyle, TimeZone, client_encoding) it knows several texts for one value.
//
// The default of a parameter with [Param.Varies] may be another one in your build; and some parameters get their default
// from the machine at start, such as max_stack_depth. A difference between a line and such a default may be none.
func Diff(before, after []pgconf.Setting, m pgconf.Major) []Difference {
	was, is := valuesOf(before, m), valuesOf(after, m)
	var all []Difference
	for _, name := range was.names(is) {
		d := Difference{Name: name, Old: was.get(name), New: is.get(name), WasSet: was.has(name), IsSet: is.has(name), Action: Restart}
		if same(m, name, d.Old.Value, d.New.Value) {
			continue
		}
		if p, ok := Lookup(m, name); ok {
			d.Name, d.Action = p.Name, p.Context.Action()
		}
		if d.IsSet {
			d.Err = Validate(m, name, d.New.Value)
		}
		if d.Err != nil {
			d.Action = Nothing
		}
		all = append(all, d)
	}
	return all
}

// Needs returns what a running server needs for all of the differences to take effect: the most that any of them needs.
func Needs(all []Difference) Action {
	needs := Nothing
	for _, d := range all {
		needs = max(needs, d.Action)
	}
	return needs
}

// same reports whether two texts are the same value of a parameter.
func same(m pgconf.Major, name, a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := Parse(m, name, a)
	y, err2 := Parse(m, name, b)
	return err1 == nil && err2 == nil && x == y
}

// values are the settings of a server with its defaults.
type values struct {
	major pgconf.Major
	lines map[string]int // of the winner in all, by key
	all   []pgconf.Setting
}

func valuesOf(all []pgconf.Setting, m pgconf.Major) *values {
	v := &values{major: m, lines: make(map[string]int, len(all)), all: all}
	for i, s := range all {
		if !s.IsInclude() {
			v.lines[key(m, s.Name)] = i
		}
	}
	return v
}

// key is the folded name of the parameter that a name stands for.
func key(m pgconf.Major, name string) string {
	if p, ok := Lookup(m, name); ok {
		return ascii.Lower(p.Name)
	}
	return ascii.Lower(name)
}

func (v *values) has(key string) bool { _, ok := v.lines[key]; return ok }

// get returns the setting that wins for a key, or the default.
func (v *values) get(key string) pgconf.Setting {
	if i, ok := v.lines[key]; ok {
		return v.all[i]
	}
	s := pgconf.Setting{Name: key, Spelling: key}
	if p, ok := Lookup(v.major, key); ok {
		s.Spelling, s.Value = p.Name, p.shownDefault()
	}
	return s
}

// any is Parse that also takes what no file may set, such as the default of an Internal parameter.
func (p Param) any(value string) (Value, error) {
	p.Context = User
	return p.Parse(value)
}

// shownDefault returns the default as SHOW prints it.
func (p Param) shownDefault() string {
	if d, err := p.any(p.Default); err == nil {
		return d.String()
	}
	return p.Default
}

// value returns the value that wins for a key. It is false for a parameter that the major does not have, and for one
// whose value is not valid.
func (v *values) value(key string) (Value, bool) {
	p, ok := Lookup(v.major, key)
	if !ok {
		return Value{}, false
	}
	text := p.Default
	if i, ok := v.lines[key]; ok {
		text = v.all[i].Value
	}
	d, err := p.any(text)
	return d, err == nil
}

// number returns the value of a number in base units.
func (v *values) number(key string) (float64, bool) {
	d, ok := v.value(key)
	if !ok {
		return 0, false
	}
	return d.Number()
}

// text returns the value as SHOW prints it, or "" if there is none.
func (v *values) text(key string) string {
	d, ok := v.value(key)
	if !ok {
		return ""
	}
	return d.String()
}

// is reports whether the value is the one that SHOW prints as text.
func (v *values) is(key, text string) bool {
	d, ok := v.value(key)
	return ok && d.String() == text
}

// ordered returns the lines that win, in the order in which the server applies them.
func (v *values) ordered() []pgconf.Setting {
	var winners []pgconf.Setting
	for i, s := range v.all {
		if j, ok := v.lines[key(v.major, s.Name)]; ok && i == j {
			winners = append(winners, s)
		}
	}
	return winners
}

// names returns the keys that either of the two sets, in order.
func (v *values) names(other *values) []string {
	var names []string
	for name := range v.lines {
		names = append(names, name)
	}
	for name := range other.lines {
		if _, ok := v.lines[name]; !ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
