package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollInterval is the time between two looks at a condition.
const pollInterval = 50 * time.Millisecond

// WaitFor calls cond until it returns nil. If it has not done so when the timeout is over, or when the test's time is, the
// test fails with what it waited for and cond's last error.
func WaitFor(t testing.TB, timeout time.Duration, what string, cond func() error) {
	t.Helper()
	if err := poll(t.Context(), timeout, cond); err != nil {
		t.Fatalf("waited %v for %s: %v", timeout, what, err)
	}
}

func poll(ctx context.Context, timeout time.Duration, cond func() error) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
