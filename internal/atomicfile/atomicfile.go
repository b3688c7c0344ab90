package atomicfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrSymlink is matched by errors of [Write] and [Publish] when the name they should write is a symbolic link.
var ErrSymlink = errors.New("is a symbolic link")

// ErrNotRegular is matched by errors of [Write] when the name to replace is neither absent nor a regular file.
var ErrNotRegular = errors.New("is not a regular file")

// Write makes data the content of the file at path, at once and durably. A new file gets exactly the mode perm,
// whatever the umask. An existing one keeps its mode, owner and group; if they cannot be kept (the owner is
// another user and the process may not give files away), Write fails and the old file stays.
func Write(path string, data []byte, perm fs.FileMode) error {
	err := inParent(path, func(d *os.Root, name string) error {
		old, err := writable(d, name)
		if err != nil {
			return err
		}
		keep := func(f *os.File) error { return setModeAndOwner(f, old, perm) }
		tmp, _, err := writeTemp(d, name, copyOf(bytes.NewReader(data), false), keep)
		if err != nil {
			return err
		}
		if err := do(StepRename, func() error { return d.Rename(tmp, name) }); err != nil {
			return errors.Join(err, d.Remove(tmp))
		}
		return SyncIn(d)
	})
	return wrap("write", path, err)
}

// Publish creates the file at path with the content of r and the mode perm, at once and durably, and returns
// the number of bytes. It never replaces: if the name exists when the content is complete, the error matches
// [fs.ErrExist] and the existing file is untouched. Of several concurrent calls for one name exactly one wins.
// An error from r ends the call with that error, and nothing appears.
func Publish(path string, r io.Reader, perm fs.FileMode) (int64, error) {
	var n int64
	err := inParent(path, func(d *os.Root, name string) (err error) {
		n, err = PublishIn(d, name, r, perm)
		return err
	})
	return n, wrap("publish", path, err)
}

// PublishIn is [Publish] for a name inside an open directory. The whole sequence happens in that directory,
// even if another one is moved or mounted over its path meanwhile.
func PublishIn(d *os.Root, name string, r io.Reader, perm fs.FileMode) (int64, error) {
	return publishIn(d, name, copyOf(r, false), perm)
}

// PublishSparseIn is [PublishIn] for a file that nobody will ever write to: long runs of zeros in it take no room on the disk, and
// no time. Writing into such a hole later could fail for want of room, so it is not for a file that a server may reuse.
func PublishSparseIn(d *os.Root, name string, r io.Reader, perm fs.FileMode) (int64, error) {
	return publishIn(d, name, copyOf(r, true), perm)
}

func publishIn(d *os.Root, name string, write content, perm fs.FileMode) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	mode := func(f *os.File) error { return setModeAndOwner(f, nil, perm) }
	tmp, n, err := writeTemp(d, name, write, mode)
	if err != nil {
		return n, err
	}
	if err := do(StepLink, func() error { return linkNoReplace(d, tmp, name) }); err != nil {
		return n, errors.Join(err, removeIfThere(d, tmp))
	}
	if err := do(StepUnlinkTemp, func() error { return removeIfThere(d, tmp) }); err != nil {
		return n, err
	}
	return n, SyncIn(d)
}

// Remove removes the file (or empty directory) at path and makes that durable. A name that is not there is an
// error that matches [fs.ErrNotExist].
func Remove(path string) error {
	err := inParent(path, func(d *os.Root, name string) error {
		if err := do(StepRemove, func() error { return d.Remove(name) }); err != nil {
			return err
		}
		return SyncIn(d)
	})
	return wrap("remove", path, err)
}

// Rename gives the file or directory at oldPath the name newPath, durably, in the same file system. It never
// replaces: if newPath exists, the error matches [fs.ErrExist] and both stay. A symbolic link is renamed itself.
//
// Where the file system cannot rename without replacing (NFS, for one), a file is linked and unlinked, and a
// directory renamed after a look; rename(2) itself then still refuses anything but an empty directory.
func Rename(oldPath, newPath string) error {
	if err := Move(oldPath, newPath); err != nil {
		return err
	}
	oldDir, newDir := filepath.Dir(filepath.Clean(oldPath)), filepath.Dir(filepath.Clean(newPath))
	if err := SyncDir(newDir); err != nil {
		return err
	}
	if oldDir == newDir {
		return nil
	}
	return SyncDir(oldDir)
}

// Move is [Rename] without making it durable: after a power loss the file may have either name. It is for a file whose owner does not
// count on it before that is done otherwise, and can get it again.
func Move(oldPath, newPath string) error {
	err := do(StepRename, func() error { return renameNoReplace(filepath.Clean(oldPath), filepath.Clean(newPath)) })
	if err != nil {
		return fmt.Errorf("rename %s to %s: %w", oldPath, newPath, err)
	}
	return nil
}

// SyncDir makes the names in the directory at path durable.
func SyncDir(path string) error {
	d, err := os.OpenRoot(path)
	if err != nil {
		return wrap("sync directory", path, err)
	}
	defer d.Close()
	return wrap("sync directory", path, SyncIn(d))
}

// SyncIn makes the names in an open directory durable. Like the server (fsync_fname_ext in fd.c) it accepts
// that some file systems cannot sync a directory.
func SyncIn(d *os.Root) error {
	return do(StepSyncDir, func() error {
		f, err := d.Open(".")
		if err != nil {
			return err
		}
		defer f.Close()
		err = f.Sync()
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EBADF) {
			return nil
		}
		return err
	})
}

