package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Receiver receives WAL. It is safe for concurrent use, but for Run, which is called once at a time.
type Receiver struct {
	cfg Config

	mu     sync.Mutex
	status Status
}

// Status is where a receiver is. What is archived of the segment that is being received counts.
type Status struct {
	Connected bool
	Timeline  wal.Timeline // zero before the first connection
	Received  wal.LSN      // written to the staging directory
	Flushed   wal.LSN      // durable there
	Archived  wal.LSN      // durable in the archive
	ServerEnd wal.LSN      // the end of the server's WAL, as it last said
	Heard     time.Time    // when the server last said anything
}

// New returns the receiver that cfg describes. It does no input or output.
func New(cfg Config) (*Receiver, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Receiver{cfg: cfg}, nil
}

// Status says where the receiver is.
func (r *Receiver) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *Receiver) update(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// problem tells of a failure of something that is tried again.
func (r *Receiver) problem(ctx context.Context, of string, err error) {
	r.cfg.Logger.WarnContext(ctx, "trying again", "what", of, "error", err)
	if r.cfg.OnProblem != nil {
		r.cfg.OnProblem(err)
	}
}

// Run receives until ctx ends, whose error it returns then, until StopAt is reached, which is no error, or until it meets something that
// only somebody's decision can change: a [*ForeignServerError], [*SegmentSizeError], [*ForkedError], [*BehindError], [*DivergedError],
// [*GapError] or [*SlotError], or a staging directory that fails. Everything else is tried again. When Run returns all its goroutines have
// ended, and what was received is durable unless the staging directory failed.
func (r *Receiver) Run(ctx context.Context) error {
	dir, err := lockDir(r.cfg.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := &run{Receiver: r, cancel: cancel, makeSlot: r.cfg.CreateSlot}
	err = x.loop(ctx)
	if fail := x.finish(ctx, err == nil); !errors.Is(err, fail) {
		err = errors.Join(err, fail)
	}
	return err
}

// lockDir opens the staging directory and locks it until that is closed or the process ends.
func lockDir(name string) (*os.File, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("staging directory: %w", err)
	}
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor is small
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), d.Close())
	}
	return d, nil
}

// run is one call of Run.
type run struct {
	*Receiver
	cancel context.CancelCauseFunc

	st       *staging  // nil before the first connection
	up       *uploader // nil without an archive
	at       place     // received up to here; zero: to be found out
	skip     bool      // there is a gap at that place, and it is accepted
	makeSlot bool      // before the next stream
	quit     chan struct{}
	workers  sync.WaitGroup
	syncFail error // of the worker that syncs

	linkMu sync.Mutex
	link   *stream // the one on which WAL comes
}

var errStopped = errors.New("StopAt is reached")

// loop holds one connection after the other.
func (x *run) loop(ctx context.Context) error {
	pause := x.cfg.RetryEvery / 10
	for {
		before := x.at
		err := x.session(ctx)
		x.update(func(s *Status) { s.Connected = false })
		switch {
		case errors.Is(err, errStopped):
			return nil
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case permanent(err) && !x.skip:
			return err
		case !errors.Is(err, errTimelineEnded):
			x.problem(ctx, "receiving", err)
		}
		if x.at != before {
			pause = x.cfg.RetryEvery / 10
			if errors.Is(err, errTimelineEnded) {
				continue
			}
		}
		if !wait(ctx, pause) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, x.cfg.RetryEvery)
	}
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// session connects, finds out where to go on, and receives until something ends that.
func (x *run) session(ctx context.Context) error {
	s, err := connect(ctx, x.cfg.Source, x.cfg.ApplicationName)
	if err != nil {
		return err
	}
	if err := x.prepare(ctx, s); err != nil {
		s.hangUp(ctx)
		return err
	}
	link, err := s.start(ctx, x.cfg.Slot, x.at)
	if err != nil {
		return x.refused(err)
	}
	x.cfg.Logger.InfoContext(ctx, "receiving", "timeline", x.at.tli, "lsn", x.at.lsn, "server_timeline", s.timeline)
	return x.receive(ctx, link)
}

// prepare settles the place to go on from.
func (x *run) prepare(ctx context.Context, s *server) error {
	if want := x.cfg.SystemID; want != 0 && want != s.system {
		return &ForeignServerError{Want: want, Got: s.system}
	}
	if x.st == nil {
		if err := x.open(s); err != nil {
			return err
		}
	}
	if x.st.segSize != s.segSize || x.st.system != s.system {
		return &ForeignServerError{Want: x.st.system, Got: s.system}
	}
	if x.makeSlot {
		made, err := s.createSlot(ctx, x.cfg.Slot)
		if err != nil {
			return err
		}
		x.makeSlot = false
		if made {
			x.cfg.Logger.InfoContext(ctx, "created replication slot", "slot", x.cfg.Slot)
		}
	}
	if x.at == (place{}) {
		if err := x.begin(ctx, s); err != nil {
			return err
		}
	}
	if s.raw != nil {
		if err := x.st.keep(s.timeline.HistoryName(), s.raw); err != nil {
			return err
		}
	}
	if x.skip {
		if err := x.overGap(ctx, s); err != nil {
			return err
		}
	}
	if err := x.goOn(ctx, s); err != nil {
		return err
	}
	if x.quit == nil {
		x.startWorkers(ctx)
	}
	return nil
}

