package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// Config says where the archive is. Only Path is needed.
type Config struct {
	// Path is the directory. It must exist (see [Ensure]).
	Path string
	// Mount is the mount point of the file system that must hold Path, such as /mnt/backup; it may be Path itself. Empty means that
	// nothing is checked. What is mounted there is told by its device number, so a bind mount from the file system around it does
	// not count.
	Mount string
	// Mode is the mode of new files. Zero means 0600. A group that only reads, such as that of a backup program, needs 0640.
	Mode fs.FileMode
}

// Store is a directory as a walarchive.Store. It holds the directory open. When its path leads elsewhere later, because the directory
// was moved or removed, or something was mounted over it or unmounted, then what is stored where nobody looks would be lost, and
// what is not there would mean nothing: Create, List, Remove and every miss are an error then, and a new Store is needed.
type Store struct {
	path string
	mode fs.FileMode
	self fs.FileInfo // of the directory

	mu   sync.Mutex
	root *os.Root

	fault func() error // for tests: what each access to the directory fails with
}

// Open opens the directory at path, which must exist.
func Open(path string) (*Store, error) { return OpenWith(Config{Path: path}) }

// OpenWith opens the directory that cfg describes.
func OpenWith(cfg Config) (*Store, error) {
	path, err := filepath.Abs(cfg.Path) // the process may change its working directory
	if err != nil {
		return nil, fmt.Errorf("open archive directory: %w", err)
	}
	mode := cmp.Or(cfg.Mode, 0o600)
	if mode&^fs.ModePerm != 0 || mode&0o600 != 0o600 {
		return nil, fmt.Errorf("Mode: %v: the owner must read and write, and only permission bits can be given", mode)
	}
	root, err := os.OpenRoot(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open archive directory: %w", err)
	}
	s := &Store{path: path, mode: mode, root: root}
	if s.self, err = root.Stat("."); err == nil && cfg.Mount != "" {
		err = checkMount(cfg.Mount, cfg.Path, s.self)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open archive directory: %w", err), root.Close())
	}
	return s, nil
}

// checkMount makes sure that a directory is in the file system mounted at mount.
func checkMount(mount, path string, dir fs.FileInfo) error {
	at, err := os.Stat(mount)
	if err != nil {
		return fmt.Errorf("Mount: %w", err)
	}
	above, err := os.Stat(filepath.Join(mount, ".."))
	if err != nil {
		return fmt.Errorf("Mount: %w", err)
	}
	switch {
	case device(at) == device(above) && !os.SameFile(at, above): // only / is its own parent
		return fmt.Errorf("Mount: nothing is mounted at %s", mount)
	case device(dir) != device(at):
		return fmt.Errorf("Mount: %s is not in the file system mounted at %s", path, mount)
	}
	return nil
}

func device(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev) //nolint:unconvert // a different type elsewhere
	}
	return 0
}

// Ensure makes the directory cfg.Path with mode 0700, durably, unless it is there; its parent must be, and cfg.Mount is checked before. It
// is for setting an archive up, not for every start: a directory that is missing later is on a disk that is not mounted.
func Ensure(cfg Config) error {
	parent := filepath.Dir(filepath.Clean(cfg.Path))
	if info, err := os.Stat(cfg.Path); err == nil && info.IsDir() {
		return nil
	}
	info, err := os.Stat(parent)
	if err == nil && cfg.Mount != "" {
		err = checkMount(cfg.Mount, parent, info)
	}
	if err == nil {
		err = os.Mkdir(cfg.Path, 0o700)
	}
	if err == nil {
		err = atomicfile.SyncDir(parent)
	}
	if err != nil {
		return fmt.Errorf("make archive directory: %w", err)
	}
	return nil
}

// Close releases the directory. The Store's methods fail afterwards.
func (s *Store) Close() error { return s.current().Close() }

// String is the directory's path.
func (s *Store) String() string { return s.path }

func (s *Store) current() *os.Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root
}

// with calls f with the directory, and once more if the directory's handle was stale and the same directory could be opened again, as
// after a restart of an NFS server.
func (s *Store) with(f func(d *os.Root) error) error {
	d := s.current()
	err := s.try(d, f)
	if !errors.Is(err, syscall.ESTALE) {
		return err
	}
	if d, err = s.reopen(d); err != nil {
		return err
	}
	return s.try(d, f)
}

func (s *Store) try(d *os.Root, f func(d *os.Root) error) error {
	if s.fault != nil {
		if err := s.fault(); err != nil {
			return err
		}
	}
	return f(d)
}

// reopen replaces a stale handle, if the path leads to the same directory as ever.
func (s *Store) reopen(stale *os.Root) (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != stale {
		return s.root, nil // somebody else was faster
	}
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return nil, hideAbsence("the handle of the archive directory is stale", err)
	}
	if info, err := root.Stat("."); err != nil || !os.SameFile(info, s.self) {
		return nil, errors.Join(fmt.Errorf("the handle of the archive directory is stale, and %s is another directory now", s.path),
			err, root.Close())
	}
	s.root = root
	return root, stale.Close()
}

// hideAbsence is for errors that must not match fs.ErrNotExist, which is for objects.
func hideAbsence(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %v", what, err) //nolint:errorlint // on purpose
	}
	return fmt.Errorf("%s: %w", what, err)
}

