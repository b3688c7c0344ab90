package guc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
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
	ReadOnly // an Internal parameter
	OwnRule  // a rule of this parameter alone: its grammar, its list of words, a multiple of a number
)

// Error says what is wrong and what to do.
func (e *ValueError) Error() string { return e.Param.Name + ": " + e.Hint }

// Is makes it match [ErrValue].
func (e *ValueError) Is(target error) bool { return target == ErrValue }

// refusal is the reason of a ValueError whose hint the parameter itself gives.
type refusal Refusal

const (
	errNotBool   = refusal(NotBool)
	errWord      = refusal(NotWord)
	errNotNumber = refusal(NotNumber)
	errNotWhole  = refusal(NotWhole)
	errUnit      = refusal(BadUnit)
	errRange     = refusal(OutOfRange)
	errReadOnly  = refusal(ReadOnly)
)

func (r refusal) Error() string { return "refused" }

// ruleError is the reason of a ValueError for a value that has the right type, but that a rule of the parameter refuses. Its text is
// the hint: what the parameter takes.
type ruleError string

func (e ruleError) Error() string { return string(e) }

// refuse returns the error for a value that was refused for a reason.
func (p Param) refuse(reason error) error {
	var rule ruleError
	if errors.As(reason, &rule) {
		return &ValueError{Param: p, Kind: OwnRule, Hint: string(rule)}
	}
	var r refusal
	errors.As(reason, &r)
	return &ValueError{Param: p, Kind: Refusal(r), Hint: p.hint(Refusal(r))}
}

// hint says what the parameter takes instead of what was refused.
func (p Param) hint(kind Refusal) string {
	switch kind {
	case ReadOnly:
		return "no file can set it; remove the line"
	case NotNumber:
		return "not a number"
	case BadUnit:
		if units := p.Unit.Units(p.Major); len(units) > 0 {
			return "unknown unit; takes " + commaList(units) + " (upper and lower case matter), or a bare number of " + string(p.Unit)
		}
	case NotBool:
		return "not a boolean; use on or off"
	case NotWord:
		return "takes one of " + commaList(p.listed())
	case NotWhole:
		return "takes whole numbers only, before 12"
	case OutOfRange:
		return fmt.Sprintf("out of range; takes %s to %s", p.bound(p.Min), p.bound(p.Max))
	}
	return "takes a number without unit"
}

// bound prints a bound as SHOW would.
func (p Param) bound(n float64) string {
	v := Value{kind: p.Type, unit: p.Unit, number: n}
	if p.Type == Real && n == maxReal {
		return "the largest number"
	}
	return v.String()
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

func commaList(words []string) string { return strings.Join(words, ", ") }
