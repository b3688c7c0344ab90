package wal

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// BackupMethod is how a backup was taken. Files of 9.0 and 9.1 may lack it, which is the zero value.
type BackupMethod string

// The methods. After [BackupStreamed] the server opens the data only when it has replayed the WAL to the end of the backup;
// after the others it cannot check that.
const (
	BackupStreamed  BackupMethod = "streamed"        // pg_basebackup, or pg_backup_start (9.6 to 14: non-exclusive pg_start_backup)
	BackupExclusive BackupMethod = "pg_start_backup" // exclusive pg_start_backup (up to 14)
	BackupRewound   BackupMethod = "pg_rewind"       // no backup at all: pg_rewind leaves a label for the recovery that must follow
)

// BackupLabel is the content of backup_label, which tells a server at its start that its data directory is a backup, and from
// where to recover. It must neither be edited nor removed from a restored backup: without it the server takes the checkpoint
// in pg_control, which may be a later one, and ends with damaged data.
//
// pg_backup_stop hands it to the client that took the backup, BASE_BACKUP puts it into the backup, and exclusive
// pg_start_backup (up to 14) writes it into the data directory of the running primary.
type BackupLabel struct {
	Start         LSN      // where recovery starts: the redo position of Checkpoint
	StartFile     FileName // the segment that holds Start; its timeline is the backup's
	Checkpoint    LSN
	Method        BackupMethod
	From          string   // "primary" (up to 13 "master") or "standby"; empty in files of 9.0 and 9.1
	StartTime     string   // the server's local time and its zone's abbreviation, such as "2026-11-21 03:26:44 UTC"
	Label         string   // what the user named it; may hold newlines
	StartTimeline Timeline // the same as that of StartFile; zero up to 10

	// Of an incremental backup (17+), which no server starts from before pg_combinebackup made a full one of it: what it
	// builds on. Zero otherwise.
	IncrementalFrom   LSN
	IncrementalFromTL Timeline
}

// BackupHistory is the content of a backup history file, SEGMENT.OFFSET.backup, which the server writes and archives when
// a backup ends. The backup needs the WAL from StartFile to StopFile, both included.
type BackupHistory struct {
	BackupLabel
	Stop         LSN // the end of the backup, and of the WAL that it needs
	StopFile     FileName
	StopTime     string   // as StartTime
	StopTimeline Timeline // zero up to 10
}

// ParseBackupLabel reads a backup_label of 9.0 to 18. It accepts what those servers write (do_pg_backup_start in xlog.c,
// build_backup_content in xlogbackup.c from 15 on, createBackupLabel in pg_rewind.c) and is stricter than read_backup_label in
// xlogrecovery.c: unknown lines and another order are refused, so that what a later major adds does not go unnoticed. A
// timeline that contradicts the segment's name is refused by both. The last newline may be missing, as some
// clients lose it. The error is a [*SyntaxError].
func ParseBackupLabel(b []byte) (BackupLabel, error) {
	h, err := parseBackupFile(labelReader{what: "backup_label"}, b)
	return h.BackupLabel, err
}

// ParseBackupHistory reads a backup history file of 9.0 to 18. The error is a [*SyntaxError].
func ParseBackupHistory(b []byte) (BackupHistory, error) {
	return parseBackupFile(labelReader{what: "backup history", history: true}, b)
}

// Bytes is the inverse of [ParseBackupLabel], as the major that fills these fields writes it.
func (l BackupLabel) Bytes() []byte {
	return BackupHistory{BackupLabel: l}.print(false)
}

// Bytes is the inverse of [ParseBackupHistory].
func (h BackupHistory) Bytes() []byte { return h.print(true) }

// Name is the name of the history file in a cluster of this segment size, in bytes. It panics if [ValidSegmentSize] does not
// hold for it.
func (h BackupHistory) Name(segSize uint32) string {
	mustBeValid(segSize)
	f := h.StartFile
	f.Kind, f.Offset = KindBackup, uint32(uint64(h.Start)%uint64(segSize)) //nolint:gosec // below the segment size
	return f.String()
}

// print writes the lines in the servers' order; those without a value are left out.
func (h BackupHistory) print(history bool) []byte {
	var b bytes.Buffer
	line := func(there bool, format string, args ...any) {
		if there {
			fmt.Fprintf(&b, format+"\n", args...)
		}
	}
	line(true, "START WAL LOCATION: %v (file %v)", h.Start, h.StartFile)
	line(history, "STOP WAL LOCATION: %v (file %v)", h.Stop, h.StopFile)
	line(true, "CHECKPOINT LOCATION: %v", h.Checkpoint)
	line(h.Method != "", "BACKUP METHOD: %s", h.Method)
	line(h.From != "", "BACKUP FROM: %s", h.From)
	line(true, "START TIME: %s", h.StartTime)
	line(h.Label != "" || h.Method != BackupRewound, "LABEL: %s", h.Label)
	line(h.StartTimeline != 0, "START TIMELINE: %d", h.StartTimeline)
	line(history, "STOP TIME: %s", h.StopTime)
	line(history && h.StopTimeline != 0, "STOP TIMELINE: %d", h.StopTimeline)
	line(h.IncrementalFrom != 0, "INCREMENTAL FROM LSN: %v", h.IncrementalFrom)
	line(h.IncrementalFrom != 0, "INCREMENTAL FROM TLI: %d", h.IncrementalFromTL)
	return b.Bytes()
}

