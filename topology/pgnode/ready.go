package pgnode

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// NotReadyError says that a server did not get to work in time, and why as far as is known.
type NotReadyError struct {
	Status Status

	// Reason is the kind of the last event since the start that keeps the standby from following: LogAuthFailed, LogUnreachable, LogNoSlot,
	// LogNoSender, LogWALRemoved, LogWrongSystem, LogTimelineFork, LogLowParameters. Empty if the log tells none.
	Reason EventKind
	Events []LogEvent // of the log that speak for it, newest last, at most five
	Err    error      // of the context, or of the last look
}

func (e *NotReadyError) Error() string {
	text := fmt.Sprintf("not ready: %v", e.Status)
	if e.Reason != "" {
		text += fmt.Sprintf("; %s", e.Reason)
	}
	for _, ev := range e.Events {
		text += "\n\t" + ev.Entry.String()
	}
	if e.Err != nil {
		text += fmt.Sprintf(": %v", e.Err)
	}
	return text
}

func (e *NotReadyError) Unwrap() error { return e.Err }

// obstacles keep a standby from following. A wrong system does not go away by waiting.
var obstacles = []EventKind{
	LogUnreachable, LogAuthFailed, LogNoSlot, LogNoSender, LogWALRemoved, LogTimelineFork, LogLowParameters, LogWrongSystem,
}

const lastingObstacle = LogWrongSystem

// ofReceiver is in what the WAL receiver says of its upstream. Clients of the standby itself meet some of the same obstacles.
var ofReceiver = regexp.MustCompile(`the primary server|could not (?:start WAL streaming|receive data from WAL stream|identify system)`)

// isObstacle reports whether an event keeps the standby from following.
func isObstacle(e LogEvent) bool {
	switch e.Kind {
	case LogAuthFailed, LogNoSlot, LogNoSender, LogWALRemoved:
		return ofReceiver.MatchString(e.Entry.Message)
	}
	return slices.Contains(obstacles, e.Kind)
}

// Ready is what a server that works was seen to do.
type Ready struct {
	Status    Status
	Streaming bool // false for a primary
}

// WaitReady waits, until ctx ends, for a server to do its work after a start: a primary accepts connections; a standby has reached a
// consistent state and streams. A standby that is to live on its archive alone is ready without streaming: see [Node.Status]. db, if
// it is not nil, asks the server; it should be a pool, or something else that connects anew. Without it, the log since the last start
// counts. The error is a [*NotReadyError], at once for a server that is stopped, or whose upstream is of another system.
func (n *Node) WaitReady(ctx context.Context, db DB) (Ready, error) {
	last := &NotReadyError{}
	for {
		r, waiting := n.isReady(ctx, db)
		if waiting == nil {
			return r, nil
		}
		if ctx.Err() != nil && last.Status.State != "" { // what was seen before is worth more than a look that was cut short
			last.Err = ctx.Err()
			return r, last
		}
		last = waiting
		if waiting.Status.State == StateStopped || waiting.Reason == lastingObstacle {
			return r, waiting
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			waiting.Err = errors.Join(err, waiting.Err)
			return r, waiting
		}
	}
}

// isReady looks once.
func (n *Node) isReady(ctx context.Context, db DB) (Ready, *NotReadyError) {
	s, err := n.Status(ctx)
	if err != nil {
		return Ready{}, &NotReadyError{Status: s, Err: err}
	}
	r := Ready{Status: s}
	if s.State == StatePrimary {
		return r, n.accepts(ctx, db, s)
	}
	waiting := &NotReadyError{Status: s}
	entries, logErr := n.logSince(ctx, logMark{})
	events := sinceStart(eventsOf(entries))
	if s.State == StateStandby {
		if db != nil {
			r.Streaming, waiting.Err = streams(ctx, db)
		} else {
			r.Streaming, waiting.Err = streamsByLog(events), logErr
		}
	}
	if r.Streaming {
		return r, nil
	}
	waiting.blame(events)
	return r, waiting
}

// accepts makes sure that a primary answers.
func (n *Node) accepts(ctx context.Context, db DB, s Status) *NotReadyError {
	if db == nil {
		return nil
	}
	var inRecovery bool
	if err := db.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&inRecovery); err != nil {
		return &NotReadyError{Status: s, Err: err}
	}
	return nil
}

// streams asks a standby. That it answers says that it is consistent.
func streams(ctx context.Context, db DB) (yes bool, err error) {
	err = db.QueryRow(ctx, "SELECT coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false)").Scan(&yes)
	return yes, err
}

// streamsByLog tells whether streaming began and did not end since, and the server was consistent before.
func streamsByLog(events []LogEvent) bool {
	consistent, streaming := false, false
	for _, e := range events {
		switch {
		case e.Kind == LogConsistent || e.Kind == LogReadOnly:
			consistent = true
		case e.Kind == LogStreaming:
			streaming = true
		case e.Kind == LogReplicationEnded || isObstacle(e):
			streaming = false
		}
	}
	return consistent && streaming
}

// maxBlame is how many events of one kind an error shows.
const maxBlame = 5

// blame finds the last reason in the log that streaming did not follow.
func (e *NotReadyError) blame(events []LogEvent) {
	for _, ev := range events {
		switch {
		case ev.Kind == LogStreaming:
			e.Reason = ""
		case isObstacle(ev):
			e.Reason = ev.Kind
		}
	}
	for _, ev := range events {
		if ev.Kind == e.Reason && isObstacle(ev) {
			e.Events = append(e.Events, ev)
		}
	}
	e.Events = e.Events[max(0, len(e.Events)-maxBlame):]
}

// String returns the status, and whether it streams.
func (r Ready) String() string {
	words := []string{string(r.Status.State)}
	if r.Streaming {
		words = append(words, "streaming")
	}
	return strings.Join(words, ", ")
}
