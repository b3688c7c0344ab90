//go:build unix

package recovery

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// giveAway gives a new file to the owner of its folder, if that is somebody else: a file of root's the server could not read.
func giveAway(name string) error {
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	if err := os.Lchown(name, int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("give the file to the owner of its folder: %w", err)
	}
	return nil
}

// mayOwn reports whether this process can write a new file in the place of one, and with its owner.
func mayOwn(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return !ok || os.Geteuid() == 0 || int(owner.Uid) == os.Geteuid()
}
