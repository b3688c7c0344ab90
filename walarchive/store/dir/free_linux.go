package dir

import (
	"os"
	"syscall"
)

func freeBytes(f *os.File) (int64, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var st syscall.Statfs_t
	var statErr error
	if err := conn.Control(func(fd uintptr) { statErr = syscall.Fstatfs(int(fd), &st) }); err != nil {
		return 0, err
	}
	if statErr != nil {
		return 0, os.NewSyscallError("fstatfs", statErr)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // Bsize is narrower elsewhere
}
