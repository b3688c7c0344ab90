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

	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// push archives the file at path in this target, and tells the hooks how it went.
func (t *target) push(ctx context.Context, f wal.FileName, path string) error {
	src, err := t.id.openSource(f, path, t.checkRecords)
	if err != nil {
		return err
	}
	defer src.Close()
	e := Event{Name: f.String(), Object: f.String(), Target: t.Name}
	start := time.Now()
	if e.Err = t.claim(ctx); e.Err == nil {
		t.put(ctx, f, &src, &e)
	}
	e.Duration = time.Since(start)
	switch {
	case errors.As(e.Err, new(*ConflictError)):
		call(t.hooks.Conflict, e)
	case e.Err != nil:
		call(t.hooks.Failed, e)
	default:
		call(t.hooks.Pushed, e)
	}
	return e.Err
}

func call(hook func(Event), e Event) {
	if hook != nil {
		hook(e)
	}
}

// put writes f, or finds it there, and says in e how it went. A damaged copy makes it go on to the next name.
func (t *target) put(ctx context.Context, f wal.FileName, src *source, e *Event) {
	for repair := range maxRepairs + 1 {
		e.Object = copyName(f, repair)
		if e.Err = t.createOrCompare(ctx, f, src, e); !isDamage(e.Err) {
			if e.Err == nil && e.Stored > 0 && repair > 0 {
				t.log.WarnContext(ctx, "good copy written beside a damaged one", "target", t.Name, "object", e.Object)
				call(t.hooks.Repaired, *e)
			}
			return
		}
		t.damaged(ctx, *e)
		if e.Err = src.begin(t.id, f); e.Err != nil {
			return
		}
	}
	e.Err = fmt.Errorf("archive %s: %d damaged copies of it are there already; repair the store and remove them", f, maxRepairs+1)
}

func (t *target) damaged(ctx context.Context, e Event) {
	t.log.WarnContext(ctx, "archived copy is damaged", "target", t.Name, "object", e.Object, "error", e.Err)
	call(t.hooks.Damaged, e)
}

// createOrCompare makes the object e.Object of src, or finds out whether the one that is there is the same.
func (t *target) createOrCompare(ctx context.Context, f wal.FileName, src *source, e *Event) error {
	encoding := t.Encoding
	if f.Kind == wal.KindHistory || f.Kind == wal.KindBackup {
		encoding = codec.Encoding{Recipients: encoding.Recipients}
	}
	if err := t.create(ctx, src, encoding, e); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return t.compare(ctx, f, src, e)
}

// create makes the object e.Object of src, which is at its beginning. If the encoding has no room for the record, that is written when all of
// the object is, and before it can be seen.
func (t *target) create(ctx context.Context, src *source, encoding codec.Encoding, e *Event) error {
	enc, err := codec.Encode(e.Name, src.content, encoding)
	if err != nil {
		return err
	}
	defer enc.Close()
	r := &objectReader{enc: enc}
	if !encoding.CarriesRecord() {
		r.last = func(record codec.Record) error { return t.recordBefore(ctx, e.Object, record) }
	}
	if err := t.Store.Create(ctx, e.Object, r); err != nil {
		return fmt.Errorf("archive %s: %w", e.Name, err)
	}
	record, err := enc.Record()
	e.Size, e.Stored = record.Size, r.n
	return err
}

// objectReader counts what it gives, and calls last before it gives the end.
type objectReader struct {
	enc  *codec.Encoder
	last func(codec.Record) error
	n    int64
	err  error
}

func (r *objectReader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err = r.enc.Read(p)
	r.n += int64(n)
	if err == io.EOF && r.last != nil { //nolint:errorlint // one that wraps it is no end
		record, recordErr := r.enc.Record()
		if recordErr = errors.Join(recordErr, r.last(record)); recordErr != nil {
			err = recordErr
		}
	}
	r.err = err
	return n, err
}

