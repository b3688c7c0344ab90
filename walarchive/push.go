package walarchive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Push archives the file at path, whose last element is the name that it gets: what PostgreSQL passes as %p. It
// returns nil only when the archive holds the whole file and no crash can undo that; the server may then remove
// its copy.
//
// A segment or partial segment must have the cluster's segment size and a first page that names this cluster,
// this position, and this timeline or an ancestor of it: [*SizeError], [*wal.HeaderError] or [*wal.MismatchError]
// otherwise. A timeline history must parse and a backup history must be about the backup in its name:
// [*ContentError] or [*wal.SyntaxError]. Other names are refused with a [*wal.SyntaxError].
//
// If the archive already holds the name with the same content, Push succeeds; with other content the error is
// a [*ConflictError]. The first push into a store makes it this cluster's archive; a store that is another
// cluster's gives a [*ForeignArchiveError]. After any error, pushing again is right and safe.
func (a *Archive) Push(ctx context.Context, path string) error {
	name := filepath.Base(path)
	f, err := wal.ParseFileName(name)
	if err != nil {
		return err
	}
	src, err := openRegular(path)
	if err != nil {
		return err
	}
	defer src.Close()
	content, err := a.id.verified(f, src)
	if err != nil {
		return err
	}
	if err := a.checkSize(f, src); err != nil {
		return err
	}
	if err := a.claim(ctx); err != nil {
		return err
	}
	err = a.store.Create(ctx, name, content)
	if errors.Is(err, fs.ErrExist) {
		return a.compare(ctx, name, src)
	}
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	return nil
}

// openRegular opens path if it is a regular file; opening a pipe might wait for ever.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

// checkSize refuses a segment of the wrong size before anything is written.
func (a *Archive) checkSize(f wal.FileName, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	isSegment := f.Kind == wal.KindSegment || f.Kind == wal.KindPartial
	if isSegment && info.Size() != int64(a.id.SegmentSize) {
		return &SizeError{Name: f.String(), Want: int64(a.id.SegmentSize), Got: info.Size()}
	}
	return nil
}

// compare decides about a name that the archive already holds.
func (a *Archive) compare(ctx context.Context, name string, src *os.File) error {
	stored, err := a.store.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("compare with the archived %s: %w", name, err)
	}
	defer stored.Close()
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return err
	}
	e := &ConflictError{Name: name, Source: src.Name()}
	if e.SourceSum, e.SourceSize, err = sum(ctx, src); err != nil {
		return fmt.Errorf("compare with the archived %s: %w", name, err)
	}
	if e.StoredSum, e.StoredSize, err = sum(ctx, stored); err != nil {
		return fmt.Errorf("compare with the archived %s: %w", name, err)
	}
	if e.SourceSum != e.StoredSum || e.SourceSize != e.StoredSize {
		return e
	}
	return nil
}

func sum(ctx context.Context, r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, ctxio.Reader(ctx, r))
	return hex.EncodeToString(h.Sum(nil)), n, err
}