// SyncFileIn makes the file called name and its directory entry durable. It is for a caller who finds a file
// that somebody else wrote, perhaps without getting as far as the fsync, and is about to rely on it.
func SyncFileIn(d *os.Root, name string) error {
	err := do(StepSync, func() error {
		f, err := d.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer is an error of Sync then, and no wait
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return SyncIn(d)
}

// Sweep removes temporary files that a killed process left in d and that were not written since before.
// It returns their names.
func Sweep(d *os.Root, before time.Time) ([]string, error) {
	entries, err := fs.ReadDir(d.FS(), ".")
	if err != nil {
		return nil, err
	}
	var swept []string
	var errs []error
	for _, e := range entries {
		if !IsTemp(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
			continue // gone meanwhile, not ours, or possibly still being written
		}
		if err := d.Remove(e.Name()); err != nil {
			errs = append(errs, err)
			continue
		}
		swept = append(swept, e.Name())
	}
	return swept, errors.Join(errs...)
}

const tempMark = ".tmp-"

// IsTemp reports whether a file of this name is one of this package's temporary files.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.LastIndex(name, tempMark) > 1
}

// TempName returns a new name for the temporary file of one that shall be called name.
func TempName(name string) string { return "." + name + tempMark + rand.Text()[:16] }

// content writes what belongs into a new file.
type content func(*os.File) (int64, error)

// writeTemp returns the name of a temporary file that holds all of its content, synced and closed. On an error it has
// removed the file.
func writeTemp(d *os.Root, name string, write content, prepare func(*os.File) error) (string, int64, error) {
	tmp := TempName(name)
	var f *os.File
	err := do(StepCreate, func() (err error) {
		f, err = d.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return "", 0, err
	}
	n, err := fill(f, write, prepare)
	if err != nil {
		return "", n, errors.Join(err, d.Remove(tmp))
	}
	return tmp, n, nil
}

// fill writes, prepares, syncs and closes f; f is closed in every case.
func fill(f *os.File, write content, prepare func(*os.File) error) (n int64, err error) {
	defer f.Close() // for the early returns; closing twice does no harm
	err = do(StepWrite, func() (err error) {
		n, err = write(f)
		return err
	})
	if err != nil {
		return n, err
	}
	if err := do(StepMode, func() error { return prepare(f) }); err != nil {
		return n, err
	}
	if err := do(StepSync, f.Sync); err != nil {
		return n, err
	}
	err = do(StepClose, f.Close)
	return n, err
}

// writable says what stands at name: nil for nothing, a regular file's facts, or an error.
func writable(d *os.Root, name string) (fs.FileInfo, error) {
	info, err := d.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, ErrSymlink
	case !info.Mode().IsRegular():
		return nil, ErrNotRegular
	}
	return info, nil
}

// setModeAndOwner gives f the mode and owner of old, or perm if there is no old file. The owner comes first:
// chown clears the set-id bits.
func setModeAndOwner(f *os.File, old fs.FileInfo, perm fs.FileMode) error {
	if old == nil {
		return f.Chmod(perm)
	}
	want, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return f.Chmod(old.Mode())
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if have, ok := now.Sys().(*syscall.Stat_t); !ok || have.Uid != want.Uid || have.Gid != want.Gid {
		if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
			return fmt.Errorf("keep owner: %w", err)
		}
	}
	return f.Chmod(old.Mode())
}

// linkNoReplace makes tmp visible as name too, unless name exists.
func linkNoReplace(d *os.Root, tmp, name string) error {
	err := d.Link(tmp, name)
	switch {
	case err == nil, sameFile(d, tmp, name): // a network file system may have linked and lost the answer
		return nil
	case errors.Is(err, fs.ErrExist):
		return existing(d, name, err)
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return moveNoReplace(d, tmp, name, err) // no hard links here
	}
	return err
}

func existing(d *os.Root, name string, err error) error {
	if info, statErr := d.Lstat(name); statErr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return errors.Join(err, ErrSymlink)
	}
	return err
}

func moveNoReplace(d *os.Root, tmp, name string, linkErr error) error {
	dir, err := d.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := renameat2NoReplace(int(dir.Fd()), tmp, int(dir.Fd()), name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		return errors.Join(linkErr, err)
	}
	return nil
}

func renameNoReplace(oldPath, newPath string) error {
	err := renameat2NoReplace(atFDCWD, oldPath, atFDCWD, newPath)
	if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return renameByLink(oldPath, newPath)
}

// renameByLink is renameNoReplace for file systems that do not know renameat2's flag.
func renameByLink(oldPath, newPath string) error {
	info, err := os.Lstat(oldPath)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if err := os.Link(oldPath, newPath); err != nil {
			return err
		}
		return os.Remove(oldPath)
	}
	if _, err := os.Lstat(newPath); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, &fs.PathError{Op: "rename", Path: newPath, Err: fs.ErrExist})
	}
	return os.Rename(oldPath, newPath)
}

func sameFile(d *os.Root, a, b string) bool {
	ai, aErr := d.Lstat(a)
	bi, bErr := d.Lstat(b)
	return aErr == nil && bErr == nil && os.SameFile(ai, bi)
}

func removeIfThere(d *os.Root, name string) error {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// inParent calls f with the open directory of path and the last element.
func inParent(path string, f func(d *os.Root, name string) error) error {
	dir, name := filepath.Split(path)
	if err := checkName(name); err != nil {
		return err
	}
	if dir == "" {
		dir = "."
	}
	d, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(d, name)
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, filepath.Separator) {
		return &fs.PathError{Op: "name", Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}
