package pgnode

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology/host"
)

// LogEntry is one message of a server's log, whatever the log's format. Passwords in it are hidden.
type LogEntry struct {
	Severity string // LOG, FATAL and so on; empty for a line that is none of the server's
	Message  string
	Detail   string
	Hint     string
	Context  string
}

// String returns the entry in one line.
func (e LogEntry) String() string {
	text := e.Message
	if e.Severity != "" {
		text = e.Severity + ":  " + text
	}
	for _, part := range []struct{ name, text string }{{"DETAIL", e.Detail}, {"HINT", e.Hint}, {"CONTEXT", e.Context}} {
		if part.text != "" {
			text += "; " + part.name + ":  " + part.text
		}
	}
	return text
}

// logMark is a place in a server's log: how long its files were, or the cursor of the journal.
type logMark struct {
	sizes  map[string]int64
	cursor string
}

// maxLog bounds how much of a log is read, from its end.
const maxLog = 1 << 20

// logFilesScript prints size, kind and path of the server's log $1 and of those that its logging collector names in the data directory
// $2 (10+; the server removes the list when it starts without one).
const logFilesScript = `show() { [ ! -f "$2" ] || printf '%s %s %s\n' "$(wc -c <"$2")" "$1" "$2"; }
[ -z "$1" ] || show stderr "$1"
[ ! -r "$2/current_logfiles" ] || while read -r kind name; do
	case $name in /*) ;; *) name=$2/$name ;; esac
	show "$kind" "$name"
done <"$2/current_logfiles"
exit 0`

type logFile struct {
	kind, path string
	size       int64
}

// logFiles lists the server's log files as they are now.
func (n *Node) logFiles(ctx context.Context) ([]logFile, error) {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", logFilesScript, "sh", n.cfg.LogFile, n.cfg.DataDir}})
	if err != nil {
		return nil, fmt.Errorf("look for the log: %w", err)
	}
	var all []logFile
	for line := range strings.Lines(string(r.Stdout)) {
		size, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		kind, name, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
		bytes, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("look for the log: unexpected %q", line)
		}
		all = append(all, logFile{kind, name, bytes})
	}
	return all, nil
}

// journalled reports whether the server's own output goes to the journal.
func (n *Node) journalled() bool { return n.cfg.LogFile == "" }

// mark remembers where the log ends now.
func (n *Node) mark(ctx context.Context) (logMark, error) {
	files, err := n.logFiles(ctx)
	if err != nil {
		return logMark{}, err
	}
	m := logMark{sizes: map[string]int64{}}
	for _, f := range files {
		m.sizes[f.path] = f.size
	}
	if n.journalled() {
		r, err := n.journal(ctx, "-n", "0", "--show-cursor")
		if err != nil {
			return m, err
		}
		_, after, _ := strings.Cut(string(r.Stdout), "-- cursor: ")
		m.cursor, _, _ = strings.Cut(after, "\n")
	}
	return m, nil
}

func (n *Node) journal(ctx context.Context, args ...string) (host.Result, error) {
	args = append([]string{"-u", n.cfg.Unit, "-o", "cat", "--no-pager", "-q"}, args...)
	return n.cfg.Host.Run(ctx, host.Cmd{Path: "journalctl", Args: args, Env: []string{"LC_ALL=C"}})
}

// logSince returns what was logged after a mark; after the zero mark, what the files end with.
func (n *Node) logSince(ctx context.Context, m logMark) ([]LogEntry, error) {
	files, err := n.logFiles(ctx)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, f := range files {
		listed[f.path] = true
	}
	for name := range m.sizes { // the end of one that was current then
		if !listed[name] {
			files = append([]logFile{{kindOf(name), name, -1}}, files...)
		}
	}
	var entries []LogEntry
	if n.journalled() {
		args := []string{"-n", "1000"}
		if m.cursor != "" {
			args = append(args, "--after-cursor="+m.cursor)
		}
		r, err := n.journal(ctx, args...)
		if err != nil {
			return nil, err
		}
		entries = parseStderrLog(string(r.Stdout))
	}
	for _, f := range onlyOneKind(files, n.cfg.LogFile) {
		from := m.sizes[f.path]
		if f.size >= 0 && f.size < from { // it was truncated or replaced
			from = 0
		}
		text, err := n.readFrom(ctx, f.path, from)
		if err != nil {
			return nil, err
		}
		entries = append(entries, parseLog(f.kind, text)...)
	}
	return entries, nil
}

// onlyOneKind leaves of the collector's files those of one kind, as all have the same messages, beside the server's own output.
func onlyOneKind(files []logFile, own string) []logFile {
	kind := ""
	for _, k := range []string{"csvlog", "jsonlog", "stderr"} {
		for _, f := range files {
			if f.kind == k && f.path != own {
				kind = k
			}
		}
	}
	var kept []logFile
	for _, f := range files {
		if f.path == own || f.kind == kind {
			kept = append(kept, f)
		}
	}
	return kept
}

// kindOf tells the format of a log file that the collector no longer names (logfile_getname in syslogger.c).
func kindOf(name string) string {
	switch {
	case strings.HasSuffix(name, ".csv"):
		return "csvlog"
	case strings.HasSuffix(name, ".json"):
		return "jsonlog"
	default:
		return "stderr"
	}
}

