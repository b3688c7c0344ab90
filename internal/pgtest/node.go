package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/understudy-ha/understudy/topology/host"
)

// Node is one machine. Its methods that break something fail the test if they cannot; they may be called from the test's own
// goroutine only.
type Node struct {
	// Name is the machine's name, which the other machines resolve.
	Name string

	// IP is its address on the cluster's network. It stays the same for the machine's life.
	IP netip.Addr

	cluster   *Cluster
	container string // its name in Docker
	id        string // its id in Docker
	port      int    // published
	host      *host.Container
	root      *host.Container

	mu    sync.Mutex
	net   netFaults
	delay *delay
}

func (c *Cluster) newNode(i int, name string) *Node {
	return &Node{
		Name:      name,
		IP:        c.network.address(i),
		cluster:   c,
		container: "understudy-" + c.id + "-" + name,
	}
}

// Host runs commands and handles files as the user postgres.
func (n *Node) Host() host.Host { return n.host }

// RootHost runs commands and handles files as root.
func (n *Node) RootHost() host.Host { return n.root }

// ContainerName is the machine's name in Docker, for host.NewContainer and the docker command.
func (n *Node) ContainerName() string { return n.container }

// BinDir is the directory of the server's programs.
func (n *Node) BinDir() string { return fmt.Sprintf("/usr/lib/postgresql/%d/bin", n.cluster.Major) }

// Bin is the path of one of the server's programs.
func (n *Node) Bin(program string) string { return path.Join(n.BinDir(), program) }

// DataDir is where the server's data directory is to be: on the limited disk, in a directory that belongs to postgres. It is
// not there yet when the machine is new.
func (n *Node) DataDir() string { return path.Join(n.DiskDir(), "data") }

// DiskDir is where the limited disk is mounted. It belongs to postgres.
func (n *Node) DiskDir() string { return diskDir }

// LogFile is where the server is to write its log (pg_ctl -l). It is not on the limited disk, and [Node.Logs] reads it.
func (n *Node) LogFile() string { return path.Join(logDir, "postgres.log") }

// Addr is host:port at which the test process reaches the server. It stays the same for the machine's life. Something may
// accept connections there even when no server listens: Docker does.
func (n *Node) Addr() string { return net.JoinHostPort(n.cluster.hostAddr, strconv.Itoa(n.port)) }

// sh runs a script as root and fails the test if it fails.
func (n *Node) sh(t testing.TB, what, script string, args ...string) string {
	t.Helper()
	out, err := n.shErr(t.Context(), script, args...)
	if err != nil {
		t.Fatalf("%s: %s: %v", n.Name, what, err)
	}
	return out
}

func (n *Node) shErr(ctx context.Context, script string, args ...string) (string, error) {
	res, err := n.root.Run(ctx, host.Cmd{Path: "sh", Args: append([]string{"-c", script, "sh"}, args...)})
	return string(res.Stdout), err
}

// Kill is a power loss: every process on the machine gets SIGKILL. The disk keeps what was written.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	if _, err := n.cluster.cli.ContainerKill(t.Context(), n.id, client.ContainerKillOptions{}); err != nil {
		t.Fatalf("%s: kill: %v", n.Name, err)
	}
	n.waitStopped(t)
}

// Shutdown stops the server, if one runs, in fast mode and then the machine.
func (n *Node) Shutdown(t testing.TB) {
	t.Helper()
	n.sh(t, "stop the server", `if [ -e "$2/postmaster.pid" ]; then
		su postgres -s /bin/sh -c '"$0" -D "$1" -m fast -w stop >/dev/null' "$1" "$2"; fi`, n.Bin("pg_ctl"), n.DataDir())
	seconds := 10
	if _, err := n.cluster.cli.ContainerStop(t.Context(), n.id, client.ContainerStopOptions{Timeout: &seconds}); err != nil {
		t.Fatalf("%s: stop: %v", n.Name, err)
	}
	n.waitStopped(t)
}

