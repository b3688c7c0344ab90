package basebackup

import (
	"errors"
	"os"
	"syscall"
)

// lock takes an exclusive lock on a file, which ends when the file is closed or the process ends. If somebody else has it the error
// is ErrBusy.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrBusy
	}
	return err
}
