package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// start times how long a push takes that has nothing to do: a file that is in the archive already.
func (b *bench) start(ctx context.Context) error {
	const history = "00000002.history"
	if err := os.WriteFile(filepath.Join(b.dataDir, "pg_wal", history), []byte("1\t0/3000060\tno recovery target specified\n"), 0o600); err != nil {
		return err
	}
	ours := b.ours("walarchive", "")
	if err := b.reset(ours); err != nil {
		return err
	}
	ours.reset = nil
	hello := &tool{name: "hello, world", line: func(string) string { return b.hello }}
	tools, err := b.able(ctx, []*tool{ours, hello}, history) // which archives it
	if err != nil {
		return err
	}
	if err := b.interleave(ctx, tools, slices.Repeat([]string{history}, len(b.full)), b.rounds, directly); err != nil {
		return err
	}
	var more []time.Duration
	for i := range ours.calls {
		more = append(more, ours.calls[i].wall-hello.calls[i].wall)
	}
	t := b.report.table("start: push of a small file that is archived already", "by", "median", "95 of 100", "")
	for _, tool := range tools {
		calls := each(tool.calls, wall)
		t.row(tool.name, ms(median(calls)), ms(quantile(calls, 0.95)))
	}
	t.row("difference, pair by pair", ms(median(more)), ms(quantile(more, 0.95)), b.report.judge(t.title, inMS(median(more)), 3, " ms"))
	return t.end()
}

// cpu compares the CPU time of pushing a segment that was switched.
func (b *bench) cpu(ctx context.Context) error {
	for _, codec := range b.encodings() {
		tools := []*tool{b.ours("walarchive", codec.ours), b.pgBackRest(codec.pgBackRest)}
		tools, err := b.able(ctx, tools, b.world.switched[0])
		if err != nil {
			return err
		}
		if err := b.interleave(ctx, tools, b.world.switched, b.rounds, directly); err != nil {
			return err
		}
		title := fmt.Sprintf("CPU time of a push, %d KiB of WAL in the segment, %s", switchedWAL>>10, codec.name)
		if err := b.report.compare(title, tools, cpu, targets{median: 5}, nil); err != nil {
			return err
		}
	}
	return nil
}

// memory compares the most memory that is resident during a push.
func (b *bench) memory(ctx context.Context) error {
	t := b.report.table("peak memory of a push", "", "walarchive", "", "pgbackrest")
	for _, codec := range b.encodings() {
		ours, err := b.peak(ctx, b.ours("walarchive", codec.ours))
		if err != nil {
			return err
		}
		cells := []string{codec.name, mib(ours), b.report.judge(t.title+", "+codec.name, inMiB(ours), 24, " MiB")}
		if !b.absent["pgbackrest"] {
			theirs, err := b.peak(ctx, b.pgBackRest(codec.pgBackRest))
			if err != nil {
				return err
			}
			cells = append(cells, mib(theirs))
		}
		t.row(cells...)
	}
	together, err := b.together(ctx, b.pushAhead("walarchive ahead", b.ours("walarchive", codecs[2].ours+" "+b.lookAhead())))
	if err != nil {
		return err
	}
	what := "working ahead, all processes, " + codecs[2].name
	t.row(what, mib(together), b.report.judge("memory "+what, inMiB(together), 64, " MiB"))
	return t.end()
}

// together is the most memory in bytes that a tool and its helpers have resident at one time while all segments are pushed.
func (b *bench) together(ctx context.Context, t *tool) (int64, error) {
	if err := b.reset(t); err != nil {
		return 0, err
	}
	var most int64
	looking, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for looking.Err() == nil {
			var sum int64
			for _, pid := range b.helpers() {
				sum += status(pid, "VmRSS")
			}
			most = max(most, sum)
			time.Sleep(time.Millisecond)
		}
	})
	var err error
	for _, job := range b.full {
		if _, err = b.call(ctx, t, job, directly); err != nil {
			break
		}
	}
	stop()
	watch.Wait()
	b.reap()
	return most, err
}

func inMiB(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", inMiB(bytes)) }

// peak is the most memory in bytes that a tool's process has resident in one of its calls. What the system counts at the end of a process
// would include ours, from which it was forked; so it is asked all the time.
func (b *bench) peak(ctx context.Context, t *tool) (int64, error) {
	if err := b.reset(t); err != nil {
		return 0, err
	}
	var most int64
	for _, job := range b.full {
		cmd, err := b.prepare(ctx, t, job, directly)
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for running := true; running; {
			select {
			case err = <-ended:
				running = false
			case <-time.After(200 * time.Microsecond):
				most = max(most, status(cmd.Process.Pid, "VmHWM"))
			}
		}
		if err := b.finished(t, job, err); err != nil {
			return 0, err
		}
	}
	return most, nil
}

// status reads a value of a running process that the system gives in kB, in bytes.
func status(pid int, field string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // or it has ended
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kB, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64) // zero if it is nothing
			return kB << 10
		}
	}
	return 0
}
