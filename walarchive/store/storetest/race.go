package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
)

// race has several writers for one name, each with other content, in several Stores.
func race(t *testing.T, p Place) {
	stores := []walarchive.Store{p.Open(t), p.Open(t), p.Open(t)}
	for round := range 20 {
		name := fmt.Sprint("race", round)
		content := func(i int) string { return strings.Repeat(fmt.Sprint(i), 100_000) }
		errs := atOnce(6, func(i int) error {
			return stores[i%len(stores)].Create(t.Context(), name, strings.NewReader(content(i)))
		})
		winners := 0
		for i, err := range errs {
			switch {
			case err == nil:
				winners++
				for _, s := range stores {
					wantContent(t, s, name, content(i))
				}
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("loser got %v, want an error matching fs.ErrExist", err)
			}
		}
		if winners != 1 {
			t.Fatalf("%d of %d concurrent creates succeeded, want 1", winners, len(errs))
		}
	}
}

// atOnce calls f n times at the same time.
func atOnce(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// inParallel calls f for each name, a few at a time.
func inParallel(t *testing.T, names []string, f func(name string) error) {
	t.Helper()
	next := make(chan string)
	go func() {
		defer close(next)
		for _, name := range names {
			next <- name
		}
	}()
	errs := atOnce(16, func(int) (err error) {
		for name := range next {
			err = errors.Join(err, f(name))
		}
		return err
	})
	require.NoError(t, errors.Join(errs...))
}
