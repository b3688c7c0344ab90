package guc

import (
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Param is what one major knows about a parameter: a row of its pg_settings. Its slices are shared: read them only.
type Param struct {
	Name     string       // as the server lists it: lower case, but for DateStyle, IntervalStyle and TimeZone
	Major    pgconf.Major // the major that these facts are of
	Type     Type
	Unit     Unit        // of a bare number; NoUnit for other types and for plain numbers
	Min, Max float64     // bounds of Int and Real in base units, both included
	Values   []EnumValue // of Enum, in the server's order; those that it does not list come last
	Context  Context
	Default  string // built in, without any file; numbers in base units. "" also if the server says NULL
	Category string // as pg_settings has it: "Replication / Sending Servers"

	// Hidden parameters are not in pg_settings and not in SHOW ALL, but a file may set them and SHOW shows them.
	Hidden bool
	// List parameters take a comma separated list of names, which a server splits by the rules of SQL identifiers.
	List bool
	// Varies: other builds, platforms or minor releases of the major have another default or other bounds, or lack it.
	Varies bool
}

// EnumValue is one word that an Enum parameter takes.
type EnumValue struct {
	Name string
	// Shown is what SHOW prints after it was set. It differs from Name for aliases: "on" for "true", "replica" for
	// "hot_standby".
	Shown string
	// Hidden words are accepted but not listed in pg_settings.enumvals.
	Hidden bool
	// Varies: some builds or platforms do not accept it, such as "lz4".
	Varies bool
}

// Type is the kind of values that a parameter takes.
type Type uint8

// The types, in the words of pg_settings.vartype.
const (
	Bool Type = iota
	Int       // "integer" in pg_settings: 32 bits
	Real
	String
	Enum
)

var typeNames = [...]string{"bool", "integer", "real", "string", "enum"}

// String returns the word of pg_settings.vartype: "bool", "integer", "real", "string" or "enum".
func (t Type) String() string { return nameOf(typeNames[:], int(t)) }

// Context says when a parameter can change.
type Context uint8

// The contexts, from the strictest to the freest. The names are those of pg_settings.context; "superuser-backend" exists
// from 9.5 on.
const (
	Internal         Context = iota // cannot be set: the server computes it
	Postmaster                      // at server start only
	Sighup                          // in the files, at reload
	SuperuserBackend                // when a session starts, by superusers; in the files for all new sessions
	Backend                         // when a session starts
	Superuser                       // at any time by superusers and whom they granted it
	User                            // at any time by everyone
)

var contextNames = [...]string{"internal", "postmaster", "sighup", "superuser-backend", "backend", "superuser", "user"}

// String returns the word of pg_settings.context.
func (c Context) String() string { return nameOf(contextNames[:], int(c)) }

// Action returns what a running server needs so that a changed value in its files takes effect.
func (c Context) Action() Action {
	switch c {
	case Internal:
		return Never
	case Postmaster:
		return Restart
	case SuperuserBackend, Backend:
		return NewSession
	}
	return Reload
}

// Action is what it takes for a change in the files to take effect. Actions are ordered: a later one costs more.
type Action uint8

// The actions. Zero is for values that are equal.
const (
	Nothing    Action = iota
	Reload            // SIGHUP, pg_reload_conf()
	NewSession        // a reload; sessions that are there keep the old value
	Restart
	Never // no file can set it
)

var actionNames = [...]string{"nothing", "reload", "reload and new sessions", "restart", "cannot be changed"}

// String returns the action in words.
func (a Action) String() string { return nameOf(actionNames[:], int(a)) }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "?"
}

// Lookup finds a parameter of a major by its name, in any mix of upper and lower case (ASCII letters only), as a server
// does. Names that a server takes as another name for a parameter, such as sort_mem for work_mem, find that one.
//
// Minor releases add parameters now and then and packagers do too, so a name that is not found is not proven to be unknown
// to a server.
func Lookup(m pgconf.Major, name string) (Param, bool) {
	e := catalogue().find(name, m)
	if e == nil {
		return Param{}, false
	}
	p := e.param
	p.Major = m
	return p, true
}

// Params returns all parameters of a major, ordered by their names in lower case.
func Params(m pgconf.Major) []Param {
	var all []Param
	for _, name := range catalogue().names {
		if p, ok := Lookup(m, name); ok && ascii.Lower(p.Name) == name {
			all = append(all, p)
		}
	}
	return all
}

// value finds an enum word, in any case.
func (p Param) value(word string) (EnumValue, bool) {
	i := slices.IndexFunc(p.Values, func(v EnumValue) bool { return ascii.Lower(v.Name) == ascii.Lower(word) })
	if i < 0 {
		return EnumValue{}, false
	}
	return p.Values[i], true
}
