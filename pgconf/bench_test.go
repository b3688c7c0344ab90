package pgconf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
)

// benchFiles are the texts that the benchmarks read and edit.
func benchFiles(b testing.TB) map[string][]byte {
	sample := readSample(b, "testdata/postgresql.conf.17.sample")
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

// BenchmarkEdit reads a file, makes three edits and writes it.
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

func BenchmarkDiff(b *testing.B) {
	benchmark(b, func(b *testing.B, text []byte) {
		f, _ := pgconf.Parse("f", text)
		_ = f.SetAll(map[string]string{"max_connections": "200", "archive_command": "archive %p"})
		for b.Loop() {
			f.Diff()
		}
	})
}

// bulk returns a file of a hundred thousand lines and a thousand settings for it: some are there, some commented out, some new.
func bulk() (text []byte, values map[string]string) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "%sx.name_%d = %d   # a remark\n", []string{"", "#"}[i%2], i, i)
	}
	values = map[string]string{}
	for i := range 1000 {
		values[fmt.Sprintf("x.name_%d", i*150)] = "new"
	}
	return []byte(b.String()), values
}

func BenchmarkSetAll(b *testing.B) {
	text, values := bulk()
	b.Run("names=1000/lines=100000", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		f, _ := pgconf.Parse("f", text)
		for b.Loop() {
			_ = f.SetAll(values)
		}
	})
}
