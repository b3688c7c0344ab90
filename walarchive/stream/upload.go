package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// uploader brings what is durable in the staging directory into the archive, in the order of the WAL, history files first. What it has
// to do is in the directory, so it needs no memory of its own.
type uploader struct {
	*Receiver
	st     *staging
	wake   chan struct{}
	ending chan struct{} // nothing more will come
	ended  chan struct{}

	pushed   map[string]bool // files of the directory that the archive is known to hold
	snapshot place           // archived up to here of the segment that is being received
	next     time.Time       // of a snapshot
}

func newUploader(r *Receiver, st *staging) *uploader {
	return &uploader{Receiver: r, st: st, wake: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{}),
		pushed: map[string]bool{}}
}

func (u *uploader) kick() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// finish waits until everything is archived, or the context of run has ended.
func (u *uploader) finish() {
	close(u.ending)
	<-u.ended
}

// run works until everything is archived after finish was called, or ctx ends.
func (u *uploader) run(ctx context.Context) {
	defer close(u.ended)
	pause := u.cfg.RetryEvery / 10
	for last := false; ; {
		err := u.pass(ctx, last)
		switch {
		case ctx.Err() != nil, err == nil && last:
			return
		case err != nil:
			u.problem(ctx, "archiving", err)
			if !wait(ctx, pause) {
				return
			}
			pause = min(2*pause, u.cfg.RetryEvery)
			continue
		}
		pause = u.cfg.RetryEvery / 10
		last = u.idle(ctx)
	}
}

// idle waits until there may be something to do, and reports whether it will be the last.
func (u *uploader) idle(ctx context.Context) bool {
	var snapshot <-chan time.Time
	if u.cfg.SnapshotEvery > 0 {
		timer := time.NewTimer(max(time.Until(u.next), time.Millisecond))
		defer timer.Stop()
		snapshot = timer.C
	}
	select {
	case <-ctx.Done():
	case <-u.ending:
		return true
	case <-u.wake:
	case <-snapshot:
	}
	return false
}

// pass archives what there is.
func (u *uploader) pass(ctx context.Context, last bool) error {
	segments, histories, err := u.st.list()
	if err != nil {
		return err
	}
	for _, name := range histories {
		if err := u.push(ctx, name); err != nil {
			return err
		}
	}
	for i, s := range segments {
		if s.seg == u.st.receiving() {
			break
		}
		if u.st.busy(s.name) || s.partial && !u.st.isLeft(s.seg) {
			return nil // it is not durable yet, or to be received again
		}
		if err := u.segment(ctx, s, i == len(segments)-1); err != nil {
			return err
		}
	}
	return u.current(ctx, last)
}

func (u *uploader) push(ctx context.Context, name string) error {
	if u.pushed[name] {
		return nil
	}
	if err := u.cfg.Archive.Push(ctx, u.st.path(name)); err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	u.pushed[name] = true
	return nil
}

// history archives the history file of a timeline, if it is there: the timeline may have begun after this pass.
func (u *uploader) history(ctx context.Context, tli wal.Timeline) error {
	if _, err := os.Stat(u.st.path(tli.HistoryName())); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return u.push(ctx, tli.HistoryName())
}

// segment archives a segment of which no more will come, and removes it unless it is what shows where the next run has to go on.
func (u *uploader) segment(ctx context.Context, s staged, newest bool) error {
	archived := place{s.seg.Timeline, s.seg.Start(u.st.segSize) + wal.LSN(u.st.segSize)}
	if s.partial {
		upto, err := u.rest(ctx, s)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was completed meanwhile
		}
		if err != nil {
			return err
		}
		archived.lsn = s.seg.Start(u.st.segSize) + wal.LSN(upto) //nolint:gosec // positive
	} else if err := u.push(ctx, s.name); err != nil {
		return err
	}
	u.archived(archived)
	if newest {
		return nil
	}
	delete(u.pushed, s.name)
	return atomicfile.Remove(u.st.path(s.name))
}

// rest archives all that was received of a segment that was never completed, since its timeline ended, as a snapshot. It is not archived as
// SEGMENT.partial: that is what a promoted server archives itself, with other bytes behind the end of the WAL.
func (u *uploader) rest(ctx context.Context, s staged) (int64, error) {
	f, err := os.Open(u.st.path(s.name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	upto, err := u.st.received(s.seg, f)
	if err != nil || upto == 0 {
		return 0, err
	}
	return upto, u.received(ctx, f, s.seg, upto)
}

// current archives what is durable of the segment that is being received, if it is time for it.
func (u *uploader) current(ctx context.Context, now bool) error {
	if u.cfg.SnapshotEvery < 0 || !now && time.Now().Before(u.next) {
		return nil
	}
	u.next = time.Now().Add(u.cfg.SnapshotEvery)
	seg, upto := u.st.beginning()
	at := place{seg.Timeline, seg.Start(u.st.segSize) + wal.LSN(upto)} //nolint:gosec // positive
	if upto == 0 || at == u.snapshot {
		return nil
	}
	f, err := os.Open(u.st.path(seg.Name(u.st.segSize) + partialSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was completed meanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := u.history(ctx, seg.Timeline); err != nil {
		return err
	}
	if err := u.received(ctx, f, seg, upto); err != nil {
		return err
	}
	u.snapshot = at
	u.archived(at)
	return nil
}

func (u *uploader) received(ctx context.Context, f *os.File, seg wal.Segment, upto int64) error {
	name := seg.Name(u.st.segSize)
	err := u.cfg.Archive.PushReceived(ctx, name, uint32(upto), io.NewSectionReader(f, 0, upto)) //nolint:gosec // at most the segment size
	if err != nil {
		return fmt.Errorf("archive the beginning of %s: %w", name, err)
	}
	return nil
}

// archived notes how far the archive reaches.
func (u *uploader) archived(at place) {
	u.update(func(s *Status) {
		if at.tli >= s.Timeline || at.lsn > s.Archived {
			s.Archived = at.lsn
		}
	})
}
