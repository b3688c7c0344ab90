package guc

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// catalogueText is made by internal/gen. Its columns are those of pg_settings.
//
//go:embed catalogue.tsv
var catalogueText string

// namesText lists the names that servers take for a parameter of another name.
//
//go:embed names.tsv
var namesText string

// catalog is the decoded catalogueText.
type catalog struct {
	names   []string // folded, in order
	entries map[string][]entry
	aliases map[string]alias
}

// entry holds for the majors from first to last.
type entry struct {
	first, last pgconf.Major
	param       Param // without Major
}

// alias is another name for a parameter, from a major on.
type alias struct {
	first pgconf.Major
	name  string
}

// catalogue decodes the tables when they are first needed: a program that only imports the package pays nothing.
var catalogue = sync.OnceValue(decode)

func decode() *catalog {
	c := &catalog{entries: map[string][]entry{}, aliases: map[string]alias{}}
	for _, f := range table(catalogueText) {
		name := ascii.Lower(f[0])
		if len(c.names) == 0 || c.names[len(c.names)-1] != name {
			c.names = append(c.names, name)
		}
		c.entries[name] = append(c.entries[name], newEntry(f))
	}
	for _, f := range table(namesText) {
		first, _ := majors(f[1])
		c.aliases[f[0]] = alias{first, f[2]}
	}
	return c
}

// table splits a text into fields, without its first line.
func table(text string) [][]string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")[1:]
	rows := make([][]string, len(lines))
	for i, line := range lines {
		rows[i] = strings.Split(line, "\t")
	}
	return rows
}

func newEntry(f []string) entry {
	p := Param{
		Name: f[0], Type: must[Type](typeNames[:], f[2]), Unit: Unit(f[3]), Context: must[Context](contextNames[:], f[4]),
		Default: f[5], Category: f[10],
		Hidden: strings.Contains(f[9], "hidden"), List: strings.Contains(f[9], "list"), Varies: strings.Contains(f[9], "varies"),
	}
	switch p.Type {
	case Int, Real:
		p.Min, p.Max = number(f[6]), number(f[7])
	case Enum:
		p.Values = words(f[8])
	}
	e := entry{param: p}
	e.first, e.last = majors(f[1])
	return e
}

// words reads "pglz,on>pglz,true>pglz!,lz4?"; addWord of internal/gen writes it.
func words(s string) []EnumValue {
	list := strings.Split(s, ",")
	values := make([]EnumValue, len(list))
	for i, word := range list {
		v := &values[i]
		word, v.Hidden = strings.CutSuffix(word, "!")
		word, v.Varies = strings.CutSuffix(word, "?")
		var other bool
		if v.Name, v.Shown, other = strings.Cut(word, ">"); !other {
			v.Shown = v.Name
		}
	}
	return values
}

// majors reads "9.5-17", or "9.5-" for 9.5 and all later ones.
func majors(s string) (first, last pgconf.Major) {
	from, to, _ := strings.Cut(s, "-")
	last = pgconf.Newest
	first, err := pgconf.ParseMajor(from)
	if err == nil && to != "" {
		last, err = pgconf.ParseMajor(to)
	}
	if err != nil {
		panic(fmt.Sprintf("guc: the catalogue is damaged: %v", err))
	}
	return first, last
}

// number reads a bound. The largest double is cut to six digits in the tables, as servers print it.
func number(s string) float64 {
	switch s {
	case "1.79769e+308":
		return maxReal
	case "-1.79769e+308":
		return -maxReal
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(fmt.Sprintf("guc: the catalogue is damaged: %v", err))
	}
	return n
}

// must finds a word in its list.
func must[T ~uint8](names []string, name string) T {
	for i, n := range names {
		if n == name {
			return T(i)
		}
	}
	panic(fmt.Sprintf("guc: the catalogue is damaged: %q", name))
}

// find returns what is known of a parameter in a major, or nil. The name may be in any case and an alias.
func (c *catalog) find(name string, m pgconf.Major) *entry {
	name = ascii.Lower(name)
	if a, ok := c.aliases[name]; ok && m >= a.first {
		name = a.name
	}
	list := c.entries[name]
	for i := range list {
		if e := &list[i]; e.first <= m && m <= e.last {
			return e
		}
	}
	return nil
}
