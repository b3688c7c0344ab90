package walarchive

import (
	"context"
	"io"
	"time"
)

// Store keeps named, immutable objects. All methods are safe for concurrent use, by several processes too, and
// a Store sees one and the same place from its construction on: a place that disappears (an unmounted disk, a
// deleted bucket) makes its methods fail, it does not turn into another, empty place. No method waits for ever:
// a Store that talks to a network has a deadline for every operation besides ctx.
//
// Package storetest holds the tests that every Store must pass.
type Store interface {
	// Create stores the content of r under name, completely or not at all, and returns nil only when no crash
	// can undo it. It never replaces: if name exists, whoever made it, the error matches [fs.ErrExist], the
	// object is unchanged, and it is durable from then on, even if its maker died before making it so. Of
	// several concurrent calls for one name exactly one succeeds. If r or ctx fails, no object appears.
	// Create may return fs.ErrExist without reading r. It reads r to its end, io.EOF, before the object can
	// be seen, so a reader may hold the object back by its last Read, or refuse it with an error there.
	Create(ctx context.Context, name string, r io.Reader) error

	// Open reads the object called name. The error matches [fs.ErrNotExist] if there is none, and only
	// then as far as the Store can tell. A read after ctx ended may fail with its error.
	Open(ctx context.Context, name string) (io.ReadCloser, error)

	// List returns the names of all objects, in no particular order. It is fast: a hundred thousand names of a
	// local directory take well under a tenth of a second.
	List(ctx context.Context) ([]string, error)

	// Details returns what is known of the named objects, in their order. One that does not exist has Size -1.
	Details(ctx context.Context, names []string) ([]Details, error)

	// Remove removes the named objects. One that does not exist is no error. Remove goes on after a failure
	// and returns all of them.
	Remove(ctx context.Context, names []string) error

	// String says where the objects are, for messages. It holds no secret.
	String() string
}

// Details are the facts about an object that its Store knows without reading it.
type Details struct {
	Name     string
	Size     int64     // bytes in the store, or -1 if there is no such object
	Modified time.Time // when it was stored, by the store's clock
}
