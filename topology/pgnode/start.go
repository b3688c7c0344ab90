package pgnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// StartError says that the server did not come up in time, with what it said itself. It may still be coming up, if only the
// time was too short or the context ended: [Node.Status] tells. Passwords are hidden in all of it.
type StartError struct {
	DataDir string
	Kind    StartKind
	Reason  LogEntry // the message that tells the kind; its zero value if none does
	File    string   // of FaultyConfig, if the message names one; else empty
	Line    int      // in File, from 1; 0 if it is about the file as a whole
	Log     []string // the last entries of its log since, newest last; none if it did not get that far
	Err     error
}

func (e *StartError) Error() string {
	text := fmt.Sprintf("start server in %s: ", e.DataDir)
	if e.Kind != StartUnknown {
		text += string(e.Kind) + ": "
	}
	if len(e.Log) == 0 {
		return text + fmt.Sprintf("%v; it wrote nothing to its log", e.Err)
	}
	return text + fmt.Sprintf("%v; its log ends:\n\t%s", e.Err, strings.Join(e.Log, "\n\t"))
}

func (e *StartError) Unwrap() error { return e.Err }

// ErrHalfRewound says that [Node.Rewind] was interrupted or failed, so that the data may be a mixture of two servers and must
// not be used. Set it aside and clone.
var ErrHalfRewound = errors.New("a rewind was not finished, so its data may be a mixture of two servers: set it aside and clone")

// ErrRuns is matched by the error of [Node.Start] for a server that runs.
var ErrRuns = errors.New("the server runs already")

// Start starts the server and waits until it accepts connections (a standby: read-only ones, or, with hot_standby off, none). A
// failure is a [*StartError]. Starting a server that runs is an error too, and so is one that was retired ([Node.Retire]). After a
// crash the server refuses to start while another process has the number in its postmaster.pid; [Node.Fence] removes that file,
// once no process of the server is left.
func (n *Node) Start(ctx context.Context) error {
	if pids, err := n.Processes(ctx); err == nil && len(pids) > 0 {
		return &StartError{DataDir: n.cfg.DataDir, Kind: Runs, Err: fmt.Errorf("%w: processes %v", ErrRuns, pids)}
	}
	return n.bringUp(ctx, n.driver.start)
}

// Restart stops the server fast, if it runs, starts it and waits as Start does. A server that does not come up again is a [*StartError].
func (n *Node) Restart(ctx context.Context) error {
	pids, err := n.Processes(ctx)
	if err == nil && len(pids) > 0 {
		err = n.checkPostmaster(ctx, pids)
	}
	if err != nil {
		return fmt.Errorf("restart server in %s: %w", n.cfg.DataDir, err)
	}
	if len(pids) == 0 {
		return n.Start(ctx)
	}
	return n.bringUp(ctx, n.driver.restart)
}

// bringUp starts the server in some way.
func (n *Node) bringUp(ctx context.Context, start func(context.Context) error) error {
	err := n.mayStart(ctx)
	var before logMark
	if err == nil {
		before, _ = n.mark(ctx) // without it, what is read of the log is too much
		if err = start(ctx); err == nil {
			err = n.waitUp(ctx)
		}
	}
	if err == nil {
		return nil
	}
	return n.whyNot(ctx, before, err)
}

// mayStart refuses what must not be started.
func (n *Node) mayStart(ctx context.Context) error {
	there, err := n.Exists(ctx)
	if err != nil {
		return nil //nolint:nilerr // the server says it better
	}
	if there {
		return n.checkRetired(ctx)
	}
	if half, err := n.cfg.Host.Exists(ctx, n.rewinding()); err == nil && half {
		return ErrHalfRewound
	}
	return nil
}

// waitUp waits until the server has come up by its own word, since the managers know it to a different degree.
func (n *Node) waitUp(ctx context.Context) error {
	deadline := time.Now().Add(n.cfg.Timeout)
	for {
		s, err := n.Status(ctx)
		switch {
		case err != nil:
			return err
		case s.State == StatePrimary || s.State == StateStandby:
			return nil
		case s.State == StateStopped:
			return errors.New("it ended again")
		case time.Now().After(deadline):
			return fmt.Errorf("it is %v after %v", s, n.cfg.Timeout)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// logTail is how many entries of the log a StartError has.
const logTail = 8

// whyNot makes a StartError of what the log says.
func (n *Node) whyNot(ctx context.Context, before logMark, err error) error {
	// The caller's time may be over, and it wants to know why all the more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	failure := &StartError{DataDir: n.cfg.DataDir, Err: redacted(err)}
	var entries []LogEntry
	if before.sizes != nil { // else it was not even tried
		var logErr error
		if entries, logErr = n.logSince(ctx, before); logErr != nil {
			failure.Log = []string{fmt.Sprintf("(the log cannot be read: %v)", logErr)}
		}
	}
	for _, e := range entries[max(0, len(entries)-logTail):] {
		failure.Log = append(failure.Log, e.String())
	}
	failure.classify(entries, err)
	return failure
}

// redactedError hides secrets in the text of an error of a program that repeats the server's log, as pg_ctlcluster does.
type redactedError struct{ error }

func redacted(err error) error { return redactedError{err} }

func (e redactedError) Error() string { return redact(e.error.Error()) }
func (e redactedError) Unwrap() error { return e.error }

// classify tells the kind: by the error itself, by the log, or by what the manager said.
func (e *StartError) classify(entries []LogEntry, err error) {
	for kind, match := range map[StartKind]error{Retired: ErrRetired, HalfRewound: ErrHalfRewound, Runs: ErrRuns} {
		if errors.Is(err, match) {
			e.Kind = kind
			return
		}
	}
	if len(entries) == 0 {
		entries = parseStderrLog(err.Error())
	}
	for _, k := range startKinds {
		i := slices.IndexFunc(entries, func(entry LogEntry) bool { return k.text.MatchString(entry.Message) })
		if i < 0 {
			continue
		}
		e.Kind, e.Reason = k.kind, entries[i]
		if k.kind == FaultyConfig {
			e.place(entries)
		}
		return
	}
}
