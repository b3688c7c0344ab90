package hba

import (
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
)

// Equal reports whether two valid records mean the same to a server. Spelling does not matter, nor does the order of
// databases, of users and of options, nor whether a network is given by length or by mask. Line is ignored. Records
// that overlap are not equal.
func (r Record) Equal(o Record) bool {
	if r.Type != o.Type || r.Method != o.Method || !sameTokens(r.Databases, o.Databases) || !sameTokens(r.Users, o.Users) {
		return false
	}
	a, aProblem := r.address(pgconf.Newest)
	b, bProblem := o.address(pgconf.Newest)
	if aProblem != "" || bProblem != "" {
		return r.Address == o.Address && r.Mask == o.Mask && slices.Equal(r.Options, o.Options)
	}
	return a.equal(&b) && sameOptions(r.Options, o.Options)
}

// sameTokens compares as sets.
func sameTokens(a, b []Token) bool {
	x, y := meanings(a), meanings(b)
	return slices.Equal(x, y)
}

// meanings returns the canonical spellings in order, each once.
func meanings(tokens []Token) []Token {
	all := make([]Token, len(tokens))
	for i, t := range tokens {
		all[i] = t.meaning()
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// meaning returns one spelling for all tokens that mean the same: quotes go where they make no difference.
func (t Token) meaning() Token {
	w := t.word()
	return render(w.text, w.quoted && isSpecial(w.text))
}

// sameOptions compares the last value of each name.
func sameOptions(a, b []Option) bool {
	x, y := map[string]string{}, map[string]string{}
	for _, o := range a {
		x[o.Name] = o.Value
	}
	for _, o := range b {
		y[o.Name] = o.Value
	}
	if len(x) != len(y) {
		return false
	}
	for name, value := range x {
		if other, ok := y[name]; !ok || other != value {
			return false
		}
	}
	return true
}
