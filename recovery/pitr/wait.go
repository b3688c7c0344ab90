package pitr

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery"
)

// pollEvery is how often the log is looked at.
const pollEvery = 50 * time.Millisecond

// wait returns when the log says that the server has done what it shall, and what it says about the place where it stopped.
func wait(ctx context.Context, p Process, log string, cfg recovery.Config) (string, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ended := false
		select {
		case <-p.Exited():
			ended = true
		default:
		}
		data, err := os.ReadFile(log)
		if err != nil {
			return "", err
		}
		if stopped, done, err := judge(string(data), log, ended, cfg); done {
			return stopped, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-p.Exited(): // look at the log once more
		case <-tick.C:
		}
	}
}

// judge looks at a log for the end of recovery. A last line that is not complete does not count.
func judge(log, name string, ended bool, cfg recovery.Config) (stopped string, done bool, err error) {
	last := ""
	for line := range strings.Lines(log) {
		line, complete := strings.CutSuffix(line, "\n")
		if !complete {
			break
		}
		severity, text := message(line)
		switch {
		case severity == "LOG" && strings.HasPrefix(text, "recovery stopping "):
			stopped = text
		case severity == "FATAL" && text == "recovery ended before configured recovery target was reached":
			return "", true, ErrNotReached
		case severity == "LOG" && text == "archive recovery complete" && cfg.Target != nil && stopped == "":
			return "", true, ErrNotReached // up to 12
		case severity == "LOG" && strings.HasPrefix(text, "recovery has paused"), severity == "LOG" && text == "pausing at the end of recovery":
			if cfg.Action == recovery.ActionPause && stopped != "" {
				return stopped, true, nil
			}
		case severity == "LOG" && text == "database system is ready to accept connections":
			return stopped, true, nil
		case severity == "FATAL", severity == "PANIC", last == "" && severity == "ERROR":
			last = text
		}
	}
	switch {
	case !ended:
		return "", false, nil
	case cfg.Action == recovery.ActionShutdown && stopped != "":
		return stopped, true, nil // if the control file agrees
	default:
		return "", true, &ServerError{Log: name, Last: last}
	}
}

// message splits a line of the log, whatever log_line_prefix puts before it.
func message(line string) (severity, text string) {
	for _, s := range []string{"LOG", "FATAL", "PANIC", "ERROR"} {
		if i := strings.Index(line, s+":  "); i >= 0 {
			return s, line[i+len(s)+3:]
		}
	}
	return "", ""
}
