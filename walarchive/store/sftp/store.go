package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// Store is a directory on a server as a walarchive.Store. It keeps one connection, which all calls share, and makes a new one
// when it is lost.
type Store struct {
	cfg Config
	dir string // absolute

	dialling chan struct{} // holds a token while somebody connects
	mu       sync.Mutex
	current  *session
	closed   bool

	beforeLink func(tmp string) // for tests
}

// session is a connection and what it leads to.
type session struct {
	*conn
	links bool // hardlink@openssh.com is offered
	syncs bool // fsync@openssh.com is offered, for directories, too
}

var errClosed = errors.New("it was closed")

// Open connects and finds the archive's directory, which must exist.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, dir: cfg.Path, dialling: make(chan struct{}, 1)}
	n, err := s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", s, err)
	}
	s.current = n
	return s, nil
}

// Ensure makes the directory cfg.Path with mode 0700, durably, unless it is there; its parent must be. It is for setting an
// archive up, not for every start: a directory that is missing later is on a disk that is not mounted.
func Ensure(ctx context.Context, cfg Config) error {
	cfg, err := cfg.filled()
	if err != nil {
		return err
	}
	c, err := connect(ctx, cfg)
	if err != nil {
		return fmt.Errorf("%v: %w", cfg, err)
	}
	defer c.end(errClosed)
	if info, err := ask(ctx, c, func() (fs.FileInfo, error) { return c.Stat(cfg.Path) }); err == nil && info.IsDir() {
		return nil
	}
	err = c.do(ctx, func() error { return c.Mkdir(cfg.Path) })
	if err == nil {
		err = c.do(ctx, func() error { return c.Chmod(cfg.Path, 0o700) })
	}
	if _, syncs := c.HasExtension("fsync@openssh.com"); err == nil && syncs {
		err = c.syncFile(ctx, path.Dir(strings.TrimRight(cfg.Path, "/")))
	}
	if err != nil {
		return fmt.Errorf("make %v: %w", cfg, err)
	}
	return nil
}

// Close ends the connection. The Store's methods fail afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.current != nil {
		s.current.end(errClosed)
	}
	return nil
}

// String is the place as a URL.
func (s *Store) String() string { return s.cfg.String() }

// dial makes a new connection and looks at what it leads to.
func (s *Store) dial(ctx context.Context) (*session, error) {
	c, err := connect(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	n, err := s.enter(ctx, c)
	if err != nil {
		c.end(errClosed)
		return nil, err
	}
	return n, nil
}

func (s *Store) enter(ctx context.Context, c *conn) (_ *session, err error) {
	n := &session{conn: c}
	if !path.IsAbs(s.dir) {
		if s.dir, err = ask(ctx, c, func() (string, error) { return c.RealPath(s.dir) }); err != nil {
			return nil, fmt.Errorf("find %s: %w", s.cfg.Path, err)
		}
	}
	if err := n.checkDir(ctx, s.dir); err != nil {
		return nil, err
	}
	_, n.links = c.HasExtension("hardlink@openssh.com")
	_, n.syncs = c.HasExtension("fsync@openssh.com")
	if n.syncs {
		err := c.syncFile(ctx, s.dir)
		if isLost(err) || ctx.Err() != nil {
			return nil, err
		}
		n.syncs = err == nil
	}
	return n, nil
}

// checkDir makes sure that the archive's directory is there. Its error never matches fs.ErrNotExist, which is for objects.
func (n *session) checkDir(ctx context.Context, dir string) error {
	info, err := ask(ctx, n.conn, func() (fs.FileInfo, error) { return n.Stat(dir) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(dir)
	case err != nil:
		return fmt.Errorf("look at %s: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}

func missing(dir string) error {
	return fmt.Errorf("there is no directory %s: is the disk mounted?", dir)
}

// session returns the connection that there is, or a new one.
func (s *Store) session(ctx context.Context) (*session, error) {
	select {
	case s.dialling <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.dialling }()
	s.mu.Lock()
	n, closed := s.current, s.closed
	s.mu.Unlock()
	if closed {
		return nil, errors.New("the store is closed")
	}
	if n.ready(ctx) == nil {
		return n, nil
	}
	n, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		n.end(errClosed)
	}
	s.current = n
	return n, nil
}

// run runs f, which must be idempotent, and once more if the connection was lost meanwhile, but not if the server fell silent.
func (s *Store) run(ctx context.Context, f func(n *session) error) error {
	for again := false; ; again = true {
		n, err := s.session(ctx)
		if err != nil {
			return err
		}
		if err = f(n); !isLost(err) || again || isSilence(err) {
			return err
		}
	}
}

// wrap says which object of which place an error is about.
func (s *Store) wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s in %v: %w", op, name, s, err)
}

func (s *Store) path(name string) string { return path.Join(s.dir, name) }
