package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"

	"github.com/understudy-ha/understudy/topology/host"
)

const streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"

func TestMajors(t *testing.T) {
	t.Parallel()
	for _, major := range Majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			n := NewCluster(t, Config{Major: major}).Nodes[0]
			n.StartPrimary(t, "cluster_name = 'smoke'")
			require.Equal(t, "smoke", n.MustQuery(t, "SHOW cluster_name"))
			version := n.MustQuery(t, "SHOW server_version_num")
			require.Equal(t, strconv.Itoa(major), version[:2])
			require.Equal(t, "f", n.MustQuery(t, "SELECT pg_is_in_recovery()"))
			require.Contains(t, n.Logs(t), "database system is ready to accept connections")
		})
	}
}

// TestStandbyOf11 has the settings of a standby in recovery.conf, as before 12.
func TestStandbyOf11(t *testing.T) {
	t.Parallel()
	c := NewCluster(t, Config{Major: 11, Nodes: []string{"primary", "standby"}})
	c.Nodes[0].StartPrimary(t)
	c.Nodes[1].StartStandby(t, c.Nodes[0])
	conf, err := c.Nodes[1].Host().ReadFile(t.Context(), c.Nodes[1].DataDir()+"/recovery.conf")
	require.NoError(t, err)
	require.Contains(t, string(conf), "standby_mode = 'on'")
	c.Nodes[0].WaitQuery(t, 20*time.Second, streaming, "1")
	c.Nodes[0].MustQuery(t, "CREATE TABLE t AS SELECT 42 AS x")
	c.Nodes[1].WaitQuery(t, 20*time.Second, "SELECT x FROM t", "42")
}

// TestFaults proves on one primary and one standby that every fault is what its name says.
func TestFaults(t *testing.T) {
	t.Parallel()
	c := NewCluster(t, Config{Nodes: []string{"a", "b"}, DiskSize: 200 << 20})
	a, b := c.Node("a"), c.Node("b")
	addr := a.Addr()
	// Short, so that the standby is back soon after a fault.
	a.StartPrimary(t, "wal_sender_timeout = 2s", "wal_receiver_timeout = 2s", "wal_retrieve_retry_interval = 200ms")
	b.StartStandby(t, a)
	a.WaitQuery(t, 20*time.Second, streaming, "1")
	a.MustQuery(t, "CREATE TABLE t (x int)")
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b *Node)
	}{
		{"names_and_addresses", testNames},
		{"disconnect", testDisconnect},
		{"cut_from", testCutFrom},
		{"cut_to", testCutTo},
		{"refuse_from", testRefuseFrom},
		{"loss", testLoss},
		{"latency", testLatency},
		{"pause", testPause},
		{"disk_full", testDiskFull},
		{"kill_postgres", testKillPostgres},
		{"kill", testKill},
		{"shutdown", testShutdown},
	} {
		ok := t.Run(test.name, func(t *testing.T) { test.run(t, a, b) })
		if !ok {
			return // the next one would start from a broken cluster
		}
		require.Equal(t, addr, a.Addr())
		require.NoError(t, reach(t.Context(), a, b))
		a.WaitQuery(t, 60*time.Second, streaming, "1")
	}
}

// reach connects to the server on to from the machine from.
func reach(ctx context.Context, from, to *Node) error {
	_, err := from.Host().Run(ctx, host.Cmd{Path: from.Bin("pg_isready"), Args: []string{"-h", to.Name, "-t", "1"}})
	return err
}

// noAnswer wants a connection attempt that got no answer, as opposed to one that was refused.
func noAnswer(t *testing.T, err error) {
	t.Helper()
	var exit *host.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 2, exit.Code, "pg_isready: no response")
}

