package pgconf_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/unified/unifiedtest"
)

// TestHostile has texts that no server reads as anybody meant them: each is an error with its place, and every byte stays.
func TestHostile(t *testing.T) {
	for name, c := range map[string]struct {
		text      string
		line, col int
	}{
		"nul_in_name":         {"a = 1\nb\x00 = 1\n", 2, 2},
		"nul_in_string":       {"a = 'x\x00'\n", 1, 7},
		"nul_after_value":     {"a = 1 \x00\n", 1, 7},
		"only_nul":            {"\x00", 1, 1},
		"utf16":               {"\xff\xfea\x00=\x001\x00\n\x00", 1, 4},
		"byte_order_mark":     {"\uFEFFa = 1\n", 1, 1},
		"mark_in_line_2":      {"\n\uFEFF# a\n", 2, 4},
		"only_cr":             {"a = 1\rb = 2\rc = 3\r", 1, 7},
		"vertical_tab":        {"a\v= 1\n", 1, 2},
		"no_break_space":      {"a = 1\u00a0\n", 1, 6},
		"typographic_quotes":  {"a = ‘x y’\n", 1, 10},
		"minus_for_a_hyphen":  {"a = −1\n", 1, 0}, // the bytes are letters: a word
		"invalid_utf8":        {"a = \xc3\x28\n", 1, 6},
		"unclosed_runs_on":    {"a = 'x\nb = 1'\n", 1, 5},
		"continuation":        {"a = 'x \\\n y'\n", 1, 5},
		"shell":               {"export a=1\n", 1, 9},
		"ini_section":         {"[mysqld]\n", 1, 1},
		"semicolon_comment":   {"; a\n", 1, 1},
		"c_comment":           {"// a\n", 1, 1},
		"yaml":                {"a: 1\n", 1, 1},
		"json":                {"{\"a\": 1}\n", 1, 1},
		"html":                {"<p>\n", 1, 1},
		"merge_conflict":      {"<<<<<<< HEAD\na = 1\n", 1, 1},
		"placeholder_in_name": {"$a = 1\n", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := pgconf.Parse("my.conf", []byte(c.text))
			require.Equal(t, c.text, string(f.Bytes()))
			if c.col == 0 {
				require.NoError(t, err)
				return
			}
			var syntax *pgconf.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, pgconf.SyntaxError{File: "my.conf", Line: c.line, Col: c.col, Msg: syntax.Msg}, *syntax)
			require.NotEmpty(t, syntax.Msg)
		})
	}
}

const (
	mega = 1 << 20
)

// takes fails the test if run takes longer than time that grows with the size of its input allows: seconds where it takes
// a tenth of one, even with the race detector on a machine that has much else to do.
func takes(t *testing.T, atMost time.Duration, run func()) {
	t.Helper()
	begin := time.Now()
	run()
	require.Less(t, time.Since(begin), atMost)
}

// TestHugeLine has one line of 100 MB.
func TestHugeLine(t *testing.T) {
	for name, text := range map[string]string{
		"quoted":   "a = '" + strings.Repeat("x", 100*mega) + "' # c\n",
		"unclosed": "a = 1\nb = '" + strings.Repeat("''", 50*mega),
		"comment":  "#" + strings.Repeat("a = 1", 20*mega),
	} {
		t.Run(name, func(t *testing.T) {
			takes(t, 5*time.Minute, func() {
				f, err := pgconf.Parse("f", []byte(text))
				require.Equal(t, name == "unclosed", err != nil)
				require.NoError(t, f.SetKeeping("a", "2"))
				require.NoError(t, f.Set("a", "3"))
				_, err = f.SetBlock("m", settings("a", "4"))
				require.NoError(t, err)
				require.NoError(t, f.RemoveBlock("m"))
				require.Greater(t, len(f.Bytes()), 100*mega)
				require.NotEmpty(t, f.Diff())
			})
		})
	}
}

// TestHugeFile has 100 MB of short lines: what they take in memory is a small multiple of that.
func TestHugeFile(t *testing.T) {
	text := bytes.Repeat([]byte("a = 1\n#b\n"), 100*mega/9)
	takes(t, 5*time.Minute, func() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := pgconf.Parse("f", text)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(5*len(text)))
		require.NoError(t, f.Set("a", "2"))
		got, _ := f.Get("a")
		require.Equal(t, pgconf.Setting{Name: "a", Spelling: "a", Value: "2", File: "f", Line: 2*(100*mega/9) - 1, Col: 1}, got)
		require.Len(t, f.Bytes(), len(text))
		require.Equal(t, 9, strings.Count(f.Diff(), "\n"))
	})
}

// TestMillions has a million lines of the same kind, and all the verbs.
func TestMillions(t *testing.T) {
	for name, text := range map[string]string{
		"settings":  strings.Repeat("a = 1\n", mega),
		"commented": strings.Repeat("#a = 1\n", mega),
		"prose":     strings.Repeat("#a lot\n", mega),
		"errors":    strings.Repeat("a *\n", mega),
		"blocks":    strings.Repeat("# BEGIN managed block x\n", mega),
		"includes":  strings.Repeat("include 'x'\n", mega),
		"empty":     strings.Repeat("\n", mega),
	} {
		t.Run(name, func(t *testing.T) {
			takes(t, 5*time.Minute, func() {
				f, _ := pgconf.Parse("f", []byte(text))
				require.NoError(t, f.Set("a", "2"))
				require.NoError(t, f.SetKeeping("a", "3"))
				require.NoError(t, f.InsertAfter("a", "c", "3"))
				require.NoError(t, f.SetAll(map[string]string{"a": "5", "b": "6", "c": "7"}))
				require.NoError(t, f.Rename("a", "d"))
				require.NotEmpty(t, f.Settings())
				require.NotEmpty(t, f.Diff())
				_, err := f.SetBlock("m", settings("a", "4"))
				require.Equal(t, name == "blocks", err != nil)
				require.NoError(t, f.Unset("d"))
				_, ok := f.Get("d")
				require.False(t, ok)
				require.NotEmpty(t, f.DiffHiding(pgconf.MayHoldSecret))
			})
		})
	}
}

// TestBulkEdits sets a thousand names in a file of a hundred thousand lines, in each of the three ways.
func TestBulkEdits(t *testing.T) {
	text, values := bulk()
	takes(t, 3*time.Minute, func() {
		f, err := pgconf.Parse("f", text)
		require.NoError(t, err)
		require.NoError(t, f.SetAll(values))
		for name, value := range values {
			got, ok := f.Get(name)
			require.True(t, ok)
			require.Equal(t, value, got.Value)
		}
		want := string(f.Bytes())
		require.Equal(t, want, unifiedtest.Apply(t, string(text), f.Diff()))
		require.NoError(t, f.SetAll(values))
		require.Equal(t, want, string(f.Bytes()))
	})
}