func (n *Node) waitStopped(t testing.TB) {
	t.Helper()
	WaitFor(t, 30*time.Second, n.Name+" to stop", func() error {
		if state := n.state(t); state.Running {
			return fmt.Errorf("it is %s", state.Status)
		}
		return nil
	})
	n.stopDelay()
}

// state is what Docker says about the machine.
func (n *Node) state(t testing.TB) container.State {
	t.Helper()
	info, err := n.cluster.cli.ContainerInspect(t.Context(), n.id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatalf("%s: inspect: %v", n.Name, err)
	}
	return *info.Container.State
}

// Start switches a machine on that was killed or shut down. Name, address, port and disk are what they were, and so are the
// faults of its network. No server is started.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	if _, err := n.cluster.cli.ContainerStart(t.Context(), n.id, client.ContainerStartOptions{}); err != nil {
		t.Fatalf("%s: start: %v", n.Name, err)
	}
	if err := n.ready(t.Context()); err != nil {
		t.Fatalf("%s: start: %v", n.Name, err)
	}
	n.applyNet(t)
}

// Pause freezes every process on the machine. Its kernel goes on: it accepts connections, and nobody answers. Of the other
// faults only Kill, Disconnect and Connect can be made while a machine is paused.
func (n *Node) Pause(t testing.TB) {
	t.Helper()
	if _, err := n.cluster.cli.ContainerPause(t.Context(), n.id, client.ContainerPauseOptions{}); err != nil {
		t.Fatalf("%s: pause: %v", n.Name, err)
	}
}

// Unpause lets a paused machine go on.
func (n *Node) Unpause(t testing.TB) {
	t.Helper()
	if _, err := n.cluster.cli.ContainerUnpause(t.Context(), n.id, client.ContainerUnpauseOptions{}); err != nil {
		t.Fatalf("%s: unpause: %v", n.Name, err)
	}
	n.applyNet(t) // the cable may have been pulled or put back meanwhile
}

// killScript stops the postmaster first, so that it can neither start nor tidy up anything, and then kills the whole tree.
const killScript = `pid=$(head -n 1 "$1/postmaster.pid") || exit 1
case $(ps -o comm= -p "$pid") in postgres|postmaster) ;; *) echo "no server runs (pid $pid)" >&2; exit 1 ;; esac
below() { for c in $(ps -o pid= --ppid "$1"); do echo "$c"; below "$c"; done; }
kill -s STOP "$pid"
all="$(below "$pid") $pid"
kill -s KILL $all 2>/dev/null
i=0
for p in $all; do
	while [ -e "/proc/$p" ]; do
		i=$((i+1))
		if [ "$i" -gt 200 ]; then echo "process $p does not go away" >&2; exit 1; fi
		sleep 0.05
	done
done
`

// KillPostgres sends SIGKILL to the postmaster and everything that it started, archive commands too, and returns when they
// are gone. The machine stays up.
func (n *Node) KillPostgres(t testing.TB) {
	t.Helper()
	n.sh(t, "kill the server", killScript, n.DataDir())
}

// filler is the file that fills the disk. It belongs to root, so that no server tidies it away.
const filler = diskDir + "/.filler"

// FillDisk fills the machine's disk until only leave bytes are free, rounded to whole pages of 4 kB.
func (n *Node) FillDisk(t testing.TB, leave int64) {
	t.Helper()
	n.sh(t, "fill the disk", `rm -f -- "$1" && free=$(df -B1 --output=avail -- "$2" | tail -n 1) &&
		[ "$free" -gt "$3" ] && fallocate -l $((free - $3)) -- "$1"`, filler, diskDir, strconv.FormatInt(leave, 10))
}

// FreeDisk removes what FillDisk has put there.
func (n *Node) FreeDisk(t testing.TB) {
	t.Helper()
	n.sh(t, "free the disk", `rm -f -- "$1"`, filler)
}
