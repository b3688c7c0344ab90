package dir

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// listBuffer is how much of a directory is read at a time: some 5,000 segments.
const listBuffer = 256 << 10

// listNames reads the names of objects in the directory f, which is d. It reads the records of getdents64(2) itself: os.File.ReadDir
// takes three times as long for many names.
func listNames(ctx context.Context, d *os.Root, f *os.File) (names []string, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, listBuffer)
	for ctx.Err() == nil {
		var n int
		var readErr error
		if err := conn.Control(func(fd uintptr) { n, readErr = getdents(int(fd), buf) }); err != nil {
			return nil, err
		}
		if readErr != nil {
			return nil, os.NewSyscallError("getdents64", readErr)
		}
		if n == 0 {
			return names, nil
		}
		if names, err = appendObjects(names, buf[:n], d); err != nil {
			return nil, err
		}
	}
	return nil, context.Cause(ctx)
}

func getdents(fd int, buf []byte) (n int, err error) {
	for {
		if n, err = syscall.ReadDirent(fd, buf); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// The layout of struct linux_dirent64, see getdents64(2).
const (
	direntLen  = 16 // uint16
	direntType = 18 // uint8
	direntName = 19 // up to a zero byte
)

var errDirent = errors.New("the kernel's answer to getdents64 is damaged")

func appendObjects(names []string, records []byte, d *os.Root) ([]string, error) {
	text := string(records) // one allocation for all names
	for at := 0; at < len(records); {
		r := records[at:]
		if len(r) <= direntName {
			return nil, errDirent
		}
		size := int(binary.NativeEndian.Uint16(r[direntLen:]))
		if size <= direntName || size > len(r) {
			return nil, errDirent
		}
		end := bytes.IndexByte(r[direntName:size], 0)
		if end < 0 {
			return nil, errDirent
		}
		name := text[at+direntName : at+direntName+end]
		if isFile(d, r[direntType], name) && objname.Check(name) == nil {
			names = append(names, name)
		}
		at += size
	}
	return names, nil
}

// isFile reports whether a directory entry can be an object. Some file systems do not tell its type.
func isFile(d *os.Root, kind byte, name string) bool {
	if kind == syscall.DT_UNKNOWN {
		info, err := d.Lstat(name)
		return err == nil && info.Mode()&(fs.ModeType&^fs.ModeSymlink) == 0
	}
	return kind == syscall.DT_REG || kind == syscall.DT_LNK
}
