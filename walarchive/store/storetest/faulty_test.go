package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/store/storetest"
)

func faulty(t *testing.T, script func(storetest.Call) storetest.Fault) *storetest.Faulty {
	t.Helper()
	s, err := dir.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return &storetest.Faulty{Store: s, Script: script}
}

func TestFaulty_conforms_without_faults(t *testing.T) {
	storetest.Run(t, func(t *testing.T) walarchive.Store { return faulty(t, nil) })
}

var errBoom = errors.New("boom")

func TestFaulty_fails_or_loses_the_answer(t *testing.T) {
	for _, fault := range []storetest.Fault{{Err: errBoom}, {Lost: errBoom}} {
		for _, op := range []storetest.Op{storetest.OpCreate, storetest.OpOpen, storetest.OpList, storetest.OpDetails, storetest.OpRemove} {
			t.Run(fmt.Sprint(op, "/", fault.Lost), func(t *testing.T) {
				s := faulty(t, func(c storetest.Call) storetest.Fault {
					if c.Op == op && c.N == 1 {
						return fault
					}
					return storetest.Fault{}
				})
				require.NoError(t, s.Store.Create(t.Context(), "there", strings.NewReader("x")))
				done := map[storetest.Op]func() error{
					storetest.OpCreate: func() error { return s.Create(t.Context(), "new", strings.NewReader("x")) },
					storetest.OpOpen: func() error {
						r, err := s.Open(t.Context(), "there")
						if err == nil {
							r.Close()
						}
						return err
					},
					storetest.OpList:    func() error { _, err := s.List(t.Context()); return err },
					storetest.OpDetails: func() error { _, err := s.Details(t.Context(), []string{"there"}); return err },
					storetest.OpRemove:  func() error { return s.Remove(t.Context(), []string{"there"}) },
				}[op]
				require.ErrorIs(t, done(), errBoom)
				names, err := s.Store.List(t.Context())
				require.NoError(t, err)
				wasDone := fault.Lost != nil
				require.Equal(t, op == storetest.OpCreate && wasDone, slices.Contains(names, "new"))
				require.Equal(t, op == storetest.OpRemove && wasDone, !slices.Contains(names, "there"))
				err = done()
				if op == storetest.OpCreate && wasDone {
					require.ErrorIs(t, err, fs.ErrExist)
				} else {
					require.NoError(t, err, "the second time")
				}
			})
		}
	}
}

func TestFaulty_hides(t *testing.T) {
	s := faulty(t, func(c storetest.Call) storetest.Fault { return storetest.Fault{Hide: c.Name == "hidden"} })
	for _, name := range []string{"hidden", "there"} {
		require.NoError(t, s.Create(t.Context(), name, strings.NewReader("x")))
	}
	_, err := s.Open(t.Context(), "hidden")
	require.ErrorIs(t, err, fs.ErrNotExist)
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"there"}, names)
	details, err := s.Details(t.Context(), []string{"hidden", "there"})
	require.NoError(t, err)
	require.EqualValues(t, -1, details[0].Size)
	require.EqualValues(t, 1, details[1].Size)
	require.Equal(t, 1, s.Calls(storetest.OpOpen, "hidden"))
	require.Equal(t, 0, s.Calls(storetest.OpOpen, "there"))
}

func TestFaulty_changes_data(t *testing.T) {
	for name, test := range map[string]struct {
		data func(io.Reader) io.Reader
		want string
		err  error
	}{
		"cut":      {storetest.Cut(3), "abc", nil},
		"flip":     {storetest.Flip(4, 0x20), "abcdEf", nil},
		"flip_far": {storetest.Flip(6, 0x20), "abcdef", nil},
		"fail":     {storetest.Fail(2, errBoom), "ab", errBoom},
		"slow":     {storetest.Slow(time.Nanosecond), "abcdef", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := faulty(t, func(c storetest.Call) storetest.Fault { return storetest.Fault{Data: test.data} })
			require.NoError(t, s.Store.Create(t.Context(), "read", strings.NewReader("abcdef")))
			r, err := s.Open(t.Context(), "read")
			require.NoError(t, err)
			defer r.Close()
			got, err := io.ReadAll(r)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, string(got))

			require.ErrorIs(t, s.Create(t.Context(), "stored", strings.NewReader("abcdef")), test.err)
			if test.err == nil {
				stored, err := s.Store.Open(t.Context(), "stored")
				require.NoError(t, err)
				defer stored.Close()
				got, err = io.ReadAll(stored)
				require.NoError(t, err)
				require.Equal(t, test.want, string(got))
			}
		})
	}
}

func TestFaulty_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faulty(t, func(c storetest.Call) storetest.Fault {
			if c.N == 1 {
				return storetest.Fault{Delay: time.Minute}
			}
			return storetest.Fault{Delay: -1}
		})
		start := time.Now()
		require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
		require.Equal(t, time.Minute, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, s.Create(ctx, "a", strings.NewReader("x")), context.DeadlineExceeded)
		require.Equal(t, time.Minute+time.Hour, time.Since(start))
	})
}

func ExampleFaulty() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	store, err := dir.Open(folder)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ctx := context.Background()
	s := &storetest.Faulty{Store: store, Script: func(c storetest.Call) storetest.Fault {
		if c.Op == storetest.OpCreate && c.N == 1 {
			return storetest.Fault{Lost: errors.New("connection lost")}
		}
		return storetest.Fault{}
	}}
	fmt.Println(s.Create(ctx, "a", strings.NewReader("x")))
	fmt.Println(errors.Is(s.Create(ctx, "a", strings.NewReader("x")), fs.ErrExist))
	// Output:
	// connection lost
	// true
}