func testNames(t *testing.T, a, b *Node) {
	require.NotEqual(t, a.IP, b.IP)
	for _, n := range []*Node{a, b} {
		res, err := a.Host().Run(t.Context(), host.Cmd{Path: "getent", Args: []string{"ahostsv4", n.Name}})
		require.NoError(t, err)
		require.Contains(t, string(res.Stdout), n.IP.String()+" ")
		res, err = n.Host().Run(t.Context(), host.Cmd{Path: "id", Args: []string{"-un"}})
		require.NoError(t, err)
		require.Equal(t, "postgres\n", string(res.Stdout))
		require.Equal(t, n.Name, strings.TrimSpace(n.sh(t, "hostname", "hostname")))
	}
	require.NoError(t, a.Host().WriteFile(t.Context(), SharedDir+"/x", []byte("shared"), 0o644))
	got, err := b.Host().ReadFile(t.Context(), SharedDir+"/x")
	require.NoError(t, err)
	require.Equal(t, "shared", string(got))
}

func testDisconnect(t *testing.T, a, b *Node) {
	b.Disconnect(t)
	noAnswer(t, reach(t.Context(), a, b))
	noAnswer(t, reach(t.Context(), b, a))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := b.Query(ctx, "SELECT 1")
	require.Error(t, err, "the test process is cut off as well")

	b.Connect(t)
	require.Contains(t, b.sh(t, "addresses", "ip -4 addr"), " "+b.IP.String()+"/")
	require.Equal(t, "t", b.MustQuery(t, "SELECT pg_is_in_recovery()"))
}

// arrived counts packets from one machine that arrive at another, before any fault takes them away.
func arrived(t *testing.T, at, from *Node) (count func() int) {
	t.Helper()
	at.sh(t, "count packets", `nft "add table inet probe; delete table inet probe; add table inet probe;
		add chain inet probe c { type filter hook input priority -400 ; }; add rule inet probe c ip saddr $1 counter"`, from.IP.String())
	t.Cleanup(func() {
		_, err := at.shErr(context.WithoutCancel(t.Context()), "nft delete table inet probe")
		require.NoError(t, err)
	})
	packets := regexp.MustCompile(`counter packets (\d+)`)
	return func() int {
		t.Helper()
		m := packets.FindStringSubmatch(at.sh(t, "count packets", "nft list table inet probe"))
		require.NotNil(t, m)
		count, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		return count
	}
}

func testCutFrom(t *testing.T, a, b *Node) {
	atB := arrived(t, b, a)
	a.CutFrom(t, b)
	before := atB()
	noAnswer(t, reach(t.Context(), a, b))
	require.Greater(t, atB(), before, "what a sends still arrives at b")
	noAnswer(t, reach(t.Context(), b, a))
	require.Regexp(t, `ip saddr `+b.IP.String()+` counter packets [1-9]`, a.sh(t, "rules", "nft list table inet understudy"))
	require.Equal(t, "1", a.MustQuery(t, "SELECT 1"), "the test process still reaches a")

	// The cut belongs to the network: it outlives the cable and the machine that is behind it.
	a.Disconnect(t)
	a.Connect(t)
	noAnswer(t, reach(t.Context(), b, a))
	a.Heal(t)
}

func testCutTo(t *testing.T, a, b *Node) {
	atA, atB := arrived(t, a, b), arrived(t, b, a)
	a.CutTo(t)
	before := atA()
	noAnswer(t, reach(t.Context(), b, a))
	require.Greater(t, atA(), before, "what b sends still arrives at a")
	require.Greater(t, atB(), 0, "a does answer")
	noAnswer(t, reach(t.Context(), a, b))
	a.Heal(t) // takes away what lies on b's side, too
}

func testRefuseFrom(t *testing.T, a, b *Node) {
	a.RefuseFrom(t, b)
	noAnswer(t, reach(t.Context(), b, a))
	require.NoError(t, reach(t.Context(), a, b), "the other direction works")
	b.Heal(t)
}

func testLoss(t *testing.T, a, b *Node) {
	a.SetLoss(t, 100)
	noAnswer(t, reach(t.Context(), b, a))
	a.SetLoss(t, 30)
	// TCP makes up for it, and the counter shows that there was something to make up for.
	WaitFor(t, 20*time.Second, "lost packets", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := reach(ctx, b, a); err != nil {
			return err
		}
		if !regexp.MustCompile(`counter packets [1-9]`).MatchString(a.sh(t, "rules", "nft list table inet understudy")) {
			return errors.New("none yet")
		}
		return nil
	})
	a.SetLoss(t, 0)
}

