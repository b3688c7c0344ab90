package walarchive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Wait returns when the archive holds the file called name, in as many targets as a push must reach. It looks again and again, at
// first after 100 ms, later every 5 s, goes on after failures that may pass, and gives up only with ctx: then the error also says what
// went wrong last. Another cluster's archive is an error at once.
func (a *Archive) Wait(ctx context.Context, name string) error {
	f, err := wal.ParseFileName(name)
	if err == nil {
		err = a.possible(f)
	}
	if err != nil {
		return err
	}
	return poll(ctx, name, func(ctx context.Context) (bool, error) { return a.holds(ctx, name) })
}

// WaitLSN is [Archive.Wait] for the complete segment that holds the byte at lsn, and returns its name. Timeline 0 means any: then every
// look lists the archive, and of several timelines the newest counts.
func (a *Archive) WaitLSN(ctx context.Context, t wal.Timeline, lsn wal.LSN) (name string, err error) {
	if t != 0 {
		name = wal.SegmentOf(t, lsn, a.id.SegmentSize).Name(a.id.SegmentSize)
		return name, a.Wait(ctx, name)
	}
	number := wal.SegmentOf(0, lsn, a.id.SegmentSize).Number
	err = poll(ctx, fmt.Sprintf("a segment that holds %v", lsn), func(ctx context.Context) (bool, error) {
		s, err := a.names(ctx)
		if err != nil {
			return false, err
		}
		name = newestOf(s, number, a.id.SegmentSize)
		if name == "" {
			return false, nil
		}
		return a.holds(ctx, name)
	})
	return name, err
}

// newestOf returns the segment of that number with the newest timeline, or nothing.
func newestOf(names []string, number uint64, segSize uint32) string {
	newest := ""
	for _, name := range names {
		if s, err := wal.ParseSegment(name, segSize); err == nil && s.Number == number && name > newest {
			newest = name
		}
	}
	return newest
}

// names returns those of all targets' objects, each at least once.
func (a *Archive) names(ctx context.Context) ([]string, error) {
	var all [][]string
	for _, t := range a.targets {
		names, err := t.Store.List(ctx)
		if err != nil {
			return nil, t.wrap(err)
		}
		all = append(all, names)
	}
	return slices.Concat(all...), nil
}

// holds reports whether the file is in as many targets as a push must reach.
func (a *Archive) holds(ctx context.Context, name string) (bool, error) {
	ctx, cancel := a.limited(ctx)
	defer cancel()
	var errs []error
	must, quorum := true, 0
	for _, t := range a.targets {
		if t.Need == BestEffort {
			continue
		}
		there, err := t.holds(ctx, name)
		errs = append(errs, t.wrap(err))
		switch {
		case t.Need == Quorum && there:
			quorum++
		case t.Need == Must:
			must = must && there
		}
	}
	if must && quorum >= a.quorum {
		return true, nil
	}
	return false, errors.Join(errs...)
}

func (t *target) holds(ctx context.Context, name string) (bool, error) {
	if err := t.verifyOwner(ctx); err != nil {
		return false, err
	}
	details, err := t.Store.Details(ctx, []string{name})
	return err == nil && details[0].Size >= 0, err
}

func poll(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if errors.As(err, new(*ForeignArchiveError)) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %s: %w", what, context.Cause(ctx)), err)
		case <-time.After(pause):
		}
	}
}
