package walarchive_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

var full = walarchive.Identity{SystemID: ours.SystemID, SegmentSize: wal.DefaultSegmentSize}

// BenchmarkPush archives one segment. "cp" is the archive_command of the manual's example, which syncs nothing;
// "cp+sync" adds the fsync of file and directory that the server's contract asks for.
func BenchmarkPush(b *testing.B) {
	path := filepath.Join(b.TempDir(), seg3)
	require.NoError(b, os.WriteFile(path, segment(b, full, seg3, 1), 0o600))
	bench := func(name string, push func(b *testing.B, archive string) error) {
		b.Run("with="+name+"/size=16MiB", func(b *testing.B) {
			archive := b.TempDir()
			b.SetBytes(wal.DefaultSegmentSize)
			b.ReportAllocs()
			for b.Loop() {
				if err := push(b, archive); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				os.Remove(filepath.Join(archive, seg3))
				b.StartTimer()
			}
		})
	}
	shell := func(script string) func(b *testing.B, archive string) error {
		return func(b *testing.B, archive string) error {
			return exec.CommandContext(b.Context(), "sh", "-c", script, "sh", path, filepath.Join(archive, seg3), archive).Run()
		}
	}
	bench("push", func(b *testing.B, archive string) error { return openArchive(b, archive, full).Push(b.Context(), path) })
	bench("cp", shell(`test ! -f "$2" && cp "$1" "$2"`))
	bench("cp+sync", shell(`test ! -f "$2" && cp "$1" "$2.tmp" && sync "$2.tmp" && mv "$2.tmp" "$2" && sync "$3"`))
}

func BenchmarkFetch(b *testing.B) {
	archive := b.TempDir()
	require.NoError(b, openArchive(b, archive, full).Push(b.Context(), write(b, seg3, segment(b, full, seg3, 1))))
	dst := filepath.Join(b.TempDir(), "RECOVERYXLOG")
	for name, asked := range map[string]string{"there": seg3, "absent": missing} {
		b.Run(name+"/size=16MiB", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				err := openArchive(b, archive, full).Fetch(b.Context(), asked, dst)
				if (err == nil) != (asked == seg3) {
					b.Fatal(err)
				}
				b.StopTimer()
				os.Remove(dst)
				b.StartTimer()
			}
		})
	}
}
