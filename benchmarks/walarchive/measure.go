package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"
)

// tool does a job in one of the ways that are compared.
type tool struct {
	name    string
	program string // that may not be there
	env     []string
	stores  string // the folder with what it stored, if that is of interest
	// reset makes everything as if the tool had never run.
	reset func() error
	// line is the command line for a job, as one gives it to PostgreSQL. No word in it needs quotes.
	line func(job string) string
	// after is what PostgreSQL does after a call, if anything.
	after func(job string) error
	// calls are the samples of single calls, and passes those of all jobs one after the other.
	calls, passes []sample
}

// sample is what something took.
type sample struct{ wall, cpu time.Duration }

func wall(s sample) time.Duration { return s.wall }
func cpu(s sample) time.Duration  { return s.cpu }

// how a tool is called.
type how bool

const (
	byShell  how = false // as PostgreSQL does
	directly how = true
)

// prepare makes a call ready to run in the data directory.
func (w *world) prepare(ctx context.Context, t *tool, job string, by how) (*exec.Cmd, error) {
	args := []string{"/bin/sh", "-c", t.line(job)}
	if by == directly {
		args = strings.Fields(t.line(job))
	}
	if err := w.log.Truncate(0); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = w.dataDir
	cmd.Env = append(os.Environ(), t.env...)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	return cmd, nil
}

// call has a tool do a job.
func (w *world) call(ctx context.Context, t *tool, job string, by how) (sample, error) {
	cmd, err := w.prepare(ctx, t, job, by)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	if err := w.finished(t, job, err); err != nil {
		return sample{}, err
	}
	return sample{wall: took, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// finished tidies up after a call that ended with err.
func (w *world) finished(t *tool, job string, err error) error {
	if err != nil {
		text, _ := os.ReadFile(w.log.Name())
		return fmt.Errorf("%s: %w: %s", t.line(job), err, strings.TrimSpace(string(text)))
	}
	if t.after == nil {
		return nil
	}
	return t.after(job)
}

// dice decide on the order of the tools, the same in each run.
var dice = rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret

// shuffled returns tools in an order drawn anew.
func shuffled(tools []*tool) []*tool {
	order := make([]*tool, len(tools))
	for to, from := range dice.Perm(len(tools)) {
		order[to] = tools[from]
	}
	return order
}

// interleave has each job done by every tool, before the next job. What one leaves to the disk is not paid for by the next.
func (b *bench) interleave(ctx context.Context, tools []*tool, jobs []string, rounds int, by how) error {
	for range rounds {
		if err := b.reset(tools...); err != nil {
			return err
		}
		for _, job := range jobs {
			for _, t := range shuffled(tools) {
				if err := b.settle(); err != nil {
					return err
				}
				s, err := b.call(ctx, t, job, by)
				if err != nil {
					return err
				}
				t.calls = append(t.calls, s)
			}
		}
	}
	for _, t := range tools {
		t.passes = t.calls // each is compared on its own
	}
	return nil
}

// sequence has all jobs done by one tool after the other, with a pause after each job. A pass does not count the pauses.
func (b *bench) sequence(ctx context.Context, tools []*tool, jobs []string, pause time.Duration) error {
	for range b.config.passes {
		for _, t := range shuffled(tools) {
			if err := b.reset(t); err != nil {
				return err
			}
			var total sample
			for _, job := range jobs {
				s, err := b.call(ctx, t, job, byShell)
				if err != nil {
					return err
				}
				t.calls = append(t.calls, s)
				total.wall += s.wall
				total.cpu += s.cpu
				time.Sleep(pause)
			}
			t.passes = append(t.passes, total)
			b.reap()
		}
	}
	return nil
}

// reset makes tools ready for their first job.
func (b *bench) reset(tools ...*tool) error {
	for _, t := range tools {
		if t.reset == nil {
			continue
		}
		if err := t.reset(); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return b.settle()
}

// able returns the tools that can do a job here. Those whose program every machine has must; of another that cannot it is noted why.
func (b *bench) able(ctx context.Context, tools []*tool, job string) ([]*tool, error) {
	var found []*tool
	for _, t := range tools {
		if b.absent[t.program] {
			continue
		}
		err := b.reset(t)
		if err == nil {
			_, err = b.call(ctx, t, job, byShell)
		}
		b.reap()
		switch {
		case err == nil:
			found = append(found, t)
		case t.program == "" || ctx.Err() != nil:
			return nil, err
		default:
			b.report.missing(t.name, err)
		}
	}
	return found, nil
}
