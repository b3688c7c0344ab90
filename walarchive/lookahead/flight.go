package lookahead

import (
	"context"
	"sync"
)

// flight is one Push or Fetch under way, for which any number of calls can wait.
type flight struct {
	landed chan struct{}
	err    error       // set before landed is closed
	pushed fingerprint // too, of a Push: the file, if it stayed the same from before to after
}

func newFlight() *flight { return &flight{landed: make(chan struct{})} }

func (f *flight) land(err error) {
	f.err = err
	close(f.landed)
}

// wait returns how the flight ended, or why ctx did.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.landed:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// crew runs work in goroutines that outlive the request which caused it, but not the helper.
type crew struct {
	group sync.WaitGroup
	// start starts work; its context ends with the helper or when cancel is called.
	start func(work func(ctx context.Context)) (cancel context.CancelFunc)
	// ended reports whether the helper is ending.
	ended func() bool
}

func newCrew(ctx context.Context) *crew {
	c := &crew{ended: func() bool { return ctx.Err() != nil }}
	c.start = func(work func(ctx context.Context)) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		c.group.Go(func() {
			defer cancel()
			work(ctx)
		})
		return cancel
	}
	return c
}
