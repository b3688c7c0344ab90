package basebackup

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Phase is what a backup is doing.
type Phase string

// The phases, in this order.
const (
	Connecting Phase = "connecting"
	Waiting    Phase = "waiting for checkpoint" // of the server, and for its estimate of the size; see [Progress.Limit]
	Copying    Phase = "copying"
	WaitingWAL Phase = "waiting for WAL" // the rest of it, or, with [NoWAL] or [Fetch], until the server has it
	Verifying  Phase = "verifying"
	Preparing  Phase = "preparing" // [Options.Prepare]
	Syncing    Phase = "syncing"
	Finished   Phase = "finished"
)

// Progress says how far a backup is.
type Progress struct {
	Phase      Phase
	Elapsed    time.Duration // since the phase began
	Done       int64         // bytes of files received
	Total      int64         // estimate of the server; Done can pass it, as the files grow
	WAL        int64         // bytes of WAL streamed along
	Tablespace string        // location of the tablespace that is being copied; empty for the data directory itself
	ETA        time.Duration // until the end of the phase Copying, while in it; zero means not known

	// Limit is how long the checkpoint that is waited for may take at most: checkpoint_timeout × checkpoint_completion_target for a
	// spread one, while nothing else hurries the server. Zero means not known: a fast one is written as fast as the disk allows, and
	// on a standby nothing is waited for.
	Limit time.Duration
}

// String is one line, as "copying: 120 of 480 MiB, 6s left".
func (p Progress) String() string {
	const mib = 1 << 20
	switch {
	case p.Phase == Waiting && p.Limit > 0:
		return fmt.Sprintf("%s of the server, for %v; a spread one takes up to %v", p.Phase, p.Elapsed.Round(time.Second), p.Limit)
	case p.Phase == Copying:
		s := fmt.Sprintf("%s: %d of %d MiB", p.Phase, p.Done/mib, max(p.Total, p.Done)/mib)
		if p.ETA > 0 {
			s += fmt.Sprintf(", %v left", p.ETA.Round(time.Second))
		}
		return s
	case p.Elapsed >= time.Second:
		return fmt.Sprintf("%s, for %v", p.Phase, p.Elapsed.Round(time.Second))
	}
	return string(p.Phase)
}

// eta estimates the rest of the copying from what was done until now.
func eta(done, total int64, elapsed time.Duration) time.Duration {
	if done <= 0 || done >= total {
		return 0
	}
	return time.Duration(float64(elapsed) / float64(done) * float64(total-done))
}

// tracker collects how far the backup is, and reports it.
type tracker struct {
	report func(Progress) // nil for nobody

	done, wal atomic.Int64

	calls sync.Mutex // one report at a time
	mu    sync.Mutex // the rest
	p     Progress
	since time.Time
}

// tick is how often a report is made.
const tick = 250 * time.Millisecond

// run reports until ctx ends.
func (t *tracker) run(ctx context.Context) {
	if t.report == nil {
		return
	}
	every := time.NewTicker(tick)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			t.tell()
		}
	}
}

// phase begins a phase.
func (t *tracker) phase(p Phase) {
	t.set(func(now *Progress) { now.Phase, now.Tablespace = p, "" })
	t.mu.Lock()
	t.since = time.Now()
	t.mu.Unlock()
	t.tell()
}

// set changes what is reported next.
func (t *tracker) set(change func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.p)
}

func (t *tracker) tell() {
	if t.report == nil {
		return
	}
	t.calls.Lock()
	defer t.calls.Unlock()
	t.report(t.snapshot())
}

func (t *tracker) snapshot() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.p
	p.Done, p.WAL, p.Elapsed = t.done.Load(), t.wal.Load(), time.Since(t.since)
	if p.Phase == Copying {
		p.ETA = eta(p.Done, p.Total, p.Elapsed)
	}
	return p
}
