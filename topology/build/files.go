package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology/host"
)

// machine is the file system of a machine for [pgconf.Load]. What was read once is not asked for again.
type machine struct {
	ctx  context.Context //nolint:containedctx // [fs.FS] has no place for it, and a machine does not outlive the call it is made for
	host host.Host
	seen map[string]content
}

type content struct {
	data []byte
	err  error
}

func newMachine(ctx context.Context, h host.Host) machine {
	return machine{ctx, h, map[string]content{}}
}

// ReadFile implements [fs.ReadFileFS].
func (m machine) ReadFile(name string) ([]byte, error) {
	c, ok := m.seen[name]
	if !ok {
		c.data, c.err = m.host.ReadFile(m.ctx, "/"+name)
		m.seen[name] = c
	}
	return c.data, c.err
}

// Open implements [fs.FS]; there is nothing to read from what it returns.
func (m machine) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// Stat implements [fs.StatFS]: what can be read is a file.
func (m machine) Stat(name string) (fs.FileInfo, error) {
	data, err := m.ReadFile(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return fileInfo{path.Base(name), int64(len(data))}, nil
}

// ReadDir implements [fs.ReadDirFS], where the host can list.
func (m machine) ReadDir(name string) ([]fs.DirEntry, error) {
	lister, ok := m.host.(recovery.Lister)
	if !ok {
		return nil, &fs.PathError{Op: "list", Path: name, Err: recovery.ErrNoList}
	}
	names, err := lister.ReadDir(m.ctx, "/"+name)
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: name, Err: err}
	}
	slices.Sort(names)
	var entries []fs.DirEntry
	for _, name := range names {
		entries = append(entries, fs.FileInfoToDirEntry(fileInfo{name, 0}))
	}
	return entries, nil
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

// loadConf reads the configuration of a server.
func loadConf(ctx context.Context, h host.Host, s recovery.Server) (*pgconf.Config, error) {
	main := s.ConfigFile
	if main == "" {
		main = path.Join(s.DataDir, "postgresql.conf")
	}
	return pgconf.Load(newMachine(ctx, h), main, pgconf.Options{Major: s.Major, DataDir: s.DataDir})
}

// writeConf writes what edits have changed, each file atomically.
func writeConf(ctx context.Context, h host.Host, c *pgconf.Config) error {
	for _, change := range c.Changed() {
		if err := h.WriteFile(ctx, change.File, change.After, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", change.File, err)
		}
	}
	return nil
}

// pause waits, or returns why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
