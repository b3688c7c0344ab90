package lookahead

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// instantArchive has everything at once, so that what is measured is the way to the helper and back.
type instantArchive struct{}

func (instantArchive) Push(context.Context, string) error { return nil }

func (instantArchive) Fetch(_ context.Context, name, dst string) error {
	return os.WriteFile(dst, segment(name, 1), 0o600)
}

// BenchmarkCall measures a call as PostgreSQL makes it, when the helper has the answer: from=library without the start of a process,
// from=process with it. Besides the mean there is the median, because a file system's journal makes some calls long.
func BenchmarkCall(b *testing.B) {
	name := segName(1, 1)
	d := newData(b, name)
	bond := ours
	bond.DataDir = d.dir
	spool := startServer(b, instantArchive{}, func(cfg *Config) { cfg.Bond, cfg.FetchAhead = bond, -1 })
	c := clientOf(b, spool, nil)
	c.Bond = bond
	program := filepath.Join(b.TempDir(), "call")
	out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "./testdata/call").CombinedOutput()
	require.NoError(b, err, "%s", out)
	process := func(args ...string) error {
		cmd := exec.CommandContext(b.Context(), program, append([]string{spool, bond.Settings}, args...)...)
		cmd.Dir = d.dir
		return cmd.Run()
	}
	source, dst := d.wal(name), d.wal("RECOVERYXLOG")
	fetched := func() { // ahead
		_ = os.Remove(dst)
		path := filepath.Join(spool, filesName, name)
		require.NoError(b, os.WriteFile(path, segment(name, 1), 0o600))
		f, err := os.Open(path)
		require.NoError(b, err)
		require.NoError(b, f.Sync()) // as what was fetched is
		require.NoError(b, f.Close())
	}
	nothing := func() {}
	for _, v := range []struct {
		name    string
		prepare func()
		call    func() error
	}{
		{"verb=push/from=library", nothing, func() error { return c.Push(b.Context(), source) }},
		{"verb=push/from=process", nothing, func() error { return process("push", source) }},
		{"verb=fetch/from=library", fetched, func() error { return c.Fetch(b.Context(), name, dst) }},
		{"verb=fetch/from=process", fetched, func() error { return process("fetch", name, dst) }},
	} {
		b.Run(v.name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				b.StopTimer()
				v.prepare()
				start := time.Now()
				b.StartTimer()
				require.NoError(b, v.call())
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "median-µs")
			b.ReportMetric(float64(times[len(times)*95/100].Microseconds()), "p95-µs")
		})
	}
}
