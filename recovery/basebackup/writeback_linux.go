package basebackup

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback makes the kernel begin to write a part of a file to disk. It waits for nothing, and promises nothing: what
// makes the file durable is fsync.
func startWriteback(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE) //nolint:gosec // a descriptor is small
}
