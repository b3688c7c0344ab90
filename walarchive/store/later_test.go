package store_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store"
	"github.com/understudy-ha/understudy/walarchive/store/storetest"
)

// TestLater_place_that_is_missing: nothing is proven by it, and it serves as soon as it is there.
func TestLater_place_that_is_missing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	s, err := store.Later(path, store.Options{})
	require.NoError(t, err)
	require.Equal(t, path, s.String())
	ctx := t.Context()
	calls := map[string]func() error{
		"Create":  func() error { return s.Create(ctx, "a", strings.NewReader("a")) },
		"Open":    func() error { _, err := s.Open(ctx, "a"); return err },
		"List":    func() error { _, err := s.List(ctx); return err },
		"Details": func() error { _, err := s.Details(ctx, []string{"a"}); return err },
		"Remove":  func() error { return s.Remove(ctx, []string{"a"}) },
		"Sweep":   func() error { return s.Sweep(ctx, time.Now()) },
	}
	for name, call := range calls {
		err := call()
		require.ErrorContains(t, err, path, name)
		require.NotErrorIs(t, err, fs.ErrNotExist, name)
	}
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NoError(t, calls["Create"]())
	require.ErrorIs(t, calls["Create"](), fs.ErrExist)
	_, err = s.Open(ctx, "b")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for name, call := range calls {
		if name != "Create" && name != "Open" {
			require.NoError(t, call(), name)
		}
	}
	require.NoError(t, s.Close())
}

func TestLater_wrong_URL_is_an_error_at_once(t *testing.T) {
	for _, url := range []string{"", "archive", "./archive", "file://archive", "ftp://host/archive", "s3://"} {
		_, err := store.Later(url, store.Options{})
		require.Error(t, err, url)
	}
}

func TestLater_never_used(t *testing.T) {
	s, err := store.Later("/nonexistent", store.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.List(ctx)
	require.Error(t, err)
}

func TestLater_is_a_store(t *testing.T) {
	storetest.Run(t, func(t *testing.T) walarchive.Store {
		s, err := store.Later(t.TempDir(), store.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	})
}
