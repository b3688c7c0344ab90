package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/topology"
)

const (
	observerPassword   = "open-sesame-7"
	replicatorPassword = "close-sesame-8"
)

// chain is a cluster of three levels whose files are what the command renders.
type chain struct {
	t       *testing.T
	w       *pgserver.World
	file    string // the description
	servers map[string]*pgserver.Server
}

var chainNodes = []string{"master", "cascade", "downstream"}

// newChain builds the cluster: the master from initdb, the others as copies, all with what "topology render" says.
func newChain(t *testing.T, major int) *chain {
	t.Helper()
	c := &chain{t: t, w: pgserver.New(t, localpg.Server(t, major)), servers: map[string]*pgserver.Server{}}
	for _, id := range chainNodes {
		c.servers[id] = c.w.Server(id)
		c.servers[id].Port = freePort(t)
	}
	port := c.servers["master"].Port
	c.servers["master"] = c.w.Initdb("master")
	c.servers["master"].Port = port
	c.describe()
	master := c.servers["master"]
	c.prepare("master")
	master.Up(c.args("master")...)
	master.Exec("CREATE ROLE observer LOGIN IN ROLE pg_monitor PASSWORD '"+observerPassword+"'",
		"CREATE ROLE replicator LOGIN REPLICATION PASSWORD '"+replicatorPassword+"'",
		"CREATE TABLE ledger (id bigint)", "SELECT pg_create_physical_replication_slot('cascade')")
	for i, id := range chainNodes[1:] {
		port := c.servers[id].Port
		c.servers[id] = c.w.Copy(c.servers[chainNodes[i]], id)
		c.servers[id].Port = port
		c.prepare(id)
		c.servers[id].Up(c.args(id)...)
		if i == 0 {
			c.servers[id].Exec("SELECT pg_create_physical_replication_slot('downstream')")
		}
	}
	c.streaming("cascade", "downstream")
	return c
}

// args are those of the command line, where tests otherwise turn fsync off and listen to nobody.
func (c *chain) args(id string) []string {
	return []string{"-c", "fsync=on", "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(c.servers[id].Port)}
}

// describe writes the description and the files with passwords.
func (c *chain) describe() {
	secret, passfile := filepath.Join(c.t.TempDir(), "observer"), filepath.Join(c.w.Dir, "passfile")
	require.NoError(c.t, os.WriteFile(secret, []byte(observerPassword+"\n"), 0o600))
	require.NoError(c.t, c.servers["master"].WriteFile(c.t.Context(), passfile, []byte("*:*:*:*:"+replicatorPassword+"\n"), 0o600))
	var text strings.Builder
	text.WriteString("name: orders\nnodes:\n")
	for i, id := range chainNodes {
		fmt.Fprintf(&text, "  - {id: %s, host: 127.0.0.1, port: %d, data_dir: %s, service: {bin_dir: %s}", id,
			c.servers[id].Port, c.servers[id].Data, filepath.Dir(c.w.Bin("postgres")))
		if i > 0 {
			text.WriteString(", upstream: " + chainNodes[i-1])
		}
		text.WriteString("}\n")
	}
	fmt.Fprintf(&text, "replication: {user: replicator, passfile: %s}\nmonitor: {name: observer, secret: \"file:%s\"}\nslots: true\n",
		passfile, secret)
	text.WriteString("settings: {listen_addresses: 127.0.0.1, wal_retrieve_retry_interval: 100ms}\n")
	c.file = write(c.t, text.String())
}

// prepare gives a data directory the files that the command renders.
func (c *chain) prepare(id string) {
	dir := filepath.Join(c.t.TempDir(), "files")
	code, _, errOut := runIt(c.t, "render", c.file, id, strconv.Itoa(c.w.Major), "--output", dir)
	require.Equal(c.t, exitOK, code, errOut)
	s := c.servers[id]
	require.NoError(c.t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "slots.sql" {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if name == "pg_hba.conf" {
			data = append([]byte("local all all trust\n"), data...)
		}
		s.Write(name, string(data))
		return err
	}))
}

