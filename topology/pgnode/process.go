package pgnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/topology/host"
)

// StopMode is how a server is stopped.
type StopMode string

// The modes. Smart lets sessions end by themselves, accepts no new ones, and becomes Fast when Config.Timeout is over. Fast
// disconnects clients, writes a checkpoint and waits for standbys to receive it; Immediate leaves the server to crash recovery at
// its next start.
const (
	StopSmart     StopMode = "smart"
	StopFast      StopMode = "fast"
	StopImmediate StopMode = "immediate"
)

// Stop stops the server and waits until none of its processes is left, and nothing is about to start it again. A server that does
// not run is no error. Processes that have outlived their postmaster are: nobody is left to tell them; see [Node.Fence].
func (n *Node) Stop(ctx context.Context, mode StopMode) error {
	if mode == StopSmart {
		err := n.stop(ctx, mode)
		if err == nil || ctx.Err() != nil {
			return err
		}
		mode = StopFast
	}
	return n.stop(ctx, mode)
}

func (n *Node) stop(ctx context.Context, mode StopMode) error {
	pids, err := n.Processes(ctx)
	if err == nil && len(pids) > 0 {
		if err = n.checkPostmaster(ctx, pids); err == nil {
			err = n.driver.stop(ctx, mode)
		}
		var doubt *DoubtError
		if err != nil && !errors.As(err, &doubt) {
			if pids, listErr := n.Processes(ctx); listErr == nil && len(pids) == 0 {
				err = nil // it ended by itself meanwhile
			}
		}
	}
	if err == nil {
		err = n.waitGone(ctx)
	}
	if err != nil {
		return fmt.Errorf("stop server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

// waitGone waits for the end of the last process, which comes a moment after the removal of postmaster.pid that pg_ctl waits
// for, and until nothing starts the server again by itself.
func (n *Node) waitGone(ctx context.Context) error {
	deadline := time.Now().Add(n.cfg.Timeout)
	for released := false; ; {
		pids, err := n.Processes(ctx)
		var why string
		if err == nil && len(pids) == 0 {
			why, err = n.driver.released(ctx)
		}
		switch {
		case err != nil:
			return err
		case len(pids) == 0 && why == "":
			return nil
		case why != "" && !released:
			released = true
			if err := n.driver.release(ctx); err != nil {
				return err
			}
		case time.Now().After(deadline) && why != "":
			return fmt.Errorf("something may start it again: %s", why)
		case time.Now().After(deadline):
			return fmt.Errorf("processes %v are still there after %v", pids, n.cfg.Timeout)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// ask tells something to a server that must be running.
func (n *Node) ask(ctx context.Context, what func(context.Context) error) error {
	pids, err := n.Processes(ctx)
	if err != nil {
		return err
	}
	if err := n.checkPostmaster(ctx, pids); err != nil {
		return err
	}
	return what(ctx)
}

// checkPostmaster makes sure that the number in postmaster.pid is one of the server's own processes. pg_ctl does not: it
// signals whatever process has that number, and after a crash that may be anybody's (do_stop, do_reload and do_promote in
// src/bin/pg_ctl/pg_ctl.c).
func (n *Node) checkPostmaster(ctx context.Context, pids []int) error {
	data, err := n.cfg.Host.ReadFile(ctx, n.pidFile())
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(pids) == 0:
		return errors.New("it does not run")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("processes %v run without a postmaster.pid", pids)
	case err != nil:
		return err
	}
	first, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || !slices.Contains(pids, pid) {
		return fmt.Errorf("its postmaster.pid names process %q, which is none of its processes %v", first, pids)
	}
	return nil
}

func (n *Node) pidFile() string { return path.Join(n.cfg.DataDir, "postmaster.pid") }

// Processes returns the pids of the server's processes on its machine; none means that it certainly does not run. Whatever
// leaves room for doubt is an error that matches [*DoubtError], beside the pids that are known. Zombies do not count.
func (n *Node) Processes(ctx context.Context) ([]int, error) {
	return n.processesIn(ctx, n.cfg.DataDir)
}

// lastingDoubt is how long a doubt must last before it is an answer. A process that is just ending hides its working directory for
// a moment, and on a busy machine one of some server always is; so a doubt is one about the same process all the time.
const lastingDoubt = 2 * time.Second

func (n *Node) processesIn(ctx context.Context, dir string) ([]int, error) {
	begun := time.Now()
	var lasting doubts
	for {
		pids, why, err := n.look(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("list processes of the server in %s: %w", dir, err)
		}
		if lasting == nil {
			lasting = why
		}
		maps.DeleteFunc(lasting, func(pid int, _ string) bool { return why[pid] == "" })
		switch {
		case len(lasting) == 0:
			return pids, nil
		case lasting[0] != "" || time.Since(begun) >= lastingDoubt:
			first := slices.Min(slices.Collect(maps.Keys(lasting)))
			return pids, &DoubtError{DataDir: dir, Reason: lasting[first]}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return pids, err
		}
	}
}

// look lists the processes once.
func (n *Node) look(ctx context.Context, dir string) ([]int, doubts, error) {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{
		Path: "sh", Args: []string{"-c", listScript, "sh", dir}, Env: []string{"LC_ALL=C"},
	})
	if err != nil {
		return nil, nil, err
	}
	list, err := parseListing(string(r.Stdout))
	if err != nil {
		return nil, nil, err
	}
	pids, why := list.in(dir)
	return pids, why, nil
}

// DoubtError says that it is not certain which processes a server has.
type DoubtError struct {
	DataDir string
	Reason  string
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("whether the server in %s runs is not certain: %s", e.DataDir, e.Reason)
}

// Kill sends SIGKILL to the postmaster and all its children, as a crash of the machine would end them. It does not wait.
// The processes are stopped (SIGSTOP) first, so that none can react to the death of another. In doubt, see [DoubtError], those
// that are known get the signals, and the error is returned.
func (n *Node) Kill(ctx context.Context) error {
	if pids, _, err := n.look(ctx, n.cfg.DataDir); err == nil {
		_ = n.signal(ctx, "STOP", pids) // whether all are dead is what counts
	}
	pids, doubt := n.Processes(ctx)
	return errors.Join(n.signal(ctx, "KILL", pids), doubt)
}

// signalScript sends signal $1 to the other arguments. That a process is gone meanwhile is no failure, a refusal is.
const signalScript = `s=$1 failed=
shift
for p; do
	kill -s "$s" "$p" 2>/dev/null && continue
	why=$(kill -s "$s" "$p" 2>&1) && continue
	case $why in *"No such process"*) ;; *) echo "$why" >&2; failed=1 ;; esac
done
[ -z "$failed" ]`

// signal sends a signal to processes of the server.
func (n *Node) signal(ctx context.Context, name string, pids []int) error {
	if len(pids) == 0 {
		return nil
	}
	args := []string{"-c", signalScript, "sh", name}
	for _, pid := range pids {
		args = append(args, strconv.Itoa(pid))
	}
	if _, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: args, Env: []string{"LC_ALL=C"}}); err != nil {
		return fmt.Errorf("send SIG%s to the server in %s: %w", name, n.cfg.DataDir, err)
	}
	return nil
}

// Fence makes sure that the server accepts no write any more: it kills what is left of it and returns nil only after
// seeing that no process is left, and that nothing is about to start it again: a unit of systemd is stopped, the user's own stop command is
// called. What keeps it from being certain is an error; a doubt about processes matches [*DoubtError]. Then it removes
// postmaster.pid and the lock file of its socket, which a killed server leaves behind: should their number belong to another process by then, or to a zombie that
// nobody reaps, the server would refuse to start.
//
// It speaks of this machine, or this container, as [host.Host] sees it: processes in another container that share the data
// directory cannot be seen from here. What people or a boot do later is another matter: see [Node.Retire].
func (n *Node) Fence(ctx context.Context) error {
	if pids, _, err := n.look(ctx, n.cfg.DataDir); err == nil {
		_ = n.killAll(ctx, pids) // before anything else that may take its time
	}
	unreleased := n.release(ctx)
	deadline := time.Now().Add(n.cfg.Timeout)
	for {
		pids, err := n.Processes(ctx)
		killed := n.killAll(ctx, pids)
		why := ""
		if err == nil && len(pids) == 0 {
			why, err = n.driver.released(ctx)
			if err == nil && why == "" && unreleased == nil {
				return n.removePidFile(ctx)
			}
		}
		switch {
		case err != nil:
			return fmt.Errorf("fence: %w", errors.Join(err, unreleased))
		case len(pids) == 0 && unreleased != nil, time.Now().After(deadline) && why != "":
			return fmt.Errorf("fence: no process of the server in %s is left, but something may start it again: %s: %w",
				n.cfg.DataDir, why, cmp.Or(unreleased, context.DeadlineExceeded))
		case time.Now().After(deadline):
			return fmt.Errorf("fence: processes %v of the server in %s did not end within %v of SIGKILL: %w",
				pids, n.cfg.DataDir, n.cfg.Timeout, errors.Join(killed, unreleased, context.DeadlineExceeded))
		case killed != nil:
			return fmt.Errorf("fence: %w", killed)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("fence: %w", err)
		}
	}
}

// killAll stops processes, so that none can react to the death of another, and kills them.
func (n *Node) killAll(ctx context.Context, pids []int) error {
	_ = n.signal(ctx, "STOP", pids) // whether all are dead is what counts
	return n.signal(ctx, "KILL", pids)
}

// releaseTime bounds how long a fence waits for the word of what may start the server again.
const releaseTime = 10 * time.Second

func (n *Node) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	return n.driver.release(ctx)
}

// removePidFile removes the lock files of a server that certainly does not run: postmaster.pid, and that of its Unix socket, if it
// says that it is of the same process and data directory (CreateSocketLockFile in miscinit.c).
func (n *Node) removePidFile(ctx context.Context) error {
	if err := n.removeSocketLock(ctx); err != nil {
		return fmt.Errorf("fence: remove the stale lock file of its socket: %w", err)
	}
	err := n.cfg.Host.Remove(ctx, n.pidFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("fence: remove the stale postmaster.pid: %w", err)
	}
	return nil
}

func (n *Node) removeSocketLock(ctx context.Context) error {
	data, err := n.cfg.Host.ReadFile(ctx, n.pidFile())
	if err != nil {
		return nil //nolint:nilerr // then nobody knows which it is
	}
	p, err := datadir.ParsePostmaster(n.pidFile(), data)
	if err != nil || p.SocketDir == "" || !path.IsAbs(p.SocketDir) {
		return nil //nolint:nilerr // likewise
	}
	name := path.Join(p.SocketDir, fmt.Sprintf(".s.PGSQL.%d.lock", p.Port))
	lock, err := n.cfg.Host.ReadFile(ctx, name)
	if err != nil {
		return nil //nolint:nilerr // it is gone, or none of ours
	}
	same := func(line int) bool {
		a, b := strings.Split(string(data), "\n"), strings.Split(string(lock), "\n")
		return line < len(a) && line < len(b) && a[line] == b[line]
	}
	if !same(0) || !same(1) { // process and data directory
		return nil
	}
	return n.cfg.Host.Remove(ctx, name)
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
