package pgconf

import (
	"errors"
	"fmt"
	"strings"
)

// ErrName is matched by the error for a parameter name that cannot stand in a configuration file, or that cannot be
// edited as a setting because it is an include directive.
var ErrName = errors.New("not a parameter name")

// ErrValue is matched by the error for a value that no configuration file can hold: one with a NUL byte.
var ErrValue = errors.New("not a parameter value")

// ErrSet is matched by the error of [File.Rename] if the file sets the new name already.
var ErrSet = errors.New("already set")

// ErrBlock is matched by the error for a managed block that cannot be edited.
var ErrBlock = errors.New("managed block")

// SyntaxError says where a configuration text is not valid, and what to do about it. It holds no text of a value.
type SyntaxError struct {
	File string // name given to Parse
	Line int    // from 1; 0 if the text has no lines
	Col  int    // from 1, in bytes
	Msg  string // what is wrong and how to put it right, lower case
}

// Error returns "file:line:col: message".
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: column %d: %s", e.File, e.Col, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// SyntaxErrors lists the syntax errors of one text in the order of their positions. It is never empty when returned as
// an error.
type SyntaxErrors []*SyntaxError

// MaxSyntaxErrors is the number of syntax errors after which a parser stops collecting them. The server stops
// at the same number.
const MaxSyntaxErrors = 100

// shownErrors bounds the text of a list of errors: more lines than this help nobody.
const shownErrors = 10

// Error returns one line for each of the first errors, and the number of the others.
func (es SyntaxErrors) Error() string { return textOf(es, "syntax errors") }

// Unwrap returns the single errors, for [errors.As].
func (es SyntaxErrors) Unwrap() []error { return asErrors(es) }

// textOf returns one line for each of the first errors, and how many others of them there are.
func textOf[E error](es []E, what string) string {
	var b strings.Builder
	for i, e := range es {
		if i == shownErrors {
			fmt.Fprintf(&b, "\nand %d more %s", len(es)-i, what)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

func asErrors[E error](es []E) []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// Add appends e unless [MaxSyntaxErrors] are already there.
func (es *SyntaxErrors) Add(e *SyntaxError) {
	if len(*es) < MaxSyntaxErrors {
		*es = append(*es, e)
	}
}

// Err returns es as an error, or nil if it is empty.
func (es SyntaxErrors) Err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}
