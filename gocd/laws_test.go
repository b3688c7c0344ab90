package gocd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// needBash skips without bash, except in CI.
func needBash(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no bash on PATH")
		}
		t.Skip("no bash on PATH")
	}
}

var (
	lawShell   = Target{mode: ModeStandby, primaryURL: "https://primarygo:8154", version: Version{Major: 19, Minor: 5}}
	lawWrapper = Target{mode: ModeStandby, primaryURL: "https://primarygo:8154", version: Version{Major: 21, Minor: 2}}
)

// plain is text without what either format drops from a value.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\"'", r) || r < ' ' && !strings.ContainsRune("\t\r\n", r) || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

// checkEditLaws checks what must hold of any bytes at all.
func checkEditLaws(t require.TestingT, content []byte, standby Target, o Options) {
	before, err := Inspect("f", content, o)
	require.NoError(t, err)
	untouched := !mentionsOurs(plain(string(content))) && !bytes.Contains(content, []byte("understudy"))
	for _, target := range []Target{standby, Primary()} {
		after, err := Edit("f", slices.Clone(content), target, o)
		if err != nil {
			continue
		}
		again, err := Edit("f", after, target, o)
		require.NoError(t, err, "the result of an edit can be edited: %q", after)
		require.Equal(t, string(after), string(again), "the same edit twice changes nothing")
		requireLocal(t, content, after)
		if target.Mode() == ModePrimary && untouched {
			require.Equal(t, string(content), string(after), "nothing set, nothing changed")
		}
		if r, err := Inspect("f", after, o); err == nil && r.ReadBy != ReadByNobody {
			require.True(t, target.reachedBy(r), "%s: %+v", target.Mode(), r)
		}
		hidden := before.ReadBy != ReadByNobody && before.Mode == ModeUnknown // in a variable: no way back that is sure
		if target.Mode() == ModeStandby && untouched && !hidden {
			back, err := Edit("f", after, Primary(), o)
			if before.ServerMode.Set { // by a variable whose value the file sets
				var refused *EditError
				require.ErrorAs(t, err, &refused)
				require.NotZero(t, refused.Line)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, string(content), string(back), "a standby made primary again has its old bytes")
		}
	}
}

// requireLocal requires that all lines of before are in after, in order and with their ends, except those that
// name a property, belong to a block, or belong to a number whose line went.
func requireLocal(t require.TestingT, before, after []byte) {
	blocks, broken := findBlocks("f", before)
	require.Nil(t, broken)
	rest := strings.SplitAfter(string(after), "\n")
	for _, line := range strings.SplitAfter(string(withoutBlocks(before, blocks)), "\n") {
		if mentionsOurs(plain(line)) || strings.Trim(line, " \n") == "" || strings.Contains(line, "understudy") || strings.Contains(strings.ToLower(line), "quot") {
			continue
		}
		i := slices.IndexFunc(rest, func(l string) bool { return strings.TrimRight(l, "\r\n") == strings.TrimRight(line, "\r\n") })
		require.GreaterOrEqual(t, i, 0, "line %q of\n%q\nis gone or moved in\n%q", line, before, after)
		rest = rest[i+1:]
	}
}

func seedFromGolden(f *testing.F, prefix string) {
	inputs, err := filepath.Glob("testdata/" + prefix + "*.in")
	require.NoError(f, err)
	for _, input := range inputs {
		content, err := os.ReadFile(input)
		require.NoError(f, err)
		f.Add(content)
	}
}

// FuzzEditShell checks identity, idempotence, locality and the way back on any bytes. It runs none of them.
func FuzzEditShell(f *testing.F) {
	seedFromGolden(f, "shell")
	f.Fuzz(func(t *testing.T, content []byte) {
		checkEditLaws(t, content, lawShell, Options{Format: FormatShell})
	})
}

// FuzzEditWrapper checks the same for wrapper files.
func FuzzEditWrapper(f *testing.F) {
	seedFromGolden(f, "wrapper")
	f.Fuzz(func(t *testing.T, content []byte) {
		checkEditLaws(t, content, lawWrapper, Options{Format: FormatWrapper})
		checkEditLaws(t, content, lawWrapper, Options{Format: FormatWrapper, Windows: true})
	})
}

