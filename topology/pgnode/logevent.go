package pgnode

import (
	"context"
	"fmt"
	"regexp"
)

// EventKind is something that a server's log says, in one word for all majors.
type EventKind string

// The kinds. What is about one thing has that as the event's Subject.
const (
	LogStarting         EventKind = "starting"              // a server begins to start
	LogReady            EventKind = "ready"                 // accepts connections and writes
	LogReadOnly         EventKind = "ready read-only"       // a hot standby accepts connections
	LogStandbyMode      EventKind = "standby mode"          // entering it
	LogConsistent       EventKind = "consistent"            // Subject: the LSN
	LogStreaming        EventKind = "streaming"             // started or restarted; Subject: the timeline
	LogReplicationEnded EventKind = "replication ended"     // by the primary
	LogUnreachable      EventKind = "upstream unreachable"  // could not connect
	LogAuthFailed       EventKind = "authentication failed" // the upstream refused the role, its password or its address
	LogNoSlot           EventKind = "slot missing"          // Subject: its name
	LogNoSender         EventKind = "no sender free"        // max_wal_senders, max_connections or a role's limit
	LogWALRemoved       EventKind = "WAL removed"           // Subject: the segment
	LogWrongSystem      EventKind = "wrong system"          // the upstream has another system identifier
	LogTimelineFork     EventKind = "timeline fork"         // the upstream's history does not hold what is here
	LogInvalidRecord    EventKind = "invalid record"        // the end of the WAL that is there, as a rule
	LogLowParameters    EventKind = "parameters too low"    // Subject: the first one
	LogRecoveryConf     EventKind = "recovery.conf"         // not supported from 12 on
	LogPortInUse        EventKind = "port in use"
	LogReloaded         EventKind = "reload"          // received SIGHUP
	LogChanged          EventKind = "setting changed" // Subject: the parameter
	LogNeedsRestart     EventKind = "needs restart"   // Subject: the parameter
	LogConfigRefused    EventKind = "configuration refused"
	LogConfigPartly     EventKind = "configuration partly refused"
	LogHBARefused       EventKind = "access rules refused" // or the user maps
	LogArchiveFailed    EventKind = "archive command failed"
	LogPromoteRequest   EventKind = "promote request"
	LogNewTimeline      EventKind = "new timeline" // Subject: its number
	LogRecoveryComplete EventKind = "recovery complete"
	LogSyncStandby      EventKind = "synchronous standby" // Subject: its name
	LogStopping         EventKind = "stopping"            // received a shutdown request
	LogStopped          EventKind = "stopped"
)

// LogEvent is an entry of a server's log that means something to a cluster.
type LogEvent struct {
	Kind    EventKind
	Subject string // what the kind says
	Entry   LogEntry
}

// String returns the kind and the entry.
func (e LogEvent) String() string { return string(e.Kind) + ": " + e.Entry.String() }

