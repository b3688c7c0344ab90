package host

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"
)

// Host is a machine on which commands run and files lie. Implementations are safe for concurrent use and pass
// hosttest.Run. Paths are absolute and belong to the machine, not to the caller.
type Host interface {
	// Name says which machine this is, for messages.
	Name() string

	// Run starts c, waits for its end and returns what it wrote. The error is nil only if the command exited with 0;
	// otherwise it matches *[StartError], *[ExitError] or *[UnknownError], and the Result holds what is known. When ctx
	// ends, the command and its process group get SIGTERM, and SIGKILL after a grace time; processes that left the group
	// (a daemon) are not touched.
	Run(ctx context.Context, c Cmd) (Result, error)

	// ReadFile returns the file's content. The error matches fs.ErrNotExist or fs.ErrPermission when that is the case.
	ReadFile(ctx context.Context, path string) ([]byte, error)

	// WriteFile atomically and durably replaces the file's content, or creates the file with mode perm. A file that is
	// there keeps its mode, owner and group, or WriteFile fails. A symbolic link, a directory or a device is refused.
	// After an error the file has its old content or the new, never a part.
	WriteFile(ctx context.Context, path string, data []byte, perm fs.FileMode) error

	// CheckWrite looks whether WriteFile would refuse: it returns an error if path is a symbolic link, a directory, a device,
	// somebody else's file, or in a directory that one may not write to. It changes nothing, so who is about to write several
	// files asks for all of them first. Nil is no promise: the disk may be full.
	CheckWrite(ctx context.Context, path string) error

	// ReadDir returns the names in a directory in order, but for those of directories in it, be they reached through a
	// symbolic link or not. A link that leads nowhere counts.
	ReadDir(ctx context.Context, path string) ([]string, error)

	// Rename moves a file or directory within one file system and makes that durable. It never replaces: if newPath
	// exists, the error matches fs.ErrExist and nothing has changed. It never copies: across file systems it fails.
	Rename(ctx context.Context, oldPath, newPath string) error

	// MkdirAll creates a directory and its missing parents with mode perm. A directory that is there already is left as
	// it is.
	MkdirAll(ctx context.Context, path string, perm fs.FileMode) error

	// Remove deletes one file, symbolic link or empty directory. There is no recursive form: a data directory is set
	// aside by Rename.
	Remove(ctx context.Context, path string) error

	// Exists reports whether something has that name; a dangling symbolic link counts. An error means that it is not
	// known.
	Exists(ctx context.Context, path string) (bool, error)
}

// Cmd is a command to run. Only Path is required.
type Cmd struct {
	// Path is the program: an absolute path, or a name to be found on the machine's PATH.
	Path string

	// Args are its arguments, without the program's name. Other users of the machine can read them: no secrets.
	Args []string

	// Env holds NAME=value pairs that are added to the environment the machine gives a command; the last one wins.
	// Secrets belong here or into Stdin.
	Env []string

	// Dir is the working directory. Empty means whatever the machine starts commands in.
	Dir string

	// Stdin is read to its end as the command's standard input. Nil means none.
	Stdin io.Reader
}

// String returns the program and its arguments, as a message shows them. Env and Stdin are left out.
func (c Cmd) String() string {
	return strings.Join(append([]string{c.Path}, c.Args...), " ")
}

// GoString is String: %#v must not print Env either.
func (c Cmd) GoString() string { return c.String() }

// LogValue is String, for log/slog.
func (c Cmd) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Result is what a command left behind.
type Result struct {
	Stdout []byte
	Stderr []byte

	// ExitCode is the exit status, or 128 plus the signal's number if a signal ended the command, as a shell reports it.
	// It means nothing with a StartError or an UnknownError, and is -1 there.
	ExitCode int
}

var envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// check refuses what no kind of host could run. The messages do not show the value of a variable.
func (c Cmd) check() error {
	if c.Path == "" {
		return fmt.Errorf("Path is empty")
	}
	for _, s := range append([]string{c.Path, c.Dir}, c.Args...) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("an argument holds a NUL byte")
		}
	}
	for i, e := range c.Env {
		if !envPattern.MatchString(e) || strings.ContainsRune(e, 0) {
			return fmt.Errorf("Env[%d] is not NAME=value", i)
		}
	}
	return nil
}
