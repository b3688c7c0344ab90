package gocd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/understudy-ha/understudy/internal/atomicfile"
)

// ErrChanged says that a file is not what it was when the change was prepared. Nothing was written: prepare the
// change again.
var ErrChanged = errors.New("the file has changed since it was read")

// VerifyError says that a file, once written, did not give the wanted mode or could not be evaluated.
type VerifyError struct {
	File       string
	Want       Mode
	Got        Report // zero if Err is set
	Err        error  // why the file could not be evaluated
	Written    bool   // false: the change was empty
	RestoreErr error  // why the old file could not be put back; nil: it is back, or nothing was written
}

func (e *VerifyError) Error() string {
	found := "the server would start as " + e.Got.Mode.String()
	if e.Got.Mode == e.Want {
		found = "the properties are not as written"
	}
	if e.Err != nil {
		found = e.Err.Error()
	}
	switch {
	case !e.Written:
		return fmt.Sprintf("%s: needs no change for a %s, but %s; nothing was written", e.File, e.Want, found)
	case e.RestoreErr != nil:
		return fmt.Sprintf("%s: written for a %s, but %s; AND THE OLD FILE COULD NOT BE PUT BACK (%v), look at it now",
			e.File, e.Want, found, e.RestoreErr)
	}
	return fmt.Sprintf("%s: written for a %s, but %s; the old file is back", e.File, e.Want, found)
}

// Unwrap returns Err and RestoreErr, as far as there are any.
func (e *VerifyError) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Err, e.RestoreErr}, func(err error) bool { return err == nil })
}

// Read reads the file at path and tells what a server would start as. A shell file that is more than plain
// assignments is sourced by bash, WHICH RUNS ITS CODE, unless [Options.NoSource] is set; without bash its mode is unknown.
// A missing file is an error that matches [fs.ErrNotExist].
func Read(ctx context.Context, path string, o Options) (Report, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Report{}, fmt.Errorf("read mode: %w", err)
	}
	r, err := Inspect(path, content, o)
	if err != nil || r.Format != FormatShell || r.ReadBy != ReadByNobody || o.NoSource {
		return r, err
	}
	sourced, err := source(ctx, path, content, o)
	if errors.Is(err, ErrNoBash) {
		return r, nil
	}
	return sourced, err
}

// Prepare reads the file at path, which may be missing, and works out the change that brings it to the target. It
// writes nothing. Errors are those of [Edit].
func Prepare(path string, t Target, o Options) (Change, error) {
	before, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return Change{}, fmt.Errorf("prepare mode: %w", err)
	}
	format, err := o.format(path, before)
	if err != nil {
		return Change{}, err
	}
	o.Format = format
	after, err := Edit(path, before, t, o)
	if err != nil {
		return Change{}, err
	}
	return Change{File: path, Format: format, Before: before, After: after, Missing: missing, target: t}, nil
}

// Apply writes the change, evaluates the file as the server would and returns what that gave. It writes nothing if the
// file is not what it was ([ErrChanged]), or if it is a shell file and there is no bash ([ErrNoBash]). If the file then
// does not give the wanted mode, or ctx ends before that is known, the old file is put back and the error
// is a [*VerifyError]. An empty change is evaluated too.
//
// A symbolic link is followed. The file keeps its mode and owner; a new one gets mode 0644, because a wrapper that
// cannot read the file ignores it silently.
func Apply(ctx context.Context, c Change, o Options) (Report, error) {
	o.Format = c.Format
	if c.Format == FormatShell {
		if _, err := o.bash(); err != nil {
			return Report{}, fmt.Errorf("%s: %w", c.File, err)
		}
	}
	path, err := c.check()
	if err != nil {
		return Report{}, err
	}
	if !c.Empty() {
		if err := atomicfile.Write(path, c.After, 0o644); err != nil {
			return Report{}, fmt.Errorf("write mode: %w", err)
		}
	}
	if c.Missing && c.Empty() {
		return Inspect(c.File, c.After, o)
	}
	r, err := evaluate(ctx, c, o)
	if err == nil && c.target.reachedBy(r) {
		return r, nil
	}
	return r, &VerifyError{File: c.File, Want: c.target.Mode(), Got: r, Err: err, Written: !c.Empty(), RestoreErr: c.restore(path)}
}

// check makes sure that the file is still what it was, and returns its path without links.
func (c Change) check() (string, error) {
	now, err := os.ReadFile(c.File)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return "", fmt.Errorf("write mode: %w", err)
	}
	if missing != c.Missing || !bytes.Equal(now, c.Before) {
		return "", fmt.Errorf("%s: %w", c.File, ErrChanged)
	}
	if missing {
		return c.File, nil
	}
	path, err := filepath.EvalSymlinks(c.File)
	if err != nil {
		return "", fmt.Errorf("write mode: %w", err)
	}
	return path, nil
}

// restore puts back what was there before. It runs after a cancelled evaluation too, and takes no context.
func (c Change) restore(path string) error {
	switch {
	case c.Empty():
		return nil
	case c.Missing:
		return atomicfile.Remove(path)
	}
	return atomicfile.Write(path, c.Before, 0o644)
}

// evaluate tells what the server makes of the written file: a shell file is always sourced.
func evaluate(ctx context.Context, c Change, o Options) (Report, error) {
	if c.Format == FormatShell {
		return source(ctx, c.File, c.After, o)
	}
	written, err := os.ReadFile(c.File)
	if err != nil {
		return Report{}, err
	}
	return Inspect(c.File, written, o)
}