// recordBefore writes the record of an object that is about to appear. If the object is there already, the record is not this one's
// business any more.
func (t *target) recordBefore(ctx context.Context, object string, record codec.Record) error {
	details, err := t.Store.Details(ctx, []string{object})
	if err != nil {
		return err
	}
	if details[0].Size >= 0 {
		return &fs.PathError{Op: "create", Path: object, Err: fs.ErrExist}
	}
	return t.writeRecord(ctx, object, record)
}

// writeRecord makes sure that record is among the records of an object. That another one is there is no conflict: whoever wrote it may have died
// before making the object, which alone decides.
func (t *target) writeRecord(ctx context.Context, object string, record codec.Record) error {
	names := recordNames(object)
	for _, name := range names {
		err := t.Store.Create(ctx, name, bytes.NewReader(record.Bytes()))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		old, err := t.readRecord(ctx, name)
		switch {
		case err != nil:
			return err
		case old == nil:
			return fmt.Errorf("%s disappeared", name)
		case old.SameContent(record):
			return nil
		}
	}
	return fmt.Errorf("archive %s: %d records of other contents are there, and perhaps none of the files: find out who else archives it, and remove %s",
		record.Name, len(names), names[0])
}

func (t *target) conflict(source string, pushed, stored codec.Record) error {
	e := &ConflictError{Name: pushed.Name, Source: source, SourceSize: pushed.Size, StoredSize: stored.Size,
		SourceSum: pushed.Sum(), StoredSum: stored.Sum()}
	if t.several {
		e.Target = t.Name
	}
	return e
}

// compare returns nil if the object e.Object has src's content, a [*ConflictError] if it has other content, and damage if it is damaged. Only
// an object that is not there gives an error that matches [fs.ErrNotExist].
func (t *target) compare(ctx context.Context, f wal.FileName, src *source, e *Event) error {
	if err := src.begin(t.id, f); err != nil {
		return notAbsent(err)
	}
	pushed, err := codec.Sum(e.Name, ctxio.Reader(ctx, src.content))
	if err != nil {
		return fmt.Errorf("compare with the archived %s: %w", e.Object, notAbsent(err))
	}
	e.Size = pushed.Size
	stored, recorded, err := t.stored(ctx, e.Object, pushed)
	switch {
	case err != nil:
		return fmt.Errorf("compare with the archived %s: %w", e.Object, err)
	case !stored.SameContent(pushed):
		return t.conflict(src.Name(), pushed, stored)
	case !recorded:
		return t.writeRecord(ctx, e.Object, pushed)
	}
	return nil
}

// stored returns what an object is, and whether that agrees with a record. Without a key for it, its record is believed.
func (t *target) stored(ctx context.Context, object string, pushed codec.Record) (codec.Record, bool, error) {
	r, err := t.open(ctx, object, pushed.Name)
	if errors.Is(err, codec.ErrNoKey) {
		record, recordErr := t.believed(ctx, object, pushed)
		if recordErr != nil {
			return codec.Record{}, false, errors.Join(err, recordErr)
		}
		return record, true, nil
	}
	if err != nil {
		return codec.Record{}, false, err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return codec.Record{}, false, notAbsent(err)
	}
	return r.Sum(), r.Verified(), nil
}

// believed is the record of an object that cannot be decrypted. If there are several, it is an error not to know which, unless pushed is none of them.
func (t *target) believed(ctx context.Context, object string, pushed codec.Record) (codec.Record, error) {
	records, err := t.records(ctx, object)
	switch {
	case err != nil:
		return codec.Record{}, err
	case len(records) == 0:
		return codec.Record{}, errors.New("it has no record either; give this command the key")
	}
	isSame := func(r codec.Record) bool { return r.SameContent(pushed) }
	isOther := func(r codec.Record) bool { return !isSame(r) }
	if slices.ContainsFunc(records, isSame) && slices.ContainsFunc(records, isOther) {
		return codec.Record{}, fmt.Errorf("it has %d records, and only the key tells which is its own; give this command the key", len(records))
	}
	return records[0], nil
}
