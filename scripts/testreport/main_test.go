package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The streams in testdata are what "go test -json" printed for packages made for the purpose; want holds lines that the report must
// show, not lines that it must leave out.
func TestRun(t *testing.T) {
	cases := []struct {
		name   string
		strict bool
		code   int
		last   string
		want   []string
		not    []string
	}{
		{
			name: "all_pass", code: 0, strict: true,
			last: "4 passed, 0 failed, 0 skipped",
			want: []string{"ok  \tscratch/good\t", "packages: 1 ok, 0 failed"},
			not:  []string{"--- PASS", "chatter"},
		},
		{
			name: "one_fails", code: 1,
			last: "2 passed, 2 failed, 0 skipped",
			want: []string{"good_test.go:10: got 1, want 2", "--- FAIL: TestTable/odd", "FAIL\tscratch/bad\t", "failed: scratch/bad TestTable/odd"},
			not:  []string{"chatter"},
		},
		{
			name: "skip_allowed", code: 0,
			last: "1 passed, 0 failed, 1 skipped",
			want: []string{"no container runtime here", "skipped: scratch/skips TestNeedsDocker"},
		},
		{
			name: "skip_allowed", code: 1, strict: true,
			last: "1 passed, 0 failed, 1 skipped",
			want: []string{"skipped: scratch/skips TestNeedsDocker", "nothing may be skipped here"},
		},
		{
			name: "does_not_compile", code: 1,
			last: "0 passed, 1 failed, 0 skipped",
			want: []string{"undefined: nowhere", "FAIL\tscratch/broken [build failed]", "failed: scratch/broken"},
		},
		{
			name: "panics", code: 1,
			last: "1 passed, 1 failed, 0 skipped",
			want: []string{"panic: out of the blue", "failed: scratch/panics TestPanics"},
		},
		{
			name: "runs_out_of_time", code: 1,
			want: []string{"panic: test timed out after", "failed: scratch/hangs"},
		},
		{
			name: "no_tests", code: 1,
			last: "0 passed, 0 failed, 0 skipped",
			want: []string{"?   \tscratch/empty\t[no test files]", "no test has passed"},
		},
	}
	for _, c := range cases {
		name := c.name
		if c.strict {
			name += "_strict"
		}
		t.Run(name, func(t *testing.T) {
			stream, err := os.Open(filepath.Join("testdata", c.name+".json"))
			require.NoError(t, err)
			defer stream.Close()
			file := filepath.Join(t.TempDir(), "summary")
			args := []string{"-summary", file}
			if c.strict {
				args = append(args, "-strict")
			}
			var out, errOut strings.Builder
			code := run(args, stream, &out, &errOut)
			require.Equal(t, c.code, code, out.String())
			require.Empty(t, errOut.String())
			for _, want := range c.want {
				require.Contains(t, out.String(), want)
			}
			for _, not := range c.not {
				require.NotContains(t, out.String(), not)
			}
			summary, err := os.ReadFile(file)
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(out.String(), string(summary)))
			if c.last != "" {
				require.True(t, strings.HasSuffix(out.String(), "\n"+c.last+"\n"), out.String())
			}
		})
	}
}

func TestRunNoEvents(t *testing.T) {
	var out, errOut strings.Builder
	require.Equal(t, 2, run(nil, strings.NewReader("{this is no event\n"), &out, &errOut))
	require.Contains(t, errOut.String(), "line 1 is no test event")

	out.Reset()
	require.Equal(t, 1, run(nil, strings.NewReader("go: cannot find main module\n"), &out, &errOut))
	require.Contains(t, out.String(), "go: cannot find main module")
}
