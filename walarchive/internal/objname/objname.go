// Package objname says which names the objects of a store can have.
package objname

import (
	"fmt"
	"io/fs"
	"strings"
)

// Max is the longest name, in bytes. It leaves room for what temporary names add, within the 255 bytes of file systems.
const Max = 200

// Check returns an error that matches [fs.ErrInvalid] if name cannot be an object's: if it is empty or too long, begins with a
// dot, as temporary files and those of file systems (.nfs..., .snapshot) do, or has a slash, a backslash or a control character.
func Check(name string) error {
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }
	if name == "" || len(name) > Max || name[0] == '.' || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("object name %.250q: %w", name, fs.ErrInvalid)
	}
	return nil
}
