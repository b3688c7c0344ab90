package hba

import "github.com/understudy-ha/understudy/pgconf"

// termKind is what a token of the database or user column stands for.
type termKind uint8

const (
	termName        termKind = iota + 1 // text is the name
	termAll                             // databases: all but physical replication
	termSameUser                        // databases
	termSameRole                        // databases
	termReplication                     // databases: physical replication (before 10: logical too) and nothing else
	termMember                          // users: text is the role
	termRegex                           // text is the expression, re tells
)

// term is a token of the database or user column as the server understands it.
type term struct {
	kind termKind
	text string
	re   *Regexp
}

// isBare reports whether a word can be a keyword. Before 9.2 a quote anywhere in it makes a name of it, from then on only one
// before its first character does.
func (w *word) isBare(major pgconf.Major) bool {
	if major < pgconf.V9_2 {
		return !w.anyQuote
	}
	return !w.quoted
}

// databaseTerm follows check_db in hba.c.
func databaseTerm(w *word, major pgconf.Major) term {
	if w.isBare(major) {
		switch Token(w.text) {
		case All:
			return term{kind: termAll}
		case SameUser:
			return term{kind: termSameUser}
		case SameRole, SameGroup:
			return term{kind: termSameRole}
		case Replication:
			return term{kind: termReplication}
		}
	}
	return nameTerm(w.text, major)
}

// userTerm follows check_role in hba.c. Before 9.2 quotes do not keep a + from meaning the members of a role.
func userTerm(w *word, major pgconf.Major) term {
	switch {
	case w.isBare(major) && Token(w.text) == All:
		return term{kind: termAll}
	case w.text != "" && w.text[0] == '+' && (!w.quoted || major < pgconf.V9_2):
		return term{kind: termMember, text: w.text[1:]}
	}
	return nameTerm(w.text, major)
}

// nameTerm is a name, or a regular expression, which quotes do not change.
func nameTerm(text string, major pgconf.Major) term {
	if isRegexp(text, major) {
		return term{kind: termRegex, text: text[1:]}
	}
	return term{kind: termName, text: text}
}

// isRegexp reports whether the text of a database or user is a regular expression.
func isRegexp(text string, major pgconf.Major) bool {
	return text != "" && text[0] == '/' && major >= regexSince
}
