package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology/host"
)

// StopMode is how pg_ctl stops a server.
type StopMode string

// The modes. Fast disconnects clients, writes a checkpoint and waits for standbys to receive it; Immediate leaves the server
// to crash recovery at its next start.
const (
	StopFast      StopMode = "fast"
	StopImmediate StopMode = "immediate"
)

// StartError says that the server did not come up, with what it said itself.
type StartError struct {
	DataDir string
	Log     []string // last lines of its log, newest last
	Err     error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("start server in %s: %v; its log ends:\n\t%s", e.DataDir, e.Err, strings.Join(e.Log, "\n\t"))
}

func (e *StartError) Unwrap() error { return e.Err }

// Start starts the server and waits until it accepts connections (a standby: read-only ones). A failure is a [*StartError].
// Starting a server that runs is an error too.
func (n *Node) Start(ctx context.Context) error {
	_, err := n.ctl(ctx, "start", "-w", "-l", n.cfg.LogFile)
	if err != nil {
		return &StartError{DataDir: n.cfg.DataDir, Log: n.logTail(ctx, 8), Err: err}
	}
	return nil
}

// Stop stops the server and waits until it is gone. A server that does not run is no error.
func (n *Node) Stop(ctx context.Context, mode StopMode) error {
	if _, err := n.ctl(ctx, "stop", "-w", "-m", string(mode)); err != nil {
		if pids, listErr := n.Processes(ctx); listErr == nil && len(pids) == 0 {
			return nil
		}
		return fmt.Errorf("stop server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

// Promote ends recovery and waits until the server accepts writes. It returns an error for a server that is not a standby.
// The caller must know that no other primary is left.
func (n *Node) Promote(ctx context.Context) error {
	if _, err := n.ctl(ctx, "promote", "-w"); err != nil {
		return fmt.Errorf("promote server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

// Reload makes the running server read its configuration files again. The server may still refuse what it reads: whether a
// setting is in effect is for the caller to observe.
func (n *Node) Reload(ctx context.Context) error {
	if _, err := n.ctl(ctx, "reload"); err != nil {
		return fmt.Errorf("reload server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

// ctl runs pg_ctl for the data directory.
func (n *Node) ctl(ctx context.Context, verb string, args ...string) (host.Result, error) {
	seconds := strconv.Itoa(int((n.cfg.Timeout + time.Second - 1) / time.Second))
	return n.run(ctx, "pg_ctl", append([]string{verb, "-s", "-D", n.cfg.DataDir, "-t", seconds}, args...)...)
}

// processScript prints the pids of all postgres processes that work in the data directory $1. A server's processes keep it as
// their working directory (ChangeToDataDir in src/backend/utils/init/miscinit.c), so this also finds backends that
// outlived their postmaster, and is not fooled by a stale postmaster.pid whose number another process has taken. Zombies
// have no working directory any more and do not count. One ls for all processes keeps it fast.
const processScript = `
dir=$(cd "$1" 2>/dev/null && pwd -P) || exit 0
if [ -d /proc/self ]; then
	ls -l -d /proc/[0-9]*/cwd 2>/dev/null | while IFS= read -r line; do
		case "$line" in *" -> $dir") ;; *) continue;; esac
		pid=${line##* /proc/}
		pid=${pid%%/cwd*}
		case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in */postgres|*/postgres\ *) echo "$pid";; esac
	done
else
	master=$(head -n 1 "$dir/postmaster.pid" 2>/dev/null) || exit 0
	ps -A -o pid= -o ppid= -o comm= | awk -v m="$master" '($1 == m || $2 == m) && /postgres/ { print $1 }'
fi`

// Processes returns the pids of the server's processes on its machine; none means it does not run.
func (n *Node) Processes(ctx context.Context) ([]int, error) {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", processScript, "sh", n.cfg.DataDir}})
	if err != nil {
		return nil, fmt.Errorf("list processes of the server in %s: %w", n.cfg.DataDir, err)
	}
	var pids []int
	for _, field := range strings.Fields(string(r.Stdout)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("list processes of the server in %s: unexpected output %q", n.cfg.DataDir, field)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Kill sends SIGKILL to the postmaster and all its children, as a crash of the machine would end them. It does not wait.
// The processes are stopped (SIGSTOP) first, so that none can react to the death of another.
func (n *Node) Kill(ctx context.Context) error {
	for _, signal := range []string{"STOP", "KILL"} {
		if err := n.signal(ctx, signal); err != nil {
			return err
		}
	}
	return nil
}

// signal sends a signal to every process of the server. One that is gone meanwhile is no error.
func (n *Node) signal(ctx context.Context, name string) error {
	pids, err := n.Processes(ctx)
	if err != nil || len(pids) == 0 {
		return err
	}
	args := []string{"-c", `s=$1; shift; for p; do kill -s "$s" "$p" 2>/dev/null; done; :`, "sh", name}
	for _, pid := range pids {
		args = append(args, strconv.Itoa(pid))
	}
	if _, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: args}); err != nil {
		return fmt.Errorf("send SIG%s to the server in %s: %w", name, n.cfg.DataDir, err)
	}
	return nil
}

// Fence makes sure that the server accepts no write any more: it kills what is left of it and returns nil only after
// seeing that no process is left. Then it removes postmaster.pid, which a killed server leaves behind: should its number
// belong to another process by then, or to a zombie that nobody reaps, the server would refuse to start. Whether something starts it again is the caller's business (a service manager must be
// told to leave it stopped).
func (n *Node) Fence(ctx context.Context) error {
	deadline := time.Now().Add(n.cfg.Timeout)
	for {
		pids, err := n.Processes(ctx)
		if err != nil {
			return fmt.Errorf("fence: %w", err)
		}
		if len(pids) == 0 {
			return n.removePidFile(ctx)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("fence: processes %v of the server in %s did not end within %v of SIGKILL", pids, n.cfg.DataDir, n.cfg.Timeout)
		}
		if err := n.Kill(ctx); err != nil {
			return fmt.Errorf("fence: %w", err)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("fence: %w", err)
		}
	}
}

// removePidFile removes postmaster.pid of a server that certainly does not run.
func (n *Node) removePidFile(ctx context.Context) error {
	err := n.cfg.Host.Remove(ctx, path.Join(n.cfg.DataDir, "postmaster.pid"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("fence: remove the stale postmaster.pid: %w", err)
	}
	return nil
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// logTail returns the last lines of the server's log, or why they cannot be read.
func (n *Node) logTail(ctx context.Context, lines int) []string {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "tail", Args: []string{"-n", strconv.Itoa(lines), "--", n.cfg.LogFile}})
	if err != nil {
		return []string{fmt.Sprintf("(%s cannot be read: %v)", path.Base(n.cfg.LogFile), err)}
	}
	return strings.Split(strings.TrimRight(string(r.Stdout), "\n"), "\n")
}
