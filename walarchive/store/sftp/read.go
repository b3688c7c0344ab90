package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pkg/sftp"

	"github.com/understudy-ha/understudy/walarchive/internal/objname"
)

// readSize is how much is asked for at a time, in requests of 32 KiB that are all on their way at once. The next is asked for
// while one is being used.
const readSize = 512 << 10

// Open implements walarchive.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := objname.Check(name); err != nil {
		return nil, err
	}
	var r *reader
	err := s.run(ctx, func(n *session) (err error) {
		r, err = n.open(ctx, s.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			if dirErr := n.checkDir(ctx, s.dir); dirErr != nil {
				return dirErr
			}
			return n.checkLink(ctx, s.path(name), err)
		}
		return err
	})
	if err != nil {
		return nil, s.wrap("open", name, err)
	}
	return r, nil
}

// checkLink returns absent, which says that nothing could be opened at path, unless a symbolic link to nothing is there.
func (n *session) checkLink(ctx context.Context, path string, absent error) error {
	link, err := n.lstat(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent
	case err != nil:
		return err
	case link.Mode()&fs.ModeSymlink != 0:
		return errors.New("a symbolic link to what is not there")
	}
	return absent // it came just now
}

func (n *session) open(ctx context.Context, path string) (*reader, error) {
	// Opening a pipe might wait for ever, so it has to be known before what path is.
	info, err := ask(ctx, n.conn, func() (fs.FileInfo, error) { return n.Stat(path) })
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := ask(ctx, n.conn, func() (*sftp.File, error) { return n.Client.Open(path) })
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, conn: n.conn, file: f, left: info.Size(), next: make(chan chunk, 1)}
	r.fetch(nil)
	return r, nil
}

// reader reads an object, one chunk ahead. Objects do not change, so one ends where it did when it was opened.
type reader struct {
	ctx  context.Context //nolint:containedctx // Open's: reads fail when it has ended
	conn *conn
	file *sftp.File
	off  int64 // of the next chunk to ask for
	left int64 // bytes from there to the end

	asked  bool       // a chunk is on its way
	next   chan chunk // what arrives
	unread []byte     // of the chunk in use
	free   []byte     // the buffer of the chunk in use
	err    error
}

type chunk struct {
	data []byte
	err  error
}

// fetch asks for the next chunk, into buf if there is one.
func (r *reader) fetch(buf []byte) {
	size := min(r.left, readSize)
	if size == 0 {
		return
	}
	if buf == nil {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	off := r.off
	r.off, r.left, r.asked = r.off+size, r.left-size, true
	go func() {
		n, err := ask(r.ctx, r.conn, func() (int, error) {
			n, err := r.file.ReadAt(buf, off)
			if err == io.EOF { //nolint:errorlint // of the file; that of the connection may come wrapped
				err = nil
			}
			return n, err
		})
		if err == nil && n < len(buf) {
			err = fmt.Errorf("%s ended at byte %d: %w", r.file.Name(), off+int64(n), io.ErrUnexpectedEOF)
		}
		r.next <- chunk{buf[:n], err}
	}()
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(r.unread) == 0 {
		r.advance()
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	if n == 0 {
		return 0, r.err
	}
	return n, nil
}

// advance waits for the next chunk and asks for the one after it.
func (r *reader) advance() {
	if !r.asked {
		r.err = io.EOF
		return
	}
	c := <-r.next
	r.asked = false
	r.unread = c.data
	if r.err = c.err; r.err != nil {
		r.unread = nil
		return
	}
	done := r.free
	r.free = c.data
	r.fetch(done)
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if !errors.Is(r.err, fs.ErrClosed) {
		r.err = fs.ErrClosed
		r.conn.closeLater(r.ctx, r.file)
	}
	return nil
}
