package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Fetch copies the archived file called name to dst: what PostgreSQL passes as %f and %p. It gives one of three
// answers:
//
//   - nil: dst holds the complete file, verified like a pushed one and by its record, and synced.
//   - an [*AbsentError], which matches [fs.ErrNotExist]: this cluster's archive is there and does not hold name, in none of the targets.
//     Recovery takes that for the end of the archive, so no other failure looks like it.
//   - an [*UnknownError]: no answer. A target could not be read or is not marked as this cluster's
//     ([ErrNoMarker], [*ForeignArchiveError]), the archived copies are damaged, dst could not be written, or ctx ended.
//
// The targets are asked in order, and in each the copies, until one is good. Without the first answer dst is untouched. Fetch never
// replaces: PostgreSQL removes %p before it asks, and for anybody else a dst that exists is a mistake, an UnknownError that matches
// [fs.ErrExist].
func (a *Archive) Fetch(ctx context.Context, name, dst string) error {
	f, err := wal.ParseFileName(name)
	if err == nil {
		err = a.possible(f)
	}
	if err != nil {
		return &UnknownError{Name: name, Err: err}
	}
	ctx, cancel := a.limited(ctx)
	defer cancel()
	var errs []error
	for i, t := range a.targets {
		err := t.fetchInTime(ctx, f, dst, len(a.targets)-i)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, t.wrap(err))
		}
		if errors.As(err, new(*destinationError)) {
			break
		}
	}
	if len(errs) > 0 {
		return &UnknownError{Name: name, Err: errors.Join(errs...)}
	}
	return &AbsentError{Name: name}
}

// possible refuses names of segments that do not exist with the cluster's segment size.
func (a *Archive) possible(f wal.FileName) error {
	if f.Kind == wal.KindHistory {
		return nil
	}
	_, err := f.Segment(a.id.SegmentSize)
	return err
}

// fetchInTime is fetch with this target's share of the time that is left, so that one that does not answer leaves some for the others.
func (t *target) fetchInTime(ctx context.Context, f wal.FileName, dst string, share int) error {
	if end, ok := ctx.Deadline(); ok && share > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(share))
		defer cancel()
	}
	e := Event{Name: f.String(), Object: f.String(), Target: t.Name}
	start := time.Now()
	e.Err = t.fetch(ctx, f, dst, &e)
	e.Duration = time.Since(start)
	switch {
	case e.Err == nil:
		call(t.hooks.Fetched, e)
	case !errors.Is(e.Err, fs.ErrNotExist):
		e.Object = e.Name
		call(t.hooks.Failed, e)
	}
	return e.Err
}

// fetch tries the copies of f in this target. Only the proof that there is none matches [fs.ErrNotExist].
func (t *target) fetch(ctx context.Context, f wal.FileName, dst string, e *Event) error {
	if err := t.verifyOwner(ctx); err != nil {
		return notAbsent(err)
	}
	var errs []error
	for repair := range maxRepairs + 1 {
		e.Object = copyName(f, repair)
		err := t.fetchCopy(ctx, f, dst, e)
		switch {
		case err == nil, errors.As(err, new(*destinationError)):
			return err
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		case repair > 0: // if the damaged first one was removed, the one beside it is still there
			return t.noneGood(ctx, errs)
		}
	}
	return t.noneGood(ctx, errs)
}

// noneGood is the answer when no copy was good. That there was none is proof only if the archive is still there: the owner was verified
// before, and verifying again means that it did not go away in between.
func (t *target) noneGood(ctx context.Context, errs []error) error {
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := t.verifyOwner(ctx); err != nil {
		return notAbsent(err)
	}
	return fs.ErrNotExist
}

// destinationError says that it was the destination that failed, so that another copy would not help.
type destinationError struct{ error }

func (e *destinationError) Unwrap() error { return e.error }

// fetchCopy makes the file at dst of one object. Only an object that is not there gives an error that matches [fs.ErrNotExist].
func (t *target) fetchCopy(ctx context.Context, f wal.FileName, dst string, e *Event) error {
	r, err := t.open(ctx, e.Object, e.Name)
	if err != nil {
		if isDamage(err) {
			e.Err = err
			t.damaged(ctx, *e)
		}
		return err
	}
	defer r.Close()
	content, err := t.id.verified(f, r, false)
	if err == nil {
		c := &failedReader{r: ctxio.Reader(ctx, content)}
		if e.Size, err = atomicfile.Publish(dst, c, 0o600); err != nil && c.err == nil {
			return &destinationError{notAbsent(err)}
		}
	}
	if err == nil || !isBad(err) {
		return notAbsent(err)
	}
	e.Err = fmt.Errorf("%s: the archived copy is damaged or foreign: %w", e.Object, notAbsent(err))
	t.damaged(ctx, *e)
	return e.Err
}

// isBad reports whether err says that what was read is not the file, rather than that it could not be read.
func isBad(err error) bool {
	return isDamage(err) || errors.As(err, new(*SizeError)) || errors.As(err, new(*ContentError)) || errors.As(err, new(*wal.HeaderError)) ||
		errors.As(err, new(*wal.MismatchError)) || errors.As(err, new(*wal.ChainError)) || errors.As(err, new(*wal.SyntaxError))
}

// failedReader remembers that it was the source that failed.
type failedReader struct {
	r   io.Reader
	err error
}

func (f *failedReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