func testLatency(t *testing.T, a, b *Node) {
	const latency = 150 * time.Millisecond
	conn, err := pgx.Connect(t.Context(), a.ConnString())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	roundTrip := func() time.Duration {
		start := time.Now()
		_, err := conn.Exec(t.Context(), "SELECT 1")
		require.NoError(t, err)
		return time.Since(start)
	}
	require.Less(t, roundTrip(), latency)
	a.SetLatency(t, latency)
	how := "netem"
	if a.delay != nil {
		how = "netdelay"
	}
	got := roundTrip()
	t.Logf("latency by %s: %v for %v", how, got, latency)
	require.GreaterOrEqual(t, got, latency, "an open connection gets slow")
	require.Less(t, got, 4*latency)

	out, err := b.Host().Run(t.Context(), host.Cmd{
		Path:  b.Bin("psql"),
		Args:  []string{"-h", "a", "-U", "postgres", "-X", "-q"},
		Env:   []string{"PGPASSWORD=" + a.cluster.Password},
		Stdin: strings.NewReader("\\timing on\nSELECT 1;\n"),
	})
	require.NoError(t, err)
	m := regexp.MustCompile(`Time: ([0-9.]+) ms`).FindStringSubmatch(string(out.Stdout))
	require.NotNil(t, m, "%s", out.Stdout)
	ms, err := strconv.ParseFloat(m[1], 64)
	require.NoError(t, err)
	require.GreaterOrEqual(t, ms, float64(latency.Milliseconds()), "between the machines")

	// A megabyte goes through, in order.
	var big string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT md5(repeat('x', 1000000)) || repeat('y', 1000000)").Scan(&big))
	require.Len(t, big, 1000032)
	a.SetLatency(t, 0)
	require.Less(t, roundTrip(), latency)
}

func testPause(t *testing.T, a, b *Node) {
	a.Pause(t)
	conn, err := net.DialTimeout("tcp", a.Addr(), 5*time.Second)
	require.NoError(t, err, "the kernel goes on accepting")
	require.NoError(t, conn.Close())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = a.Query(ctx, "SELECT 1")
	require.ErrorIs(t, err, context.DeadlineExceeded, "nobody answers")
	require.Contains(t, a.Logs(t), "ready to accept connections", "logs can be read all the same")
	a.Unpause(t)
	require.Equal(t, "1", a.MustQuery(t, "SELECT 1"))
}

func testDiskFull(t *testing.T, a, b *Node) {
	a.FillDisk(t, 64<<10)
	_, err := a.Query(t.Context(), "INSERT INTO t SELECT generate_series(1, 100000)")
	require.ErrorContains(t, err, "No space left on device")
	require.Equal(t, "0", a.MustQuery(t, "SELECT count(*) FROM t"))
	a.FreeDisk(t)
	// A server that could not write WAL has panicked and recovers by itself.
	a.WaitQuery(t, 30*time.Second, "INSERT INTO t VALUES (1) RETURNING x", "1")
}

func controlState(t *testing.T, n *Node) string {
	t.Helper()
	for line := range strings.Lines(n.run(t, "pg_controldata", n.DataDir())) {
		if state, ok := strings.CutPrefix(line, "Database cluster state:"); ok {
			return strings.TrimSpace(state)
		}
	}
	return ""
}

func testKillPostgres(t *testing.T, a, b *Node) {
	a.KillPostgres(t)
	require.Equal(t, "in production", controlState(t, a))
	require.Empty(t, strings.TrimSpace(a.sh(t, "processes", "ps -o pid= -u postgres || :")), "nothing is left, zombies included")
	there, err := a.Host().Exists(t.Context(), a.DataDir()+"/postmaster.pid")
	require.NoError(t, err)
	require.True(t, there, "the pid file of a killed server is stale")
	a.StartPostgres(t)
	require.Contains(t, a.Logs(t), "was not properly shut down")
}