// open looks at what an earlier run left.
func (x *run) open(s *server) error {
	st := openStaging(x.cfg.Dir, s.segSize, s.system)
	at, found, err := st.inspect()
	if err != nil {
		return err
	}
	if found {
		st.begin(at)
		if err := st.resume(at); err != nil {
			return err
		}
		x.at = at
	}
	x.st = st
	return nil
}

// begin finds where to begin if the staging directory does not say it. The server, which may archive as well, is asked again then: what it said
// before may be older than what the archive holds by now.
func (x *run) begin(ctx context.Context, s *server) error {
	at, from, err := x.beginning(ctx, s)
	if err == nil {
		err = s.identify(ctx)
	}
	if err != nil {
		return err
	}
	return x.beginAt(ctx, at, from)
}

// beginAt begins at a place, and writes that down.
func (x *run) beginAt(ctx context.Context, at place, from string) error {
	if err := x.journal("begins at %v on timeline %d: %s", at.lsn, at.tli, from); err != nil {
		return err
	}
	x.cfg.Logger.InfoContext(ctx, "beginning", "timeline", at.tli, "lsn", at.lsn, "from", from)
	x.st.begin(at)
	x.at = at
	return nil
}

func (x *run) beginning(ctx context.Context, s *server) (at place, from string, err error) {
	if x.cfg.Archive != nil {
		names, err := x.cfg.Archive.Names(ctx)
		if err != nil && !errors.Is(err, walarchive.ErrNoMarker) { // without one, nothing was ever archived
			return place{}, "", fmt.Errorf("look where the archive ends: %w", err)
		}
		if at, found := archiveEnd(names, s.segSize); found {
			return at, "where the archive ends", nil
		}
	}
	return x.serverBeginning(ctx, s)
}

// serverBeginning is from where the server has WAL for us: where the slot begins, or else the segment that it writes now.
func (x *run) serverBeginning(ctx context.Context, s *server) (at place, from string, err error) {
	if x.cfg.Slot != "" {
		if at, err = s.slotStart(ctx, x.cfg.Source, x.cfg.Slot); err != nil {
			return place{}, "", err
		}
		if at.lsn != 0 {
			at.lsn = segmentStart(at.lsn, s.segSize)
			return at, "where the slot keeps WAL from", nil
		}
	}
	return place{s.timeline, segmentStart(s.position, s.segSize)}, "the server's current segment; earlier WAL is not received", nil
}

// goOn follows the server to its timeline, as far as what was received reaches.
func (x *run) goOn(ctx context.Context, s *server) error {
	primary, err := s.isPrimary(ctx)
	if err != nil {
		return err
	}
	x.st.relay = !primary
	facts := source{timeline: s.timeline, position: s.position, primary: primary, history: s.history}
	next, err := follow(x.at, x.st.end(x.at.lsn), x.st.wholeRecordAt, facts, s.segSize)
	if err != nil {
		return err
	}
	if next.tli != x.at.tli {
		x.cfg.Logger.InfoContext(ctx, "following timeline switch", "from", x.at.tli, "to", next.tli, "lsn", next.lsn)
		x.st.leave()
		x.at = next
	}
	return nil
}

// refused understands why the server does not stream, or not any more.
func (x *run) refused(err error) error {
	switch code(err) {
	case codeUndefinedFile:
		return x.gap(&GapError{Timeline: x.at.tli, From: x.at.lsn, Err: err})
	case codeUndefinedObject:
		if x.makeSlot = x.cfg.CreateSlot; x.makeSlot { // a server that took over has none
			return err
		}
		return &SlotError{Slot: x.cfg.Slot, Err: err}
	case codeNotReady:
		return &SlotError{Slot: x.cfg.Slot, Err: err}
	}
	return fmt.Errorf("stream from %v on timeline %d: %w", x.at.lsn, x.at.tli, err)
}

// gap writes down that WAL is missing, and lets the next session begin where the server can if that is wanted.
func (x *run) gap(gap *GapError) error {
	if err := x.journal("gap from %v on timeline %d on: %v", gap.From, gap.Timeline, gap.Err); err != nil {
		return errors.Join(gap, err)
	}
	x.skip = x.cfg.AcceptGap
	return gap
}

// overGap settles on the first place behind a gap.
func (x *run) overGap(ctx context.Context, s *server) error {
	at, from, err := x.serverBeginning(ctx, s)
	if err != nil {
		return err
	}
	if at.lsn <= x.at.lsn { // the slot cannot know better
		at, from = place{s.timeline, segmentStart(s.position, s.segSize)}, "the server's current segment"
	}
	x.st.leave()
	x.skip = false
	return x.beginAt(ctx, at, from)
}

// journalName is a file of the staging directory that says, a line each, where receiving began and which gaps there are.
const journalName = "understudy-journal"

func (x *run) journal(format string, args ...any) error {
	f, err := os.OpenFile(filepath.Join(x.cfg.Dir, journalName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
	return errors.Join(err, f.Sync(), f.Close())
}
