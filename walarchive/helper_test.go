package walarchive_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const segSize = 1 << 20 // the smallest, so that tests are quick

var ours = walarchive.Identity{SystemID: 7574928734098123456, SegmentSize: segSize}

// segment is a file of size bytes that begins as a server of the given cluster begins the segment called name.
func segment(t testing.TB, id walarchive.Identity, name string, seed uint64) []byte {
	t.Helper()
	f, err := wal.ParseFileName(name)
	require.NoError(t, err)
	seg, err := f.Segment(id.SegmentSize)
	require.NoError(t, err)
	b := make([]byte, id.SegmentSize)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	_, err = random.Read(b)
	require.NoError(t, err)
	header := b[:wal.SegmentHeaderSize]
	clear(header)
	le := binary.LittleEndian
	le.PutUint16(header, 0xD110)
	le.PutUint16(header[2:], 2)
	le.PutUint32(header[4:], uint32(seg.Timeline))
	le.PutUint64(header[8:], uint64(seg.Start(id.SegmentSize)))
	le.PutUint64(header[24:], uint64(id.SystemID))
	le.PutUint32(header[32:], id.SegmentSize)
	le.PutUint32(header[36:], 8192)
	return b
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
	a, err := walarchive.New(walarchive.Config{Store: store, Identity: id})
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
