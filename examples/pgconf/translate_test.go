package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runIn writes files into a folder and runs the command on them. In args and in what it prints, DIR stands for the folder.
func runIn(t *testing.T, dir string, files map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "DIR", dir)
	}
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	return code, strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errOut.String(), dir, "DIR")
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(b)
}

var oldFiles = map[string]string{
	"postgresql.conf":      "wal_keep_segments = 32 # keep\ninclude 'more.conf'\n",
	"more.conf":            "vacuum_defer_cleanup_age = 0\n",
	"postgresql.auto.conf": "wal_compression = 'on'\n",
	"recovery.conf":        "standby_mode = on\nprimary_conninfo = 'host=h password=s3cr3t'\n",
}

func TestTranslateShows(t *testing.T) {
	dir := t.TempDir()
	code, out, errOut := runIn(t, dir, oldFiles, "translate", "DIR/postgresql.conf", "--from", "9.6", "--to", "17", "--recovery-conf", "DIR/recovery.conf")
	require.Equal(t, 0, code, errOut)
	require.Contains(t, out, "-wal_keep_segments = 32 # keep\n+wal_keep_size = 512MB  # keep\n")
	require.Contains(t, out, "+#vacuum_defer_cleanup_age = 0 # PostgreSQL 17: ")
	require.Contains(t, out, "+wal_compression = 'pglz'\n")
	require.Contains(t, out, "+primary_conninfo = '***'\n")
	require.Contains(t, errOut, "standby.signal")
	require.NotContains(t, out+errOut, "s3cr3t")
	require.Equal(t, oldFiles["postgresql.conf"], content(t, dir, "postgresql.conf"), "nothing is written")
}

func TestTranslateWrites(t *testing.T) {
	dir := t.TempDir()
	args := []string{"translate", "--write", "DIR/postgresql.conf", "--from", "9.6", "--to", "17", "--recovery-conf", "DIR/recovery.conf"}
	code, out, errOut := runIn(t, dir, oldFiles, args...)
	require.Equal(t, 0, code, errOut)
	require.Empty(t, out)
	want := "wal_keep_size = 512MB  # keep\ninclude 'more.conf'\nprimary_conninfo = 'host=h password=s3cr3t'\n"
	require.Equal(t, want, content(t, dir, "postgresql.conf"))
	require.Equal(t, oldFiles["recovery.conf"], content(t, dir, "recovery.conf"))

	code, _, errOut = runIn(t, dir, nil, args...)
	require.Equal(t, 0, code)
	require.Contains(t, errOut, "DIR/postgresql.conf: nothing to change\n")
	require.Equal(t, want, content(t, dir, "postgresql.conf"))
}

func TestTranslateWarnsOfReadablePassword(t *testing.T) {
	dir := t.TempDir()
	args := []string{"translate", "DIR/postgresql.conf", "--from", "9.6", "--to", "17", "--recovery-conf", "DIR/recovery.conf"}
	_, _, errOut := runIn(t, dir, oldFiles, args...)
	require.NotContains(t, errOut, "everybody")
	require.NoError(t, os.Chmod(filepath.Join(dir, "postgresql.conf"), 0o644))
	code, out, errOut := runIn(t, dir, nil, args...)
	require.Zero(t, code)
	require.Contains(t, errOut, "DIR/postgresql.conf: warning: primary_conninfo has a password, and everybody on this machine can read the file; ")
	require.NotContains(t, out+errOut, "s3cr3t")
	_, _, errOut = runIn(t, dir, map[string]string{"recovery.conf": "primary_conninfo = 'host=h passfile=/x'\n"}, args...)
	require.NotContains(t, errOut, "everybody")
}

func TestTranslateRecoveryConfInPlace(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"postgresql.conf": "port = 1\n", "recovery.conf": "restore_command = 'x'\npause_at_recovery_target = off\n"}
	code, out, errOut := runIn(t, dir, files, "translate", "-w", "DIR/postgresql.conf", "--from=9.4", "--to=11", "--recovery-conf=DIR/recovery.conf")
	require.Equal(t, 0, code, errOut)
	require.Empty(t, out)
	require.Equal(t, "restore_command = 'x'\nrecovery_target_action = promote\n", content(t, dir, "recovery.conf"))
}

