package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/pgconf"
)

// Files reads and writes files on the machine that holds the data directory. [Disk] is the one for this machine.
type Files interface {
	// ReadFile returns the content; the error matches [fs.ErrNotExist] only if the file certainly is not there.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces the file atomically and durably, or leaves the old one. A file that is there keeps its mode.
	WriteFile(ctx context.Context, path string, data []byte, perm fs.FileMode) error
	// Remove deletes a file.
	Remove(ctx context.Context, path string) error
}

// Lister is what Files may be as well: then include_dir is followed.
type Lister interface {
	// ReadDir returns the names of what a folder holds, but for folders in it.
	ReadDir(ctx context.Context, path string) ([]string, error)
}

// Checker is what Files may be as well: then all files are looked at before the first one is written.
type Checker interface {
	// CheckWrite returns an error if WriteFile would refuse the file, as far as that can be seen before.
	CheckWrite(ctx context.Context, path string) error
}

// Server says where a server's files lie.
type Server struct {
	// DataDir is the absolute path of the data directory.
	DataDir string

	// Major is the server's, for who wants to be sure: if it is not that in the file PG_VERSION, nothing is done. Zero means to take
	// what stands there.
	Major pgconf.Major

	// ConfigFile is the absolute path of the main configuration file. Empty means postgresql.conf in DataDir. In Debian's
	// packages it is /etc/postgresql/17/main/postgresql.conf.
	ConfigFile string

	// Args are the arguments with which postgres is started, without the program's name. They overrule every file.
	Args []string
}

// path returns the path of a file in the data directory.
func (s Server) path(name string) string { return path.Join(s.DataDir, name) }

// main returns the path of the main configuration file.
func (s Server) main() string {
	if s.ConfigFile != "" {
		return path.Clean(s.ConfigFile)
	}
	return s.path("postgresql.conf")
}

// Disk is the [Files], [Lister] and [Checker] of this machine. A new file belongs to the owner of the folder it is in, if this process may
// give files away.
type Disk struct{}

// ReadFile implements [Files]. What is neither a file nor a folder is an error: a pipe could be waited for without end.
func (Disk) ReadFile(_ context.Context, name string) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is not a regular file")}
	}
	return os.ReadFile(name)
}

// WriteFile implements [Files].
func (Disk) WriteFile(_ context.Context, name string, data []byte, perm fs.FileMode) error {
	_, err := os.Lstat(name)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err := atomicfile.Write(name, data, perm); err != nil {
		return err
	}
	if isNew {
		return giveAway(name)
	}
	return nil
}

// CheckWrite implements [Checker]; what it refuses is a [*DataDirError].
func (Disk) CheckWrite(_ context.Context, name string) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return &DataDirError{name, "it is a symbolic link, through which nothing is written: put the file in its place or, if it is " +
			"the main configuration file, name as ConfigFile what it leads to"}
	case !mayOwn(info):
		return &DataDirError{name, "it belongs to another user, so it could not be replaced: run this as its owner or as root"}
	}
	return nil
}

// Remove implements [Files].
func (Disk) Remove(_ context.Context, name string) error { return atomicfile.Remove(name) }

// ReadDir implements [Lister].
func (Disk) ReadDir(_ context.Context, name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if info, err := os.Stat(path.Join(name, e.Name())); err != nil || !info.IsDir() { // a link that leads nowhere counts
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ErrNoList is matched by the problem that include_dir cannot be followed, because the [Files] are no [Lister].
var ErrNoList = errors.New("folders cannot be listed on that machine")

// view is the file system of a machine for [pgconf.Load], with files that are yet to be written.
type view struct {
	ctx     context.Context //nolint:containedctx // [fs.FS] has no place for it, and a view does not outlive the call it is made for
	files   Files
	planned map[string]*[]byte // by path; nil for one that is not there
}

func (v view) read(name string) ([]byte, error) {
	if data, ok := v.planned[name]; ok && data != nil {
		return *data, nil
	} else if ok {
		return nil, fs.ErrNotExist
	}
	return v.files.ReadFile(v.ctx, name)
}

func (v view) with(name string, data *[]byte) view {
	planned := map[string]*[]byte{name: data}
	for name, data := range v.planned {
		if _, ok := planned[name]; !ok {
			planned[name] = data
		}
	}
	return view{v.ctx, v.files, planned}
}

// ReadFile implements [fs.ReadFileFS].
func (v view) ReadFile(name string) ([]byte, error) {
	data, err := v.read("/" + name)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// Open implements [fs.FS]; there is nothing to read from what it returns.
func (v view) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// Stat implements [fs.StatFS]: what can be read is a file.
func (v view) Stat(name string) (fs.FileInfo, error) {
	data, err := v.read("/" + name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return fileInfo{path.Base(name), int64(len(data))}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (v view) ReadDir(name string) ([]fs.DirEntry, error) {
	l, ok := v.files.(Lister)
	if !ok {
		return nil, &fs.PathError{Op: "list", Path: name, Err: ErrNoList}
	}
	names, err := l.ReadDir(v.ctx, "/"+name)
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: name, Err: err}
	}
	for planned, data := range v.planned {
		if data != nil && path.Dir(planned) == path.Clean("/"+name) {
			names = append(names, path.Base(planned))
		}
	}
	var entries []fs.DirEntry
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			entries = append(entries, fs.FileInfoToDirEntry(fileInfo{name, 0}))
		}
		seen[name] = true
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// exists reports whether a file is there.
func (v view) exists(name string) (bool, error) {
	_, err := v.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}

// fileInfo is what there is to know of a file that could be read.
type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string     { return i.name }
func (i fileInfo) Size() int64      { return i.size }
func (fileInfo) Mode() fs.FileMode  { return 0o600 }
func (fileInfo) ModTime() time.Time { return time.Time{} }
func (fileInfo) IsDir() bool        { return false }
func (fileInfo) Sys() any           { return nil }
