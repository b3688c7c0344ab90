package pgnode

import (
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

// StartError says that the server did not come up in time, with what it said itself. It may still be coming up, if only the
// time was too short or the context ended: [Node.Processes] tells.
type StartError struct {
	DataDir string
	Log     []string // the last lines it wrote to its log since, newest last; none if it did not get that far
	Err     error
}

func (e *StartError) Error() string {
	if len(e.Log) == 0 {
		return fmt.Sprintf("start server in %s: %v; it wrote nothing to its log", e.DataDir, e.Err)
	}
	return fmt.Sprintf("start server in %s: %v; its log ends:\n\t%s", e.DataDir, e.Err, strings.Join(e.Log, "\n\t"))
}

func (e *StartError) Unwrap() error { return e.Err }

// ErrHalfRewound says that [Node.Rewind] was interrupted or failed, so that the data may be a mixture of two servers and must
// not be used. Set it aside and clone.
var ErrHalfRewound = errors.New("a rewind was not finished, so its data may be a mixture of two servers: set it aside and clone")

// Start starts the server and waits until it accepts connections (a standby: read-only ones). A failure is a [*StartError].
// Starting a server that runs is an error too. After a crash the server refuses to start while another process has the number
// in its postmaster.pid; [Node.Fence] removes that file, once no process of the server is left.
func (n *Node) Start(ctx context.Context) error {
	before := n.logSize(ctx)
	_, err := n.ctl(ctx, "start", "-w", "-l", n.cfg.LogFile)
	if err == nil {
		return nil
	}
	failure := &StartError{DataDir: n.cfg.DataDir, Log: n.logSince(ctx, before, 8), Err: err}
	if there, thereErr := n.Exists(ctx); thereErr == nil && !there {
		if half, halfErr := n.cfg.Host.Exists(ctx, n.rewinding()); halfErr == nil && half {
			failure.Err = errors.Join(ErrHalfRewound, err)
		}
	}
	return failure
}

// Stop stops the server and waits until none of its processes is left. A server that does not run is no error. Processes that
// have outlived their postmaster are: nobody is left to tell them; see [Node.Fence].
func (n *Node) Stop(ctx context.Context, mode StopMode) error {
	pids, err := n.Processes(ctx)
	if err == nil && len(pids) == 0 {
		return nil
	}
	if err == nil {
		err = n.checkPostmaster(ctx, pids)
	}
	if err == nil {
		_, err = n.ctl(ctx, "stop", "-w", "-m", string(mode))
	}
	if err == nil {
		return n.waitGone(ctx)
	}
	var doubt *DoubtError
	if !errors.As(err, &doubt) {
		if pids, listErr := n.Processes(ctx); listErr == nil && len(pids) == 0 {
			return nil // it ended by itself meanwhile
		}
	}
	return fmt.Errorf("stop server in %s: %w", n.cfg.DataDir, err)
}

// waitGone waits for the end of the last process, which comes a moment after the removal of postmaster.pid that pg_ctl waits
// for.
func (n *Node) waitGone(ctx context.Context) error {
	deadline := time.Now().Add(n.cfg.Timeout)
	for {
		pids, err := n.Processes(ctx)
		if err == nil && len(pids) == 0 {
			return nil
		}
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("processes %v are still there after %v", pids, n.cfg.Timeout)
		}
		if err == nil {
			err = pause(ctx, 10*time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("stop server in %s: %w", n.cfg.DataDir, err)
		}
	}
}

// Promote ends recovery and waits until the server accepts writes. It returns an error for a server that is not a standby.
// After any other error the promotion may have taken place, or may still: observe the server. The caller must know that no other
// primary is left.
func (n *Node) Promote(ctx context.Context) error {
	if err := n.ask(ctx, "promote", "-w"); err != nil {
		return fmt.Errorf("promote server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

// Reload makes the running server read its configuration files again. The server may still refuse what it reads: whether a
// setting is in effect is for the caller to observe.
func (n *Node) Reload(ctx context.Context) error {
	if err := n.ask(ctx, "reload"); err != nil {
		return fmt.Errorf("reload server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
}

// ask runs pg_ctl for a server that must be running.
func (n *Node) ask(ctx context.Context, verb string, args ...string) error {
	pids, err := n.Processes(ctx)
	if err != nil {
		return err
	}
	if err := n.checkPostmaster(ctx, pids); err != nil {
		return err
	}
	_, err = n.ctl(ctx, verb, args...)
	return err
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

// ctl runs pg_ctl for the data directory.
func (n *Node) ctl(ctx context.Context, verb string, args ...string) (host.Result, error) {
	seconds := strconv.Itoa(int((n.cfg.Timeout + time.Second - 1) / time.Second))
	return n.run(ctx, "pg_ctl", append([]string{verb, "-s", "-D", n.cfg.DataDir, "-t", seconds}, args...)...)
}

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
// seeing that no process is left. What keeps it from being certain is an error that matches [*DoubtError]. Then it removes
// postmaster.pid, which a killed server leaves behind: should its number belong to another process by then, or to a zombie that
// nobody reaps, the server would refuse to start.
//
// It speaks of this machine, or this container, as [host.Host] sees it: processes in another container that share the data
// directory cannot be seen from here. Whether something starts the server again is the caller's business (a service manager must
// be told to leave it stopped).
func (n *Node) Fence(ctx context.Context) error {
	deadline := time.Now().Add(n.cfg.Timeout)
	for {
		pids, err := n.Processes(ctx)
		if err == nil && len(pids) == 0 {
			return n.removePidFile(ctx)
		}
		_ = n.signal(ctx, "STOP", pids) // so that none can react to the death of another
		killed := n.signal(ctx, "KILL", pids)
		switch {
		case err != nil:
			return fmt.Errorf("fence: %w", err)
		case time.Now().After(deadline):
			return fmt.Errorf("fence: processes %v of the server in %s did not end within %v of SIGKILL: %w",
				pids, n.cfg.DataDir, n.cfg.Timeout, errors.Join(killed, context.DeadlineExceeded))
		case killed != nil:
			return fmt.Errorf("fence: %w", killed)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("fence: %w", err)
		}
	}
}

// removePidFile removes postmaster.pid of a server that certainly does not run.
func (n *Node) removePidFile(ctx context.Context) error {
	err := n.cfg.Host.Remove(ctx, n.pidFile())
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

// logSize returns the size of the server's log, 0 if there is none that can be read.
func (n *Node) logSize(ctx context.Context) int64 {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", `wc -c <"$1"`, "sh", n.cfg.LogFile}})
	if err != nil {
		return 0
	}
	size, _ := strconv.ParseInt(strings.TrimSpace(string(r.Stdout)), 10, 64)
	return size
}

// logSince returns the last lines of the server's log after a size that it had, or why they cannot be read.
func (n *Node) logSince(ctx context.Context, size int64, lines int) []string {
	// The caller's time may be over, and it wants to know why all the more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{
		"-c", `tail -c "+$1" -- "$2" | tail -n "$3"`, "sh", strconv.FormatInt(size+1, 10), n.cfg.LogFile, strconv.Itoa(lines),
	}})
	if err != nil {
		return []string{fmt.Sprintf("(%s cannot be read: %v)", path.Base(n.cfg.LogFile), err)}
	}
	text := strings.TrimRight(strings.ToValidUTF8(string(r.Stdout), "\uFFFD"), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
