package lookahead

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// maxAge is how long a fetched file may lie in the spool. Archives are immutable, but one that was removed and made anew under the same
// name is not the same archive.
const maxAge = time.Hour

// fetcher fetches what is asked for into a folder, and ahead of it what will be.
type fetcher struct {
	archive Archive
	dir     string
	segSize uint32
	workers int
	ahead   int // segments
	crew    *crew
	log     *slog.Logger

	mu       sync.Mutex
	flights  map[string]*flight            // by name
	target   wal.History                   // where recovery is heading, as far as is known
	at       wal.Segment                   // asked for last; zero at first, on timeline 0, which no history contains
	stopped  bool                          // a prefetch found nothing or failed since then
	underWay map[uint64]context.CancelFunc // prefetches by segment number
}

func newFetcher(archive Archive, dir string, segSize uint32, workers, ahead int, crew *crew, log *slog.Logger) *fetcher {
	return &fetcher{archive: archive, dir: dir, segSize: segSize, workers: workers, ahead: ahead, crew: crew, log: log,
		flights: map[string]*flight{}, underWay: map[uint64]context.CancelFunc{}}
}

// fetch returns when the file called name lies in the folder, or the reason why not: one that came up after the call.
func (f *fetcher) fetch(ctx context.Context, name wal.FileName) error {
	seg, err := name.Segment(f.segSize)
	isSegment := name.Kind == wal.KindSegment && err == nil
	if isSegment {
		f.moveTo(seg)
	}
	err = f.get(ctx, name.String())
	switch {
	case err == nil && isSegment:
		f.fill()
	case err == nil && name.Kind == wal.KindHistory:
		f.follow(name)
	case ctx.Err() == nil && !isAbsent(err):
		f.clear()
	}
	return err
}

// moveTo makes seg the one that was asked for last: what lies before it or too far ahead is not needed any more.
func (f *fetcher) moveTo(seg wal.Segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.target.Contains(seg.Timeline) {
		f.target = wal.History{Timeline: seg.Timeline}
	}
	f.at, f.stopped = seg, false
	for number, cancel := range f.underWay {
		if !f.inWindow(number) {
			cancel()
		}
	}
	f.remove(func(name string) bool {
		other, err := wal.ParseSegment(name, f.segSize)
		return err != nil || !f.inWindow(other.Number)
	})
}

func (f *fetcher) inWindow(number uint64) bool {
	return number >= f.at.Number && number-f.at.Number <= uint64(f.ahead)
}

// clear removes all files. The caller does not hold the lock.
func (f *fetcher) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	f.remove(func(string) bool { return true })
}

// remove removes files of the folder, but for those of flights under way. What cannot be removed does no harm but taking room.
func (f *fetcher) remove(goes func(name string) bool) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		f.log.Warn("cannot read the spool", "error", err)
		return
	}
	for _, e := range entries {
		name := e.Name()
		if _, err := wal.ParseFileName(name); err != nil || f.flights[name] != nil || !goes(name) {
			continue
		}
		if err := os.Remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.log.Warn("cannot remove from the spool", "error", err)
		}
	}
}

// follow takes the history of a timeline that recovery was given for where it is heading.
func (f *fetcher) follow(name wal.FileName) {
	b, err := os.ReadFile(filepath.Join(f.dir, name.String()))
	if err != nil {
		return // taken away already
	}
	h, err := wal.ParseHistory(name.Timeline, b)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.target.Timeline == h.Timeline && slices.Equal(f.target.Entries, h.Entries) {
		return
	}
	f.target = h
	f.remove(func(name string) bool { // they may be of the timeline that is left
		_, err := wal.ParseSegment(name, f.segSize)
		return err == nil
	})
}

// get returns when name lies in the folder. A flight that began before it proves nothing by its failure, nor its absence.
func (f *fetcher) get(ctx context.Context, name string) error {
	for {
		fl, mine := f.join(name)
		if fl == nil {
			return nil
		}
		if mine {
			f.crew.start(func(ctx context.Context) { f.fly(ctx, fl, name) })
		}
		err := fl.wait(ctx)
		if mine || err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// join returns the flight of name, and whether the caller has to fly it; or nil if the file lies in the folder.
func (f *fetcher) join(name string) (fl *flight, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.flights[name]; fl != nil {
		return fl, false
	}
	if f.has(name) {
		return nil, false
	}
	fl = newFlight()
	f.flights[name] = fl
	return fl, true
}

// has reports whether a usable file of that name lies in the folder. One that is not usable is removed.
func (f *fetcher) has(name string) bool {
	path := filepath.Join(f.dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	_, err = wal.ParseSegment(name, f.segSize)
	if err == nil && info.Mode().IsRegular() && info.Size() == int64(f.segSize) && time.Since(info.ModTime()) < maxAge {
		return true
	}
	_ = os.Remove(path) // if it stays, the fetch fails
	return false
}

func (f *fetcher) fly(ctx context.Context, fl *flight, name string) {
	err := f.archive.Fetch(ctx, name, filepath.Join(f.dir, name))
	f.mu.Lock()
	delete(f.flights, name)
	f.mu.Unlock()
	fl.land(err)
}

// fill starts as many prefetches as there are workers for.
func (f *fetcher) fill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped || f.crew.ended() || !f.target.Contains(f.at.Timeline) {
		return
	}
	for _, names := range following(f.target, f.at, f.ahead, f.segSize) {
		if len(f.underWay) >= f.workers {
			return
		}
		if len(names) == 0 {
			continue
		}
		number := names[0].Number
		if f.underWay[number] == nil && !f.supplied(names) {
			f.prefetch(number, names)
		}
	}
}

// supplied reports whether one of the names lies in the folder. It is the first that the archive held when it was fetched.
func (f *fetcher) supplied(names []wal.Segment) bool {
	for _, seg := range names {
		if f.has(seg.Name(f.segSize)) {
			return true
		}
	}
	return false
}

// prefetch starts to fetch one segment, by the first of its names that the archive holds.
func (f *fetcher) prefetch(number uint64, names []wal.Segment) {
	f.underWay[number] = f.crew.start(func(ctx context.Context) {
		err := f.first(ctx, names)
		failed := err != nil && ctx.Err() == nil // not merely cancelled
		f.mu.Lock()
		delete(f.underWay, number)
		f.stopped = f.stopped || failed
		f.mu.Unlock()
		if failed && !isAbsent(err) {
			f.log.InfoContext(ctx, "prefetching stopped", "error", err)
		}
		f.fill()
	})
}

// first fetches the first of the names that the archive holds.
func (f *fetcher) first(ctx context.Context, names []wal.Segment) error {
	var err error
	for _, seg := range names {
		name := seg.Name(f.segSize)
		fl, mine := f.join(name)
		switch {
		case fl == nil:
			return nil
		case mine:
			f.fly(ctx, fl, name)
		}
		err = fl.wait(ctx)
		if err == nil || !isAbsent(err) {
			return err
		}
	}
	return err
}
