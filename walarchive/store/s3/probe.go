package s3

import (
	"context"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// probe is a question about the server that is asked once: does it refuse to replace an object?
type probe struct {
	turn chan struct{} // holds a token while nobody asks
	mind *answer
}

type answer struct{ known, exclusive bool }

func newProbe() probe {
	p := probe{turn: make(chan struct{}, 1), mind: &answer{}}
	p.turn <- struct{}{}
	return p
}

// begin starts to ask, unless the answer is known. verdict waits for the answer, or why there is none; stop ends the asking.
func (p probe) begin(ctx context.Context, ask func(ctx context.Context) (bool, error)) (verdict func() (bool, error), stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var exclusive bool
	var err error
	go func() {
		defer close(done)
		exclusive, err = p.answer(ctx, ask)
	}()
	return func() (bool, error) { <-done; return exclusive, err }, func() { cancel(); <-done }
}

func (p probe) answer(ctx context.Context, ask func(ctx context.Context) (bool, error)) (bool, error) {
	select {
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-p.turn:
	}
	defer func() { p.turn <- struct{}{} }()
	if p.mind.known {
		return p.mind.exclusive, nil
	}
	exclusive, err := ask(ctx)
	if err == nil {
		*p.mind = answer{known: true, exclusive: exclusive}
	}
	return exclusive, err
}

// tryPut reports whether the server refuses a PutObject of an object that exists.
func (s *Store) tryPut(ctx context.Context) (bool, error) {
	return tryTwice(func() error {
		return s.again(ctx, func(ctx context.Context) error { return s.put(ctx, s.key(ProbeName), "probe", nil, http.NoBody, true) })
	})
}

// tryParts reports whether the server refuses a CompleteMultipartUpload of an object that exists.
func (s *Store) tryParts(ctx context.Context) (bool, error) {
	u := s.newUpload(ProbeName)
	return tryTwice(func() error {
		id, err := u.begin(ctx)
		if err != nil {
			return err
		}
		part, err := u.part(ctx, id, 1, nil)
		if err == nil {
			err = u.again(ctx, func(ctx context.Context) error { return u.complete(ctx, u.key, id, []minio.CompletePart{part}, true) })
		}
		if err != nil {
			u.abort(ctx, id)
		}
		return err
	})
}

// tryTwice creates an object that may exist, and again if it did not: the server refuses one of them, or does not know how.
func tryTwice(create func() error) (exclusive bool, err error) {
	for range 2 {
		err = create()
		switch {
		case hasStatus(err, http.StatusPreconditionFailed):
			return true, nil
		case hasStatus(err, http.StatusNotImplemented):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return false, nil
}
