package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
)

// builtCluster is one that only the command makes, from a description alone.
type builtCluster struct {
	t     *testing.T
	w     *pgserver.World
	file  string
	ports map[string]int
	flags []string
}

func newBuilt(t *testing.T) *builtCluster {
	t.Helper()
	c := &builtCluster{t: t, w: pgserver.New(t, localpg.Require(t)[0]), ports: map[string]int{}} // one with pg_ctl and pg_basebackup
	if c.w.Owner.Credential != nil {
		c.flags = []string{"--os-user=" + c.w.Owner.Name}
	}
	for _, name := range []string{"ADMIN", "REPLICATION", "MONITOR"} {
		t.Setenv("TOPOLOGY_TEST_"+name, "open-sesame-"+name)
	}
	var text strings.Builder
	text.WriteString("name: orders\nnodes:\n")
	for i, id := range chainNodes {
		c.ports[id] = freePort(t)
		data := filepath.Join(c.w.Dir, id)
		fmt.Fprintf(&text, "  - {id: %s, host: 127.0.0.1, port: %d, data_dir: %s, service: {bin_dir: %s}",
			id, c.ports[id], data, filepath.Dir(c.w.Bin("postgres")))
		if i > 0 {
			fmt.Fprintf(&text, ", upstream: %s, sync: %v", chainNodes[i-1], i == 1)
		}
		text.WriteString("}\n")
		t.Cleanup(func() {
			if _, err := os.Stat(data); err == nil { // it may be stopped already; then this fails, as it should
				_ = c.w.Command("pg_ctl", "-D", data, "-m", "immediate", "stop").Run()
			}
		})
	}
	fmt.Fprintf(&text, `replication: {user: replicator, secret: env:TOPOLOGY_TEST_REPLICATION, passfile: %s/passfile}
monitor: {name: observer, secret: env:TOPOLOGY_TEST_MONITOR}
admin: {name: postgres, secret: env:TOPOLOGY_TEST_ADMIN}
slots: true
settings: {listen_addresses: 127.0.0.1, unix_socket_directories: "", shared_buffers: 8MB}
`, c.w.Dir)
	c.file = write(t, text.String())
	return c
}

// run runs a verb on the description. No password may be printed.
func (c *builtCluster) run(stdin, verb string, args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	var out, errOut bytes.Buffer
	code = run(c.t.Context(), append([]string{verb, c.file}, args...), strings.NewReader(stdin), &out, &errOut)
	c.t.Logf("topology %s %s: %d\n%s%s", verb, strings.Join(args, " "), code, out.String(), errOut.String())
	require.NotContains(c.t, out.String()+errOut.String(), "sesame")
	return code, out.String(), errOut.String()
}

// build is run for verbs that work on machines.
func (c *builtCluster) build(stdin, verb string, args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	return c.run(stdin, verb, append(args, c.flags...)...)
}

// edit changes the description.
func (c *builtCluster) edit(from, to string) {
	text, err := os.ReadFile(c.file)
	require.NoError(c.t, err)
	require.Contains(c.t, string(text), from)
	require.NoError(c.t, os.WriteFile(c.file, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

func (c *builtCluster) exec(id, sql string) {
	conn, err := pgx.Connect(c.t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres password=open-sesame-ADMIN", c.ports[id]))
	require.NoError(c.t, err)
	defer conn.Close(c.t.Context())
	_, err = conn.Exec(c.t.Context(), sql)
	require.NoError(c.t, err)
}

// TestBuild makes a cluster from nothing, changes it, and takes it apart, by the command alone.
func TestBuild(t *testing.T) {
	c := newBuilt(t)
	code, _, errOut := c.build("no\n", "bootstrap")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "nothing was done")
	require.NoDirExists(t, filepath.Join(c.w.Dir, "master"))

	code, out, _ := c.build("", "bootstrap", "--yes")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "as described")
	code, out, _ = c.run("", "show")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "   └─ downstream ")
	code, _, _ = c.build("", "plan")
	require.Equal(t, exitOK, code)

	code, out, _ = c.run("", "verify")
	require.Equal(t, exitOK, code)
	require.Equal(t, 2, strings.Count(out, "  read\n"), out)
	c.exec("downstream", "SELECT pg_wal_replay_pause()")
	code, out, _ = c.run("", "verify", "--wait=1s")
	require.Equal(t, exitCritical, code)
	require.Equal(t, 1, strings.Count(out, "  read\n"), out)
	require.Contains(t, out, "its WAL is there")
	c.exec("downstream", "SELECT pg_wal_replay_resume()")

	c.edit("shared_buffers: 8MB", "shared_buffers: 8MB, work_mem: 8MB")
	code, out, _ = c.build("", "plan")
	require.Equal(t, exitWarning, code)
	require.Contains(t, out, "work_mem")
	code, _, _ = c.build("", "apply", "--dry-run")
	require.Equal(t, exitWarning, code)
	code, out, _ = c.build("y\n", "apply")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "as described")

	code, out, _ = c.build("", "reparent", "downstream", "master", "--yes")
	require.Equal(t, exitOK, code)
	c.file = write(t, out)
	code, out, _ = c.run("", "show")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "├─ cascade ")
	require.Contains(t, out, "└─ downstream ")

	code, out, _ = c.build("", "retire", "downstream", "--yes")
	require.Equal(t, exitOK, code)
	c.file = write(t, out)
	require.NoDirExists(t, filepath.Join(c.w.Dir, "downstream"))
	code, _, _ = c.build("", "plan")
	require.Equal(t, exitOK, code)
}