func testKill(t *testing.T, a, b *Node) {
	a.MustQuery(t, "INSERT INTO t VALUES (7)")
	b.CutFrom(t, a)
	b.Kill(t)
	noAnswer(t, reach(t.Context(), a, b))
	require.Contains(t, b.Logs(t), "ready to accept", "logs can be read all the same")
	a.Kill(t)
	a.Start(t)
	b.Start(t)
	require.Equal(t, "in production", controlState(t, a))
	a.StartPostgres(t)
	require.Equal(t, "1", a.MustQuery(t, "SELECT count(*) FROM t WHERE x = 7"))
	noAnswer(t, reach(t.Context(), a, b)) // the cut is still there
	b.Heal(t)
	b.StartPostgres(t)
}

func testShutdown(t *testing.T, a, b *Node) {
	a.Shutdown(t)
	a.Start(t)
	require.Equal(t, "shut down", controlState(t, a))
	a.StartPostgres(t)
}

// TestMissing runs a test where something is missing: it skips with the reason, and fails where nothing may be skipped.
func TestMissing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ env, reason string }{
		"docker": {"PATH=/nonexistent", "no docker command"},
		"image":  {"UNDERSTUDY_TEST_IMAGE_11=understudy-no-such-image:1", "no image understudy-no-such-image:1: run scripts/setup images"},
	} {
		for ci, want := range map[string]string{"": "--- SKIP", "true": "--- FAIL"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStandbyOf11$", "-test.v")
			cmd.Env = append(os.Environ(), "CI="+ci, tt.env)
			out, err := cmd.CombinedOutput()
			require.Equal(t, ci != "", err != nil, "%s", out)
			require.Contains(t, string(out), want, name)
			require.Contains(t, string(out), tt.reason, name)
		}
	}
}

// TestLeftovers kills a test process that has a frozen and an unplugged machine, and cleans up after it.
func TestLeftovers(t *testing.T) {
	if os.Getenv("UNDERSTUDY_LEAVE_BEHIND") != "" {
		leaveBehind(t)
	}
	t.Parallel()
	requireDocker(t)
	mine := NewCluster(t, Config{})

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLeftovers$", "-test.v")
	cmd.Env = append(os.Environ(), "UNDERSTUDY_LEAVE_BEHIND=1")
	in, err := cmd.StdinPipe() // its end tells the child that this process is gone
	require.NoError(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var cluster string
	for s := bufio.NewScanner(out); cluster == "" && s.Scan(); {
		_, cluster, _ = strings.Cut(s.Text(), "left behind: ")
	}
	require.NotEmpty(t, cluster, "the child says its cluster")
	require.Equal(t, [3]int{3, 1, 3}, things(t, cluster), "while it lives")
	_, err = RemoveLeftovers(t.Context())
	require.NoError(t, err)
	require.Equal(t, [3]int{3, 1, 3}, things(t, cluster), "nobody else may remove it while it lives")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	removed, err := RemoveLeftovers(t.Context())
	require.NoError(t, err)
	require.Contains(t, strings.Join(removed, " "), "understudy-"+cluster+"-frozen")
	require.Equal(t, [3]int{}, things(t, cluster))
	require.Equal(t, [3]int{2, 1, 2}, things(t, mine.id))
}

// leaveBehind is the child: it makes a mess and waits to be killed.
func leaveBehind(t *testing.T) {
	c := NewCluster(t, Config{Nodes: []string{"frozen", "unplugged"}})
	c.Node("frozen").Pause(t)
	c.Node("unplugged").Disconnect(t)
	fmt.Println("left behind: " + c.id)
	_, _ = io.Copy(io.Discard, os.Stdin)
	t.Fatal("the parent went away")
}

// things counts containers, networks and volumes of a cluster.
func things(t *testing.T, cluster string) [3]int {
	t.Helper()
	cli, err := testcontainers.NewDockerClientWithOpts(t.Context())
	require.NoError(t, err)
	defer cli.Close()
	f := make(client.Filters).Add("label", labelCluster+"="+cluster)
	containers, err := cli.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: f})
	require.NoError(t, err)
	networks, err := cli.NetworkList(t.Context(), client.NetworkListOptions{Filters: f})
	require.NoError(t, err)
	volumes, err := cli.VolumeList(t.Context(), client.VolumeListOptions{Filters: f})
	require.NoError(t, err)
	return [3]int{len(containers.Items), len(networks.Items), len(volumes.Items)}
}
