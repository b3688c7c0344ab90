package pgconf

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of problems with include directives that are not those of the file system, for which see io/fs.
var (
	ErrIncludeEmpty     = errors.New("no file is named")
	ErrIncludeDepth     = errors.New("files are included more than 10 levels deep")
	ErrIncludeRecursion = errors.New("a file includes itself")
)

// Place is a position in a file.
type Place struct {
	File      string // absolute path, as the server shows it
	Line, Col int    // from 1, or 0 for the file as a whole
}

// String returns "file:line:col", or what there is of it.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	}
}

// Place returns where the setting stands.
func (s Setting) Place() Place { return Place{s.File, s.Line, s.Col} }

// LoadError is one reason why a server could not read its configuration.
type LoadError struct {
	Place         // the line that is not valid, or the directive that cannot be followed
	Msg   string  // what is wrong and what to do about it; no text of a value but paths
	Via   []Place // the directives that led to the file, the one in the main file first
	Err   error   // a *SyntaxError, one of the Err… of includes, or why a file cannot be read (fs.ErrNotExist, …)
}

// Error returns "file:line:col: message", and the way to the file if it was included.
func (p *LoadError) Error() string { return p.Place.String() + ": " + p.Text() }

// Text returns what Error does, without the place.
func (p *LoadError) Text() string {
	if len(p.Via) == 0 {
		return p.Msg
	}
	var from []string
	for i := len(p.Via) - 1; i >= 0; i-- {
		if len(from) == 3 && i > 1 { // of the long way that ErrIncludeDepth is about
			from = append(from, fmt.Sprintf("%d more", i))
			i = 0
		}
		from = append(from, fmt.Sprintf("from %s:%d", p.Via[i].File, p.Via[i].Line))
	}
	return p.Msg + " (included " + strings.Join(from, ", ") + ")"
}

// Unwrap returns Err.
func (p *LoadError) Unwrap() error { return p.Err }

// LoadErrors lists problems in the order in which a server meets them. It is never empty when returned as an error.
type LoadErrors []*LoadError

// maxProblems bounds a list of problems.
const maxProblems = 1000

// Error returns one line for each of the first problems, and the number of the others.
func (ps LoadErrors) Error() string { return textOf(ps, "problems") }

// Unwrap returns the single problems, for [errors.As].
func (ps LoadErrors) Unwrap() []error { return asErrors(ps) }

func (ps LoadErrors) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
