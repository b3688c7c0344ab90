//go:build linux && (amd64 || arm64)

package atomicfile

import (
	"os"
	"syscall"
)

const syncFileRangeWrite = 2 // SYNC_FILE_RANGE_WRITE, linux/fs.h: begin to write the range, wait for nothing

// beginWriting is a hint: the sync that follows makes sure, and reports what goes wrong.
func beginWriting(f *os.File, offset, n int64) {
	_ = syscall.SyncFileRange(int(f.Fd()), offset, n, syncFileRangeWrite)
}
