package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
)

func TestMain(m *testing.M) { os.Exit(pgserver.Run(m)) }

// runIt runs the command.
func runIt(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(threeLevels), &out, &errOut)
	return code, out.String(), errOut.String()
}

// write writes a file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cluster.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// threeLevels is the example of the tests that need no servers: nothing listens on port 1.
const threeLevels = `name: orders
nodes:
  - {id: master, host: 127.0.0.1, port: 1, data_dir: /srv/a, service: {bin_dir: /usr/pgsql/bin}}
  - {id: cascade, host: 127.0.0.2, port: 1, upstream: master, sync: true, data_dir: /srv/b, service: {bin_dir: /usr/pgsql/bin}}
  - {id: downstream, host: 127.0.0.3, port: 1, upstream: cascade, data_dir: /srv/c, service: {bin_dir: /usr/pgsql/bin}}
replication: {user: replicator, secret: env:REPLICATOR, passfile: /srv/passfile}
monitor: observer
slots: true
`

func TestUsage(t *testing.T) {
	code, out, _ := runIt(t, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "69 nobody can tell")
	for _, args := range [][]string{
		nil, {"show"}, {"shew", "x"}, {"show", "-", "--format=svg"}, {"show", "-", "--watch=soon"}, {"show", "-", "--watch=1ms"},
		{"show", "-", "--watch", "--format=dot"}, {"render", "-", "nobody", "17"}, {"render", "-", "master", "seventeen"},
	} {
		code, out, errOut := runIt(t, args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, errOut)
		require.Empty(t, out)
		require.NotEmpty(t, errOut)
	}
}

func TestCheck(t *testing.T) {
	code, out, errOut := runIt(t, "check", write(t, threeLevels))
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, `cluster "orders", 3 nodes, primary master (127.0.0.1:1)`)

	bad := write(t, strings.Replace(strings.Replace(threeLevels, "sync: true", "sync: maybe", 1), "slots: true", "slotz: true", 1))
	code, out, errOut = runIt(t, "check", bad)
	require.Equal(t, exitFile, code)
	require.Empty(t, out)
	lines := strings.Split(strings.TrimSuffix(errOut, "\n"), "\n")
	require.Len(t, lines, 2, errOut)
	require.Contains(t, lines[0], bad+":4:")
	require.Contains(t, lines[0], "nodes[1].sync")
	require.Contains(t, lines[1], bad+":8:1:")

	code, _, errOut = runIt(t, "check", "/nowhere/at/all.yaml")
	require.Equal(t, exitFile, code)
	require.Contains(t, errOut, "/nowhere/at/all.yaml")
}

func TestSchema(t *testing.T) {
	code, out, _ := runIt(t, "schema")
	require.Equal(t, exitOK, code)
	require.True(t, json.Valid([]byte(out)))
}

func TestRender(t *testing.T) {
	code, out, errOut := runIt(t, "render", "-", "cascade", "17")
	require.Equal(t, exitOK, code, errOut)
	for _, want := range []string{
		"--- postgresql.conf\n", "include_if_exists = 'understudy.recovery.conf'\n", "--- pg_hba.conf\n",
		"--- standby.signal\n", "--- understudy.recovery.conf\n", "primary_slot_name = 'cascade'\n",
		"--- slots.sql\nSELECT pg_create_physical_replication_slot('downstream');\n",
		"--- passfile.template\n127.0.0.1:1:replication:replicator:<env:REPLICATOR>\n",
	} {
		require.Contains(t, out, want)
	}
	code, out, _ = runIt(t, "render", "-", "cascade", "11")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "--- recovery.conf\n")
	require.NotContains(t, out, "include_if_exists")
	code, out, _ = runIt(t, "render", "-", "master", "17")
	require.Equal(t, exitOK, code)
	require.NotContains(t, out, "standby.signal")

	dir := filepath.Join(t.TempDir(), "files")
	code, out, errOut = runIt(t, "render", "-", "cascade", "17", "--output", dir)
	require.Equal(t, exitOK, code, errOut)
	require.Empty(t, out)
	conf, err := os.ReadFile(filepath.Join(dir, "understudy.recovery.conf"))
	require.NoError(t, err)
	require.Contains(t, string(conf), "application_name=cascade")
	code, _, errOut = runIt(t, "render", "-", "cascade", "17", "--output", dir)
	require.Equal(t, exitFailed, code, "what is there is not overwritten")
	require.Contains(t, errOut, dir)
}

// Nobody answers: the picture is shown all the same, and the exit code says that it says nothing.
func TestShowWithoutAnswers(t *testing.T) {
	code, out, errOut := runIt(t, "show", "-")
	require.Equal(t, exitCannotTell, code)
	require.Contains(t, out, "NODE")
	require.Equal(t, 3, strings.Count(out, "no answer"), out)
	require.NotContains(t, out, "\x1b", "colours into a pipe")
	require.Contains(t, errOut, "no node answers")

	code, out, _ = runIt(t, "show", "-", "--color=always")
	require.Equal(t, exitCannotTell, code)
	require.Contains(t, out, "\x1b[1mNODE\x1b[0m")

	code, out, _ = runIt(t, "problems", "-", "--json")
	require.Equal(t, exitCannotTell, code)
	require.True(t, json.Valid([]byte(out)), out)
}

// Passwords are never shown, and what keeps one from being read is said.
func TestSecrets(t *testing.T) {
	text := strings.Replace(threeLevels, "monitor: observer", "monitor: {name: observer, secret: env:TOPOLOGY_TEST_SECRET}", 1)
	name := write(t, text)
	code, out, errOut := runIt(t, "show", name)
	require.Equal(t, exitCannotTell, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "env:TOPOLOGY_TEST_SECRET")

	t.Setenv("TOPOLOGY_TEST_SECRET", "open-sesame")
	for _, args := range [][]string{{"show", name}, {"show", name, "--format=json"}, {"problems", name}, {"check", name}} {
		_, out, errOut := runIt(t, args...)
		require.NotContains(t, out+errOut, "sesame")
	}
	code, _, errOut = runIt(t, "show", write(t, strings.Replace(threeLevels, "monitor: observer\n", "", 1)))
	require.Equal(t, exitCannotTell, code)
	require.Contains(t, errOut, "monitor: NAME")
}
