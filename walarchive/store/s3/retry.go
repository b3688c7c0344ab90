package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// errNoAnswer is matched by errors about a server that was silent for too long.
var errNoAnswer = fmt.Errorf("no answer in time: %w", os.ErrDeadlineExceeded)

// The pauses between attempts: random between half and all of a length that doubles from the first to the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// again makes a request until it succeeds, fails for good or has failed too often.
func (s *Store) again(ctx context.Context, request func(ctx context.Context) error) error {
	return s.send(ctx, nil, func(ctx context.Context, _ io.Reader) error { return request(ctx) })
}

// send is again for a request that sends content.
func (s *Store) send(ctx context.Context, content []byte, request func(ctx context.Context, body io.Reader) error) error {
	for attempt := 1; ; attempt++ {
		err := s.once(ctx, content, request)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if attempt >= s.config.Attempts || !passing(err) && !(attempt == 1 && s.renewKeys(err)) {
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// once makes a request, which may take as long as the server takes some of the content or answers.
func (s *Store) once(ctx context.Context, content []byte, request func(ctx context.Context, body io.Reader) error) error {
	ctx, watch := s.watch(ctx)
	defer watch.release()
	err := request(ctx, &body{bytes.NewReader(content), watch})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// body is content on its way. That more of it is asked for is progress.
type body struct {
	io.Reader
	watch *watchdog
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.progress()
	return b.Reader.Read(p)
}

// renewKeys has the keys looked up anew if the server refused them: their file may have been changed.
func (s *Store) renewKeys(err error) bool {
	refused := hasCode(err, unknownKeys...) || hasCode(err, "ExpiredToken", "InvalidToken")
	if refused {
		s.keys.Expire()
	}
	return refused
}

func pause(ctx context.Context, attempt int) error {
	length := min(firstPause<<min(attempt-1, 10), longestPause)
	timer := time.NewTimer(length/2 + rand.N(length/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// watchdog cancels a request that makes no progress.
type watchdog struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	cause  func() error // why the request was cancelled; nil if it was not
	limit  time.Duration
}

// watch returns a context for a request that has s.config.Timeout until each progress. release ends it.
func (s *Store) watch(ctx context.Context) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{cancel: cancel, limit: s.config.Timeout, cause: func() error { return context.Cause(ctx) }}
	w.timer = time.AfterFunc(w.limit, func() { cancel(fmt.Errorf("%w (%v)", errNoAnswer, w.limit)) })
	return ctx, w
}

func (w *watchdog) progress() { w.timer.Reset(w.limit) }

// rest suspends the watch until the next progress: it is not the server whom all wait for.
func (w *watchdog) rest() { w.timer.Stop() }

func (w *watchdog) release() {
	w.timer.Stop()
	w.cancel(nil)
}