// checkPlace is an error if the path does not lead to the open directory any more.
func (s *Store) checkPlace() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return hideAbsence("the archive directory is not where it was", err)
	}
	if !os.SameFile(info, s.self) {
		return fmt.Errorf("the archive directory %s is not the one that was opened: it was replaced, or something was mounted over it or unmounted", s.path)
	}
	return nil
}

// Create implements walarchive.Store.
func (s *Store) Create(ctx context.Context, name string, r io.Reader) error {
	if err := objname.Check(name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := s.with(func(d *os.Root) error { _, err := d.Lstat(name); return err })
	if err == nil {
		return s.exists(name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	src := &source{ctx: ctx, r: r}
	_, err = atomicfile.PublishSparseIn(s.current(), name, src, s.mode)
	switch {
	case src.err != nil:
		return err
	case err == nil:
		return s.checkPlace()
	case errors.Is(err, fs.ErrExist):
		return s.exists(name)
	case errors.Is(err, fs.ErrNotExist):
		return errors.Join(s.checkPlace(), err)
	}
	return s.explain(err)
}

// source is the reader of a Create: it fails when ctx ends, also while it is saying io.EOF, and remembers why it failed, which may look
// like an error of the file system.
type source struct {
	ctx context.Context //nolint:containedctx // of the call that it is made for
	r   io.Reader
	err error // nil for io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := ctxio.Reader(s.ctx, s.r).Read(p)
	if err == io.EOF { //nolint:errorlint // a wrapped one is not the end
		if s.ctx.Err() == nil {
			return n, err
		}
		err = context.Cause(s.ctx)
	}
	s.err = err
	return n, err
}

// exists makes sure of a file whose maker may have died before its fsync.
func (s *Store) exists(name string) error {
	if err := s.with(func(d *os.Root) error { return atomicfile.SyncFileIn(d, name) }); err != nil {
		return hideAbsence("make the existing "+name+" durable", err)
	}
	if err := s.checkPlace(); err != nil {
		return err
	}
	return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
}

// explain adds how much space there is to an error about too little.
func (s *Store) explain(err error) error {
	why := "is full"
	switch {
	case errors.Is(err, syscall.EDQUOT):
		why = "has a quota, which is used up"
	case !errors.Is(err, syscall.ENOSPC):
		return err
	}
	free, freeErr := s.free()
	if freeErr != nil {
		return errors.Join(err, freeErr)
	}
	return fmt.Errorf("the file system of %s %s (%d bytes free): %w", s.path, why, free, err)
}

// Open implements walarchive.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := objname.Check(name); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var f *os.File
	err := s.with(func(d *os.Root) (err error) {
		f, err = openRegular(d, name)
		if errors.Is(err, fs.ErrNotExist) {
			if moved := s.checkPlace(); moved != nil {
				return moved
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openRegular opens a file; to open a pipe might take for ever.
func openRegular(d *os.Root, name string) (*os.File, error) {
	info, err := d.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if link, linkErr := d.Lstat(name); linkErr == nil && link.Mode()&fs.ModeSymlink != 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("a symbolic link to what is not there")}
		}
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	return d.Open(name)
}

// List implements walarchive.Store. It leaves out temporary files, directories, and other files whose name no object can have.
func (s *Store) List(ctx context.Context) (names []string, err error) {
	err = s.with(func(d *os.Root) error {
		f, err := d.Open(".")
		if err != nil {
			return hideAbsence("list", err)
		}
		defer f.Close()
		names, err = listNames(ctx, d, f)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = s.checkPlace()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Details implements walarchive.Store.
func (s *Store) Details(ctx context.Context, names []string) (details []walarchive.Details, err error) {
	err = s.with(func(d *os.Root) error {
		details = make([]walarchive.Details, 0, len(names))
		for _, name := range names {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			one, err := detailsOf(d, name)
			if err == nil && one.Size < 0 {
				err = s.checkPlace()
			}
			if err != nil {
				return err
			}
			details = append(details, one)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return details, nil
}

func detailsOf(d *os.Root, name string) (walarchive.Details, error) {
	if err := objname.Check(name); err != nil {
		return walarchive.Details{}, err
	}
	info, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return walarchive.Details{Name: name, Size: -1}, nil
	}
	if err != nil {
		return walarchive.Details{}, err
	}
	return walarchive.Details{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Remove implements walarchive.Store.
func (s *Store) Remove(ctx context.Context, names []string) error {
	return s.with(func(d *os.Root) error {
		var errs []error
		for _, name := range names {
			if ctx.Err() != nil {
				errs = append(errs, context.Cause(ctx))
				break
			}
			err := objname.Check(name)
			if err == nil {
				err = d.Remove(name)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(append(errs, atomicfile.SyncIn(d), s.checkPlace())...)
	})
}

// Sweep removes temporary files that a killed push left and that were not written since before. Leave pushes that
// may still be running ample time.
func (s *Store) Sweep(ctx context.Context, before time.Time) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.with(func(d *os.Root) error { _, err := atomicfile.Sweep(d, before); return err })
}

// Free is the number of bytes that this user may still write to the file system, quotas aside.
func (s *Store) Free(ctx context.Context) (int64, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return s.free()
}

func (s *Store) free() (free int64, err error) {
	err = s.with(func(d *os.Root) error {
		f, err := d.Open(".")
		if err != nil {
			return hideAbsence("look at the file system", err)
		}
		defer f.Close()
		free, err = freeBytes(f)
		return err
	})
	return free, err
}