// labelReader takes a label apart line by line.
type labelReader struct {
	what    string
	history bool
	lines   []string // what is left, without newlines
	n       int      // number of the line that was taken last
	err     error    // the first one
}

func parseBackupFile(r labelReader, b []byte) (BackupHistory, error) {
	if len(b) > 0 {
		r.lines = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	}
	var h BackupHistory
	r.location("START WAL LOCATION", &h.Start, &h.StartFile)
	if r.history {
		r.location("STOP WAL LOCATION", &h.Stop, &h.StopFile)
	}
	r.lsn("CHECKPOINT LOCATION", true, &h.Checkpoint)
	h.Method = BackupMethod(r.text("BACKUP METHOD", false))
	h.From = r.text("BACKUP FROM", false)
	h.StartTime = r.text("START TIME", true)
	h.Label = r.label()
	r.timeline("START TIMELINE", h.StartFile.Timeline, &h.StartTimeline)
	if r.history {
		h.StopTime = r.text("STOP TIME", true)
		r.timeline("STOP TIMELINE", h.StopFile.Timeline, &h.StopTimeline)
	}
	if r.lsn("INCREMENTAL FROM LSN", false, &h.IncrementalFrom) {
		r.timeline("INCREMENTAL FROM TLI", 0, &h.IncrementalFromTL)
		if h.IncrementalFrom == 0 || h.IncrementalFromTL == 0 {
			r.fail("an incremental backup needs both a position and a timeline")
		}
	}
	if len(r.lines) > 0 {
		r.n++
		r.failAt(r.lines[0], "unknown or misplaced line")
	}
	if r.err != nil {
		return BackupHistory{}, r.err
	}
	return h, nil
}

// next takes the next line if it has this key.
func (r *labelReader) next(key string, must bool) (value string, ok bool) {
	line := ""
	if len(r.lines) > 0 {
		line = r.lines[0]
	}
	value, ok = strings.CutPrefix(line, key+": ")
	switch {
	case ok:
		r.lines = r.lines[1:]
		r.n++
		return value, true
	case must:
		r.n++
		r.failAt(line, "want "+key+" here")
	}
	return "", false
}

func (r *labelReader) failAt(line, msg string) {
	if r.err == nil {
		r.err = &SyntaxError{What: r.what, Text: line, Line: r.n, Msg: msg}
		r.lines = nil
	}
}

func (r *labelReader) fail(msg string) { r.failAt("", msg) }

func (r *labelReader) text(key string, must bool) string {
	value, ok := r.next(key, must)
	if ok && value == "" {
		r.failAt(key+": ", "a value is missing")
	}
	return value
}

// label takes the label with those lines of it that are no other line of the file. pg_rewind writes none.
func (r *labelReader) label() string {
	label, ok := r.next("LABEL", false)
	for ok && len(r.lines) > 0 && !r.afterLabel(r.lines[0]) {
		label += "\n" + r.lines[0]
		r.lines = r.lines[1:]
		r.n++
	}
	return label
}

func (r *labelReader) afterLabel(line string) bool {
	return strings.HasPrefix(line, "START TIMELINE: ") || strings.HasPrefix(line, "INCREMENTAL FROM LSN: ") ||
		r.history && strings.HasPrefix(line, "STOP TIME: ")
}

func (r *labelReader) lsn(key string, must bool, to *LSN) bool {
	value, ok := r.next(key, must)
	if !ok {
		return false
	}
	l, err := ParseLSN(value)
	if err != nil {
		r.failAt(value, "want an LSN after "+key)
	}
	*to = l
	return true
}

// location takes "LSN (file SEGMENT)".
func (r *labelReader) location(key string, to *LSN, file *FileName) {
	value, ok := r.next(key, true)
	if !ok {
		return
	}
	position, rest, _ := strings.Cut(value, " (file ")
	l, err := ParseLSN(position)
	name, closed := strings.CutSuffix(rest, ")")
	f, nameErr := ParseFileName(name)
	if err != nil || nameErr != nil || !closed || f.Kind != KindSegment {
		r.failAt(value, "want a position and its segment after "+key)
	}
	*to, *file = l, f
}

// timeline takes a timeline, which must be want if that is not zero. It may be absent.
func (r *labelReader) timeline(key string, want Timeline, to *Timeline) {
	value, ok := r.next(key, false)
	if !ok {
		return
	}
	tli, err := strconv.ParseUint(value, 10, 32)
	switch {
	case err != nil || strings.Trim(value, "0123456789") != "" || tli == 0:
		r.failAt(value, "want a timeline in decimal after "+key)
	case want != 0 && Timeline(tli) != want:
		r.failAt(value, fmt.Sprintf("the segment is of timeline %d", want))
	}
	*to = Timeline(tli)
}
