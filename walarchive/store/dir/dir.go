// Package dir keeps a WAL archive in a directory of a file system, local or shared.
//
// Each archived file lies in the directory under its own name, byte for byte: to restore without this project,
// use "restore_command = 'cp DIR/%f %p'". Beside them lie the marker (walarchive.MarkerName, a text file that
// names the cluster) and, while a push runs or after one was killed, temporary files named ".NAME.tmp-…", which
// [Store.Sweep] removes when they are old. Files have mode 0600.
//
// The directory must exist; Open never makes it. Put it one level below the mount point of a disk or share
// (/mnt/backup/archive, not /mnt/backup): if nothing is mounted there it is missing, and pushes fail until it is
// back, instead of filling the wrong disk.
//
// The file system must have hard links or, on Linux, renameat2 with RENAME_NOREPLACE: one of them publishes a
// file without ever replacing one. Symbolic links that lead out of the directory are not followed.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// Store is a directory as a walarchive.Store. It holds the directory open: if another file system is
// mounted over the path or it is renamed, the Store keeps to what it opened.
type Store struct{ root *os.Root }

// Open opens the directory at path, which must exist.
func Open(path string) (*Store, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open archive directory: %w", err)
	}
	return &Store{root: root}, nil
}

// Close releases the directory. The Store's methods fail afterwards.
func (s *Store) Close() error { return s.root.Close() }

// Create implements walarchive.Store.
func (s *Store) Create(ctx context.Context, name string, r io.Reader) error {
	if err := objname.Check(name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, err := s.root.Lstat(name); err == nil {
		return s.exists(name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	src := &source{ctx: ctx, r: r}
	_, err := atomicfile.PublishIn(s.root, name, src, 0o600)
	if src.err == nil && errors.Is(err, fs.ErrExist) {
		return s.exists(name)
	}
	return err
}

// source is the reader of a Create: it fails when ctx ends, also while it is saying io.EOF, and remembers why it failed, which may look
// like an error of the file system.
type source struct {
	ctx context.Context
	r   io.Reader
	err error // nil for io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := ctxio.Reader(s.ctx, s.r).Read(p)
	if err == io.EOF && s.ctx.Err() == nil {
		return n, err
	}
	if err == io.EOF {
		err = context.Cause(s.ctx)
	}
	s.err = err
	return n, err
}

// exists makes sure of a file whose maker may have died before its fsync.
func (s *Store) exists(name string) error {
	if err := atomicfile.SyncFileIn(s.root, name); err != nil {
		return fmt.Errorf("make the existing %s durable: %w", name, err)
	}
	return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
}

// Open implements walarchive.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	info, err := s.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// List implements walarchive.Store. It leaves out temporary files and directories.
func (s *Store) List(ctx context.Context) ([]string, error) {
	d, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		entries, err := d.ReadDir(1000)
		for _, e := range entries {
			if !e.IsDir() && objname.Check(e.Name()) == nil {
				names = append(names, e.Name())
			}
		}
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Details implements walarchive.Store.
func (s *Store) Details(ctx context.Context, names []string) ([]walarchive.Details, error) {
	details := make([]walarchive.Details, 0, len(names))
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		info, err := s.root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			details = append(details, walarchive.Details{Name: name, Size: -1})
		case err != nil:
			return nil, err
		default:
			details = append(details, walarchive.Details{Name: name, Size: info.Size(), Modified: info.ModTime()})
		}
	}
	return details, nil
}

// String is the directory's path.
func (s *Store) String() string { return s.root.Name() }

// Remove implements walarchive.Store.
func (s *Store) Remove(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, atomicfile.SyncIn(s.root))...)
}

// Sweep removes temporary files that a killed push left and that were not written since before. Leave pushes that
// may still be running ample time.
func (s *Store) Sweep(before time.Time) error {
	_, err := atomicfile.Sweep(s.root, before)
	return err
}
