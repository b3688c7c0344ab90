package hba

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// includeSince is the major from which include directives exist, regexSince the one from which a database or user that
// begins with / is a regular expression.
const (
	includeSince = 16
	regexSince   = 16
)

// lineError is a syntax error before its place is known. at counts from 0 in the logical line.
type lineError struct {
	at     int
	msg    string
	inside *pgconf.SyntaxError // the place, if the error is in an @file
}

func errorAt(at int, msg string) *lineError { return &lineError{at: at, msg: msg} }

// syntaxError returns the error with its place, which is in the line l of the file unless it is in an @file.
func (e *lineError) syntaxError(file string, l *logicalLine) *pgconf.SyntaxError {
	if e.inside != nil {
		return e.inside
	}
	line, col := l.position(e.at)
	return &pgconf.SyntaxError{File: file, Line: line, Col: col, Msg: e.msg}
}

// splitLine reads the tokens of a logical line into c.
func splitLine(l *logicalLine, major pgconf.Major, c *columns, expand func(c *columns, w word) *lineError) *lineError {
	c.reset()
	if i := strings.IndexByte(l.text, 0); i >= 0 {
		return errorAt(i, "NUL byte; remove it")
	}
	if err := checkSize(l.size, major); err != nil {
		return err
	}
	return c.split(l.text, major, expand)
}

// includeDirective returns the directive and the path of an include line, which has two columns; of a list the first value
// counts. Quotes do not matter. The directive is empty if the line is none.
func includeDirective(c *columns, major pgconf.Major) (directive string, path word) {
	if len(c.ends) != 2 || major < includeSince {
		return "", word{}
	}
	switch name := c.words[0].text; name {
	case "include", "include_if_exists", "include_dir":
		return name, c.words[c.ends[0]]
	}
	return "", word{}
}

// lineParser makes a record of the columns of a line. The order of the checks is that of parse_hba_line in hba.c. After the
// first error nothing that it made counts.
type lineParser struct {
	*columns
	major  pgconf.Major
	end    int  // where the line ends
	load   bool // make the terms and the address that a matcher needs; @files have been expanded
	err    *lineError
	tokens []Token // all lists, cut from one piece
	terms  []term
	rule   Rule
}

func (p *lineParser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = errorAt(at, fmt.Sprintf(format, args...))
	}
}

func (p *lineParser) problem(at int, msg string) {
	if msg != "" && p.err == nil {
		p.err = errorAt(at, msg)
	}
}

// parse reads the columns into p.rule.
func (p *lineParser) parse(end int) *lineError {
	p.end, p.err, p.rule = end, nil, Rule{}
	r := &p.rule
	first := p.words[0].start
	r.Type = ConnType(p.single("connection type").text)
	p.problem(first, r.checkType(p.major))
	r.Databases, r.databases = p.list("database", databaseTerm)
	r.Users, r.users = p.list("user", userTerm)
	if r.Type != Local {
		p.address(r)
	}
	method := p.single("method")
	r.Method = Method(method.text)
	p.problem(method.start, r.checkMethod(p.major))
	p.options(r)
	return p.err
}

const recordForm = "the line ends before the %s; a record is: type, database, user, address (not for local), method, options"

// column takes the next column. It is empty after an error. form is the message if there is none.
func (p *lineParser) column(what, form string) []word {
	if p.err != nil {
		return nil
	}
	words := p.take()
	if words == nil {
		p.fail(p.end, form, what)
	}
	return words
}

// single takes a column of a record that must have one value.
func (p *lineParser) single(what string) word { return p.one(what, recordForm) }

// one takes a column that must have one value.
func (p *lineParser) one(what, form string) word {
	words := p.column(what, form)
	if words == nil {
		return word{}
	}
	if len(words) > 1 {
		p.fail(words[1].start, "more than one %s; write one line for each", what)
	}
	p.noFile(&words[0], what)
	return words[0]
}

// noFile refuses a word that stands for the content of a file, in a column where a Record cannot keep it as it is.
func (p *lineParser) noFile(w *word, what string) {
	if !p.load && w.isFileRef() {
		p.fail(w.start, "what @file stands for is not known here, and only databases and users are kept so; write the %s itself", what)
	}
}

func (p *lineParser) list(what string, termOf func(*word, pgconf.Major) term) ([]Token, []term) {
	words := p.column(what, recordForm)
	p.tokens, p.terms = room(p.tokens, len(words)), room(p.terms, len(words))
	from, fromTerm := len(p.tokens), len(p.terms)
	for i := range words {
		w := &words[i]
		var re *Regexp
		if isRegexp(w.text, p.major) {
			re = p.regexp(w)
		}
		p.tokens = append(p.tokens, w.token(p.major))
		if p.load {
			t := termOf(w, p.major)
			t.re = re
			p.terms = append(p.terms, t)
		}
	}
	return p.tokens[from:len(p.tokens):len(p.tokens)], p.terms[fromTerm:len(p.terms):len(p.terms)]
}

// room returns s if n more fit behind it, else a new slice. What was cut from s stays where it is.
func room[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return make([]T, 0, max(n, min(2*cap(s)+16, 4096)))
}

// regexp reads what stands after the / of a word.
func (p *lineParser) regexp(w *word) *Regexp {
	re, err := CompileRegexp(w.text[1:], p.major)
	if err != nil {
		p.problem(w.start, err.Error())
	}
	return re
}

func (p *lineParser) address(r *Rule) {
	w := p.single("address")
	if p.err != nil {
		return
	}
	r.Address = w.token(p.major)
	a, msg := parseAddress(w.text, !w.isBare(p.major), p.major)
	p.problem(w.start, msg)
	if a.kind == addrBare {
		m := p.single("network mask")
		if p.err != nil {
			return
		}
		r.Mask = m.text
		a, msg = a.withMask(m.text)
		p.problem(m.start, msg)
	}
	r.addr = a
}

func (p *lineParser) options(r *Rule) {
	from := p.next
	for words := p.rest(); len(words) > 0; words = p.rest() {
		for i := range words {
			r.Options = append(r.Options, p.option(&words[i]))
		}
	}
	if p.err != nil || len(r.Options) == 0 && !needsOptions(r.Method) {
		return
	}
	if _, bad, problem := r.Record.options(p.major); problem != "" {
		at := p.end
		if bad >= 0 {
			at = p.words[p.ends[from-1]+bad].start
		}
		p.problem(at, problem)
	}
}

// rest takes the next column if there is one.
func (p *lineParser) rest() []word {
	if p.err != nil {
		return nil
	}
	return p.take()
}

// option reads a name=value. The text of a bad one is not shown, since it may be a secret.
func (p *lineParser) option(w *word) Option {
	p.noFile(w, "option")
	name, value, ok := strings.Cut(w.text, "=")
	if !ok {
		p.fail(w.start, `an option must be name=value without blanks around "="; put it in double quotes if the value holds a blank or comma`)
	}
	return Option{name, value}
}
