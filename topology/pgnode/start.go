package pgnode

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology/host"
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
	err := n.driver.start(ctx)
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

// Reload makes the running server read its configuration files again. The server may still refuse what it reads: whether a
// setting is in effect is for the caller to observe.
func (n *Node) Reload(ctx context.Context) error {
	if err := n.ask(ctx, n.driver.reload); err != nil {
		return fmt.Errorf("reload server in %s: %w", n.cfg.DataDir, err)
	}
	return nil
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
