package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/internal/atomicfile"
)

// writeFlag is embedded in every verb that can change a file.
type writeFlag struct {
	Write bool `short:"w" help:"Make the change. Without it, the change is shown as a diff and nothing is written."`
}

// finish shows a change to the file at path as diff, or makes it if the user said so. before is what was read, nil if there is no
// file yet; if the file has other content by now, nothing is written.
func (w writeFlag) finish(out *streams, path string, before, after []byte, diff string) error {
	if bytes.Equal(before, after) {
		fmt.Fprintf(out.Err, "%s: nothing to change\n", path)
		return nil
	}
	if !w.Write {
		_, err := io.WriteString(out.Out, diff)
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays
	}
	now, err := os.ReadFile(path)
	if err != nil && !(before == nil && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	if !bytes.Equal(now, before) {
		return fmt.Errorf("%s was changed by somebody else meanwhile; look at it and run the command again", path)
	}
	if err := atomicfile.Write(path, after, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(out.Err, "%s: written\n", path)
	return nil
}

// printJSON writes v as indented JSON.
func printJSON(out *streams, v any) error {
	e := json.NewEncoder(out.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
