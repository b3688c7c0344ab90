package pgconf_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

// benchFiles are the texts that the benchmarks read and edit.
func benchFiles(b testing.TB) map[string][]byte {
	sample, err := os.ReadFile("testdata/postgresql.conf.17.sample")
	require.NoError(b, err)
	active := strings.ReplaceAll(string(sample), "\n#", "\n") // what was commented out is set; prose is invalid
	f, _ := pgconf.Parse("f", []byte(active))
	var settings strings.Builder
	for _, l := range strings.SplitAfter(active, "\n") {
		if one, err := pgconf.Parse("f", []byte(l)); err == nil && len(one.Settings()) == 1 {
			settings.WriteString(l)
		}
	}
	require.Greater(b, len(f.Settings()), 300)
	return map[string][]byte{"sample": sample, "all_set": []byte(settings.String())}
}

func benchmark(b *testing.B, run func(b *testing.B, text []byte)) {
	for _, name := range []string{"sample", "all_set"} {
		text := benchFiles(b)[name]
		b.Run("file="+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			run(b, text)
		})
	}
}

func BenchmarkParse(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		for b.Loop() {
			_, _ = pgconf.Parse("f", text)
		}
	})
}

func BenchmarkBytes(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		f, _ := pgconf.Parse("f", text)
		for b.Loop() {
			f.Bytes()
		}
	})
}

func BenchmarkSettings(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		f, _ := pgconf.Parse("f", text)
		for b.Loop() {
			f.Settings()
		}
	})
}

// BenchmarkGet asks for a parameter of the first section, which is found last.
func BenchmarkGet(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		f, _ := pgconf.Parse("f", text)
		for b.Loop() {
			f.Get("max_connections")
		}
	})
}

// BenchmarkSet changes a value there and back.
func BenchmarkSet(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		f, _ := pgconf.Parse("f", text)
		for b.Loop() {
			_ = f.Set("max_connections", "200")
			_ = f.Set("max_connections", "100")
		}
	})
}

func BenchmarkEdit(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		for b.Loop() {
			f, _ := pgconf.Parse("f", text)
			_ = f.Set("max_connections", "200")
			_ = f.Set("archive_command", "archive %p")
			_ = f.Unset("shared_buffers")
			f.Bytes()
		}
	})
}
