package walarchive

import (
	"context"
	"errors"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Retry calls try until it returns nil, an error that no repetition changes (see [IsTransient]), or the budget is spent. It pauses in
// between, 100 ms at first and then longer, up to 5 s. The error is that of the last call. A budget of 0 means one call.
//
//	err := walarchive.Retry(ctx, 30*time.Second, func(ctx context.Context) error { return a.Fetch(ctx, name, dst) })
func Retry(ctx context.Context, budget time.Duration, try func(context.Context) error) error {
	end := time.Now().Add(budget)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try(ctx)
		if !IsTransient(err) || !time.Now().Add(pause).Before(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// IsTransient reports whether the same call may succeed a little later without anybody doing something: not if the answer is that the file is
// absent, in conflict, not what its name says, or damaged in the archive, nor if the archive is another cluster's or ctx was
// cancelled. A missing marker may be a disk that is being mounted.
func IsTransient(err error) bool {
	switch {
	case err == nil, errors.As(err, new(*AbsentError)), errors.As(err, new(*ConflictError)), errors.As(err, new(*ForeignArchiveError)),
		isBad(err), errors.Is(err, context.Canceled):
		return false
	}
	return true
}
