package walarchive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// PushReceived archives the beginning of a segment that is still being received: upto bytes of r, of which the pages must be the
// segment's. It is no archived file, and only [Archive.FetchUnfinished] gives it back. Shorter beginnings of the segment are removed
// after it is safe. The same beginning may be pushed again.
//
// It is encoded as the target says, but never without compression, so that it has its record. With several targets, r should be an
// [io.ReaderAt]; else it is read into memory.
func (a *Archive) PushReceived(ctx context.Context, segment string, upto uint32, r io.Reader) error {
	f, err := wal.ParseFileName(segment)
	if err != nil {
		return err
	}
	seg, err := f.Segment(a.id.SegmentSize)
	if err != nil {
		return err
	}
	if f.Kind != wal.KindSegment || upto < wal.SegmentHeaderSize || upto > a.id.SegmentSize {
		return fmt.Errorf("beginning of %s: want a segment and %d to %d bytes", segment, wal.SegmentHeaderSize, a.id.SegmentSize)
	}
	again, err := rereadable(r, upto, len(a.targets))
	if err != nil {
		return err
	}
	object := Object{Kind: ObjectReceived, File: f, Upto: upto}
	return a.everywhere(ctx, func(ctx context.Context, t *target) error {
		chain := wal.NewChain(wal.ChainConfig{Segment: seg, SystemID: a.id.SystemID, SegmentSize: a.id.SegmentSize, Unfinished: true})
		return t.pushReceived(ctx, object, io.TeeReader(&wholeReader{again(), int64(upto)}, chain))
	})
}

// rereadable returns a function that returns a new reader of r's first n bytes, times times.
func rereadable(r io.Reader, n uint32, times int) (func() io.Reader, error) {
	if times == 1 {
		return func() io.Reader { return io.LimitReader(r, int64(n)) }, nil
	}
	if at, ok := r.(io.ReaderAt); ok {
		return func() io.Reader { return io.NewSectionReader(at, 0, int64(n)) }, nil
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	return func() io.Reader { return bytes.NewReader(b) }, err
}

// wholeReader fails if r ends before left more bytes were read.
type wholeReader struct {
	r    io.Reader
	left int64
}

func (w *wholeReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.left -= int64(n); err == io.EOF && w.left > 0 {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (t *target) pushReceived(ctx context.Context, object Object, r io.Reader) error {
	if err := t.claim(ctx); err != nil {
		return err
	}
	encoding := t.Encoding
	if encoding.Compression == codec.None {
		encoding.Compression, encoding.Level = codec.LZ4, 0
	}
	enc, err := codec.Encode(object.String(), r, encoding)
	if err != nil {
		return err
	}
	defer enc.Close()
	if err := t.Store.Create(ctx, object.String(), enc); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("archive %v: %w", object, err)
	}
	received, err := t.received(ctx, object.File)
	if err != nil {
		return err
	}
	received = slices.DeleteFunc(received, func(o Object) bool { return o.Upto >= object.Upto })
	names := make([]string, 0, len(received))
	for _, o := range received {
		names = append(names, o.String())
	}
	if len(names) == 0 {
		return nil
	}
	return t.Store.Remove(ctx, names)
}

// received returns the beginnings of a segment that the target has, the longest first.
func (t *target) received(ctx context.Context, f wal.FileName) ([]Object, error) {
	names, err := t.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	var found []Object
	for _, name := range names {
		if o, err := ParseObject(name); err == nil && o.Kind == ObjectReceived && o.File == f {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b Object) int { return int(int64(b.Upto) - int64(a.Upto)) })
	return found, nil
}

// FetchUnfinished is [Archive.Fetch] for a recovery that wants the very last WAL there is: of a segment that is proven absent it
// gives what was received of it, or its .partial file, whichever has more WAL, with zeros up to the segment's size. To a server, that is
// a segment in which the WAL ends. Never use it while another server still writes the segment, nor in a standby's restore_command:
// the complete segment would not be asked for again. Nor for a recovery to a newer timeline that left this one in the segment: what is given
// may go beyond that point.
func (a *Archive) FetchUnfinished(ctx context.Context, name, dst string) error {
	err := a.Fetch(ctx, name, dst)
	f, nameErr := wal.ParseFileName(name)
	if !errors.As(err, new(*AbsentError)) || nameErr != nil || f.Kind != wal.KindSegment {
		return err
	}
	ctx, cancel := a.limited(ctx)
	defer cancel()
	candidates, listErr := a.unfinished(ctx, f)
	if listErr != nil {
		return &UnknownError{Name: name, Err: listErr}
	}
	var errs []error
	for _, c := range candidates {
		fetchErr := c.t.fetchUnfinished(ctx, f, c.object, dst)
		if fetchErr == nil {
			return nil
		}
		errs = append(errs, c.t.wrap(fetchErr))
	}
	if len(errs) > 0 {
		return &UnknownError{Name: name, Err: errors.Join(errs...)}
	}
	return err
}

// candidate is an object with some of a segment.
type candidate struct {
	t      *target
	object string
	bytes  int64
}

// unfinished returns what there is of a segment, the most WAL first.
func (a *Archive) unfinished(ctx context.Context, f wal.FileName) ([]candidate, error) {
	partial := f
	partial.Kind = wal.KindPartial
	var all []candidate
	for _, t := range a.targets {
		received, err := t.received(ctx, f)
		if err != nil {
			return nil, t.wrap(err)
		}
		for _, o := range received {
			all = append(all, candidate{t, o.String(), int64(o.Upto)})
		}
		sum, _, err := t.stored(ctx, partial.String(), codec.Record{Name: partial.String()})
		if err == nil {
			all = append(all, candidate{t, partial.String(), sum.Data})
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, t.wrap(err)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return int(b.bytes - a.bytes) })
	return all, nil
}

// fetchUnfinished makes the segment f at dst of an object with its beginning.
func (t *target) fetchUnfinished(ctx context.Context, f wal.FileName, object, dst string) error {
	start := time.Now()
	r, err := t.open(ctx, object, object)
	if err != nil {
		return notAbsent(err)
	}
	defer r.Close()
	partial := f
	partial.Kind = wal.KindPartial
	content, err := t.id.verified(partial, io.LimitReader(io.MultiReader(r, zeros{}), int64(t.id.SegmentSize)), false)
	if err != nil {
		return notAbsent(err)
	}
	n, err := atomicfile.Publish(dst, ctxio.Reader(ctx, content), 0o600)
	if err != nil {
		return notAbsent(err)
	}
	call(t.hooks.Fetched, Event{Name: f.String(), Object: object, Target: t.Name, Size: n, Duration: time.Since(start)})
	return nil
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Names returns the names of the archived files in all targets, sorted: segments, partial segments and histories. It fails if any
// target cannot tell.
func (a *Archive) Names(ctx context.Context) ([]string, error) {
	ctx, cancel := a.limited(ctx)
	defer cancel()
	var all []string
	for _, t := range a.targets {
		if err := t.verifyOwner(ctx); err != nil {
			return nil, t.wrap(err)
		}
		names, err := t.Store.List(ctx)
		if err != nil {
			return nil, t.wrap(err)
		}
		all = append(all, slices.DeleteFunc(names, func(n string) bool { _, err := wal.ParseFileName(n); return err != nil })...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
