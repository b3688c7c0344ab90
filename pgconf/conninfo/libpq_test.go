package conninfo_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/pgconf"
)

// libpq is one that is installed on this machine.
type libpq struct {
	major   pgconf.Major
	path    string
	program string            // testdata/libpq.c, compiled
	options map[string]string // display character by keyword
}

// answer is what libpq says about one connection string.
type answer struct {
	message string // "ok" or an error
	options map[string]string
}

var installed struct {
	once   sync.Once
	libs   []libpq
	err    error
	remove func()
}

// eachLibpq runs a test for each major of which there is a libpq: Debian's, and those beside the servers. Without any, or without a C
// compiler, which the race detector needs too, the test is skipped, or fails if CI is set.
func eachLibpq(t *testing.T, test func(t *testing.T, l libpq)) {
	t.Helper()
	installed.once.Do(func() { installed.libs, installed.err = findLibpq() })
	if installed.err != nil {
		localpg.Missing(t, installed.err.Error())
	}
	for _, l := range installed.libs {
		t.Run("libpq="+l.major.String(), func(t *testing.T) { test(t, l) })
	}
}

func findLibpq() ([]libpq, error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return nil, fmt.Errorf("no C compiler: %w", err)
	}
	dir, err := os.MkdirTemp("", "libpq")
	if err != nil {
		return nil, err
	}
	installed.remove = func() { _ = os.RemoveAll(dir) }
	program := filepath.Join(dir, "libpq")
	build := exec.Command(compiler, "-Wall", "-Werror", "-O1", "-o", program, "testdata/libpq.c", "-ldl")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile testdata/libpq.c: %w\n%s", err, out)
	}
	paths, _ := filepath.Glob("/usr/lib/*/libpq.so.5") // the pattern is well-formed
	for _, in := range localpg.Servers() {
		paths = append(paths, filepath.Join(in.Dir, "../lib/libpq.so.5"))
	}
	var libs []libpq
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		l := libpq{path: path, program: program}
		answers, err := l.run("keywords", nil)
		if err != nil {
			return nil, err
		}
		version, _ := strconv.Atoi(answers[0].message)
		l.major, l.options = pgconf.Major(version/10000), answers[0].options
		if !slices.ContainsFunc(libs, func(o libpq) bool { return o.major == l.major }) {
			libs = append(libs, l)
		}
	}
	if len(libs) == 0 {
		return nil, fmt.Errorf("no libpq.so.5 in /usr/lib and beside the PostgreSQL servers; install the package libpq5")
	}
	slices.SortFunc(libs, func(a, b libpq) int { return int(a.major - b.major) })
	return libs, nil
}

// ask hands strings to libpq, with nothing in its environment.
func (l libpq) ask(t *testing.T, mode string, texts []string) []answer {
	t.Helper()
	answers, err := l.run(mode, texts)
	require.NoError(t, err)
	require.Len(t, answers, len(texts))
	return answers
}

// askWith hands the same strings to libpq again and again, each time with a file of that content named by an environment variable.
func (l libpq) askWith(t *testing.T, variable string, contents, texts []string) [][]answer {
	t.Helper()
	dir := t.TempDir()
	var all []string
	for n, content := range contents {
		path := filepath.Join(dir, strconv.Itoa(n))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		all = append(append(all, "\x01"+variable+"="+path), texts...)
	}
	answers, err := l.run("connect", all)
	require.NoError(t, err)
	require.Len(t, answers, len(contents)*len(texts))
	return slices.Collect(slices.Chunk(answers, len(texts)))
}

func (l libpq) run(mode string, texts []string) ([]answer, error) {
	cmd := exec.Command(l.program, l.path, mode)
	cmd.Env = []string{"LC_ALL=C", "HOME=/nonexistent"}
	cmd.Stdin = strings.NewReader(strings.Join(texts, "\x00") + "\x00")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s %s: %w: %s", l.program, l.path, mode, err, &stderr)
	}
	items := strings.Split(string(out), "\x00")
	var answers []answer
	for len(items) > 1 {
		a := answer{message: items[0], options: map[string]string{}}
		for items = items[1:]; items[0] != ""; items = items[2:] {
			a.options[items[0]] = items[1]
		}
		items = items[1:]
		answers = append(answers, a)
	}
	return answers, nil
}
