package hba

import (
	"regexp"
	"strings"
)

var databaseKeywords = []Token{All, SameUser, SameRole, SameGroup, Replication}

func (l *linter) databases() {
	for i, t := range l.rule.Databases {
		text, quoted := t.Text(), t.Quoted()
		l.name("database", t, l.test.databases[i].kind)
		switch {
		case l.test.databases[i].kind != termName:
		case !quoted && strings.HasPrefix(text, "+"):
			l.add(CodeNotKeyword, Warning, "write samerole, or name the databases", "database %s is a plain name: members of a role are for the user column", t)
		case !quoted && isOneOf(text, SameHost, SameNet):
			l.notKeyword("database", t, "address")
		default:
			l.keyword("database", t, databaseKeywords)
		}
	}
}

func (l *linter) users() {
	for i, t := range l.rule.Users {
		text, quoted := t.Text(), t.Quoted()
		l.name("user", t, l.test.users[i].kind)
		switch {
		case l.test.users[i].kind != termName:
		case quoted && strings.HasPrefix(text, "+"):
			l.add(CodeQuotedMember, Warning, "write the + before the quotes to mean the members of a role", "user %s is a plain name", t)
		case !quoted && isOneOf(text, Replication) && hasKind(l.test.databases, termReplication):
			// a role with this name, beside the keyword
		case !quoted && isOneOf(text, SameUser, SameRole, SameGroup, Replication):
			l.notKeyword("user", t, "database")
		case !quoted && isOneOf(text, SameHost, SameNet):
			l.notKeyword("user", t, "address")
		default:
			l.keyword("user", t, []Token{All})
		}
	}
}

func isOneOf(text string, tokens ...Token) bool {
	for _, t := range tokens {
		if text == string(t) {
			return true
		}
	}
	return false
}

func (l *linter) notKeyword(column string, t Token, right string) {
	l.add(CodeNotKeyword, Warning, "put it into the "+right+" column, or quote it to say that it is a name",
		"%s %s is a plain name: it is a keyword in the %s column only", column, t, right)
}

// keyword looks for what may have been meant as a keyword.
func (l *linter) keyword(column string, t Token, keywords []Token) {
	text, quoted := t.Text(), t.Quoted()
	for _, k := range keywords {
		switch {
		case quoted && text == string(k):
			l.add(CodeQuotedKeyword, Warning, "remove the quotes to mean the keyword", "%s %s is a plain name, since it is in quotes", column, t)
		case !quoted && strings.EqualFold(text, string(k)):
			l.add(CodeKeywordCase, Warning, "write "+string(k), "%s %s is a plain name: keywords are in lower case", column, t)
		}
	}
}

// name looks for patterns in a name.
func (l *linter) name(column string, t Token, kind termKind) {
	text := t.Text()
	switch {
	case kind == termRegex:
		if len(text) > 1 && !strings.HasPrefix(text, "/^") && !strings.HasPrefix(text, "/(?") && !strings.HasPrefix(text, "/*") {
			l.add(CodeRegexpOpen, Info, "begin it with ^ and end it with $ to mean whole names", "%s %s matches every name that has it anywhere", column, t)
		}
	case kind != termName:
	case strings.HasPrefix(text, "/"):
		l.add(CodeRegexpTooOld, Warning, "name them one by one", "%s %s is a plain name: PostgreSQL %s has no regular expressions here", column, t, l.major)
	case strings.ContainsAny(text, "*%") && !t.Quoted() && !isPlaceholder(text):
		l.add(CodeWildcard, Warning, "name them one by one, or from 16 on write a regular expression after /", "%s %s is a plain name: there are no wildcards", column, t)
	}
}

// placeholder matches what people and tools leave in a text to be filled in.
var placeholder = regexp.MustCompile(`<[^<>]*>|\$\{|\{\{|^\$[A-Za-z_]|^__.*__$|^%[A-Za-z_]+%$|(?i:^(?:change|replace)_?me$)`)

func isPlaceholder(text string) bool { return placeholder.MatchString(text) }

const placeholderRemedy = "write what it stands for"

func (l *linter) placeholders() {
	r := l.rule
	look := func(column string, t Token) {
		if isPlaceholder(t.Text()) {
			l.add(CodePlaceholder, Error, placeholderRemedy, "%s %s looks like a placeholder; the server takes it for a name", column, t)
		}
	}
	for _, t := range r.Databases {
		look("database", t)
	}
	for _, t := range r.Users {
		look("user", t)
	}
	look("address", r.Address)
	for _, o := range r.Options {
		if isPlaceholder(o.Value) {
			l.add(CodePlaceholder, Error, placeholderRemedy, "the value of option %s looks like a placeholder", o.Name)
		}
	}
}
