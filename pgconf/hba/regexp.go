package hba

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// ErrRegexp is matched by the error for a text that is no regular expression to a server. A line with one is not valid.
var ErrRegexp = errors.New("not a regular expression of PostgreSQL")

// Regexp is a regular expression as the server takes it for a database, user (16+) or system user: an advanced one (manual:
// "POSIX Regular Expressions"), not anchored, and of bytes, since the server does not know an encoding at that point. It is safe for
// concurrent use.
//
// This package translates it for [regexp]. All of the syntax is checked, but there are expressions that package regexp has no
// words for: back references, looking ahead and behind, \m and \M, the embedded options but c, i, q, s and t, and names of collating
// elements. Of those Match says that it does not know.
type Regexp struct {
	pattern string
	re      *regexp.Regexp // nil if it cannot be translated
	why     string         // then the reason
	groups  int
	unsure  bool // what a group holds is not known, since package regexp chooses otherwise among several possibilities
}

// CompileRegexp reads a regular expression; in a token it stands after the /. The error matches [ErrRegexp].
func CompileRegexp(pattern string, major pgconf.Major) (*Regexp, error) {
	t := translator{s: pattern, major: major}
	if err := t.all(); err != nil && !errors.Is(err, errTooDeep) {
		return nil, fmt.Errorf("%w: %w", ErrRegexp, err)
	}
	r := &Regexp{pattern: pattern, why: t.why, groups: t.groups, unsure: t.unsure}
	if r.why != "" {
		return r, nil
	}
	if re, err := regexp.Compile(t.out.String()); err == nil {
		re.Longest()
		r.re = re
	} else {
		r.why = "it is too big"
	}
	return r, nil
}

// String returns the pattern.
func (r *Regexp) String() string { return r.pattern }

// Match reports whether a name matches. If that is not known, why says what the expression has that cannot be translated; else it
// is empty.
func (r *Regexp) Match(name string) (matched bool, why string) {
	if r.re == nil {
		return false, r.why
	}
	return r.re.MatchString(latin1(name)), ""
}

// group returns what the first group holds of a name that matches, which is what \1 stands for in pg_ident.conf. found is false if there
// is none or it holds nothing, not even an empty text; sure says whether all that is known.
func (r *Regexp) group(name string) (text string, found, sure bool) {
	if r.groups == 0 {
		return "", false, true
	}
	name = latin1(name)
	m := r.re.FindStringSubmatchIndex(name)
	if len(m) < 4 || m[2] < 0 {
		return "", false, !r.unsure
	}
	return fromLatin1(name[m[2]:m[3]]), true, !r.unsure
}

// latin1 returns a text with a character for each byte.
func latin1(s string) string {
	if isASCII(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func fromLatin1(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// translator reads an advanced regular expression as src/backend/regex (regc_lex.c, regcomp.c) does and writes one for package
// regexp that matches the same names.
type translator struct {
	s     string
	i     int
	major pgconf.Major
	out   strings.Builder

	groups int
	closed []bool // by group, from 1: its ) has been read
	depth  int
	behind int // how many groups that look ahead or behind are open
	icase  bool
	unsure bool
	why    string
}

const (
	maxRepeat = 255 // DUPMAX in the server
	maxNested = 500 // the server's limit is that of its stack
)

// errTooDeep ends the reading without a verdict.
var errTooDeep = errors.New("nested too deeply")

// cannot notes why no translation is possible. The syntax is still checked.
func (t *translator) cannot(why string) {
	if t.why == "" {
		t.why = why
	}
}

func (t *translator) has(prefix string) bool { return strings.HasPrefix(t.s[t.i:], prefix) }

func (t *translator) eat(prefix string) bool {
	if !t.has(prefix) {
		return false
	}
	t.i += len(prefix)
	return true
}

func (t *translator) end() bool { return t.i >= len(t.s) }

// all reads the whole expression.
func (t *translator) all() error {
	t.out.WriteString("(?s)")
	t.closed = []bool{false}
	literal, err := t.prefix()
	if err != nil || t.why != "" {
		return err
	}
	if literal {
		for ; !t.end(); t.i++ {
			t.char(rune(t.s[t.i]))
		}
		return nil
	}
	if err := t.branches(); err != nil {
		return err
	}
	if !t.end() {
		return errors.New("there is a ) too many")
	}
	return nil
}

// prefix reads *** and the embedded options, and reports whether the rest stands for itself.
func (t *translator) prefix() (literal bool, err error) {
	switch {
	case t.eat("***="):
		return true, nil
	case t.eat("***:"):
	case len(t.s) > 3 && t.has("***"):
		return false, errors.New("*** is followed by neither = nor a colon")
	}
	rest := t.s[t.i:]
	if len(rest) < 3 || rest[:2] != "(?" || !isLetter(rest[2]) {
		return false, nil
	}
	for t.i += 2; !t.end() && isLetter(t.s[t.i]); t.i++ {
		switch c := t.s[t.i]; c {
		case 'c':
			t.icase = false
		case 'i':
			t.icase = true
		case 's', 't': // the default
		case 'q':
			literal = true
		case 'b', 'e', 'm', 'n', 'p', 'w', 'x':
			t.cannot("it has the embedded option " + string(c))
		default:
			return false, errors.New("there is no such embedded option")
		}
	}
	if !t.eat(")") {
		return false, errors.New("the embedded options are not closed")
	}
	if t.icase {
		t.out.WriteString("(?i)")
	}
	return literal, nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// branches reads what stands between parentheses, up to the ) or the end.
func (t *translator) branches() error {
	if t.depth++; t.depth > maxNested {
		t.cannot("it is nested too deeply")
		return errTooDeep
	}
	defer func() { t.depth-- }()
	for !t.end() && !t.has(")") {
		if t.eat("|") {
			t.unsure = true
			t.out.WriteByte('|')
			continue
		}
		if err := t.quantified(); err != nil {
			return err
		}
	}
	return nil
}

// quantified reads an atom with its quantifier, or a constraint, which takes none.
func (t *translator) quantified() error {
	if t.remark() {
		return nil
	}
	from := t.out.Len()
	kind, err := t.atom()
	if err != nil || kind == constraint {
		return err
	}
	for t.remark() {
	}
	return t.quantifier(kind, from)
}

// remark passes over a (?#...), which may be open at the end.
func (t *translator) remark() bool {
	if !t.eat("(?#") {
		return false
	}
	if n := strings.IndexByte(t.s[t.i:], ')'); n >= 0 {
		t.i += n + 1
	} else {
		t.i = len(t.s)
	}
	return true
}
