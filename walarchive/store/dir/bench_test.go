package dir_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
)

// fill makes n empty segments and returns their names.
func fill(tb testing.TB, dir string, n int) []string {
	tb.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("00000001%08X%08X", i/256, i%256)
		require.NoError(tb, os.WriteFile(filepath.Join(dir, names[i]), nil, 0o600))
	}
	return names
}

// BenchmarkList lists 100,000 names. "os" is the same with the standard library.
func BenchmarkList(b *testing.B) {
	path := b.TempDir()
	fill(b, path, 100_000)
	s := open(b, path)
	b.Run("with=store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			names, err := s.List(b.Context())
			require.NoError(b, err)
			require.Len(b, names, 100_000)
		}
	})
	b.Run("with=os", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, err := os.Open(path)
			require.NoError(b, err)
			entries, err := f.ReadDir(-1)
			require.NoError(b, err)
			require.Len(b, entries, 100_000)
			require.NoError(b, f.Close())
		}
	})
}

// BenchmarkRemove removes 20,000 files, and has pg_archivecleanup do the same.
func BenchmarkRemove(b *testing.B) {
	const count = 20_000
	path := b.TempDir()
	s := open(b, path)
	bench := func(name string, remove func(b *testing.B, names []string) error) {
		b.Run("with="+name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				names := fill(b, path, count)
				require.NoError(b, atomicfile.SyncDir(path))
				b.StartTimer()
				require.NoError(b, remove(b, names))
			}
		})
	}
	bench("store", func(b *testing.B, names []string) error { return s.Remove(b.Context(), names) })
	const program = "/usr/lib/postgresql/15/bin/pg_archivecleanup"
	if _, err := os.Stat(program); err == nil {
		bench("pg_archivecleanup", func(b *testing.B, _ []string) error {
			return exec.CommandContext(b.Context(), program, path, "00000001FFFFFFFF000000FF").Run()
		})
	}
}

// BenchmarkCreate stores 16 MiB. "dd" is dd conv=fsync bs=1M, which syncs no directory.
func BenchmarkCreate(b *testing.B) {
	path := b.TempDir()
	content := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)
	source := filepath.Join(b.TempDir(), "source")
	require.NoError(b, os.WriteFile(source, content, 0o600))
	s := open(b, path)
	bench := func(name string, create func(b *testing.B) error) {
		b.Run("with="+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				require.NoError(b, create(b))
				b.StopTimer()
				require.NoError(b, os.Remove(filepath.Join(path, "object")))
				b.StartTimer()
			}
		})
	}
	bench("store", func(b *testing.B) error {
		f, err := os.Open(source)
		require.NoError(b, err)
		defer f.Close()
		return s.Create(b.Context(), "object", f)
	})
	bench("dd", func(b *testing.B) error {
		return exec.CommandContext(b.Context(), "dd", "if="+source, "of="+filepath.Join(path, "object"), "bs=1M", "conv=fsync", "status=none").Run()
	})
}
