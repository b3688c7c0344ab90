package lookahead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/understudy-ha/understudy/walarchive/queue"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// fingerprint tells a file from another one, or from itself after a change.
type fingerprint struct {
	Inode   uint64
	Size    int64
	ModTime int64 // nanoseconds
}

func fingerprintOf(path string) (fingerprint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fingerprint{}, err
	}
	p := fingerprint{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		p.Inode = st.Ino
	}
	return p, nil
}

// errOtherFile says that client and helper do not see the same file at a path.
var errOtherFile = errors.New("is not the file that the client sees there")

// pusher pushes what is asked for, and ahead of it what will be.
type pusher struct {
	archive Archive
	workers int
	ahead   int // files that may be pushed without having been asked for
	crew    *crew
	log     *slog.Logger

	mu      sync.Mutex
	flights map[string]*flight     // by path
	done    map[string]fingerprint // pushed, and nobody was told yet
	asked   map[string]bool        // not for the round that runs: asked for since it began, and the last before
	last    string                 // the path that was asked for last
	running bool                   // whether a round is
}

func newPusher(archive Archive, workers, ahead int, crew *crew, log *slog.Logger) *pusher {
	return &pusher{archive: archive, workers: workers, ahead: ahead, crew: crew, log: log,
		flights: map[string]*flight{}, done: map[string]fingerprint{}, asked: map[string]bool{}}
}

// push returns when the file at path, which must be the one that want describes, is archived.
func (p *pusher) push(ctx context.Context, path string, want fingerprint) error {
	if now, err := fingerprintOf(path); err != nil || now != want {
		return errors.Join(fmt.Errorf("%s: %w", path, errOtherFile), err)
	}
	p.note(path)
	for {
		if p.claim(path, want) {
			p.lookAhead(filepath.Dir(path))
			return nil
		}
		f, mine := p.join(path)
		if mine {
			p.crew.start(func(ctx context.Context) { p.fly(ctx, f, path) })
		}
		err := f.wait(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case err == nil && f.pushed == want:
			p.claim(path, want)
			p.forget(filepath.Dir(path)) // it was not foreseen, so what was may not be asked for
			p.lookAhead(filepath.Dir(path))
			return nil
		case mine && err != nil:
			return err
		case mine:
			return fmt.Errorf("%s: %w", path, errOtherFile)
		}
		// A flight that began before this call proves nothing by its failure: try again.
	}
}

// note keeps the round that runs from pushing what the server is told by a call.
func (p *pusher) note(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = path
	if p.running {
		p.asked[path] = true
	}
}

// claim reports whether exactly this file was pushed, and forgets it then.
func (p *pusher) claim(path string, want fingerprint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	got, ok := p.done[path]
	delete(p.done, path)
	return ok && got == want
}

// join returns the flight of path, and whether the caller has to fly it.
func (p *pusher) join(path string) (f *flight, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.flights[path]; ok {
		return f, false
	}
	f = newFlight()
	p.flights[path] = f
	return f, true
}

// fly pushes path and keeps what it pushed in done, if the file stayed the same meanwhile.
func (p *pusher) fly(ctx context.Context, f *flight, path string) {
	before, err := fingerprintOf(path)
	if err == nil {
		err = p.archive.Push(ctx, path)
	}
	after, statErr := fingerprintOf(path)
	p.mu.Lock()
	delete(p.flights, path)
	if err == nil && statErr == nil && before == after {
		f.pushed = before
		p.done[path] = before
	}
	p.mu.Unlock()
	f.land(err)
}

// lookAhead begins a round of pushes, unless one is running or enough is done already. Enough is half of what is allowed, so that
// the folder is read once for many files.
func (p *pusher) lookAhead(walDir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running || p.ahead <= 0 || len(p.done) > p.ahead/2 {
		return
	}
	p.running = true
	p.asked = map[string]bool{p.last: true}
	p.crew.start(func(ctx context.Context) {
		p.round(ctx, walDir)
		p.mu.Lock()
		p.running = false
		p.mu.Unlock()
	})
}

func (p *pusher) round(ctx context.Context, walDir string) {
	names, err := queue.Names(walDir)
	if err != nil {
		p.log.DebugContext(ctx, "cannot look ahead", "error", err)
		return
	}
	var histories, others []string
	for _, name := range p.choose(walDir, names) {
		path := filepath.Join(walDir, name.String())
		if name.Kind == wal.KindHistory {
			histories = append(histories, path)
		} else {
			others = append(others, path)
		}
	}
	if p.batch(ctx, histories) {
		p.batch(ctx, others)
	}
}

// forget drops what was pushed ahead and does not wait any more: the server was told by somebody else.
func (p *pusher) forget(walDir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path := range p.done {
		if filepath.Dir(path) == walDir && !isReady(path) {
			delete(p.done, path)
		}
	}
}

func isReady(path string) bool {
	name, err := wal.ParseFileName(filepath.Base(path))
	return err == nil && queue.IsReady(filepath.Dir(path), name)
}

// choose takes of the names that wait as many as may be pushed now.
func (p *pusher) choose(walDir string, names []wal.FileName) []wal.FileName {
	p.mu.Lock()
	defer p.mu.Unlock()
	var chosen []wal.FileName
	for _, name := range names {
		if len(chosen)+len(p.done) >= p.ahead {
			break
		}
		path := filepath.Join(walDir, name.String())
		if _, done := p.done[path]; !done && !p.asked[path] && p.flights[path] == nil {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// batch pushes paths with all workers, begun in their order, and reports whether all went well. After the first failure it begins no more.
func (p *pusher) batch(ctx context.Context, paths []string) bool {
	var mu sync.Mutex
	failed := false
	take := func() (path string, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed || len(paths) == 0 || ctx.Err() != nil {
			return "", false
		}
		path, paths = paths[0], paths[1:]
		return path, true
	}
	var group sync.WaitGroup
	for range min(p.workers, len(paths)) {
		group.Go(func() {
			for {
				path, ok := take()
				if !ok {
					return
				}
				if err := p.pushAhead(ctx, path); err != nil {
					p.log.InfoContext(ctx, "pushing ahead stopped", "file", filepath.Base(path), "error", err)
					mu.Lock()
					failed = true
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return !failed && ctx.Err() == nil
}

// pushAhead pushes one file, unless it was asked for meanwhile.
func (p *pusher) pushAhead(ctx context.Context, path string) error {
	p.mu.Lock()
	asked := p.asked[path]
	p.mu.Unlock()
	if asked || !isReady(path) {
		return nil
	}
	f, mine := p.join(path)
	if !mine {
		return nil
	}
	p.fly(ctx, f, path)
	return f.err
}
