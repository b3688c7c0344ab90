package dir_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/store/storetest"
)

func open(t testing.TB, path string) *dir.Store {
	t.Helper()
	s, err := dir.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.RunPlace(t, places)
}

func TestArchive(t *testing.T) {
	storetest.Archive(t, func(t *testing.T) walarchive.Store { return open(t, t.TempDir()) })
}

func TestRace(t *testing.T) {
	path := t.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "walarchive-test-"); err == nil { // where fsync costs nothing
		path = memory
		t.Cleanup(func() { os.RemoveAll(memory) })
	}
	storetest.Race(t, open(t, path), 1000)
}

func TestOpen_never_makes_the_directory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	_, err := dir.Open(path)
	require.Error(t, err)
	require.NoDirExists(t, path)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = dir.Open(file)
	require.Error(t, err)
}

// TestStore_keeps_to_its_directory: another directory in its place, as a mount makes it, is not mistaken for it, and what would be
// stored or missed in a directory that is not there any more is an error.
func TestStore_keeps_to_its_directory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.Mkdir(path, 0o700))
	s := open(t, path)
	require.NoError(t, s.Create(t.Context(), "old", strings.NewReader("x")))
	require.NoError(t, os.Rename(path, path+".moved"))
	require.NoError(t, os.Mkdir(path, 0o700))
	const why = "is not the one that was opened"
	require.ErrorContains(t, s.Create(t.Context(), "a", strings.NewReader("x")), why)
	require.NoFileExists(t, filepath.Join(path, "a"))
	err := s.Create(t.Context(), "old", strings.NewReader("x"))
	require.ErrorContains(t, err, why)
	require.NotErrorIs(t, err, fs.ErrExist)
	_, err = s.Open(t.Context(), "b")
	require.ErrorContains(t, err, why)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	_, err = s.Details(t.Context(), []string{"b"})
	require.ErrorContains(t, err, why)
	_, err = s.List(t.Context())
	require.ErrorContains(t, err, why)
	require.ErrorContains(t, s.Remove(t.Context(), []string{"b"}), why)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Rename(path+".moved", path))
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"old", "a"}, names, "it is back, with what was stored before the look")
}

func TestStore_mode_and_leftovers(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	info, err := os.Stat(filepath.Join(path, "a"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	for name, age := range map[string]time.Duration{".a.tmp-OLD": 48 * time.Hour, ".a.tmp-NEW": 0} {
		require.NoError(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(path, name), then, then))
	}
	require.NoError(t, os.Mkdir(filepath.Join(path, "folder"), 0o700))
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names)

	require.NoError(t, s.Sweep(t.Context(), time.Now().Add(-24*time.Hour)))
	require.NoFileExists(t, filepath.Join(path, ".a.tmp-OLD"))
	require.FileExists(t, filepath.Join(path, ".a.tmp-NEW"))
	require.FileExists(t, filepath.Join(path, "a"))
}

func TestStore_link_out_of_the_directory_is_trouble(t *testing.T) {
	path := t.TempDir()
	outside := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(outside, []byte("x"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(path, "a")))
	_, err := open(t, path).Open(t.Context(), "a")
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrNotExist)
}
