package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Fetch copies the archived file called name to dst: what PostgreSQL passes as %f and %p. It gives one of three
// answers:
//
//   - nil: dst holds the complete file, verified like a pushed one, and synced.
//   - an [*AbsentError], which matches [fs.ErrNotExist]: this cluster's archive is there and does not hold name.
//     Recovery takes that for the end of the archive, so no other failure looks like it.
//   - an [*UnknownError]: no answer. The archive could not be read or is not marked as this cluster's
//     ([ErrNoMarker], [*ForeignArchiveError]), the archived copy is damaged, dst could not be written, or ctx ended.
//
// Without the first answer dst is untouched. Fetch never replaces: PostgreSQL removes %p before it asks, and for
// anybody else a dst that exists is a mistake, an UnknownError that matches [fs.ErrExist].
func (a *Archive) Fetch(ctx context.Context, name, dst string) error {
	f, err := wal.ParseFileName(name)
	if err != nil {
		return &UnknownError{Name: name, Err: err}
	}
	if err := a.verifyOwner(ctx); err != nil {
		return &UnknownError{Name: name, Err: err}
	}
	r, err := a.store.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return a.absent(ctx, name)
	}
	if err != nil {
		return &UnknownError{Name: name, Err: err}
	}
	defer r.Close()
	content, err := a.id.verified(f, ctxio.Reader(ctx, r))
	if err != nil {
		return &UnknownError{Name: name, Err: fmt.Errorf("the archived copy is damaged or foreign: %w", err)}
	}
	_, err = atomicfile.Publish(dst, content, 0o600)
	var size *SizeError
	switch {
	case errors.As(err, &size):
		return &UnknownError{Name: name, Err: fmt.Errorf("the archived copy is damaged: %w", size)}
	case err != nil:
		return &UnknownError{Name: name, Err: err}
	}
	return nil
}

// absent turns the store's "not there" into proof. The owner was verified before; verifying again after the
// miss means that the archive did not go away in between.
func (a *Archive) absent(ctx context.Context, name string) error {
	if err := a.verifyOwner(ctx); err != nil {
		return &UnknownError{Name: name, Err: err}
	}
	return &AbsentError{Name: name}
}
