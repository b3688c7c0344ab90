// Package unifiedtest applies unified diffs, for the tests of those who make them.
package unifiedtest

import (
	"fmt"
	"strings"
	"testing"
)

// Apply applies a unified diff to a text. Every line of it must be in its place, else the test fails.
func Apply(t testing.TB, text, diff string) string {
	t.Helper()
	old := strings.SplitAfter(text, "\n")
	lines := strings.SplitAfter(diff, "\n")
	var b strings.Builder
	at := 0
	copyTo := func(end int) {
		for ; at < end; at++ {
			b.WriteString(old[at])
		}
	}
	for i := 2; i < len(lines)-1; i++ {
		line := lines[i]
		if strings.HasPrefix(lines[i+1], `\`) {
			line = strings.TrimSuffix(line, "\n")
		}
		switch mark := line[0]; mark {
		case '@':
			var start, count int
			if n, _ := fmt.Sscanf(line, "@@ -%d,%d", &start, &count); n == 1 || count > 0 {
				start--
			}
			copyTo(start)
		case '+':
			b.WriteString(line[1:])
		case ' ', '-':
			if at == len(old) || old[at] != line[1:] {
				t.Fatalf("line %d is not what the diff says of %q:\n%s", at+1, text, diff)
			}
			if mark == ' ' {
				b.WriteString(line[1:])
			}
			at++
		}
	}
	copyTo(len(old))
	return b.String()
}
