// Package script runs tests that are written as stories in text files.
//
// A file is a list of blocks with a blank line between. A block is a command line, optional input lines, a line "----" and the output
// that is expected. Lines before a block that begin with # are comments:
//
//	# what happens here
//	command with words
//	input
//	----
//	output
//
// With the test flag -update the outputs are rewritten as they came out; read the diff before you commit it.
package script

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected output of test scripts")

// separator stands between input and expected output.
const separator = "----"

// Block is one command of a script.
type Block struct {
	Line  int      // of the command in the file, from 1
	Words []string // the command line, split at blanks
	Input string   // the lines after it, each with its newline
}

// Run runs every file that matches pattern as a subtest of its own. start is called for each and returns the function that
// answers its blocks one after the other; what it returns is compared with the expected output, blanks at the ends of the
// text aside.
func Run(t *testing.T, pattern string, start func(t *testing.T) func(Block) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, "no script matches %s", pattern)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			runFile(t, name, start(t))
		})
	}
}

func runFile(t *testing.T, name string, answer func(Block) string) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	var rewritten []string
	line := 1
	for text := range strings.SplitSeq(strings.TrimRight(string(data), "\n"), "\n\n") {
		head, b, want := parse(t, name, line, text)
		got := strings.TrimSpace(answer(b))
		rewritten = append(rewritten, head+separator+"\n"+got)
		line += strings.Count(text, "\n") + 2
		if !*update && got != want {
			t.Errorf("%s:%d: %s\n--- got\n%s\n--- want\n%s", name, b.Line, strings.Join(b.Words, " "), got, want)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(strings.Join(rewritten, "\n\n")+"\n"), 0o600))
	}
}

// parse splits a block. head is everything before the separator, as it stands in the file.
func parse(t *testing.T, name string, line int, text string) (head string, b Block, want string) {
	t.Helper()
	head, want, ok := strings.Cut(text+"\n", separator+"\n")
	require.True(t, ok, "%s:%d: block without a line %q", name, line, separator)
	body := head
	for strings.HasPrefix(body, "#") {
		_, body, _ = strings.Cut(body, "\n")
		line++
	}
	command, input, _ := strings.Cut(body, "\n")
	return head, Block{Line: line, Words: strings.Fields(command), Input: input}, strings.TrimSpace(want)
}
