package hba

import (
	"errors"
	"fmt"
	"strings"
)

// classWordSince is the major from which [:word:] exists and \D, \S and \W may stand in brackets.
const classWordSince = 14

var (
	errBracket = errors.New("a [ is not closed")
	errRange   = errors.New("a range in [] is not from a lower to a higher character")
	errClass   = errors.New("there is no such class in []")
)

// charSet is a set of bytes.
type charSet [256]bool

// classes are the named classes, as ranges. The server uses the C locale, in which only ASCII counts, but the control
// characters are those of Unicode up to 0x9f.
var classes = map[string]string{
	"alnum": "09AZaz", "alpha": "AZaz", "ascii": "\x00\x7f", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x9f", "digit": "09",
	"graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "word": "09AZaz__",
	"xdigit": "09AFaf",
}

func (in *charSet) add(from, to rune) {
	for r := from; r <= to && r < rune(len(in)); r++ {
		in[r] = true
	}
}

// addClass adds the characters of a class, or all others.
func (in *charSet) addClass(name string, not bool) {
	var class charSet
	ranges := classes[name]
	for i := 0; i < len(ranges); i += 2 {
		class.add(rune(ranges[i]), rune(ranges[i+1]))
	}
	for b := range class {
		in[b] = in[b] || class[b] != not
	}
}

// addCases adds the other case of each letter.
func (in *charSet) addCases() {
	for upper := 'A'; upper <= 'Z'; upper++ {
		lower := upper | 0x20
		in[upper] = in[upper] || in[lower]
		in[lower] = in[upper]
	}
}

// set writes a set of characters.
func (t *translator) set(in *charSet) {
	t.out.WriteString("(?-i:[")
	none := true
	for from := 0; from < len(in); from++ {
		if !in[from] {
			continue
		}
		to := from
		for to+1 < len(in) && in[to+1] {
			to++
		}
		fmt.Fprintf(&t.out, `\x{%x}-\x{%x}`, from, to)
		from, none = to, false
	}
	if none {
		t.out.WriteString(`^\x{0}-\x{10ffff}`)
	}
	t.out.WriteString("])")
}

// bracket reads what comes after a [.
func (t *translator) bracket() error {
	var in charSet
	not := t.eat("^")
	for first := true; first || !t.eat("]"); first = false {
		if err := t.member(&in, first); err != nil {
			return err
		}
	}
	if t.icase {
		in.addCases()
	}
	if not {
		for b := range in {
			in[b] = !in[b]
		}
	}
	t.set(&in)
	return nil
}

// member reads a class, a character or a range.
func (t *translator) member(in *charSet, first bool) error {
	if t.has("-") && !first && !t.has("-]") {
		return errRange
	}
	from, isClass, err := t.element(in)
	if err != nil || isClass {
		return err
	}
	to := from
	if t.has("-") && !t.has("-]") {
		t.i++
		if to, isClass, err = t.element(in); err != nil {
			return err
		}
		if isClass {
			return errRange
		}
	}
	if from > to {
		return errRange
	}
	if t.icase && to >= 0x80 {
		t.cannot("it has a letter beyond ASCII and does not mind upper and lower case")
	}
	in.add(from, to)
	return nil
}

// element reads one character, or adds a class.
func (t *translator) element(in *charSet) (r rune, isClass bool, err error) {
	switch {
	case t.end():
		return 0, false, errBracket
	case t.eat(`\`):
		return t.bracketEscape(in)
	case t.eat("[:"):
		name, err := t.named(":]")
		if _, ok := classes[name]; err == nil && (!ok || name == "word" && t.major < classWordSince) {
			err = errClass
		}
		in.addClass(name, false)
		return 0, true, err
	case t.eat("[="):
		name, err := t.named("=]")
		in.add(t.collating(name))
		return 0, true, err
	case t.eat("[."):
		name, err := t.named(".]")
		r, _ = t.collating(name)
		return r, false, err
	}
	if t.eat("[") {
		if t.end() {
			return 0, false, errBracket
		}
		return '[', false, nil
	}
	t.i++
	return rune(t.s[t.i-1]), false, nil
}

func (t *translator) bracketEscape(in *charSet) (r rune, isClass bool, err error) {
	e, err := t.escape()
	switch {
	case err != nil:
		return 0, false, err
	case e.other != 0 || e.not && t.major < classWordSince:
		return 0, false, errEscape
	case e.class != "":
		in.addClass(e.class, e.not)
		return 0, true, nil
	}
	return e.char, false, nil
}

// named returns what stands before an end such as :].
func (t *translator) named(end string) (string, error) {
	name, _, ok := strings.Cut(t.s[t.i:], end)
	if !ok {
		return "", errBracket
	}
	if name == "" {
		return "", errClass
	}
	t.i += len(name) + len(end)
	return name, nil
}

// collating returns a collating element twice, as a range. Those that are not one character have names.
func (t *translator) collating(name string) (from, to rune) {
	if len(name) != 1 {
		t.cannot("it names a collating element")
		return 0, 0
	}
	return rune(name[0]), rune(name[0])
}