// readFrom returns the end of a file after a size that it had; one that is gone is empty.
func (n *Node) readFrom(ctx context.Context, name string, size int64) (string, error) {
	r, err := n.cfg.Host.Run(ctx, host.Cmd{Path: "sh", Args: []string{
		"-c", `[ ! -e "$2" ] || tail -c "+$1" -- "$2" | tail -c "$3"`, "sh", strconv.FormatInt(size+1, 10), name, strconv.Itoa(maxLog),
	}})
	if err != nil {
		return "", fmt.Errorf("read the log: %w", err)
	}
	text := strings.ToValidUTF8(string(r.Stdout), "\uFFFD")
	if len(r.Stdout) == maxLog { // the first line may be cut off
		_, text, _ = strings.Cut(text, "\n")
	}
	return text, nil
}

// parseLog reads a piece of a log file of one of the formats of log_destination.
func parseLog(kind, text string) []LogEntry {
	switch kind {
	case "csvlog":
		return parseCSVLog(text)
	case "jsonlog":
		return parseJSONLog(text)
	default:
		return parseStderrLog(text)
	}
}

// severity finds the word after log_line_prefix, which may be anything. The part of a message has a word of its own.
var severity = regexp.MustCompile(`(?:^|.*?[^A-Z])(DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION|BACKTRACE):  ?(.*)$`)

func parseStderrLog(text string) []LogEntry {
	var all []LogEntry
	into := new(string) // where a continued line goes
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		m := severity.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "\t"):
			*into += " " + strings.TrimSpace(line)
			continue
		case m == nil && line == "":
			continue
		case m == nil:
			all = append(all, LogEntry{Message: line})
			into = &all[len(all)-1].Message
			continue
		}
		part := new(string)
		if len(all) > 0 {
			last := &all[len(all)-1]
			switch m[1] {
			case "DETAIL":
				part = &last.Detail
			case "HINT":
				part = &last.Hint
			case "CONTEXT":
				part = &last.Context
			}
		}
		switch m[1] {
		case "DETAIL", "HINT", "CONTEXT", "STATEMENT", "QUERY", "LOCATION", "BACKTRACE":
			*part = m[2]
			into = part
		default:
			all = append(all, LogEntry{Severity: m[1], Message: m[2]})
			into = &all[len(all)-1].Message
		}
	}
	return redactAll(all)
}

// Columns of a csvlog (manual: "Using CSV-Format Log Output"); later majors add some at the end.
const (
	csvSeverity = 11
	csvMessage  = 13
	csvDetail   = 14
	csvHint     = 15
	csvContext  = 18
)

func parseCSVLog(text string) []LogEntry {
	var all []LogEntry
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	for {
		row, err := r.Read()
		if row == nil || err != nil {
			return redactAll(all)
		}
		if len(row) > csvContext {
			all = append(all, LogEntry{row[csvSeverity], row[csvMessage], row[csvDetail], row[csvHint], row[csvContext]})
		}
	}
}

func parseJSONLog(text string) []LogEntry {
	var all []LogEntry
	for line := range strings.Lines(text) {
		var e struct {
			Severity string `json:"error_severity"`
			Message  string `json:"message"`
			Detail   string `json:"detail"`
			Hint     string `json:"hint"`
			Context  string `json:"context"`
		}
		if json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, LogEntry(e))
		}
	}
	return redactAll(all)
}

func redactAll(entries []LogEntry) []LogEntry {
	for i, e := range entries {
		entries[i] = LogEntry{e.Severity, redact(e.Message), redact(e.Detail), redact(e.Hint), redact(e.Context)}
	}
	return entries
}

// What a message may quote of a secret: a value of a parameter, a piece of a connection string that could not be read, a word of a
// line that is not valid, a command with its arguments, a statement.
var (
	quotedValue  = regexp.MustCompile(`(parameter "([^"]+)"(?: changed to|:) )"[\s\S]*"`)
	loosePiece   = regexp.MustCompile(`(near token |after |invalid connection option |in connection info string: |invalid URI query parameter: |in URI: )"[\s\S]*"`)
	urlPassword  = regexp.MustCompile(`(://[^\s:/@]*:)[^\s/]*@`)
	keyPassword  = regexp.MustCompile(`(?i)((?:password|passwd|secret|token)\s*=\s*)('(?:[^'\\]|\\.|'')*'?|"[^"]*"?|[^\s'"]+)`)
	sqlPassword  = regexp.MustCompile(`(?i)(password\s+)(?:E?'(?:[^']|'')*'?)`)
	failedScript = regexp.MustCompile(`^(The failed \w+ command was: )[\s\S]*`)
)

const hidden = "[hidden]"

// redact hides what may be a secret in the text of a log.
func redact(text string) string {
	text = quotedValue.ReplaceAllStringFunc(text, func(s string) string {
		m := quotedValue.FindStringSubmatch(s)
		if !pgconf.MayHoldSecret(m[2]) {
			return s
		}
		return m[1] + hidden
	})
	text = loosePiece.ReplaceAllString(text, "${1}"+hidden)
	text = failedScript.ReplaceAllString(text, "${1}"+hidden)
	text = urlPassword.ReplaceAllString(text, "${1}"+hidden+"@")
	text = keyPassword.ReplaceAllString(text, "${1}"+hidden)
	return sqlPassword.ReplaceAllString(text, "${1}"+hidden)
}
