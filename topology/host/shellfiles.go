package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// shellFiles does file work on a machine where only commands can be run, with sh and the core utilities. Paths and sizes
// are positional arguments of fixed scripts, contents travel through standard input and output.
type shellFiles struct {
	runner interface {
		Run(ctx context.Context, c Cmd) (Result, error)
	}
}

// sh runs a script with LC_ALL=C, so that the utilities' messages end with the C library's English error texts.
func (s shellFiles) sh(ctx context.Context, op, file, script string, stdin []byte, args ...string) ([]byte, error) {
	if !path.IsAbs(file) {
		return nil, pathError(op, file, errors.New("path is not absolute"))
	}
	c := Cmd{Path: "sh", Args: append([]string{"-c", script, "sh"}, args...), Env: []string{"LC_ALL=C"}}
	if stdin != nil {
		c.Stdin = bytes.NewReader(stdin)
	}
	res, err := s.runner.Run(ctx, c)
	if err != nil {
		return nil, pathError(op, file, withErrno(err))
	}
	return res.Stdout, nil
}

func (s shellFiles) ReadFile(ctx context.Context, file string) ([]byte, error) {
	return s.sh(ctx, "read", file, `exec cat -- "$1"`, nil, file)
}

// checkScript says why file, of which dir is the directory, cannot be replaced.
const checkScript = `set -eu
dir=$1 name=$2
file=$dir/$name
no() { printf '%s\n' "$1" >&2; exit 1; }
[ -L "$file" ] && no "$file: Too many levels of symbolic links"
[ -d "$file" ] && no "$file: Is a directory"
[ -e "$file" ] && [ ! -f "$file" ] && no "$file: Invalid argument"
`

// checkWriteScript says, after checkScript, what mktemp and chown would say.
const checkWriteScript = checkScript + `
stat -L -- "$dir" >/dev/null
[ -w "$dir" ] && [ -x "$dir" ] || no "$dir: Permission denied"
[ ! -e "$file" ] || [ -O "$file" ] || [ "$(id -u)" = 0 ] || no "$file: Operation not permitted"
`

func (s shellFiles) CheckWrite(ctx context.Context, file string) error {
	dir, name := path.Split(path.Clean(file))
	_, err := s.sh(ctx, "write", file, checkWriteScript, nil, path.Clean(dir), name)
	return err
}

// readDirScript follows links, so that one to a directory is left out. The slash makes find refuse what is no directory.
const readDirScript = `exec find "$1/" -mindepth 1 -maxdepth 1 ! -xtype d -printf '%f\0'`

func (s shellFiles) ReadDir(ctx context.Context, dir string) ([]string, error) {
	out, err := s.sh(ctx, "list", dir, readDirScript, nil, path.Clean(dir))
	if err != nil {
		return nil, err
	}
	names := strings.Split(string(out), "\x00")
	names = names[:len(names)-1]
	slices.Sort(names)
	return names, nil
}

// writeScript checks the size before it renames: if the connection breaks, cat sees the end of its input too early.
const writeScript = checkScript + `mode=$3 size=$4
tmp=$(mktemp -- "$dir/.$name.tmp-XXXXXXXXXXXXXXXX")
trap 'rm -f -- "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$tmp"
got=$(wc -c <"$tmp")
if [ "$got" -ne "$size" ]; then echo "got $got of $size bytes" >&2; exit 1; fi
if [ -e "$file" ]; then
	chown --reference="$file" -- "$tmp"
	chmod --reference="$file" -- "$tmp"
else
	chmod -- "$mode" "$tmp"
fi
sync -- "$tmp"
mv -fT -- "$tmp" "$file"
trap - EXIT
sync -- "$dir"
`

func (s shellFiles) WriteFile(ctx context.Context, file string, data []byte, perm fs.FileMode) error {
	dir, name := path.Split(path.Clean(file))
	if data == nil {
		data = []byte{} // an empty file still needs an input that ends
	}
	_, err := s.sh(ctx, "write", file, writeScript, data,
		path.Clean(dir), name, fmt.Sprintf("%04o", unixMode(perm)), fmt.Sprint(len(data)))
	return err
}

