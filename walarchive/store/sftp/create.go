package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// Uploads keep up to window chunks on their way, so that a long way does not slow them down. These are the bounds of their memory.
const (
	chunkSize = 256 << 10
	window    = 8
)

// Create implements walarchive.Store.
func (s *Store) Create(ctx context.Context, name string, r io.Reader) error {
	if err := objname.Check(name); err != nil {
		return err
	}
	there, err := s.there(ctx, name)
	if err != nil {
		return s.wrap("create", name, err)
	}
	if there {
		return s.exists(ctx, name)
	}
	n, err := s.session(ctx)
	if err != nil {
		return s.wrap("create", name, err)
	}
	tmp := atomicfile.TempName(name)
	if err := s.upload(ctx, n, tmp, r); err != nil {
		return s.wrap("create", name, errors.Join(s.explain(ctx, n, err), s.discard(ctx, tmp)))
	}
	if ctx.Err() != nil {
		return s.wrap("create", name, errors.Join(context.Cause(ctx), s.discard(ctx, tmp)))
	}
	// From here on the object may appear, so it has to be found out whether it did, whatever becomes of ctx.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.cfg.Timeout)
	defer cancel()
	return s.publish(ctx, n, tmp, name)
}

// there asks whether an object exists.
func (s *Store) there(ctx context.Context, name string) (there bool, err error) {
	err = s.run(ctx, func(n *session) error {
		there, err = n.there(ctx, s.path(name))
		return err
	})
	return there, err
}

