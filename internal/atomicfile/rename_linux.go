package atomicfile

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

const (
	atFDCWD         = -100
	renameNoReplFlg = 1 // RENAME_NOREPLACE, linux/fs.h
)

// renameat2 is newer than the frozen tables of package syscall; the numbers are those of the kernel's
// arch/*/syscalls tables.
var renameat2Number = map[string]uintptr{
	"386": 353, "amd64": 316, "arm": 382, "arm64": 276, "loong64": 276,
	"ppc64": 357, "ppc64le": 357, "riscv64": 276, "s390x": 347,
}[runtime.GOARCH]

// renameat2NoReplace renames and refuses to replace, in one step. ENOSYS (which matches
// errors.ErrUnsupported) or EINVAL means that kernel or file system cannot.
func renameat2NoReplace(oldDir int, oldName string, newDir int, newName string) error {
	if renameat2Number == 0 {
		return syscall.ENOSYS
	}
	from, err := syscall.BytePtrFromString(oldName)
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(newName)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(renameat2Number, uintptr(oldDir), uintptr(unsafe.Pointer(from)),
		uintptr(newDir), uintptr(unsafe.Pointer(to)), renameNoReplFlg, 0)
	if errno != 0 {
		return &os.LinkError{Op: "renameat2", Old: oldName, New: newName, Err: errno}
	}
	return nil
}
