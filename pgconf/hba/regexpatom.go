package hba

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// atomKind is what a quantifier may follow.
type atomKind uint8

const (
	constraint atomKind = iota // none may
	single                     // one character
	group
)

var errOperand = errors.New("there is nothing before a quantifier that it could repeat")

// atom reads what a quantifier can follow, or a constraint.
func (t *translator) atom() (atomKind, error) {
	for _, c := range [...]struct{ text, out string }{{"^", `\A`}, {"$", `\z`}, {"[[:<:]]", ""}, {"[[:>:]]", ""}} {
		if t.eat(c.text) {
			if c.out == "" {
				t.cannot("it looks for the begin or end of a word")
			}
			t.out.WriteString(c.out)
			return constraint, nil
		}
	}
	switch {
	case t.has("*"), t.has("+"), t.has("?"), t.has("{") && t.i+1 < len(t.s) && isDigit(t.s[t.i+1]):
		return 0, errOperand
	case t.eat("("):
		return t.group()
	case t.eat("["):
		return single, t.bracket()
	case t.eat("."):
		t.out.WriteByte('.')
		return single, nil
	case t.eat(`\`):
		return t.escaped()
	}
	t.char(rune(t.s[t.i]))
	t.i++
	return single, nil
}

// char writes a character that stands for itself.
func (t *translator) char(r rune) {
	switch {
	case r > utf8.MaxRune || 0xd800 <= r && r < 0xe000:
		t.cannot("it has a character that Unicode does not know")
	case r >= 0x80 && t.icase:
		t.cannot("it has a letter beyond ASCII and does not mind upper and lower case")
	case r < 0x80 && (isLetter(byte(r)) || isDigit(byte(r))):
		t.out.WriteRune(r)
	default:
		fmt.Fprintf(&t.out, `\x{%x}`, r)
	}
}

// group reads what comes after a (.
func (t *translator) group() (atomKind, error) {
	kind, number := group, 0
	switch {
	case t.eat("?:"):
		t.out.WriteString("(?:")
	case t.eat("?="), t.eat("?!"), t.eat("?<="), t.eat("?<!"):
		t.cannot("it looks ahead or behind")
		kind = constraint
		t.behind++
		defer func() { t.behind-- }()
	case t.has("?"):
		return 0, errors.New("there is no such group")
	case t.behind > 0:
		t.out.WriteString("(?:")
	default:
		t.groups++
		number = t.groups
		t.closed = append(t.closed, false)
		t.out.WriteByte('(')
	}
	if err := t.branches(); err != nil {
		return 0, err
	}
	if !t.eat(")") {
		return 0, errors.New("a ( is not closed")
	}
	t.out.WriteByte(')')
	if number > 0 {
		t.closed[number] = true
	}
	return kind, nil
}

// quantifier reads one, if there is one. The atom that it repeats begins at from in the output.
func (t *translator) quantifier(kind atomKind, from int) error {
	var least, most int
	var err error
	switch {
	case t.eat("*"):
		least, most = 0, -1
	case t.eat("+"):
		least, most = 1, -1
	case t.eat("?"):
		least, most = 0, 1
	case t.has("{") && t.i+1 < len(t.s) && isDigit(t.s[t.i+1]):
		t.i++
		if least, most, err = t.bounds(); err != nil {
			return err
		}
	default:
		return nil
	}
	t.unsure = t.unsure || kind == group
	if t.eat("?") {
		t.unsure = true
	}
	t.repeat(least, most, from)
	return nil
}

// repeat writes a quantifier. A group that nothing is left of still counts as one.
func (t *translator) repeat(least, most, from int) {
	atom := t.out.String()[from:]
	if atom == "" { // a group in something that is not translated
		return
	}
	switch {
	case most < 0 && least == 0:
		t.out.WriteByte('*')
	case most < 0 && least == 1:
		t.out.WriteByte('+')
	case most < 0:
		fmt.Fprintf(&t.out, "{%d,}", least)
	default:
		fmt.Fprintf(&t.out, "{%d,%d}", least, most)
	}
}

// bounds reads what comes after a {. most is -1 without an upper bound.
func (t *translator) bounds() (least, most int, err error) {
	if least, err = t.number(); err != nil {
		return 0, 0, err
	}
	most = least
	if t.eat(",") {
		most = -1
		if !t.end() && isDigit(t.s[t.i]) {
			if most, err = t.number(); err != nil {
				return 0, 0, err
			}
		}
	}
	if !t.eat("}") || most >= 0 && least > most {
		return 0, 0, errors.New("a {} is not a number, or two of them in order with a comma between")
	}
	return least, most, nil
}

func (t *translator) number() (int, error) {
	from := t.i
	for !t.end() && isDigit(t.s[t.i]) {
		t.i++
	}
	n, err := strconv.Atoi(t.s[from:t.i])
	if err != nil || n > maxRepeat {
		return 0, errors.New("a number in {} must be 0 to " + strconv.Itoa(maxRepeat))
	}
	return n, nil
}

// escape is what a backslash and what follows it mean.
type escape struct {
	char  rune   // if it is a character
	class string // if it is a class
	not   bool   // all but the class
	other byte   // a letter for anything else: 1 for a back reference
	ref   int
}

var errEscape = errors.New(`there is no such escape with a \`)

// escape reads what comes after a backslash.
func (t *translator) escape() (escape, error) {
	if t.end() {
		return escape{}, errors.New(`it ends in a \`)
	}
	c := t.s[t.i]
	t.i++
	switch {
	case !isLetter(c) && !isDigit(c):
		return escape{char: rune(c)}, nil
	case isDigit(c):
		return t.digitEscape(c)
	}
	switch c {
	case 'a', 'b', 'e', 'f', 'n', 'r', 't', 'v', 'B':
		return escape{char: rune("\a\b\x1b\f\n\r\t\v\\"[strings.IndexByte("abefnrtvB", c)])}, nil
	case 'c':
		if t.end() {
			return escape{}, errEscape
		}
		t.i++
		return escape{char: rune(t.s[t.i-1] & 0x1f)}, nil
	case 'd', 's', 'w', 'D', 'S', 'W':
		return escape{class: map[byte]string{'d': "digit", 's': "space", 'w': "word"}[c|0x20], not: c < 'a'}, nil
	case 'u':
		return t.hex(4, 4)
	case 'U':
		return t.hex(8, 8)
	case 'x':
		return t.hex(1, maxRepeat)
	case 'A', 'Z', 'm', 'M', 'y', 'Y':
		return escape{other: c}, nil
	}
	return escape{}, errEscape
}

// hex reads a character by its number. More digits than 8 drop out on the left.
func (t *translator) hex(least, most int) (escape, error) {
	var v uint32
	n := 0
	for ; n < most && !t.end() && strings.IndexByte("0123456789abcdefABCDEF", t.s[t.i]) >= 0; n++ {
		d, _ := strconv.ParseUint(t.s[t.i:t.i+1], 16, 8)
		v = v<<4 | uint32(d)
		t.i++
	}
	if n < least || v > 0x7ffffffe {
		return escape{}, errEscape
	}
	return escape{char: rune(v)}, nil
}

// digitEscape reads a back reference or an octal number; c is the first digit.
func (t *translator) digitEscape(c byte) (escape, error) {
	start := t.i - 1
	if c != '0' {
		for !t.end() && isDigit(t.s[t.i]) {
			t.i++
		}
		n, err := strconv.Atoi(t.s[start:t.i])
		if t.i == start+1 || err == nil && n <= t.groups {
			return escape{other: '1', ref: n}, nil
		}
	}
	t.i = start
	v := 0
	for n := 0; n < 3 && !t.end() && '0' <= t.s[t.i] && t.s[t.i] <= '7'; n++ {
		if v = v<<3 | int(t.s[t.i]-'0'); v > 0xff { // one digit too many
			v >>= 3
			break
		}
		t.i++
	}
	if t.i == start {
		return escape{}, errEscape
	}
	return escape{char: rune(v)}, nil
}

// escaped writes an escape that does not stand in brackets.
func (t *translator) escaped() (atomKind, error) {
	e, err := t.escape()
	if err != nil {
		return 0, err
	}
	switch e.other {
	case 0:
		t.escapeOut(e)
		return single, nil
	case '1':
		if t.behind > 0 || e.ref >= len(t.closed) || !t.closed[e.ref] {
			return 0, errors.New("it refers back to a group that is not there yet")
		}
		t.cannot("it refers back to a group")
		t.out.WriteString("x")
		return single, nil
	case 'm', 'M':
		t.cannot("it looks for the begin or end of a word")
	default:
		t.out.WriteString(map[byte]string{'A': `\A`, 'Z': `\z`, 'y': `\b`, 'Y': `\B`}[e.other])
	}
	return constraint, nil
}

func (t *translator) escapeOut(e escape) {
	if e.class == "" {
		t.char(e.char)
		return
	}
	var in charSet
	in.addClass(e.class, e.not)
	t.set(&in)
}