func TestTranslateErrors(t *testing.T) {
	dir := t.TempDir()
	code, _, errOut := runIn(t, dir, map[string]string{"p": "max_files_per_process = 30\n"}, "translate", "DIR/p", "--from=12", "--to=13")
	require.Equal(t, exitNo, code)
	require.Contains(t, errOut, "DIR/p:1: error: max_files_per_process: left as it is")
	require.Contains(t, errOut, "errors: 1; ")

	code, _, errOut = runIn(t, dir, map[string]string{"p": "a b c\n"}, "translate", "DIR/p", "--from=12", "--to=13")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "DIR/p:1:5: ")

	for _, args := range [][]string{{"--from=12"}, {"--from=12", "--to=8"}, {"--from=x", "--to=13"}} {
		code, _, _ = runIn(t, dir, nil, append([]string{"translate", "DIR/p"}, args...)...)
		require.Equal(t, exitUsage, code, args)
	}
	code, _, _ = runIn(t, dir, map[string]string{"p": "", "r": ""}, "translate", "DIR/p", "--from=12", "--to=13", "--recovery-conf=DIR/r")
	require.Equal(t, exitFailed, code)
	code, _, _ = runIn(t, dir, nil, "translate", "DIR/p", "--from=11", "--to=13", "--recovery-conf=DIR/missing")
	require.Equal(t, exitFailed, code)
	code, _, _ = runIn(t, dir, map[string]string{"r": "a b c"}, "translate", "DIR/p", "--from=11", "--to=13", "--recovery-conf=DIR/r")
	require.Equal(t, exitFailed, code)
	code, _, _ = runIn(t, dir, nil, "translate", "DIR/p", "--from=11", "--to=13", "--segment-size=3")
	require.Equal(t, exitFailed, code)
}

func TestDiff(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"old": "port = 5432\nwork_mem = 1GB\nprimary_conninfo = 'password=s3cr3t'\n",
		"new": "work_mem = 1024MB\ninclude 'more.conf'\nmax_connections = many\n", "more.conf": "\nwal_level = logical\n",
	}
	code, out, errOut := runIn(t, dir, files, "diff", "DIR/old", "DIR/new")
	require.Equal(t, exitNo, code, errOut)
	require.Equal(t, `PARAMETER         OLD        NEW        NEEDS                                   LINE
max_connections   "100"      "many"     refused: max_connections: not a number  DIR/new:3
primary_conninfo  "***"      ""         reload                                  DIR/old:3
wal_level         "replica"  "logical"  restart                                 DIR/more.conf:2
`, out)
	require.Equal(t, "parameters that differ: 3; needed: restart\n", errOut)

	code, out, _ = runIn(t, dir, nil, "diff", "--json", "DIR/old", "DIR/new")
	require.Equal(t, exitNo, code)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Equal(t, map[string]any{"name": "wal_level", "old": "replica", "new": "logical", "file": "DIR/more.conf", "line": 2.0,
		"needs": "restart", "error": nil}, rows[2])

	code, out, errOut = runIn(t, dir, nil, "diff", "DIR/old", "DIR/old")
	require.Equal(t, 0, code)
	require.Empty(t, out)
	require.Equal(t, "parameters that differ: 0; needed: nothing\n", errOut)
	code, out, _ = runIn(t, dir, nil, "diff", "--json", "DIR/old", "DIR/old")
	require.Equal(t, 0, code)
	require.Equal(t, "[]\n", out)
	code, _, _ = runIn(t, dir, nil, "diff", "--major=12", "DIR/old", "DIR/missing")
	require.Equal(t, exitFailed, code)
	code, _, _ = runIn(t, dir, nil, "diff", "DIR/missing", "DIR/old")
	require.Equal(t, exitFailed, code)
}
