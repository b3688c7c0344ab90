package gocd_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/gocd"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const primaryURL = "https://primarygo:8154"

// standbyFor is a standby target that fits the files of a format.
func standbyFor(t testing.TB, format gocd.Format) gocd.Target {
	t.Helper()
	version := "21.2.0"
	if format == gocd.FormatShell {
		version = "19.5.0"
	}
	v, err := gocd.ParseVersion(version)
	require.NoError(t, err)
	target, _, err := gocd.Standby(v, primaryURL)
	require.NoError(t, err)
	return target
}

// golden files: NAME.in is a file as it might be found. NAME.report is what plain reading says of it, NAME.standby and
// NAME.primary are its edits, or the error. The name tells format and system.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".in")
		t.Run(name, func(t *testing.T) {
			o := gocd.Options{Format: gocd.FormatShell, Windows: strings.Contains(name, "windows")}
			if strings.HasPrefix(name, "wrapper") {
				o.Format = gocd.FormatWrapper
			}
			content, err := os.ReadFile(input)
			require.NoError(t, err)
			r, err := gocd.Inspect(name, content, o)
			require.NoError(t, err)
			compare(t, name+".report", describe(r))
			for _, target := range []gocd.Target{standbyFor(t, o.Format), gocd.Primary()} {
				after, err := gocd.Edit(name, content, target, o)
				if err != nil {
					var edit *gocd.EditError
					require.ErrorAs(t, err, &edit)
					after = []byte("error: " + err.Error() + "\n")
				}
				compare(t, name+"."+target.Mode().String(), string(after))
			}
		})
	}
}

func describe(r gocd.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mode %s, go.server.mode %s, bc.primary.url %s", r.Mode, property(r.ServerMode), property(r.PrimaryURL))
	fmt.Fprintf(&b, ", read by %q, managed %t\n", r.ReadBy, r.Managed)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s\n    %s: %s\n", f, f.Kind, f.Advice)
	}
	return b.String()
}

func property(p gocd.Property) string {
	if !p.Set {
		return "unset"
	}
	return fmt.Sprintf("%q (line %d)", p.Value, p.Line)
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is missing; run the test with -update and read the result", path)
	}
	require.NoError(t, err)
	require.Equal(t, string(want), got, name)
}
