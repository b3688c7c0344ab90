package verifier

import (
	"slices"
	"unicode/utf8"
)

// What the exported functions do, with a salt and a number of iterations to choose, and the preparation alone.
var (
	Scram   = scram
	Prepare = prepare
)

// Edges are the characters at both sides of the ends of all tables' ranges.
var Edges = edges()

func edges() (all []rune) {
	for _, table := range []ranges{spaces, nothing, prohibited, rightToLeft, leftToRight} {
		for _, span := range table {
			all = append(all, span[0]-1, span[0], span[1], span[1]+1)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(r rune) bool { return r == 0 || !utf8.ValidRune(r) })
}
