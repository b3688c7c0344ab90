package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
)

// Later returns the store at a URL without opening it: that is done by the first call that needs it, and by the next one if it failed. So one
// place of several can be out of reach, at first or for long, and the others serve. What is wrong with the URL itself is an error at once.
//
// The error of a place that cannot be opened never matches [fs.ErrNotExist]: a directory that is missing is not one without the object.
func Later(rawURL string, options Options) (Store, error) {
	p, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	l := &later{name: p.name(rawURL), open: func(ctx context.Context) (Store, error) { return p.open(ctx, options) }, turn: make(chan struct{}, 1)}
	return l, nil
}

// name is what a place is called until it is open. A URL that was parsed holds no secret.
func (p place) name(rawURL string) string {
	if p.dir != "" {
		return p.dir
	}
	return rawURL
}

// later is a store that is opened when it is used.
type later struct {
	name string
	open func(context.Context) (Store, error)
	turn chan struct{} // whoever fills it has the fields below
	s    Store         // nil while it is not open
}

// store opens the store if it is not open.
func (l *later) store(ctx context.Context) (Store, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if l.s != nil {
		return l.s, nil
	}
	s, err := l.open(ctx)
	if err != nil {
		return nil, closed(err)
	}
	l.s = s
	return s, nil
}

// closed hides that an error matches [fs.ErrNotExist] or [fs.ErrExist], which say something of objects.
func closed(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return errors.New(err.Error())
	}
	return err
}

func (l *later) Create(ctx context.Context, name string, r io.Reader) error {
	s, err := l.store(ctx)
	if err != nil {
		return err
	}
	return s.Create(ctx, name, r)
}

func (l *later) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	s, err := l.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, name)
}

func (l *later) List(ctx context.Context) ([]string, error) {
	s, err := l.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.List(ctx)
}

func (l *later) Details(ctx context.Context, names []string) ([]walarchive.Details, error) {
	s, err := l.store(ctx)
	if err != nil {
		return nil, err
	}
	return s.Details(ctx, names)
}

func (l *later) Remove(ctx context.Context, names []string) error {
	s, err := l.store(ctx)
	if err != nil {
		return err
	}
	return s.Remove(ctx, names)
}

func (l *later) Sweep(ctx context.Context, before time.Time) error {
	s, err := l.store(ctx)
	if err != nil {
		return err
	}
	return s.Sweep(ctx, before)
}

// Free is how many bytes can still be written, or [errors.ErrUnsupported] from a store that cannot tell.
func (l *later) Free(ctx context.Context) (int64, error) {
	s, err := l.store(ctx)
	if err != nil {
		return 0, err
	}
	if f, ok := s.(interface {
		Free(ctx context.Context) (int64, error)
	}); ok {
		return f.Free(ctx)
	}
	return 0, fmt.Errorf("free space of %v: %w", s, errors.ErrUnsupported)
}

func (l *later) Close() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.s == nil {
		return nil
	}
	return l.s.Close()
}

func (l *later) String() string { return l.name }
