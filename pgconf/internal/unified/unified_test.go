package unified_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf/internal/unified"
)

// step is a line with a mark before it: ' ', '-' or '+'.
func render(steps ...string) string {
	d := unified.New("f", "f")
	for _, s := range steps {
		switch s[0] {
		case ' ':
			d.Keep(s[1:])
		case '-':
			d.Remove(s[1:])
		default:
			d.Add(s[1:])
		}
	}
	return d.String()
}

func lines(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "%d\n", i)
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	const head = "--- f\n+++ f\n"
	for name, c := range map[string]struct {
		steps []string
		want  string
	}{
		"nothing":       {nil, ""},
		"no_change":     {[]string{" a\n", " b"}, ""},
		"replaced":      {[]string{" " + lines(1, 9), "-10\n", "+x\n", " " + lines(11, 20)}, "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+x\n 11\n 12\n 13\n"},
		"kept_singly":   {[]string{" 1\n", " 2\n", " 3\n", " 4\n", "-5\n", " 6\n", " 7\n", " 8\n", " 9\n"}, "@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n"},
		"at_begin":      {[]string{"+x\n", " " + lines(1, 9)}, "@@ -1,3 +1,4 @@\n+x\n 1\n 2\n 3\n"},
		"at_end":        {[]string{" " + lines(1, 9), "+x\n"}, "@@ -7,3 +7,4 @@\n 7\n 8\n 9\n+x\n"},
		"from_empty":    {[]string{"+x\n"}, "@@ -0,0 +1 @@\n+x\n"},
		"to_empty":      {[]string{"-x\ny\n"}, "@@ -1,2 +0,0 @@\n-x\n-y\n"},
		"sorted":        {[]string{"-a\n", "+A\n", "-b\n", "+B\n"}, "@@ -1,2 +1,2 @@\n-a\n-b\n+A\n+B\n"},
		"no_newline":    {[]string{" a\n", "-b", "+b\n"}, "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		"kept_open":     {[]string{"-a\n", " b"}, "@@ -1,2 +1 @@\n-a\n b\n\\ No newline at end of file\n"},
		"near_is_one":   {[]string{"-a\n", " " + lines(1, 6), "+b\n"}, "@@ -1,7 +1,7 @@\n-a\n 1\n 2\n 3\n 4\n 5\n 6\n+b\n"},
		"far_are_two":   {[]string{"-a\n", " " + lines(1, 7), "+b\n"}, "@@ -1,4 +1,3 @@\n-a\n 1\n 2\n 3\n@@ -6,3 +5,4 @@\n 5\n 6\n 7\n+b\n"},
		"far_and_apart": {[]string{"-a\n", " " + lines(1, 50), "+b\n", " 51\n"}, "@@ -1,4 +1,3 @@\n-a\n 1\n 2\n 3\n@@ -49,4 +48,5 @@\n 48\n 49\n 50\n+b\n 51\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want != "" {
				want = head + want
			}
			require.Equal(t, want, render(c.steps...))
		})
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"postgresql.conf": "postgresql.conf", "my file": "my file\t", "a\"b\\c\n": `"a\042b\134c\012"`, "é": "é", "\x7f": `"\177"`,
	} {
		d := unified.New("old", name)
		d.Add("x\n")
		require.Contains(t, d.String(), "--- old\n+++ "+want+"\n@@")
	}
}

func TestStringTwice(t *testing.T) {
	d := unified.New("f", "f")
	d.Keep(lines(1, 5))
	d.Remove("6\n")
	first := d.String()
	require.Equal(t, first, d.String())
}

// TestPatch lets patch and git, whichever there is, apply the diffs of random changes.
func TestPatch(t *testing.T) {
	var tools [][]string
	for _, tool := range [][]string{{"patch", "-p0", "--fuzz=0", "--input"}, {"git", "apply", "-p0", "--unidiff-zero"}} {
		if _, err := exec.LookPath(tool[0]); err == nil {
			tools = append(tools, tool)
		}
	}
	if len(tools) == 0 {
		localpg.Missing(t, "neither patch nor git on PATH")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		before, after, diff := randomChange(r)
		for _, tool := range tools {
			dir := t.TempDir()
			file := filepath.Join(dir, "f")
			require.NoError(t, os.WriteFile(file, []byte(before), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "diff"), []byte(diff), 0o600))
			cmd := exec.CommandContext(t.Context(), tool[0], append(tool[1:], "diff")...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
			if diff != "" {
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s\n%s", out, diff)
			}
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, after, string(got), diff)
		}
	}
}

func randomChange(r *rand.Rand) (before, after, diff string) {
	d := unified.New("f", "f")
	for i, n := 0, 2+r.IntN(60); i < n; i++ {
		line := fmt.Sprintf("%d\n", r.IntN(3))
		if i == n-1 && r.IntN(2) == 0 {
			line = "end"
		}
		switch r.IntN(12) {
		case 0:
			before += line
			d.Remove(line)
			if i < n-1 || strings.HasSuffix(line, "\n") {
				break
			}
			after += "changed"
			d.Add("changed")
		case 1:
			if strings.HasSuffix(line, "\n") {
				after += line
				d.Add(line)
			}
		default:
			before += line
			after += line
			d.Keep(line)
		}
	}
	return before, after, d.String()
}