func (n *session) there(ctx context.Context, path string) (bool, error) {
	_, err := n.lstat(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (n *session) lstat(ctx context.Context, path string) (fs.FileInfo, error) {
	return ask(ctx, n.conn, func() (fs.FileInfo, error) { return n.Lstat(path) })
}

// exists makes sure of an object whose maker may have died before making it durable.
func (s *Store) exists(ctx context.Context, name string) error {
	err := s.run(ctx, func(n *session) error {
		if !n.syncs {
			return n.unsynced(s.cfg)
		}
		if err := n.syncFile(ctx, s.path(name)); err != nil {
			return err
		}
		return s.syncFolder(ctx, n)
	})
	if err != nil {
		return s.wrap("make durable the existing", name, err)
	}
	return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
}

// unsynced is an error unless the configuration allows for a server that cannot make files durable.
func (n *session) unsynced(cfg Config) error {
	if cfg.Unsynced {
		return nil
	}
	return errors.New("the server does not offer fsync@openssh.com, so it cannot promise that a file survives a crash: see Config.Unsynced")
}

func (c *conn) syncFile(ctx context.Context, path string) error {
	f, err := ask(ctx, c, func() (*sftp.File, error) { return c.Open(path) })
	if err != nil {
		return err
	}
	defer c.closeLater(ctx, f)
	return c.do(ctx, f.Sync)
}

// closeLater closes a file without waiting for it.
func (c *conn) closeLater(ctx context.Context, f *sftp.File) {
	go func() { _ = c.do(context.WithoutCancel(ctx), f.Close) }()
}

// syncFolder makes the names in the archive durable.
func (s *Store) syncFolder(ctx context.Context, n *session) error {
	if !n.syncs {
		return nil
	}
	if err := n.syncFile(ctx, s.dir); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}

// upload makes the temporary file with all of r, durable.
func (s *Store) upload(ctx context.Context, n *session, tmp string, r io.Reader) error {
	f, err := ask(ctx, n.conn, func() (*sftp.File, error) {
		return n.OpenFile(s.path(tmp), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return missing(s.dir)
	}
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	if err = s.fill(ctx, n, f, r); err != nil {
		n.closeLater(ctx, f)
		return err
	}
	if err := n.do(ctx, f.Close); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

func (s *Store) fill(ctx context.Context, n *session, f *sftp.File, r io.Reader) error {
	if !n.syncs {
		if err := n.unsynced(s.cfg); err != nil {
			return err
		}
	}
	if err := n.do(ctx, func() error { return f.Chmod(s.cfg.Mode) }); err != nil {
		return fmt.Errorf("set the mode: %w", err)
	}
	if err := n.write(ctx, f, r); err != nil {
		return err
	}
	if !n.syncs {
		return nil
	}
	if err := n.do(ctx, f.Sync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// write copies r to f, several chunks at a time.
func (c *conn) write(ctx context.Context, f io.WriterAt, r io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	r = ctxio.Reader(ctx, r)
	free := make(chan []byte, window)
	for range window {
		free <- nil
	}
	for off := int64(0); ; {
		var buf []byte
		select {
		case buf = <-free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if buf == nil {
			buf = make([]byte, chunkSize)
		}
		n, err := fill(r, buf)
		if n > 0 {
			at := off
			off += int64(n)
			wg.Go(func() {
				if err := c.do(ctx, func() error { _, err := f.WriteAt(buf[:n], at); return err }); err != nil {
					cancel(fmt.Errorf("write: %w", err))
					return
				}
				free <- buf
			})
		}
		if err == io.EOF { //nolint:errorlint // a wrapped one is not the end of r
			wg.Wait()
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// fill reads until buf is full or r has ended, which is io.EOF and nothing else: an io.ErrUnexpectedEOF is r's own.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// discard removes a temporary file, also after the caller's ctx has ended. If it cannot, Sweep will: that is no error of its own if
// the connection is gone.
func (s *Store) discard(ctx context.Context, tmp string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.cfg.Timeout, 5*time.Second))
	defer cancel()
	err := s.run(ctx, func(n *session) error { return n.remove(ctx, s.path(tmp)) })
	if status := new(sftp.StatusError); errors.As(err, &status) {
		return fmt.Errorf("remove the temporary file %s: %w", tmp, err)
	}
	return nil
}

// publish gives the temporary file its name, unless there is one of this name, and makes that durable.
func (s *Store) publish(ctx context.Context, n *session, tmp, name string) error {
	if s.beforeLink != nil {
		s.beforeLink(tmp)
	}
	err := n.link(ctx, s.path(tmp), s.path(name))
	if isLost(err) && !isSilence(err) {
		err = s.linkAgain(ctx, tmp, name)
	}
	if err == nil {
		return s.wrap("create", name, s.finish(ctx, tmp))
	}
	there, thereErr := s.there(ctx, name)
	discardErr := s.discard(ctx, tmp)
	if there {
		return s.exists(ctx, name)
	}
	if thereErr == nil && n.links && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("link (has the server's file system hard links?): %w", err)
	}
	return s.wrap("create", name, errors.Join(err, discardErr))
}

// link makes tmp visible as name, unless that is there. Where the server does not know hard links, it renames: SFTP's rename does not
// replace (draft-ietf-secsh-filexfer-02, 6.5).
func (n *session) link(ctx context.Context, tmp, name string) error {
	if n.links {
		return n.do(ctx, func() error { return n.Link(tmp, name) })
	}
	return n.do(ctx, func() error { return n.Rename(tmp, name) })
}

// linkAgain is for a link whose answer was lost: it finds out on a new connection what happened, and links if nothing did.
func (s *Store) linkAgain(ctx context.Context, tmp, name string) error {
	n, err := s.session(ctx)
	if err != nil {
		return err
	}
	tmpThere, err := n.there(ctx, s.path(tmp))
	if err != nil {
		return err
	}
	nameThere, err := n.there(ctx, s.path(name))
	switch {
	case err != nil:
		return err
	case !nameThere:
		return n.link(ctx, s.path(tmp), s.path(name))
	case !tmpThere: // renamed: nobody else takes our temporary file away
		return nil
	}
	same, err := n.sameFile(ctx, s.path(tmp), s.path(name))
	if err == nil && !same {
		err = fs.ErrExist
	}
	return err
}

// sameFile finds out whether a temporary file is linked as name, too: it changes the time of the one and looks at the other.
// SFTP shows neither inode numbers nor the number of links.
func (n *session) sameFile(ctx context.Context, tmp, name string) (bool, error) {
	before, err := n.lstat(ctx, name)
	if err != nil {
		return false, err
	}
	later := before.ModTime().Add(time.Second)
	if err := n.do(ctx, func() error { return n.Chtimes(tmp, later, later) }); err != nil {
		return false, err
	}
	after, err := n.lstat(ctx, name)
	return err == nil && after.ModTime().Equal(later), err
}

// finish makes the new name durable and removes the temporary one, at the same time. A temporary name that stays is for Sweep.
func (s *Store) finish(ctx context.Context, tmp string) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = s.discard(ctx, tmp) })
	return s.run(ctx, func(n *session) error { return s.syncFolder(ctx, n) })
}

// explain finds the reason of a failed write: the protocol has none.
func (s *Store) explain(ctx context.Context, n *session, err error) error {
	status := new(sftp.StatusError)
	if !errors.As(err, &status) || ctx.Err() != nil {
		return err
	}
	free, freeErr := n.free(ctx, s.dir)
	if freeErr == nil && free < window*chunkSize {
		return errors.Join(fmt.Errorf("the server has %d bytes of disk space left: %w", free, syscall.ENOSPC), err)
	}
	return err
}
