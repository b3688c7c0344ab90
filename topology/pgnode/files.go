package pgnode

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology/host"
)

// files are those of a machine, for package recovery. What the data directory is to hold lies in another folder while it is not in
// place yet: at is that folder, or the data directory itself.
type files struct {
	host    host.Host
	dataDir string
	at      string
}

var (
	_ recovery.Files  = files{}
	_ recovery.Lister = files{}
)

// files returns the files of the server as they will be when folder at is in the place of the data directory.
func (n *Node) files(at string) files { return files{n.cfg.Host, n.cfg.DataDir, at} }

// path returns where a file lies now.
func (f files) path(name string) string {
	if rest, below := strings.CutPrefix(name, f.dataDir+"/"); below {
		return path.Join(f.at, rest)
	}
	return name
}

// ReadFile implements [recovery.Files].
func (f files) ReadFile(ctx context.Context, name string) ([]byte, error) {
	return f.host.ReadFile(ctx, f.path(name))
}

// WriteFile implements [recovery.Files].
func (f files) WriteFile(ctx context.Context, name string, data []byte, perm fs.FileMode) error {
	return f.host.WriteFile(ctx, f.path(name), data, perm)
}

// Remove implements [recovery.Files].
func (f files) Remove(ctx context.Context, name string) error {
	return f.host.Remove(ctx, f.path(name))
}

// listFilesScript prints what folder $1 holds, but for folders in it; a link that leads nowhere counts.
const listFilesScript = `cd -- "$1" || exit
for f in * .[!.]* ..?*; do
	if [ -d "$f" ]; then continue; fi
	if [ -e "$f" ] || [ -L "$f" ]; then printf '%s\n' "$f"; fi
done
exit 0`

// ReadDir implements [recovery.Lister].
func (f files) ReadDir(ctx context.Context, name string) ([]string, error) {
	there, err := f.host.Exists(ctx, f.path(name))
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	r, err := f.host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", listFilesScript, "sh", f.path(name)}, Env: []string{"LC_ALL=C"}})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	return linesOf(string(r.Stdout)), nil
}

// fileSystem is files as packages pgconf and hba read them.
type fileSystem struct {
	ctx   context.Context //nolint:containedctx // [fs.FS] has no place for it, and it does not outlive the call it is made for
	files files
}

var (
	_ fs.ReadFileFS = fileSystem{}
	_ fs.StatFS     = fileSystem{}
	_ fs.ReadDirFS  = fileSystem{}
)

// Open implements [fs.FS]; there is nothing to read from what it returns.
func (f fileSystem) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
}

// ReadFile implements [fs.ReadFileFS].
func (f fileSystem) ReadFile(name string) ([]byte, error) {
	return f.files.ReadFile(f.ctx, "/"+name)
}

// Stat implements [fs.StatFS]: what can be read is a file.
func (f fileSystem) Stat(name string) (fs.FileInfo, error) {
	data, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return fileInfo{path.Base(name), int64(len(data))}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (f fileSystem) ReadDir(name string) ([]fs.DirEntry, error) {
	names, err := f.files.ReadDir(f.ctx, "/"+name)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var entries []fs.DirEntry
	for _, name := range names {
		entries = append(entries, fs.FileInfoToDirEntry(fileInfo{name, 0}))
	}
	return entries, nil
}

// linesOf returns the lines that a script printed, without empty ones.
func linesOf(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
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