// shellText generates shell files of harmless lines only, because bash runs them: no redirection, no background, and
// commands that do not exist or do nothing.
func shellText() *rapid.Generator[string] {
	word := rapid.SampledFrom([]string{
		"-Dx=1", "-Dgo.server.mode=standby", "-Dgo.server.mode=production", "-Dgo.server.mode=primary", "-Dgo.server.mode",
		"-Dbc.primary.url=http://p:8153", "-Dbc.primary.url='http://q'", `-Dbc.primary.url=\"http://r\"`,
		"$GO_SERVER_SYSTEM_PROPERTIES", "${GO_SERVER_SYSTEM_PROPERTIES}", "$AA", "${BB}", "$CC", "'a b'", `\ `, `\\`, `\"`, `\'`,
		"#", "a#b", "*", "~", "{a,b}", "a=b", "$", "a$", "'", `"`, ";", "!", "\t", "\\\n", "é", "$(echo -Dy=2)", "${AA:-z}", "\r",
	})
	soup := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 0, 5).Draw(t, "words"), rapid.SampledFrom([]string{" ", "  ", ""}).Draw(t, "sep"))
	})
	value := rapid.Custom(func(t *rapid.T) string {
		s := soup.Draw(t, "soup")
		switch rapid.IntRange(0, 3).Draw(t, "quoting") {
		case 0:
			return `"` + s + `"`
		case 1:
			return "'" + s + "'"
		case 2:
			return `"` + s + `"` + soup.Draw(t, "more")
		}
		return s
	})
	line := rapid.Custom(func(t *rapid.T) string {
		name := rapid.SampledFrom([]string{
			systemProperties + "=", systemProperties + "=", systemProperties + "=", systemProperties + "+=", "AA=", "BB=", "AA+=",
			"GO_SERVER_PORT=", "IFS=",
		}).Draw(t, "name")
		assigns := name + value.Draw(t, "value")
		switch rapid.IntRange(0, 9).Draw(t, "form") {
		case 0:
			return "# " + strings.ReplaceAll(soup.Draw(t, "comment"), "\\\n", "")
		case 1:
			return "export " + assigns
		case 2:
			return "  " + assigns + " # note"
		case 3:
			return assigns + "; BB=" + value.Draw(t, "second")
		case 4:
			return name + "$" + systemProperties + " -Dgo.server.mode=standby " + value.Draw(t, "bare")
		case 5:
			return "if [ -d / ]; then\n  " + assigns + "\nfi"
		case 6:
			return rapid.SampledFrom([]string{"", "\t", "\r", ":", "true", "export " + systemProperties, "AA='", "nosuchcommand -D"}).Draw(t, "other")
		case 7:
			return strings.Join(shellLines(lawShell), "\n")
		case 8:
			return blockBegin + "\n" + strings.Join(shellLines(lawShell), "\n") + "\n" + blockEnd
		}
		return assigns
	})
	return rapid.Custom(func(t *rapid.T) string {
		text := strings.Join(rapid.SliceOfN(line, 0, 6).Draw(t, "lines"), "\n")
		return text + rapid.SampledFrom([]string{"\n", "\n", "", "\r\n", "\\"}).Draw(t, "end")
	})
}

func textsOf(args []jvmArg) []string {
	texts := []string{}
	for _, a := range args {
		texts = append(texts, a.text)
	}
	return texts
}

// checkReadersAgree: where plain reading is sure, bash gets the same words; and an edit of such a file has its effect
// in bash.
func checkReadersAgree(t *rapid.T, dir string) {
	content := []byte(shellText().Draw(t, "file"))
	checkEditLaws(t, content, lawShell, Options{Format: FormatShell})
	args, doubt := parseShell(content).jvmArgs()
	if doubt != nil {
		return
	}
	path := filepath.Join(dir, "go-server")
	words := sourceBytes(t, path, content)
	require.Equal(t, textsOf(args), words[1:], "words of %q", content)
	for _, target := range []Target{lawShell, Primary()} {
		after, err := Edit(path, content, target, Options{Format: FormatShell})
		if err != nil {
			continue
		}
		r := sourcedReport(path, after, sourceBytes(t, path, after), "")
		require.True(t, target.reachedBy(r), "%s of %q gives %q: %+v", target.Mode(), content, after, r)
	}
}

func sourceBytes(t *rapid.T, path string, content []byte) []string {
	require.NoError(t, os.WriteFile(path, content, 0o600))
	words, messages, err := runBash(t.Context(), path, Options{})
	require.NoError(t, err)
	require.NotNil(t, words, "%q: %s", content, messages)
	return words
}

func TestReadersAgree(t *testing.T) {
	needBash(t)
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) { checkReadersAgree(t, dir) })
}

func FuzzReadersAgree(f *testing.F) {
	needBash(f)
	dir := f.TempDir()
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { checkReadersAgree(t, dir) }))
}
