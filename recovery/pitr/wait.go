package pitr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/recovery"
)

// pollEvery is how often the log is looked at.
const pollEvery = 50 * time.Millisecond

// sizeOf is how many bytes a log has; one that does not exist has none.
func sizeOf(log string) (int64, error) {
	info, err := os.Stat(log)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// wait returns when the log says that the server has done what it shall, and what it says about the place where it stopped. What stands
// in the first bytes of the log, from, was there before the server was started.
func wait(ctx context.Context, p Process, log string, from int64, cfg recovery.Config) (string, error) {
	file, err := os.Open(log)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return "", err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	w := &watch{log: log, cfg: cfg}
	for {
		ended := false
		select {
		case <-p.Exited():
			ended = true
		default:
		}
		text, err := io.ReadAll(file) // goes on where it ended the last time
		if err != nil {
			return "", err
		}
		if done, err := w.read(string(text), ended); done {
			return w.stopped, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-p.Exited(): // look at the log once more
		case <-tick.C:
		}
	}
}

// watch looks at a log for the end of recovery.
type watch struct {
	log string // its name
	cfg recovery.Config

	rest    string // a last line that is not complete, which does not count
	stopped string // what the server said about the place where it stopped replay
	last    string // the last error it has met
}

// read takes in what came since. It is done when the server has done what it shall, or cannot any more; ended says that it has ended.
func (w *watch) read(text string, ended bool) (done bool, err error) {
	text = w.rest + text
	complete := strings.LastIndexByte(text, '\n') + 1
	w.rest = text[complete:]
	for line := range strings.Lines(text[:complete]) {
		if done, err := w.line(strings.TrimSuffix(line, "\n")); done {
			return true, err
		}
	}
	switch {
	case !ended:
		return false, nil
	case w.cfg.Action == recovery.ActionShutdown && w.stopped != "":
		return true, nil // if the control file agrees
	default:
		return true, &ServerError{Log: w.log, Last: w.last}
	}
}

func (w *watch) line(line string) (done bool, err error) {
	severity, text := message(line)
	switch {
	case severity == "LOG" && strings.HasPrefix(text, "recovery stopping "):
		w.stopped = text
	case severity == "FATAL" && text == "recovery ended before configured recovery target was reached":
		return true, ErrNotReached
	case severity == "LOG" && text == "archive recovery complete" && w.cfg.Target != nil && w.stopped == "":
		return true, ErrNotReached // up to 12
	case severity == "LOG" && strings.HasPrefix(text, "recovery has paused"), severity == "LOG" && text == "pausing at the end of recovery":
		return w.cfg.Action == recovery.ActionPause && w.stopped != "", nil
	case severity == "LOG" && text == "database system is ready to accept connections":
		if w.cfg.Action == recovery.ActionPause && w.cfg.Target != nil {
			return true, ErrNotPaused
		}
		return true, nil
	case severity == "WARNING" && text == "hot standby is not possible because of insufficient parameter settings": // 14+: it waits for ever
		return true, fmt.Errorf("recovery cannot go on: %s (see %s)", text, w.log)
	case severity == "FATAL", severity == "PANIC", w.last == "" && severity == "ERROR":
		w.last = text
	}
	return false, nil
}

// logLine is a line that begins a message, with what run.args makes log_line_prefix. Anything that clients say stands further behind:
// the server begins the second line of a message with a tab.
var logLine = regexp.MustCompile(`^(?:[-0-9]+ [.:0-9]+ \S+ \[\d+\] )?([A-Z]+):  (.*)$`)

// message splits a line of the log.
func message(line string) (severity, text string) {
	m := logLine.FindStringSubmatch(line)
	if m == nil {
		return "", ""
	}
	return m[1], m[2]
}
