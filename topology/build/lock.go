package build

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

// LockedError says that somebody else works on the cluster.
type LockedError struct {
	Node topology.NodeID
	File string // the lock, on the node's machine
	By   string // who says to have it: user, machine, process and time
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("somebody else works on node %s: %s is locked by %s; wait for the end of that, or end it",
		e.Node, e.File, e.By)
}

// ErrLockLost is the cause when a lock went away while it was held: the connection to a machine broke. The steps are ended, because
// somebody else may begin.
var ErrLockLost = errors.New("the lock was lost")

// lockScript holds the lock $1 until the end of its input, and writes $2 into it as soon as it has it. The kernel frees the lock when the
// process ends, and its input ends with the process that holds the other end, so a killed holder leaves no lock behind.
const lockScript = `umask 077
mkdir -p -- "$(dirname -- "$1")" || exit
exec 9>>"$1" || exit
flock -n 9 || exit 75
printf '%s\n' "$2" >"$1" || exit
exec cat >/dev/null`

// busy is the exit code of lockScript if somebody else has the lock.
const busy = 75

// lockSuffix is what the lock of a node is called, beside its data directory.
const lockSuffix = ".understudy-lock"

// locked runs work while it holds the locks of all nodes with data. They are taken in the order of the nodes' names, so that two who begin
// at once cannot each have a part. A machine that cannot be reached is left out; no step is done there.
func (b *Builder) locked(ctx context.Context, work func(context.Context) error) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	nodes := b.servers()
	slices.SortFunc(nodes, func(a, b topology.Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	var releases []func()
	defer func() {
		for _, release := range slices.Backward(releases) {
			release()
		}
	}()
	for _, n := range nodes {
		release, err := b.lock(ctx, n, lost)
		var locked *LockedError
		if errors.As(err, &locked) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			b.cfg.Logger.WarnContext(ctx, "machine not locked", "node", n.ID, "error", err)
			continue
		}
		b.hold(n.ID, true)
		releases = append(releases, func() {
			b.hold(n.ID, false)
			release()
		})
	}
	err := work(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrLockLost) {
		return errors.Join(cause, err)
	}
	return err
}

func (b *Builder) hold(id topology.NodeID, held bool) {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	b.shared.held[id] = held
}

// mustHold refuses to work on a machine that is not locked.
func (b *Builder) mustHold(id topology.NodeID) error {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	if !b.shared.held[id] {
		return fmt.Errorf("the machine of node %s could not be locked, so nothing is done there", id)
	}
	return nil
}

// lock takes the lock of one node. lost is called if it goes away before its release.
func (b *Builder) lock(ctx context.Context, n topology.Node, lost context.CancelCauseFunc) (release func(), err error) {
	h, err := b.host(n)
	if err != nil {
		return nil, err
	}
	node, err := b.node(ctx, n)
	if err != nil {
		return nil, err
	}
	file, mark := node.DataDir()+lockSuffix, holder()
	input := pulse(make(chan struct{}))
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", lockScript, "sh", file, mark}, Env: []string{"LC_ALL=C"}, Stdin: input})
		ended <- err
	}()
	if err := b.awaitLock(ctx, h, n.ID, file, mark, ended); err != nil {
		close(input)
		return nil, err
	}
	var released sync.Once
	over := make(chan struct{})
	go func() {
		err := <-ended
		released.Do(func() { lost(fmt.Errorf("node %s: %w: %w", n.ID, ErrLockLost, err)) })
		close(over)
	}()
	return func() {
		released.Do(func() {})
		close(input)
		<-over
	}, nil
}

// pulse is an input that has a line from time to time, until it is closed: who passes it on to a command that has ended, or over a
// connection that has broken, notices.
type pulse chan struct{}

const pulseEvery = 200 * time.Millisecond

// Read implements [io.Reader].
func (p pulse) Read(buf []byte) (int, error) {
	t := time.NewTimer(pulseEvery)
	defer t.Stop()
	select {
	case <-p:
		return 0, io.EOF
	case <-t.C:
		return copy(buf, "\n"), nil
	}
}

// awaitLock waits until the file says that this process has the lock.
func (b *Builder) awaitLock(ctx context.Context, h host.Host, id topology.NodeID, file, mark string, ended <-chan error) error {
	for {
		select {
		case err := <-ended:
			var exit *host.ExitError
			if errors.As(err, &exit) && exit.Code == busy {
				return &LockedError{Node: id, File: file, By: b.lockedBy(ctx, h, file)}
			}
			return fmt.Errorf("lock node %s (flock of util-linux is needed on its machine): %w", id, err)
		default:
		}
		data, err := h.ReadFile(ctx, file)
		if err == nil && string(bytes.TrimSpace(data)) == mark {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("lock node %s: %w", id, err)
		}
	}
}

func (b *Builder) lockedBy(ctx context.Context, h host.Host, file string) string {
	data, err := h.ReadFile(ctx, file)
	if text := strings.TrimSpace(string(data)); err == nil && text != "" {
		return text
	}
	return "somebody who has not said so yet"
}

// holder says who this process is, in words that no other one uses.
func holder() string {
	name := "user " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	machine, _ := os.Hostname()
	return fmt.Sprintf("%s on %s, process %d, since %s (%s)", name, machine, os.Getpid(), time.Now().UTC().Format(time.RFC3339), rand.Text()[:8])
}