// events are the messages by kind, the first match counts. The wording is that of 9.6 to 18 in the C locale.
var events = []struct {
	kind EventKind
	text *regexp.Regexp // its group is the subject
}{
	{LogStarting, regexp.MustCompile(`^starting PostgreSQL \d|^database system was (?:shut down|interrupted|not properly)`)},
	{LogReady, regexp.MustCompile(`^database system is ready to accept connections`)},
	{LogReadOnly, regexp.MustCompile(`^database system is ready to accept read[- ]only connections`)},
	{LogStandbyMode, regexp.MustCompile(`^entering standby mode`)},
	{LogConsistent, regexp.MustCompile(`^consistent recovery state reached at ([0-9A-F]+/[0-9A-F]+)`)},
	{LogStreaming, regexp.MustCompile(`^(?:re)?started (?:streaming WAL from primary|WAL streaming) at \S+ on timeline (\d+)`)},
	{LogReplicationEnded, regexp.MustCompile(`^replication terminated by primary server`)},
	{LogWrongSystem, regexp.MustCompile(`^database system identifier differs between the primary and standby`)},
	{LogWALRemoved, regexp.MustCompile(`requested WAL segment (\S+) has already been removed|can no longer (?:access|get changes from) replication slot`)},
	{LogTimelineFork, regexp.MustCompile(`is behind recovery timeline (\d+)|is not a child of (?:database system timeline|this server's history)|` +
		`forked off current database system timeline|is not in this server's history`)},
	{LogNoSlot, regexp.MustCompile(`replication slot "([^"]+)" (?:does not exist|is active for PID)`)},
	{LogNoSender, regexp.MustCompile(`exceeds max_wal_senders|too many connections for role|too many clients already|remaining connection slots are reserved`)},
	{LogAuthFailed, regexp.MustCompile(`authentication failed for user|no pg_hba\.conf entry for|pg_hba\.conf rejects|no password supplied|` +
		`role "[^"]*" (?:does not exist|is not permitted to log in)|must be superuser or replication role|permission denied to start WAL sender`)},
	{LogUnreachable, regexp.MustCompile(`could not connect to the primary server|primary server contains no more WAL on requested timeline|` +
		`terminating walreceiver due to timeout|could not receive data from WAL stream`)},
	{LogInvalidRecord, regexp.MustCompile(`^(?:invalid record length at|record with (?:incorrect prev-link|invalid length)|invalid resource manager ID|` +
		`incorrect resource manager data checksum|unexpected pageaddr|invalid magic number|contrecord is requested by)`)},
	{LogLowParameters, regexp.MustCompile(`^hot standby is not possible because (\w+) = |^hot standby is not possible because of insufficient|` +
		`^recovery aborted because of insufficient parameter settings|^WAL was generated with wal_level=minimal`)},
	{LogRecoveryConf, regexp.MustCompile(`^using recovery command file "recovery\.conf" is not supported`)},
	{LogPortInUse, regexp.MustCompile(`^could not bind .*: Address already in use|lock file "[^"]*\.s\.PGSQL\.\d+\.lock" already exists`)},
	{LogReloaded, regexp.MustCompile(`^received SIGHUP, reloading configuration files`)},
	{LogChanged, regexp.MustCompile(`^parameter "([^"]+)" (?:changed to|removed from configuration file)`)},
	{LogNeedsRestart, regexp.MustCompile(`^parameter "([^"]+)" cannot be changed without restarting the server`)},
	{LogConfigRefused, regexp.MustCompile(`^configuration file "[^"]*" contains errors; no changes were applied`)},
	{LogConfigPartly, regexp.MustCompile(`^configuration file "[^"]*" contains errors; unaffected changes were applied`)},
	{LogHBARefused, regexp.MustCompile(`^(?:\S+) was not reloaded`)},
	{LogArchiveFailed, regexp.MustCompile(`^archive command (?:failed with exit code|was terminated by)|^archiving (?:write-ahead log|transaction log) file "[^"]*" failed too many times`)},
	{LogPromoteRequest, regexp.MustCompile(`^received promote request|^(?:promote )?trigger file found`)},
	{LogNewTimeline, regexp.MustCompile(`^selected new timeline ID: (\d+)`)},
	{LogRecoveryComplete, regexp.MustCompile(`^archive recovery complete`)},
	{LogSyncStandby, regexp.MustCompile(`^standby "([^"]+)" is now (?:a|the) synchronous standby`)},
	{LogStopping, regexp.MustCompile(`^received (?:smart|fast|immediate) shutdown request`)},
	{LogStopped, regexp.MustCompile(`^database system is shut down`)},
}

// event tells what an entry means.
func event(e LogEntry) (LogEvent, bool) {
	for _, k := range events {
		m := k.text.FindStringSubmatch(e.Message)
		if m == nil {
			continue
		}
		found := LogEvent{Kind: k.kind, Entry: e}
		if len(m) > 1 {
			found.Subject = m[1]
		}
		return found, true
	}
	return LogEvent{}, false
}

// ParseLog returns the events in a piece of a log, oldest first. format is one of log_destination: stderr, csvlog, jsonlog. What is
// before the severity of a line, as log_line_prefix has it, does not matter; messages in other languages than English are no events.
func ParseLog(format, text string) []LogEvent { return eventsOf(parseLog(format, text)) }

func eventsOf(entries []LogEntry) []LogEvent {
	var all []LogEvent
	for _, entry := range entries {
		if e, ok := event(entry); ok {
			all = append(all, e)
		}
	}
	return all
}

// Log returns the events at the end of the server's log, at most 1 MiB of it, oldest first: of the file that has its output or the journal,
// and of the current file of its logging collector.
func (n *Node) Log(ctx context.Context) ([]LogEvent, error) {
	entries, err := n.logSince(ctx, logMark{})
	if err != nil {
		return nil, fmt.Errorf("log of the server in %s: %w", n.cfg.DataDir, err)
	}
	return eventsOf(entries), nil
}

// sinceStart returns the events of the last start, and after it.
func sinceStart(all []LogEvent) []LogEvent {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == LogStarting {
			return all[i:]
		}
	}
	return all
}
