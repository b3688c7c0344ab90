package guc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

var (
	errInternal = errors.New("cannot be set")
	errNotBool  = errors.New("not a boolean")
	errWord     = errors.New("not one of its words")
)

// ErrUnknown is matched by an [UnknownError].
var ErrUnknown = errors.New("unknown parameter")

// ErrValue is matched by a [ValueError].
var ErrValue = errors.New("value refused")

// UnknownError says that a major has no parameter of a name, and what the user may have meant.
type UnknownError struct {
	Name  string
	Major pgconf.Major
	// Similar is a parameter of the major whose name is nearly the same, or "".
	Similar string
	// Since is the first later major that has it, Until the last earlier one; 0 if there is none.
	Since, Until pgconf.Major
	// Fate is what became of it, if it is gone in this major.
	Fate *Fate
	// RecoveryConf: until 11 it belongs into recovery.conf.
	RecoveryConf bool
}

// Error says what is wrong and what to do.
func (e *UnknownError) Error() string {
	s := fmt.Sprintf("unknown parameter %q", e.Name)
	switch {
	case e.RecoveryConf:
		s += fmt.Sprintf(": PostgreSQL %s takes it in recovery.conf", e.Major)
	case e.Fate != nil && e.Fate.To != "":
		s += fmt.Sprintf(": gone since %s, use %s: %s", e.Fate.Major, e.Fate.To, e.Fate.Reason)
	case e.Fate != nil:
		s += fmt.Sprintf(": gone since %s: %s", e.Fate.Major, e.Fate.Reason)
	case e.Until != 0:
		s += fmt.Sprintf(": gone since %s", e.Until+1)
	case e.Since != 0:
		s += fmt.Sprintf(": PostgreSQL %s has it only from %s on", e.Major, e.Since)
	case e.Similar != "":
		s += fmt.Sprintf(": did you mean %s?", e.Similar)
	}
	return s
}

// Is makes it match [ErrUnknown].
func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }

// ValueError says that a parameter does not take a value. It holds no text of the value, which may be a secret.
type ValueError struct {
	Param Param
	Kind  Refusal
	// Hint says what the parameter takes: "64kB to 2147483647kB".
	Hint string
}

// Refusal is the kind of a [ValueError].
type Refusal uint8

// The kinds of refusal.
const (
	NotBool   Refusal = iota + 1
	NotWord           // none of the words of an Enum
	NotNumber         // no number, or one with something behind it
	NotWhole          // a fraction or exponent, which integers may not have before 12
	BadUnit           // a unit that the parameter or the major does not know
	OutOfRange
	ReadOnly  // an Internal parameter
	BadSyntax // a String whose own grammar refuses it
)

// Error says what is wrong and what to do.
func (e *ValueError) Error() string { return e.Param.Name + ": " + e.Hint }

// Is makes it match [ErrValue].
func (e *ValueError) Is(target error) bool { return target == ErrValue }

// refuse returns the error for a value that was refused with err.
func (p Param) refuse(err error) error {
	e := &ValueError{Param: p}
	var syntax syntaxError
	if errors.As(err, &syntax) {
		e.Kind, e.Hint = BadSyntax, string(syntax)
		return e
	}
	switch err {
	case errInternal:
		e.Kind, e.Hint = ReadOnly, "no file can set it; remove the line"
	case errNotBool:
		e.Kind, e.Hint = NotBool, "not a boolean; use on or off"
	case errWord:
		e.Kind, e.Hint = NotWord, "takes one of "+strings.Join(p.listed(), ", ")
	case errNotNumber:
		e.Kind, e.Hint = NotNumber, "not a number"
	case errNotWhole:
		e.Kind, e.Hint = NotWhole, "takes whole numbers only"
	case errUnit:
		e.Kind, e.Hint = BadUnit, p.unitHint()
	case errRange:
		e.Kind, e.Hint = OutOfRange, fmt.Sprintf("out of range; takes %s to %s", p.bound(p.Min), p.bound(p.Max))
	}
	return e
}

func (p Param) unitHint() string {
	if units := p.Unit.Units(p.Major); len(units) > 0 {
		return "takes a number with one of the units " + strings.Join(units, ", ") + ", spelled like that, or none for " + string(p.Unit)
	}
	return "takes a number without unit"
}

func (p Param) bound(n float64) string {
	return Value{kind: p.Type, number: n}.Setting() + string(p.Unit)
}

// listed returns the words that pg_settings lists.
func (p Param) listed() []string {
	var words []string
	for _, v := range p.Values {
		if !v.Hidden {
			words = append(words, v.Name)
		}
	}
	return words
}
