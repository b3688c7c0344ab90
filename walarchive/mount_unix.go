//go:build unix

package walarchive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// checkMountPoint fails unless another file system than its parent's is mounted at path. A bind mount within one file system is not
// seen.
func checkMountPoint(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	own, err := os.Stat(path)
	if err != nil {
		return err
	}
	parent, err := os.Stat(filepath.Join(path, ".."))
	if err != nil {
		return err
	}
	if !own.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	o, okOwn := own.Sys().(*syscall.Stat_t)
	p, okParent := parent.Sys().(*syscall.Stat_t)
	if !okOwn || !okParent {
		return errors.ErrUnsupported
	}
	if o.Dev == p.Dev && o.Ino != p.Ino { // the root is its own parent
		return fmt.Errorf("%s is not a mount point: what is written there goes to the disk of its parent", path)
	}
	return nil
}
