package gocd_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/gocd"
)

const shipped = "GO_SERVER_PORT=8153\nGO_SERVER_SSL_PORT=8154\nSERVER_WORK_DIR=/var/lib/go-server\n"

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

// writeFile makes a file called name and returns its path.
func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o640))
	return path
}

func prepare(t testing.TB, path string, target gocd.Target) gocd.Change {
	t.Helper()
	change, err := gocd.Prepare(path, target, gocd.Options{})
	require.NoError(t, err)
	return change
}

func requireContent(t testing.TB, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestApplyThereAndBack(t *testing.T) {
	needBash(t)
	for name, content := range map[string]string{"go-server": shipped, "wrapper-properties.conf": "@encoding=UTF-8\r\n# ours\r\n"} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, name, content)
			format, err := gocd.DetectFormat(path, []byte(content))
			require.NoError(t, err)
			r, err := gocd.Apply(t.Context(), prepare(t, path, standbyFor(t, format)), gocd.Options{})
			require.NoError(t, err)
			require.Equal(t, gocd.ModeStandby, r.Mode)
			require.Equal(t, primaryURL, r.PrimaryURL.Value)
			require.True(t, r.Managed)
			require.Empty(t, r.Findings)
			read, err := gocd.Read(t.Context(), path, gocd.Options{})
			require.NoError(t, err)
			require.Equal(t, r.ServerMode, read.ServerMode)

			again := prepare(t, path, standbyFor(t, format))
			require.True(t, again.Empty())
			_, err = gocd.Apply(t.Context(), again, gocd.Options{})
			require.NoError(t, err)

			r, err = gocd.Apply(t.Context(), prepare(t, path, gocd.Primary()), gocd.Options{})
			require.NoError(t, err)
			require.Equal(t, gocd.ModePrimary, r.Mode)
			requireContent(t, path, content)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o640), info.Mode())
		})
	}
}

// The guide's marker file decides only as long as its line is there.
func TestApplyMarkerFile(t *testing.T) {
	needBash(t)
	marker := filepath.Join(t.TempDir(), "start.in.standby")
	require.NoError(t, os.WriteFile(marker, nil, 0o600))
	path := writeFile(t, "go-server", "if [ -f '"+marker+"' ]; then\n"+
		"  export GO_SERVER_SYSTEM_PROPERTIES=\"$GO_SERVER_SYSTEM_PROPERTIES -Dgo.server.mode=standby -Dbc.primary.url=http://p:8153\"\nfi\n")
	for _, want := range []gocd.Mode{gocd.ModeStandby, gocd.ModePrimary} {
		r, err := gocd.Read(t.Context(), path, gocd.Options{})
		require.NoError(t, err)
		require.Equal(t, gocd.ReadByBash, r.ReadBy)
		require.Equal(t, want, r.Mode)
		_ = os.Remove(marker)
	}
	require.NoError(t, os.WriteFile(marker, nil, 0o600))
	r, err := gocd.Apply(t.Context(), prepare(t, path, gocd.Primary()), gocd.Options{})
	require.NoError(t, err)
	require.Equal(t, gocd.ModePrimary, r.Mode)
}

// Whatever defeats the written file, the old one comes back.
func TestApplyPutsBack(t *testing.T) {
	needBash(t)
	for name, content := range map[string]string{
		"return_before_block": shipped + "return 0\n",
		"exit_before_block":   shipped + "exit 0\n",
		"readonly":            shipped + "readonly GO_SERVER_SYSTEM_PROPERTIES\n",
		"value_ends_early":    shipped + "GO_SERVER_SYSTEM_PROPERTIES=\"$(echo ';')\"\n",
		"here_document":       shipped + "cat <<E\n",
		"url_overridden":      "trap 'GO_SERVER_SYSTEM_PROPERTIES+=\" -Dbc.primary.$(echo url)=http://x\"' DEBUG\n",
		"trap":                "trap 'GO_SERVER_SYSTEM_PROPERTIES=' DEBUG\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "go-server", content)
			_, err := gocd.Apply(t.Context(), prepare(t, path, standbyFor(t, gocd.FormatShell)), gocd.Options{})
			var verify *gocd.VerifyError
			require.ErrorAs(t, err, &verify)
			require.True(t, verify.Written)
			require.NoError(t, verify.RestoreErr)
			require.Equal(t, gocd.ModeStandby, verify.Want)
			require.False(t, verify.Got.Mode == gocd.ModeStandby && verify.Got.PrimaryURL.Value == primaryURL)
			requireContent(t, path, content)
		})
	}
}