// streaming waits until standbys stream and have replayed everything.
func (c *chain) streaming(ids ...string) {
	for _, id := range ids {
		c.servers[id].Wait("SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
	}
	for _, id := range ids {
		end := c.servers["master"].Ask("SELECT pg_current_wal_lsn()::text")
		c.servers[id].Wait("SELECT pg_last_wal_replay_lsn() >= '" + end + "'")
	}
}

// show returns what the command shows, and its code. No password may be part of it.
func (c *chain) show(args ...string) (int, string) {
	c.t.Helper()
	code, out, errOut := runIt(c.t, append([]string{"show", c.file, "--timeout=10s"}, args...)...)
	require.NotContains(c.t, out+errOut, "sesame")
	return code, out + errOut
}

// until shows again and again, until the code is right and all texts are there.
func (c *chain) until(code int, texts ...string) string {
	c.t.Helper()
	var shown string
	pgserver.Until(c.t, fmt.Sprintf("code %d and %q", code, texts), func() error {
		got, out := c.show()
		shown = out
		if got != code {
			return fmt.Errorf("code %d: %s", got, out)
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return fmt.Errorf("no %q in %s", text, out)
			}
		}
		return nil
	})
	return shown
}

// freePort picks a port that nothing listens on now, below the range from which outgoing connections take theirs.
func freePort(t *testing.T) int {
	t.Helper()
	for range 200 {
		port := 15000 + rand.IntN(17000)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// majors are those on which the whole command runs: the first with slots for all, one before recovery.conf went, one after, the newest.
func each(t *testing.T, test func(t *testing.T, c *chain)) {
	for _, major := range []int{11, 15, localpg.MaxMajor} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			if only := strings.Fields(os.Getenv("UNDERSTUDY_TEST_MAJORS")); len(only) > 0 && !contains(only, major) {
				t.Skipf("UNDERSTUDY_TEST_MAJORS is %q", only)
			}
			test(t, newChain(t, major))
		})
	}
}

func contains(majors []string, major int) bool {
	for _, m := range majors {
		if m == strconv.Itoa(major) {
			return true
		}
	}
	return false
}

// TestLife runs the command through what happens to a cluster: all well, replay paused, a node killed, and two primaries.
func TestLife(t *testing.T) {
	each(t, func(t *testing.T, c *chain) {
		healthy := c.until(exitOK, "└─ cascade ", "   └─ downstream ")
		t.Log("\n" + healthy)
		c.forms()
		c.figures()

		c.servers["downstream"].Exec("SELECT pg_wal_replay_pause()")
		t.Log("\n" + c.until(exitWarning, "replay paused", string(topology.ReplayPaused), "downstream !"))
		c.servers["downstream"].Exec("SELECT pg_wal_replay_resume()")
		c.until(exitOK)

		c.servers["cascade"].Kill(syscall.SIGKILL)
		t.Log("\n" + c.until(exitCritical, "cascade !!", "no answer", string(topology.Silent)))
		code, out, _ := runIt(t, "problems", c.file)
		require.Equal(t, exitCritical, code)
		require.Contains(t, out, string(topology.Silent))
		c.servers["cascade"].Up(c.args("cascade")...)
		c.streaming("cascade", "downstream")
		c.until(exitOK)

		c.servers["cascade"].Promote()
		shown := c.until(exitCritical, string(topology.SeveralPrimaries))
		t.Log("\n" + shown)
		_, dot := c.show("--format=dot")
		require.Contains(t, dot, string(topology.SeveralPrimaries))
	})
}

