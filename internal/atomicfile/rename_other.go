//go:build !linux

package atomicfile

import "syscall"

const atFDCWD = -100

// renameat2NoReplace always says that it cannot; see rename_linux.go.
func renameat2NoReplace(int, string, int, string) error { return syscall.ENOSYS }
