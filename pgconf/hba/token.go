package hba

import (
	"net/netip"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Token is one value of a column, spelled as it may stand in the file, quotes included. Quotes matter: all is a keyword
// and "all" is a name. Two spellings can mean the same; [Record.Equal] knows.
//
// Turn a name from outside into a Token with [Name], never with a conversion.
type Token string

// Keywords. Which column takes which is in the comment.
const (
	All         Token = "all"         // database, user, address (9.1+)
	SameUser    Token = "sameuser"    // database: named like the user
	SameRole    Token = "samerole"    // database: named like a role that the user is a member of
	SameGroup   Token = "samegroup"   // database: old word for samerole
	Replication Token = "replication" // database: physical replication, and no database at all; All does not include it
	SameHost    Token = "samehost"    // address: any address of the server
	SameNet     Token = "samenet"     // address: any address in a network the server is directly connected to
)

// Name returns the token for exactly this name of a database, role or host, quoted if it would mean something else
// otherwise. A name that begins with / cannot be told from a regular expression from 16 on, nor one that begins with + from
// a group before 9.2: Validate refuses those.
func Name(name string) Token { return render(name, isSpecial(name)) }

// Member returns the user token for the direct and indirect members of a role.
func Member(role string) Token { return render("+"+role, false) }

// CIDR returns the address token for a network. The bits of its address outside the mask do not matter.
func CIDR(p netip.Prefix) Token { return Token(p.String()) }

// Text returns the value without quoting: x"y for the token "x""y".
func (t Token) Text() string { return t.word().text }

// Quoted reports whether the token stands in quotes from its first character on, which makes it a plain name.
func (t Token) Quoted() bool { return t.word().quoted }

// word returns what the server makes of the token.
func (t Token) word() word {
	w, _ := nextWord(string(t), 0)
	return w
}

// isOne reports whether the server reads exactly one token here, and nothing before or after it.
func (t Token) isOne() bool {
	w, end := nextWord(string(t), 0)
	return w.found && w.start == 0 && w.end == len(t) && end == len(t) && !w.open && !strings.ContainsAny(string(t), "\x00\n") &&
		!strings.HasSuffix(string(t), `\`)
}

// isSpecial reports whether a text means more than a name when it is not quoted, whatever the column.
func isSpecial(text string) bool {
	return isKeyword(text) || text == "" || strings.IndexByte("+@/", text[0]) >= 0
}

// isKeyword reports whether a text is a keyword in some column.
func isKeyword(text string) bool {
	switch Token(text) {
	case All, SameUser, SameRole, SameGroup, Replication, SameHost, SameNet:
		return true
	}
	return false
}

// token returns the spelling under which a record keeps a word. Before 9.2 a quote anywhere makes a name of a keyword.
func (w *word) token(major pgconf.Major) Token {
	switch {
	case !w.anyQuote && !strings.HasSuffix(w.text, `\`):
		return Token(w.raw)
	case w.raw == `"`+w.text+`"`:
		return Token(w.raw)
	}
	return render(w.text, w.quoted || major < pgconf.V9_2 && isKeyword(w.text))
}

// render spells a value, in quotes if it was or must be. If it is special and was not quoted, its first character stays
// outside, so that it remains special. A backslash at the end is quoted too, since at the end of a line it would join
// the next one (14+).
func render(text string, quoted bool) Token {
	plain := !strings.ContainsAny(text, "\", #\t\r\n") && !strings.HasSuffix(text, `\`)
	switch {
	case !quoted && plain:
		return Token(text)
	case !quoted && isSpecial(text):
		return Token(text[:1] + string(render(text[1:], true)))
	}
	return Token(`"` + strings.ReplaceAll(text, `"`, `""`) + `"`)
}
