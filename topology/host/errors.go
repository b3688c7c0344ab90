package host

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// StartError means that the command did not start: it changed nothing. It matches fs.ErrNotExist or fs.ErrPermission if the
// program or the working directory is not there or not allowed, and the context's error if that had ended before.
type StartError struct {
	Host    string
	Command string // the program's base name
	Err     error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("%s on %s did not start: %v", e.Command, e.Host, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }

// ExitError means that the command ran to its end and did not exit with 0.
type ExitError struct {
	Host    string
	Command string // the program's base name
	Code    int    // 128 plus the signal's number if a signal ended it
	Stderr  string // the last lines of standard error, at most 10 and 2 kB
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exited with %d", e.Code)
	if e.Code > 128 {
		how += fmt.Sprintf(" (signal %d)", e.Code-128)
	}
	if e.Stderr == "" {
		return fmt.Sprintf("%s on %s %s", e.Command, e.Host, how)
	}
	return fmt.Sprintf("%s on %s %s: %s", e.Command, e.Host, how, e.Stderr)
}

// UnknownError means that it is not known whether the command ran, or how it ended: the context ended, which Err then
// matches, or the connection to the machine was lost. What the command was to change may have changed, or may still.
type UnknownError struct {
	Host    string
	Command string // the program's base name
	Err     error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s on %s: outcome unknown: %v", e.Command, e.Host, e.Err)
}

func (e *UnknownError) Unwrap() error { return e.Err }

// tail returns the last lines of a command's standard error, short enough for a message.
func tail(stderr []byte) string {
	const maxLines, maxBytes = 10, 2048
	s := strings.TrimSpace(string(bytes.ToValidUTF8(stderr, []byte("\uFFFD"))))
	lines := strings.Split(s, "\n")
	if len(lines) > maxLines {
		lines = lines[len(lines)-maxLines:]
	}
	s = strings.Join(lines, "\n")
	if len(s) > maxBytes {
		s = "…" + strings.ToValidUTF8(s[len(s)-maxBytes:], "")
	}
	return s
}

func (c Cmd) base() string { return path.Base(c.Path) }

func startError(name string, c Cmd, err error) error {
	return &StartError{Host: name, Command: c.base(), Err: err}
}

func exitError(name string, c Cmd, code int, stderr []byte) error {
	return &ExitError{Host: name, Command: c.base(), Code: code, Stderr: tail(stderr)}
}

func unknownError(name string, c Cmd, err error) error {
	return &UnknownError{Host: name, Command: c.base(), Err: err}
}
