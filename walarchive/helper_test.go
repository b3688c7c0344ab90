package walarchive_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/waltest"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
)

const segSize = 1 << 20 // the smallest, so that tests are quick

var ours = walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: segSize}

// segment is a file that the given cluster could have written as the segment called name, full of WAL.
func segment(t testing.TB, id walarchive.Identity, name string, seed uint64) []byte {
	t.Helper()
	return waltest.Segment(id.SystemID, id.SegmentSize, name, int(id.SegmentSize), seed)
}

const (
	seg3       = "000000010000000000000003"
	historyOf2 = "1\t0/3000060\tno recovery target specified\n"
)

func openArchive(t testing.TB, path string, id walarchive.Identity) *walarchive.Archive {
	t.Helper()
	store, err := dir.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	return newArchive(t, store, id)
}

func newArchive(t testing.TB, store walarchive.Store, id walarchive.Identity) *walarchive.Archive {
	t.Helper()
	a, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: store}}, Identity: id})
	require.NoError(t, err)
	return a
}

// write puts a file into a fresh folder, as the server's pg_wal, and returns its path.
func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func names(t testing.TB, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// faultyStore fails on demand and can go away, as a mount does.
type faultyStore struct {
	walarchive.Store
	open   func(name string) error // called before each Open
	read   error                   // what reads of any object end in, after the first 100 bytes
	create func(name string) error
}

func (s *faultyStore) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if s.open != nil {
		if err := s.open(name); err != nil {
			return nil, err
		}
	}
	r, err := s.Store.Open(ctx, name)
	if err != nil || s.read == nil || name == walarchive.MarkerName {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, 100), errReader{s.read}), r}, nil
}

func (s *faultyStore) Create(ctx context.Context, name string, r io.Reader) error {
	if s.create != nil {
		if err := s.create(name); err != nil {
			return err
		}
	}
	return s.Store.Create(ctx, name, r)
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// requireUnknown demands the third answer of Fetch, and that nobody can take it for the second.
func requireUnknown(t testing.TB, err error) {
	t.Helper()
	var unknown *walarchive.UnknownError
	require.ErrorAs(t, err, &unknown)
	require.NotErrorIs(t, err, fs.ErrNotExist, "no failure may look like the end of the archive")
	require.False(t, errors.As(err, new(*walarchive.AbsentError)))
}