// renameScript compares the device numbers, because mv copies where it cannot rename.
const renameScript = `set -eu
old=$1 new=$2 olddir=$3 newdir=$4
if [ -e "$new" ] || [ -L "$new" ]; then echo "$new: File exists" >&2; exit 1; fi
from=$(stat -c %d -- "$old")
for d in "$olddir" "$newdir"; do
	if [ "$(stat -Lc %d -- "$d")" != "$from" ]; then echo "$new: Invalid cross-device link" >&2; exit 1; fi
done
failed=
mv -nT -- "$old" "$new" || failed=1
if [ -e "$old" ] || [ -L "$old" ]; then
	[ -n "$failed" ] && [ ! -e "$new" ] || echo "$new: File exists" >&2
	exit 1
fi
sync -- "$newdir"
sync -- "$olddir"
`

func (s shellFiles) Rename(ctx context.Context, oldPath, newPath string) error {
	if !path.IsAbs(newPath) {
		return pathError("rename", newPath, errors.New("path is not absolute"))
	}
	oldPath, newPath = path.Clean(oldPath), path.Clean(newPath)
	_, err := s.sh(ctx, "rename", oldPath, renameScript, nil, oldPath, newPath, path.Dir(oldPath), path.Dir(newPath))
	return err
}

// mkdirScript makes one directory after the other with the mode, because mkdir -p -m gives it to the last one only.
const mkdirScript = `set -eu
mode=$1; shift
for d in "$@"; do
	[ -d "$d" ] || mkdir -m "$mode" -- "$d" || [ -d "$d" ]
done
`

func (s shellFiles) MkdirAll(ctx context.Context, dir string, perm fs.FileMode) error {
	args := []string{fmt.Sprintf("%04o", unixMode(perm))}
	var todo []string
	for d := path.Clean(dir); d != "/" && d != "."; d = path.Dir(d) {
		todo = append([]string{d}, todo...)
	}
	_, err := s.sh(ctx, "mkdir", dir, mkdirScript, nil, append(args, todo...)...)
	return err
}

const removeScript = `set -eu
if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir -- "$1"; else rm -- "$1"; fi
sync -- "$2"
`

func (s shellFiles) Remove(ctx context.Context, file string) error {
	file = path.Clean(file)
	_, err := s.sh(ctx, "remove", file, removeScript, nil, file, path.Dir(file))
	return err
}

func (s shellFiles) Exists(ctx context.Context, file string) (bool, error) {
	_, err := s.sh(ctx, "stat", file, `exec stat -- "$1"`, nil, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

func unixMode(perm fs.FileMode) uint32 { return uint32(perm.Perm()) }

func pathError(op, file string, err error) error {
	return &fs.PathError{Op: op, Path: file, Err: err}
}

// errnos are the error texts of the C library (glibc and musl) that callers decide on.
var errnos = []struct {
	text string
	no   syscall.Errno
}{
	{"No such file or directory", syscall.ENOENT},
	{"Permission denied", syscall.EACCES},
	{"Operation not permitted", syscall.EPERM},
	{"Not a directory", syscall.ENOTDIR},
	{"Is a directory", syscall.EISDIR},
	{"File exists", syscall.EEXIST},
	{"Directory not empty", syscall.ENOTEMPTY},
	{"No space left on device", syscall.ENOSPC},
	{"Read-only file system", syscall.EROFS},
	{"Device or resource busy", syscall.EBUSY},
	{"Resource busy", syscall.EBUSY},
	{"Invalid cross-device link", syscall.EXDEV},
	{"Cross-device link", syscall.EXDEV},
	{"Too many levels of symbolic links", syscall.ELOOP},
	{"Symbolic link loop", syscall.ELOOP},
	{"Invalid argument", syscall.EINVAL},
}

// errnoError joins the command's failure with the error number that its message names.
type errnoError struct {
	error
	no syscall.Errno
}

func (e errnoError) Unwrap() []error { return []error{e.error, e.no} }

// withErrno makes an ExitError of a core utility match the error number that ends a line of its message.
func withErrno(err error) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	for line := range strings.Lines(exit.Stderr) {
		line = strings.TrimSpace(line)
		for _, e := range errnos {
			if strings.HasSuffix(line, ": "+e.text) {
				return errnoError{err, e.no}
			}
		}
	}
	return err
}
