package hba

import (
	"fmt"
	"strings"
)

// includeSince is the major from which include directives exist, regexSince the one from which a database or user that
// begins with / is a regular expression.
const (
	includeSince = 16
	regexSince   = 16
)

// lineError is a syntax error before its place is known. at counts from 0 in the logical line.
type lineError struct {
	at  int
	msg string
}

// parseLine reads one logical line. It returns nil if the line holds no record. The order of the checks is that of
// parse_hba_line in hba.c.
func parseLine(l logicalLine, major int) (*Record, *lineError) {
	s := l.text
	if i := strings.IndexByte(s, 0); i >= 0 {
		return nil, &lineError{i, "NUL byte; remove it"}
	}
	if err := checkLength(s, l.size, major); err != nil {
		return nil, err
	}
	columns := fields(s)
	if len(columns) == 0 || major >= includeSince && isInclude(columns) {
		return nil, nil
	}
	p := &lineParser{columns: columns, end: len(s), major: major}
	r := p.record()
	if p.err != nil {
		return nil, p.err
	}
	return r, nil
}

// isInclude reports whether the line is an include directive. Quotes do not matter.
func isInclude(columns []field) bool {
	if len(columns) != 2 {
		return false
	}
	switch columns[0][0].text {
	case "include", "include_if_exists", "include_dir":
		return true
	}
	return false
}

// lineParser takes the columns of a line one after the other. After the first error nothing it returns counts.
type lineParser struct {
	columns []field
	end     int // where the line ends
	major   int
	err     *lineError
}

func (p *lineParser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = &lineError{at, fmt.Sprintf(format, args...)}
	}
}

func (p *lineParser) record() *Record {
	r := &Record{}
	first := p.columns[0][0].start
	r.Type = ConnType(p.single("connection type").text)
	p.problem(first, r.checkType(p.major))
	r.Databases = p.list("database")
	r.Users = p.list("user")
	if r.Type != Local {
		p.address(r)
	}
	method := p.single("method")
	r.Method = Method(method.text)
	p.problem(method.start, r.checkMethod(p.major))
	for _, f := range p.columns {
		for _, w := range f {
			r.Options = append(r.Options, p.option(w))
		}
	}
	return r
}

func (p *lineParser) problem(at int, msg string) {
	if msg != "" {
		p.fail(at, "%s", msg)
	}
}

// column takes the next column. It is empty after an error.
func (p *lineParser) column(what string) field {
	if p.err == nil && len(p.columns) == 0 {
		p.fail(p.end, "the line ends before the %s; a record is: type, database, user, address (not for local), method, options", what)
	}
	if p.err != nil {
		return nil
	}
	f := p.columns[0]
	p.columns = p.columns[1:]
	return f
}

// single takes a column that must have one value.
func (p *lineParser) single(what string) word {
	f := p.column(what)
	if f == nil {
		return word{}
	}
	if len(f) > 1 {
		p.fail(f[1].start, "more than one %s; write one line for each", what)
	}
	p.noFile(f[0], what)
	return f[0]
}

// noFile refuses a word that stands for the content of a file, in a column where this package cannot keep it as it is.
func (p *lineParser) noFile(w word, what string) {
	if isFileRef(w.text, w.quoted) {
		p.fail(w.start, "an @file is read in the database and user columns only; write the %s itself", what)
	}
}

// isFileRef reports whether a token stands for all tokens in a file.
func isFileRef(text string, quoted bool) bool {
	return !quoted && len(text) > 1 && text[0] == '@'
}

func (p *lineParser) list(what string) []Token {
	f := p.column(what)
	tokens := make([]Token, len(f))
	for i, w := range f {
		tokens[i] = render(w.text, w.quoted)
	}
	return tokens
}

func (p *lineParser) address(r *Record) {
	w := p.single("address")
	if p.err != nil {
		return
	}
	r.Address = render(w.text, w.quoted)
	a, msg := parseAddress(r.Address)
	p.problem(w.start, msg)
	if a.kind != addrBare {
		return
	}
	m := p.single("network mask")
	if p.err != nil {
		return
	}
	r.Mask = m.text
	_, msg = a.withMask(m.text)
	p.problem(m.start, msg)
}

// option reads a name=value. The text of a bad one is not shown, since it may be a secret.
func (p *lineParser) option(w word) Option {
	p.noFile(w, "option")
	name, value, ok := strings.Cut(w.text, "=")
	if !ok {
		p.fail(w.start, `an option must be name=value without blanks around "="; put it in double quotes if the value holds a blank or comma`)
	}
	return Option{name, value}
}
