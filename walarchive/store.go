package walarchive

import (
	"context"
	"io"
)

// Store keeps named, immutable objects. All methods are safe for concurrent use, by several processes too, and
// a Store sees one and the same place from its construction on: a place that disappears (an unmounted disk, a
// deleted bucket) makes its methods fail, it does not turn into another, empty place.
//
// Package storetest holds the tests that every Store must pass.
type Store interface {
	// Create stores the content of r under name, completely or not at all, and returns nil only when no crash
	// can undo it. It never replaces: if name exists, whoever made it, the error matches [fs.ErrExist], the
	// object is unchanged, and it is durable from then on, even if its maker died before making it so. Of
	// several concurrent calls for one name exactly one succeeds. If r or ctx fails, no object appears.
	// Create may return fs.ErrExist without reading r.
	Create(ctx context.Context, name string, r io.Reader) error

	// Open reads the object called name. The error matches [fs.ErrNotExist] if there is none, and only
	// then as far as the Store can tell. A read after ctx ended may fail with its error.
	Open(ctx context.Context, name string) (io.ReadCloser, error)

	// List returns the names of all objects, in no particular order.
	List(ctx context.Context) ([]string, error)

	// Remove removes the named objects. One that does not exist is no error. Remove goes on after a failure
	// and returns all of them.
	Remove(ctx context.Context, names []string) error
}
