package s3

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/minio/minio-go/v7"
)

// download is an object being read. It goes on where a connection was cut.
type download struct {
	ctx      context.Context //nolint:containedctx // Open's, under which the contract has reads stand, too
	store    *Store
	name     string
	etag     string // of the object that was opened
	size     int64
	modified time.Time
	offset   int64
	body     io.ReadCloser
	watch    *watchdog
	err      error // all further reads fail with it
}

// Open implements walarchive.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	d, err := s.open(ctx, name)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (s *Store) open(ctx context.Context, name string) (*download, error) {
	if err := s.check("open", name); err != nil {
		return nil, err
	}
	d := &download{ctx: ctx, store: s, name: name}
	err := s.again(ctx, func(context.Context) error { return d.connect() }) // under a watch of its own, which outlives this call
	if absent(err) {
		err = s.pathError("open", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, s.explain("open", name, err)
	}
	return d, nil
}

// connect asks for the object from the offset on.
func (d *download) connect() error {
	ctx, watch := d.store.watch(d.ctx)
	options := minio.GetObjectOptions{ServerSideEncryption: d.store.sseRead()}
	if d.offset > 0 {
		options.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		options.Set("If-Match", `"`+d.etag+`"`)
	}
	body, info, _, err := d.store.client.GetObject(ctx, d.store.config.Bucket, d.store.key(d.name), options)
	if err != nil {
		err = firstError(ctx, err)
		watch.release()
		return err
	}
	watch.rest()
	if d.offset == 0 {
		d.etag, d.size, d.modified = info.ETag, info.Size, info.LastModified
	}
	d.body, d.watch = body, watch
	return nil
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	for attempt := 1; d.err == nil; attempt++ {
		if d.ctx.Err() != nil {
			d.fail(context.Cause(d.ctx))
			break
		}
		n, err := d.read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		if err == io.EOF && d.offset == d.size { //nolint:errorlint // as the body says it
			d.err = io.EOF
			break
		}
		d.resume(attempt, err)
	}
	return 0, d.err
}

// read reads from the connection that there is.
func (d *download) read(p []byte) (int, error) {
	d.watch.progress()
	n, err := d.body.Read(p)
	d.watch.rest()
	d.offset += int64(n)
	if cause := d.watch.cause(); err != nil && cause != nil {
		err = cause
	}
	return n, err
}

// resume connects again, or sets d.err.
func (d *download) resume(attempt int, why error) {
	d.hangUp()
	if attempt >= d.store.config.Attempts {
		d.fail(fmt.Errorf("cut off after %d of %d bytes: %w", d.offset, d.size, why))
		return
	}
	err := pause(d.ctx, attempt)
	if err == nil {
		err = d.store.again(d.ctx, func(context.Context) error { return d.connect() })
	}
	if err != nil {
		d.fail(fmt.Errorf("cut off after %d of %d bytes, and again: %w", d.offset, d.size, err))
	}
}

func (d *download) fail(err error) { d.err = d.store.explain("read", d.name, err) }

func (d *download) hangUp() {
	if d.body != nil {
		d.watch.release()  // first, so that closing does not wait for the rest
		_ = d.body.Close() // it was only read
		d.body = nil
	}
}

// Close implements io.Closer.
func (d *download) Close() error {
	d.hangUp()
	if d.err == nil {
		d.err = fs.ErrClosed
	}
	return nil
}
