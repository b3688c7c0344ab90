package sftp

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// parallel is how many requests about single objects are on their way at once.
const parallel = 32

// manyNames is from how many objects on it is cheaper to ask for the whole directory.
const manyNames = 1000

// List implements walarchive.Store. It leaves out directories, temporary files, and others whose name no object can have.
func (s *Store) List(ctx context.Context) ([]string, error) {
	entries, err := s.readDir(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if isObject(e) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func isObject(e fs.FileInfo) bool {
	const foreign = fs.ModeType &^ fs.ModeSymlink
	return e.Mode()&foreign == 0 && objname.Check(e.Name()) == nil
}

func (s *Store) readDir(ctx context.Context) (entries []fs.FileInfo, err error) {
	err = s.run(ctx, func(n *session) error {
		entries, err = ask(ctx, n.conn, func() ([]fs.FileInfo, error) { return n.ReadDirContext(ctx, s.dir) })
		if errors.Is(err, fs.ErrNotExist) {
			return missing(s.dir)
		}
		return err
	})
	return entries, s.wrap("list", "objects", err)
}

// Details implements walarchive.Store.
func (s *Store) Details(ctx context.Context, names []string) ([]walarchive.Details, error) {
	for _, name := range names {
		if err := objname.Check(name); err != nil {
			return nil, err
		}
	}
	details := make([]walarchive.Details, len(names))
	if len(names) > manyNames {
		return details, s.detailsOfMany(ctx, names, details)
	}
	err := s.run(ctx, func(n *session) error {
		errs := inParallel(names, func(i int) error {
			info, err := n.lstat(ctx, s.path(names[i]))
			if errors.Is(err, fs.ErrNotExist) {
				info, err = nil, nil
			}
			details[i] = detailsOf(names[i], info)
			return err
		})
		if slices.ContainsFunc(details, func(d walarchive.Details) bool { return d.Size < 0 }) {
			errs = append(errs, n.checkDir(ctx, s.dir))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return nil, s.wrap("look at", "objects", err)
	}
	return details, nil
}

func (s *Store) detailsOfMany(ctx context.Context, names []string, details []walarchive.Details) error {
	entries, err := s.readDir(ctx)
	if err != nil {
		return err
	}
	byName := make(map[string]fs.FileInfo, len(entries))
	for _, e := range entries {
		byName[e.Name()] = e
	}
	for i, name := range names {
		details[i] = detailsOf(name, byName[name])
	}
	return nil
}

func detailsOf(name string, info fs.FileInfo) walarchive.Details {
	if info == nil {
		return walarchive.Details{Name: name, Size: -1}
	}
	return walarchive.Details{Name: name, Size: info.Size(), Modified: info.ModTime()}
}

// inParallel calls f for each index of names, and returns all errors.
func inParallel(names []string, f func(i int) error) (errs []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := make(chan int)
	for range min(parallel, len(names)) {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	wg.Wait()
	return errs
}

// Remove implements walarchive.Store.
func (s *Store) Remove(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := objname.Check(name); err != nil {
			return err
		}
	}
	err := s.run(ctx, func(n *session) error {
		errs := inParallel(names, func(i int) error {
			if n.ready(ctx) == nil {
				return n.remove(ctx, s.path(names[i]))
			}
			return nil // said once, below
		})
		if err := n.ready(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		return errors.Join(append(errs, s.syncFolder(ctx, n))...)
	})
	return s.wrap("remove", "objects", err)
}

// remove removes a file that may not be there.
func (n *session) remove(ctx context.Context, path string) error {
	err := n.do(ctx, func() error { return n.Client.Remove(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Sweep removes temporary files that a killed push or a broken connection left and that were not written since before, by the
// server's clock. Leave pushes that may still be running ample time.
func (s *Store) Sweep(ctx context.Context, before time.Time) error {
	entries, err := s.readDir(ctx)
	if err != nil {
		return err
	}
	var old []string
	for _, e := range entries {
		if e.Mode().IsRegular() && atomicfile.IsTemp(e.Name()) && e.ModTime().Before(before) {
			old = append(old, e.Name())
		}
	}
	err = s.run(ctx, func(n *session) error {
		return errors.Join(inParallel(old, func(i int) error { return n.remove(ctx, s.path(old[i])) })...)
	})
	return s.wrap("sweep", "temporary files", err)
}

// Free is the number of bytes that this user may still write to the server's file system. The server must offer
// statvfs@openssh.com.
func (s *Store) Free(ctx context.Context) (free int64, err error) {
	err = s.run(ctx, func(n *session) error {
		free, err = n.free(ctx, s.dir)
		return err
	})
	return free, s.wrap("free space of", "the file system", err)
}

func (n *session) free(ctx context.Context, dir string) (int64, error) {
	return ask(ctx, n.conn, func() (int64, error) {
		v, err := n.StatVFS(dir)
		if err != nil {
			return 0, err
		}
		return int64(v.Bavail * v.Frsize), nil
	})
}
