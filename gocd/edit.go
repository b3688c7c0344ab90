package gocd

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// Options are the choices of [Inspect], [Edit], [Read], [Prepare] and [Apply]. The zero value serves a server on Linux.
type Options struct {
	// Format is the syntax of the file. FormatUnknown means that DetectFormat tells.
	Format Format
	// Windows says that the server runs there: the wrapper then takes quotes off arguments and splits them at
	// blanks, and a wrapper file counts before 19.6 too. It says nothing about the machine this program runs on.
	Windows bool
	// NoSource keeps Read from running the code of a shell file that is more than plain assignments; its mode is
	// then unknown. Apply ignores it.
	NoSource bool
	// Bash is the bash that sources shell files. Empty means the one on PATH.
	Bash string
}

// ErrUnknownFormat says that neither name nor content of a file tell its format: give it in [Options].
var ErrUnknownFormat = errors.New("cannot tell whether this is a shell or a wrapper file")

// DetectFormat tells the format of a file by its name (go-server, wrapper….conf) or else by its content.
func DetectFormat(name string, content []byte) (Format, error) {
	base := strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	switch {
	case base == "go-server":
		return FormatShell, nil
	case strings.HasPrefix(base, "wrapper") && strings.HasSuffix(base, ".conf"):
		return FormatWrapper, nil
	}
	f := parseWrapper(content)
	wrapper := f.encoding != ""
	for _, line := range f.lines {
		key := strings.ToLower(line.key)
		wrapper = wrapper || strings.HasPrefix(key, "wrapper.") || strings.HasPrefix(key, "set.")
	}
	shell := len(parseShell(content).commands) > 0
	switch {
	case wrapper:
		return FormatWrapper, nil
	case shell:
		return FormatShell, nil
	}
	return FormatUnknown, fmt.Errorf("%s: %w", name, ErrUnknownFormat)
}

// Inspect tells what a server would start as, from the bytes of its file alone; name stands in the findings. Nothing
// is run: a shell file that is more than plain assignments gives [ModeUnknown] and a finding of [KindNeedsShell].
// The error matches [ErrUnknownFormat]; whatever else is wrong is a finding.
func Inspect(name string, content []byte, o Options) (Report, error) {
	format, err := o.format(name, content)
	if err != nil {
		return Report{}, err
	}
	if format == FormatWrapper {
		return inspectWrapper(name, content, o.Windows), nil
	}
	return inspectShell(name, content), nil
}

// Edit returns content changed so that the server starts as the target says. An [*EditError] says why that is not
// safe, an [*UnsupportedError] that a server of the target's release does not read such a file. The same edit of the
// result changes nothing.
func Edit(name string, content []byte, t Target, o Options) ([]byte, error) {
	format, err := o.format(name, content)
	if err != nil {
		return nil, err
	}
	if t.Mode() == ModeStandby {
		if err := checkFormat(t.version, format, o.Windows); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if format == FormatWrapper {
		return editWrapper(name, content, t, o.Windows)
	}
	return editShell(name, content, t)
}

func (o Options) format(name string, content []byte) (Format, error) {
	if o.Format != FormatUnknown {
		return o.Format, nil
	}
	return DetectFormat(name, content)
}

// Change is an edit of a file that is not written yet. It comes from [Prepare].
type Change struct {
	File    string
	Format  Format
	Before  []byte // what was read
	After   []byte // what Apply writes
	Missing bool   // the file did not exist; Apply creates it if there is something to write
	target  Target
}

// Empty reports whether there is nothing to write.
func (c Change) Empty() bool { return bytes.Equal(c.Before, c.After) }

// Diff returns the change as a unified diff, empty if there is none. It shows lines of the file as they are,
// secrets included.
func (c Change) Diff() string {
	return udiff.Unified(c.File, c.File, string(c.Before), string(c.After))
}