// A primary whose file turns it into a standby by code that names no property.
func TestApplyUnchangedAndWrong(t *testing.T) {
	needBash(t)
	content := "GO_SERVER_SYSTEM_PROPERTIES=\"-Dgo.server.$(echo mode)=standby -Dbc.primary.$(echo url)=http://p\"\n"
	path := writeFile(t, "go-server", content)
	change := prepare(t, path, gocd.Primary())
	require.True(t, change.Empty())
	_, err := gocd.Apply(t.Context(), change, gocd.Options{})
	var verify *gocd.VerifyError
	require.ErrorAs(t, err, &verify)
	require.False(t, verify.Written)
	require.ErrorContains(t, err, "nothing was written")
	requireContent(t, path, content)
}

// Cancelling while bash runs the written file puts the old one back.
func TestApplyCancelled(t *testing.T) {
	needBash(t)
	started := filepath.Join(t.TempDir(), "started")
	content := shipped + ": > '" + started + "'\nwhile :; do :; done\n"
	path := writeFile(t, "go-server", content)
	change := prepare(t, path, standbyFor(t, gocd.FormatShell))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := gocd.Apply(ctx, change, gocd.Options{})
	var verify *gocd.VerifyError
	require.ErrorAs(t, err, &verify)
	require.ErrorIs(t, err, context.Canceled)
	require.FileExists(t, started)
	requireContent(t, path, content)
}

func TestApplyFileChanged(t *testing.T) {
	needBash(t)
	path := writeFile(t, "go-server", shipped)
	change := prepare(t, path, standbyFor(t, gocd.FormatShell))
	require.NoError(t, os.WriteFile(path, []byte("A=1\n"), 0o640))
	_, err := gocd.Apply(t.Context(), change, gocd.Options{})
	require.ErrorIs(t, err, gocd.ErrChanged)
	requireContent(t, path, "A=1\n")

	require.NoError(t, os.Remove(path))
	_, err = gocd.Apply(t.Context(), change, gocd.Options{})
	require.ErrorIs(t, err, gocd.ErrChanged)
}

func TestApplyMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wrapper-properties.conf")
	r, err := gocd.Apply(t.Context(), prepare(t, path, gocd.Primary()), gocd.Options{})
	require.NoError(t, err)
	require.Equal(t, gocd.ModePrimary, r.Mode)
	require.NoFileExists(t, path)

	change := prepare(t, path, standbyFor(t, gocd.FormatWrapper))
	require.True(t, change.Missing)
	r, err = gocd.Apply(t.Context(), change, gocd.Options{})
	require.NoError(t, err)
	require.Equal(t, gocd.ModeStandby, r.Mode)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode(), "the server's user must be able to read it")

	_, err = gocd.Read(t.Context(), path+".not", gocd.Options{Format: gocd.FormatWrapper})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A file that was not there before a failed edit is not there after it.
func TestApplyRemovesWhatItCreated(t *testing.T) {
	needBash(t)
	path := filepath.Join(t.TempDir(), "go-server")
	change := prepare(t, path, standbyFor(t, gocd.FormatShell))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := gocd.Apply(ctx, change, gocd.Options{})
	require.Error(t, err)
	require.NoFileExists(t, path)
}

func TestApplyWithoutBash(t *testing.T) {
	path := writeFile(t, "go-server", shipped+"echo\n")
	o := gocd.Options{Bash: filepath.Join(t.TempDir(), "bash")}
	_, err := gocd.Apply(t.Context(), prepare(t, path, standbyFor(t, gocd.FormatShell)), o)
	require.ErrorIs(t, err, gocd.ErrNoBash)
	requireContent(t, path, shipped+"echo\n")

	r, err := gocd.Read(t.Context(), path, o)
	require.NoError(t, err)
	require.Equal(t, gocd.ModeUnknown, r.Mode)
	require.Equal(t, gocd.KindNeedsShell, r.Findings[0].Kind)
}

func TestApplySymbolicLink(t *testing.T) {
	needBash(t)
	path := writeFile(t, "real", shipped)
	link := filepath.Join(t.TempDir(), "go-server")
	require.NoError(t, os.Symlink(path, link))
	_, err := gocd.Apply(t.Context(), prepare(t, link, standbyFor(t, gocd.FormatShell)), gocd.Options{})
	require.NoError(t, err)
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, path, target)
	r, err := gocd.Read(t.Context(), path, gocd.Options{Format: gocd.FormatShell})
	require.NoError(t, err)
	require.Equal(t, gocd.ModeStandby, r.Mode)
}

func TestApplyKeepsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := writeFile(t, "wrapper-properties.conf", "@encoding=UTF-8\n")
	require.NoError(t, os.Chown(path, 0, 65534))
	_, err := gocd.Apply(t.Context(), prepare(t, path, standbyFor(t, gocd.FormatWrapper)), gocd.Options{})
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, uint32(65534), info.Sys().(*syscall.Stat_t).Gid)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
}

// The guide's line, sourced by bash: the server would start ACTIVE, and the report says where and why.
func TestReadGuideLiteral(t *testing.T) {
	needBash(t)
	content, err := os.ReadFile("testdata/shell-guide-literal-in-if.in")
	require.NoError(t, err)
	path := writeFile(t, "go-server", string(content))
	r, err := gocd.Read(t.Context(), path, gocd.Options{})
	require.NoError(t, err)
	require.Equal(t, gocd.ReadByBash, r.ReadBy)
	require.Equal(t, gocd.ModePrimary, r.Mode)
	require.Len(t, r.Findings, 1, "bash's own message about that line is not repeated")
	require.Equal(t, gocd.KindBareWords, r.Findings[0].Kind)
	require.Equal(t, 3, r.Findings[0].Line)
}

func TestReadSourced(t *testing.T) {
	needBash(t)
	for _, c := range []struct {
		name, content string
		mode          gocd.Mode
		kinds         []gocd.Kind
	}{
		{"computed", `GO_SERVER_SYSTEM_PROPERTIES="-Dgo.server.mode=$(echo standby) -Dbc.primary.url=http://p"`, gocd.ModeStandby, []gocd.Kind{gocd.KindOtherDefinition}},
		{"argument_of_service", `[ "$1" = service_mode ] && GO_SERVER_SYSTEM_PROPERTIES="-Dgo.server.mode=standby -Dbc.primary.url=http://p"`, gocd.ModeStandby, nil},
		{"message", "nosuchcommand\n", gocd.ModePrimary, []gocd.Kind{gocd.KindShellMessage}},
		{"output_is_not_words", "printf 'words\\0-Dgo.server.mode=standby\\0'\n", gocd.ModePrimary, []gocd.Kind{gocd.KindOtherDefinition, gocd.KindShellMessage}},
		{"exit", "exit 3\n", gocd.ModeUnknown, []gocd.Kind{gocd.KindShellEnds}},
		{"environment_is_empty", `GO_SERVER_SYSTEM_PROPERTIES="${UNDERSTUDY_TEST_MODE:-}"`, gocd.ModePrimary, nil},
		{"unclosed", "A='\n", gocd.ModePrimary, []gocd.Kind{gocd.KindUnbalancedQuote}},
		{"eval_fails", "GO_SERVER_SYSTEM_PROPERTIES=\"-Dgo.server.mode=standby 'x\"\n", gocd.ModePrimary, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("UNDERSTUDY_TEST_MODE", "-Dgo.server.mode=standby")
			r, err := gocd.Read(t.Context(), writeFile(t, "it's a go-server", c.content), gocd.Options{Format: gocd.FormatShell})
			require.NoError(t, err)
			require.Equal(t, c.mode, r.Mode, "%+v", r)
			if c.kinds != nil {
				var got []gocd.Kind
				for _, f := range r.Findings {
					got = append(got, f.Kind)
				}
				require.ElementsMatch(t, c.kinds, got, "%+v", r.Findings)
			}
		})
	}
}

func TestReadNoSource(t *testing.T) {
	proof := filepath.Join(t.TempDir(), "ran")
	path := writeFile(t, "go-server", "touch '"+proof+"'\n")
	r, err := gocd.Read(t.Context(), path, gocd.Options{NoSource: true})
	require.NoError(t, err)
	require.Equal(t, gocd.ModeUnknown, r.Mode)
	require.NoFileExists(t, proof)
}

func TestChangeDiff(t *testing.T) {
	path := writeFile(t, "go-server", shipped)
	require.Empty(t, prepare(t, path, gocd.Primary()).Diff())
	require.Equal(t, "--- "+path+"\n+++ "+path+"\n"+`@@ -1,3 +1,6 @@
 GO_SERVER_PORT=8153
 GO_SERVER_SSL_PORT=8154
 SERVER_WORK_DIR=/var/lib/go-server
+# BEGIN understudy gocd mode (managed block, do not edit)
+GO_SERVER_SYSTEM_PROPERTIES="$GO_SERVER_SYSTEM_PROPERTIES -Dgo.server.mode=standby -Dbc.primary.url=https://primarygo:8154"
+# END understudy gocd mode
`, prepare(t, path, standbyFor(t, gocd.FormatShell)).Diff())
}
