package queue_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/queue"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	seg1 = "000000010000000000000001"
	seg2 = "000000010000000000000002"
	seg3 = "000000010000000000000003"
)

// folder is a WAL folder with files of these names, 100 bytes each, of which the first waits longest.
func folder(t testing.TB, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pg_wal")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "archive_status"), 0o700))
	for i, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), make([]byte, 100), 0o600))
		ready(t, dir, name, start.Add(time.Duration(i)*time.Minute))
	}
	return dir
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ready(t testing.TB, dir, name string, since time.Time) {
	t.Helper()
	path := filepath.Join(dir, "archive_status", name+".ready")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chtimes(path, since, since))
}

func texts(names []wal.FileName) []string {
	var s []string
	for _, n := range names {
		s = append(s, n.String())
	}
	return s
}

func TestNames_in_the_order_of_the_server(t *testing.T) {
	want := []string{
		"00000002.history", "0000000A.history", seg1, seg1 + ".00000028.backup", seg2, seg2 + ".partial", "000000020000000000000001",
	}
	shuffled := make([]string, len(want))
	for i, j := range rand.Perm(len(want)) {
		shuffled[i] = want[j]
	}
	dir := folder(t, shuffled...)
	for _, other := range []string{seg3 + ".done", seg3, "0000000100000000000000zz.ready", "x.ready", ".ready", seg3 + ".ready.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "archive_status", other), nil, 0o600))
	}
	got, err := queue.Names(dir)
	require.NoError(t, err)
	require.Equal(t, want, texts(got))
}

func TestRead(t *testing.T) {
	dir := folder(t, seg2, "00000002.history", seg1)
	ready(t, dir, seg3, start.Add(-time.Hour)) // an orphan: its file is gone
	s, err := queue.Read(dir)
	require.NoError(t, err)
	require.EqualValues(t, 300, s.Bytes)
	require.Positive(t, s.Free)
	require.Len(t, s.Files, 4)
	require.Equal(t, "00000002.history", s.Files[0].Name.String())
	require.EqualValues(t, 100, s.Files[0].Size)
	require.EqualValues(t, -1, s.Files[3].Size)
	require.True(t, start.Add(-time.Hour).Equal(s.Oldest()))
	require.True(t, start.Equal(s.Files[2].Ready))
}

func TestRead_nothing_waits(t *testing.T) {
	s, err := queue.Read(folder(t))
	require.NoError(t, err)
	require.Empty(t, s.Files)
	require.True(t, s.Oldest().IsZero())
}

func TestRead_not_a_WAL_folder(t *testing.T) {
	_, err := queue.Read(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestIsReady(t *testing.T) {
	dir := folder(t, seg1)
	is := func(name string) bool {
		n, err := wal.ParseFileName(name)
		require.NoError(t, err)
		return queue.IsReady(dir, n)
	}
	require.True(t, is(seg1))
	require.False(t, is(seg2))
}

func TestWALDir(t *testing.T) {
	for _, name := range []string{"pg_wal", "pg_xlog"} {
		data := t.TempDir()
		_, err := queue.WALDir(data)
		require.ErrorContains(t, err, "not a data directory")
		elsewhere := t.TempDir()
		require.NoError(t, os.Symlink(elsewhere, filepath.Join(data, name)))
		got, err := queue.WALDir(data)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(data, name), got)
	}
}

func BenchmarkNames(b *testing.B) {
	dir := folder(b)
	for i := range 10000 {
		path := filepath.Join(dir, "archive_status", fmt.Sprintf("00000001%08X%08X.ready", i/256, i%256))
		require.NoError(b, os.WriteFile(path, nil, 0o600))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := queue.Names(dir); err != nil {
			b.Fatal(err)
		}
	}
}
