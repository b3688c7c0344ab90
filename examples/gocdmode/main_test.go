package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const shipped = "GO_SERVER_PORT=8153\nGO_SERVER_SSL_PORT=8154\nSERVER_WORK_DIR=/var/lib/go-server\n"

func needBash(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no bash on PATH")
		}
		t.Skip("no bash on PATH")
	}
}

// gocdmode runs the command in-process.
func gocdmode(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

var standby = []string{"mode", "set", "standby", "--primary-url", "https://primarygo:8154", "--version"}

func TestThereAndBack(t *testing.T) {
	needBash(t)
	for name, version := range map[string]string{"go-server": "19.5.0", "wrapper-properties.conf": "21.2.0"} {
		t.Run(name, func(t *testing.T) {
			path := write(t, name, shipped)
			if name != "go-server" {
				path = write(t, name, "@encoding=UTF-8\n")
			}
			before := read(t, path)

			code, out, errs := gocdmode(t, append(standby, version, "--file", path)...)
			require.Equal(t, 0, code, errs)
			require.Contains(t, out, "+++ "+path)
			require.Contains(t, out, "-Dgo.server.mode=standby")
			require.Contains(t, errs, "nothing was written")
			require.Contains(t, errs, "warning: GoCD "+version)
			require.Equal(t, before, read(t, path))

			code, again, errs := gocdmode(t, append(standby, version, "--file", path, "--write")...)
			require.Equal(t, 0, code, errs)
			require.Equal(t, out, again)
			require.Contains(t, errs, "written and verified: the server starts as standby")

			code, out, errs = gocdmode(t, append(standby, version, "--file", path, "--write")...)
			require.Equal(t, 0, code, errs)
			require.Empty(t, out)
			require.Contains(t, errs, "nothing to change; verified")

			code, out, errs = gocdmode(t, "mode", "get", "--file", path)
			require.Equal(t, 0, code, errs)
			require.Regexp(t, `(?m)^mode +standby$`, out)
			require.Regexp(t, `(?m)^bc\.primary\.url +"https://primarygo:8154", line \d+$`, out)

			code, _, errs = gocdmode(t, "mode", "set", "primary", "--file", path, "--write")
			require.Equal(t, 0, code, errs)
			require.Equal(t, before, read(t, path))

			code, out, errs = gocdmode(t, "mode", "set", "primary", "--file", path)
			require.Equal(t, 0, code, errs)
			require.Empty(t, out)
			require.Contains(t, errs, "nothing to change for a primary")
		})
	}
}

func TestGetJSON(t *testing.T) {
	path := write(t, "go-server", "GO_SERVER_SYSTEM_PROPERTIES=$GO_SERVER_SYSTEM_PROPERTIES -Dgo.server.mode=standby\n")
	code, out, errs := gocdmode(t, "mode", "get", "--json", "--file", path)
	require.Equal(t, 0, code, errs)
	var report struct {
		Mode     string `json:"mode"`
		Findings []struct {
			File string `json:"file"`
			Line int    `json:"line"`
			Kind string `json:"kind"`
		} `json:"findings"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, "primary", report.Mode)
	require.Len(t, report.Findings, 1)
	require.Equal(t, path, report.Findings[0].File)
	require.Equal(t, 1, report.Findings[0].Line)
	require.Equal(t, "bare-words", report.Findings[0].Kind)
}

func TestGetFindings(t *testing.T) {
	path := write(t, "wrapper.conf", "wrapper.java.additional.16=-Da=1\nwrapper.java.additional.16=-Dgo.server.mode=primary\n")
	code, out, _ := gocdmode(t, "mode", "get", "--file", path)
	require.Equal(t, 0, code)
	require.Contains(t, out, path+":2: number 16 is used in line 1 already")
	require.Contains(t, out, "    give one of the two another number\n")
	require.Contains(t, out, `go.server.mode is "primary", which is no mode`)
}

func TestGetNoSource(t *testing.T) {
	needBash(t)
	path := write(t, "go-server", "if true; then GO_SERVER_SYSTEM_PROPERTIES=-Dgo.server.mode=standby; fi\n")
	code, out, _ := gocdmode(t, "mode", "get", "--no-source", "--file", path)
	require.Equal(t, exitUnknown, code)
	require.Regexp(t, `(?m)^mode +unknown$`, out)
	require.Contains(t, out, "not evaluated")
	code, out, _ = gocdmode(t, "mode", "get", "--file", path)
	require.Equal(t, 0, code)
	require.Regexp(t, `(?m)^mode +standby$`, out)
}

func TestExitCodes(t *testing.T) {
	shell := write(t, "go-server", shipped)
	odd := write(t, "settings", "# nothing to tell by\n")
	locked := write(t, "go-server", "echo -Dgo.server.mode=standby\n")
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nothing", nil, exitUsage, "expected"},
		{"help", []string{"--help"}, 0, ""},
		{"help_of_command", []string{"mode", "set", "standby", "--help"}, 0, ""},
		{"unknown_flag", []string{"mode", "get", "--what"}, exitUsage, "--what"},
		{"unknown_format", []string{"mode", "get", "--format", "ini"}, exitUsage, "ini"},
		{"no_version", []string{"mode", "set", "standby", "--primary-url", "http://p", "--file", shell}, exitUsage, "--version"},
		{"no_url", []string{"mode", "set", "standby", "--version", "19.5.0", "--file", shell}, exitUsage, "--primary-url"},
		{"bad_version", append(standby, "new", "--file", shell), exitUsage, "MAJOR.MINOR.PATCH"},
		{"bad_url", []string{"mode", "set", "standby", "--version", "19.5.0", "--primary-url", "p:8153", "--file", shell}, exitUsage, "primary URL"},
		{"ignores_standby", append(standby, "23.1.0", "--file", shell), exitRefused, "ACTIVE"},
		{"other_file_of_release", append(standby, "21.2.0", "--file", shell), exitRefused, "wrapper-properties.conf"},
		{"not_edited", []string{"mode", "set", "primary", "--file", locked}, exitRefused, locked + ":1:"},
		{"no_format", []string{"mode", "get", "--file", odd}, exitUsage, "--format"},
		{"no_file", []string{"mode", "get", "--file", filepath.Join(dir, "go-server")}, exitFailed, "--file"},
		{"directory", []string{"mode", "get", "--format", "shell", "--file", dir}, exitFailed, dir},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := gocdmode(t, c.args...)
			require.Equal(t, c.code, code, "%s%s", out, errs)
			require.Contains(t, errs, c.says)
		})
	}
	require.Equal(t, shipped, read(t, shell))
}

// A write that does not verify leaves the old file and says so.
func TestWriteDoesNotVerify(t *testing.T) {
	needBash(t)
	content := shipped + "exit 0\n"
	path := write(t, "go-server", content)
	code, _, errs := gocdmode(t, append(standby, "19.5.0", "--file", path, "--write")...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "the old file is back")
	require.Equal(t, content, read(t, path))
}

func TestDefaultFile(t *testing.T) {
	needBash(t)
	dir := t.TempDir()
	old := installed
	t.Cleanup(func() { installed = old })
	installed.wrapperDir, installed.shell = filepath.Join(dir, "wrapper-config"), filepath.Join(dir, "go-server")

	code, _, errs := gocdmode(t, "mode", "get")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--file")

	require.NoError(t, os.WriteFile(installed.shell, []byte(shipped), 0o644))
	code, out, errs := gocdmode(t, "mode", "get")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, installed.shell)

	// From 19.6 on the old file stays behind and is not read any more.
	require.NoError(t, os.Mkdir(installed.wrapperDir, 0o755))
	code, out, errs = gocdmode(t, "mode", "get")
	require.Equal(t, 0, code, errs)
	require.Regexp(t, `(?m)^mode +primary$`, out)
	code, _, errs = gocdmode(t, append(standby, "21.2.0", "--write")...)
	require.Equal(t, 0, code, errs)
	require.Equal(t, shipped, read(t, installed.shell))
	require.Contains(t, read(t, filepath.Join(installed.wrapperDir, "wrapper-properties.conf")), "standby")
}
