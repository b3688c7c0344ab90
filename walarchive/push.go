package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Push archives the file at path, whose last element is the name that it gets: what PostgreSQL passes as %p. It
// returns nil only when the archive holds the whole file and no crash can undo that; the server may then remove
// its copy.
//
// A segment or partial segment must have the cluster's segment size, a first page that names this cluster, this position, and this
// timeline or an ancestor of it, and pages that follow each other up to the end, a switch, or the place where a history beside it says
// that the timeline was left, as a standby with archive_mode=always archives it then: [*SizeError], [*wal.HeaderError], [*wal.MismatchError] or
// [*wal.ChainError] otherwise. A timeline history must parse and a backup history must be about the backup in its name:
// [*ContentError] or [*wal.SyntaxError]. Other names are refused with a [*wal.SyntaxError]. A file that changes while it is read is a
// [*ChangedError].
//
// Pages behind those that are the segment's, as a recycled file holds them behind a switch, are archived and compared as zeros. If the
// archive already holds the name with the same content, however encoded, Push succeeds; with other content the error is
// a [*ConflictError]. A copy there that is damaged is left as it is, and a good one is written beside it. The first push into a
// store makes it this cluster's archive; a store that is another cluster's gives a [*ForeignArchiveError]. After any error, pushing
// again is right and safe.
//
// Of several targets all are tried, and the error joins theirs. Push succeeds if each target that must have the file does, and so many as
// the quorum says, and no target has other content.
func (a *Archive) Push(ctx context.Context, path string) error {
	f, err := wal.ParseFileName(filepath.Base(path))
	if err != nil {
		return err
	}
	if err := a.acceptable(f, path); err != nil {
		return err
	}
	return a.everywhere(ctx, func(ctx context.Context, t *target) error { return t.push(ctx, f, path) })
}

// acceptable refuses, before any store is asked, a file that its size or first page tells to be wrong.
func (a *Archive) acceptable(f wal.FileName, path string) error {
	src, err := a.id.openSource(f, path, a.checkRecords)
	if err != nil {
		return err
	}
	return src.Close()
}

// stopTime is how long a store may take to clean up when its time is over. A directory on a mount that hangs would take for ever: it is
// given up, as archiving would end without a word otherwise. If its call goes on one day, it stores the same file, or finds it changed.
const stopTime = 15 * time.Second

// everywhere pushes to all targets side by side, and judges.
func (a *Archive) everywhere(ctx context.Context, push func(context.Context, *target) error) error {
	ctx, cancel := a.limited(ctx)
	defer cancel()
	type outcome struct {
		t   *target
		err error
	}
	outcomes := make(chan outcome, len(a.targets))
	for _, t := range a.targets {
		go func() { outcomes <- outcome{t, push(ctx, t)} }()
	}
	v, waiting := verdict{a: a}, slices.Clone(a.targets)
	ended, late := ctx.Done(), (<-chan time.Time)(nil)
	for len(waiting) > 0 {
		select {
		case o := <-outcomes:
			waiting = slices.DeleteFunc(waiting, func(t *target) bool { return t == o.t })
			if v.add(o.t, o.err); v.safe() {
				time.AfterFunc(max(a.patience, 0), cancel)
			}
		case <-ended:
			ended, late = nil, time.After(stopTime)
		case <-late:
			for _, t := range waiting {
				v.add(t, fmt.Errorf("%v does not even react to that it shall stop: a hanging mount? %w", t.Store, context.Cause(ctx)))
			}
			return v.err(ctx)
		}
	}
	return v.err(ctx)
}

// verdict counts how a push went in the targets.
type verdict struct {
	a            *Archive
	must, quorum int // that have the file
	refused      bool
	errs         []error
	spare        []func(context.Context) // warnings about targets that were not needed after all
}

func (v *verdict) add(t *target, err error) {
	switch {
	case err != nil:
		v.errs = append(v.errs, t.wrap(err))
		v.refused = v.refused || errors.As(err, new(*ConflictError))
		v.spare = append(v.spare, func(ctx context.Context) {
			t.log.WarnContext(ctx, "target failed and was not needed", "target", t.Name, "error", err)
		})
	case t.Need == Must:
		v.must++
	case t.Need == Quorum:
		v.quorum++
	}
}

// safe reports whether the file is where it must be, as far as is known.
func (v *verdict) safe() bool {
	return v.must == countNeed(v.a.targets, Must) && v.quorum >= v.a.quorum && !v.refused
}

func (v *verdict) err(ctx context.Context) error {
	if !v.safe() {
		return errors.Join(v.errs...)
	}
	for _, warn := range v.spare {
		warn(ctx)
	}
	return nil
}

// source is a file to push, open and good as far as its size and first page tell.
type source struct {
	*os.File
	records bool      // are checked, too
	content io.Reader // fails if it turns out not to be what the name says, or to change
}

// openSource opens path if it is a regular file; opening a pipe might wait for ever.
func (id Identity) openSource(f wal.FileName, path string, records bool) (source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return source{}, err
	}
	if !info.Mode().IsRegular() {
		return source{}, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return source{}, err
	}
	src := source{File: file, records: records}
	if err := src.begin(id, f); err != nil {
		return source{}, errors.Join(err, file.Close())
	}
	return src, nil
}

// begin goes to the file's beginning and checks what can be checked there.
func (s *source) begin(id Identity, f wal.FileName) error {
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return err
	}
	before, err := s.Stat()
	if err != nil {
		return err
	}
	content, err := id.verifiedSource(f, s.File, s.records)
	if err != nil {
		return err
	}
	isSegment := f.Kind == wal.KindSegment || f.Kind == wal.KindPartial
	if isSegment && before.Size() != int64(id.SegmentSize) {
		return &SizeError{Name: f.String(), Want: int64(id.SegmentSize), Got: before.Size()}
	}
	s.content = &steadyReader{r: content, file: s.File, before: before}
	return nil
}

// steadyReader fails at the end if the file is not the one that it was at the beginning, or was written meanwhile: the server
// has recycled it.
type steadyReader struct {
	r      io.Reader
	file   *os.File
	before os.FileInfo
}

func (s *steadyReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != io.EOF {
		return n, err
	}
	now, statErr := os.Stat(s.file.Name())
	if statErr != nil || !os.SameFile(now, s.before) || now.Size() != s.before.Size() || !now.ModTime().Equal(s.before.ModTime()) {
		return 0, &ChangedError{Path: s.file.Name()}
	}
	return n, io.EOF
}