// forms shows the healthy cluster in every form.
func (c *chain) forms() {
	code, out := c.show("--format=json")
	require.Equal(c.t, exitOK, code)
	var d topology.Document
	require.NoError(c.t, json.Unmarshal([]byte(out), &d))
	require.Equal(c.t, topology.NodeID("master"), d.Primary)
	require.Len(c.t, d.Nodes, 3)
	require.Equal(c.t, topology.LinkConfirmed, d.Nodes[2].Link.Evidence)
	require.Equal(c.t, topology.NodeID("cascade"), d.Nodes[2].Link.Upstream)

	_, out = c.show("--format=mermaid")
	require.Contains(c.t, out, `n1 -->|"streaming, async`)
	_, out = c.show("--color=always")
	require.Contains(c.t, out, "\x1b[1mprimary\x1b[0m")
}

// figures compares the table with the answers of the documented monitor script's queries. Nothing may be written meanwhile.
func (c *chain) figures() {
	for _, id := range []string{"master", "cascade"} { // autovacuum, checkpoints and the like still write a little
		c.servers[id].Exec("SELECT 1")
	}
	const rows = `SELECT coalesce(string_agg(concat_ws(' ', application_name, client_addr, state, sync_priority, sync_state), E'\n'
		ORDER BY application_name), '(no rows)') FROM pg_stat_replication`
	pgserver.Until(c.t, "the table to have the figures of the queries", func() error {
		_, out := c.show("--format=table")
		table := fields(out)
		var want []string
		for _, id := range chainNodes {
			want = append(want, id+" "+c.servers[id].Ask(rows))
		}
		want = append(want, "current "+c.servers["master"].Ask("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text"))
		for _, id := range chainNodes[1:] {
			want = append(want,
				"receive "+c.servers[id].Ask("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::text")+" 0.0 kB",
				"replay "+c.servers[id].Ask("SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::text")+" 0.0 kB")
		}
		for _, w := range want {
			if !strings.Contains(table, w+"\n") {
				return fmt.Errorf("no %q in\n%s", w, table)
			}
		}
		return nil
	})
}

// fields makes all runs of blanks one blank.
func fields(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// guarded is a buffer for two goroutines.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

// TestWatch watches a server that goes away: without a terminal as pictures one after the other, on one in place.
func TestWatch(t *testing.T) {
	w := pgserver.New(t, localpg.Server(t, localpg.MaxMajor))
	s := w.Initdb("master")
	s.Port = freePort(t)
	s.Up("-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(s.Port))
	file := write(t, fmt.Sprintf("name: lone\nnodes:\n  - {id: master, host: 127.0.0.1, port: %d, data_dir: %s, service: {bin_dir: /usr/bin}}\n"+
		"replication: {user: %s}\nadmin: %[3]s\n", s.Port, s.Data, pgserver.User))

	watch := func(out io.Writer, flags ...string) (stop context.CancelFunc, done chan int) {
		ctx, stop := context.WithCancel(t.Context())
		done = make(chan int, 1)
		go func() {
			done <- run(ctx, append([]string{"show", file, "--watch=200ms"}, flags...), nil, out, io.Discard)
		}()
		return stop, done
	}
	var plain guarded
	stop, done := watch(&plain)
	pgserver.Until(t, "three pictures", func() error {
		if n := strings.Count(plain.String(), "NODE "); n < 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	stop()
	require.LessOrEqual(t, <-done, exitCritical)
	require.NotContains(t, plain.String(), "\x1b")

	tty, screen := terminal(t)
	stop, done = watch(tty)
	pgserver.Until(t, "two pictures on the terminal", func() error {
		if n := strings.Count(screen.String(), home); n < 2 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	s.Kill(syscall.SIGKILL)
	pgserver.Until(t, "no answer on the terminal", func() error {
		if !strings.Contains(screen.String(), "no answer") {
			return errors.New(screen.String())
		}
		return nil
	})
	stop()
	require.Equal(t, exitCannotTell, <-done)
	pgserver.Until(t, "the terminal to be given back", func() error {
		_, after, left := strings.Cut(screen.String(), leaveScreen)
		if !left || !strings.Contains(after, "no answer") {
			return fmt.Errorf("%q", screen.String())
		}
		return nil
	})
	require.True(t, strings.HasPrefix(screen.String(), enterScreen))
	require.Equal(t, 1, strings.Count(screen.String(), enterScreen))
}
