package guc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Situation is what [Check] judges: the settings of one server and what is known of its surroundings. Whatever is not known
// stays zero; rules that need it say nothing then.
type Situation struct {
	Major pgconf.Major

	// Settings are all lines of the configuration in the order in which the server reads them, so the last one of a name wins.
	// [pgconf.File.Settings] has them for one file. Parameters without a line have their defaults.
	Settings []pgconf.Setting

	// Standby says that the server starts as a standby (standby.signal, or standby_mode in recovery.conf before 12).
	Standby bool

	// Primary holds the settings that the primary of a standby runs with. Nil means that they are not known.
	Primary []pgconf.Setting

	// Standbys are the names (application_name) under which standbys connect to this server. Nil means that they are not
	// known; an empty list that are not nil means that there is none.
	Standbys []string
}

// Severity says how much a problem hurts.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // good to know
	Warning                 // works, but not as somebody who writes this will expect
	Error                   // the server does not start, a standby stops, or commits wait for ever
)

var severityNames = [...]string{"info", "warning", "error"}

// String returns "info", "warning" or "error".
func (s Severity) String() string { return nameOf(severityNames[:], int(s)) }

// MarshalText returns String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Code names the rule that a configuration breaks. Codes are stable: scripts may know them.
type Code string

// The rules. Those that stop a server were seen to do so on servers of all majors from 10 to 18 that have the parameters.
const (
	// A standby has less than its primary of max_connections, max_prepared_transactions, max_locks_per_transaction,
	// max_worker_processes (9.4+) or max_wal_senders (12+): with hot_standby = on it does not start.
	StandbyBelowPrimary Code = "standby-below-primary"
	// wal_level is minimal, but max_wal_senders, archive_mode or summarize_wal (17+) ask for more: the server does not start.
	WALLevelTooLow Code = "wal-level-too-low"
	// wal_level is minimal, and max_replication_slots is set: no slot can be made.
	SlotsWithoutWAL Code = "slots-without-wal"
	// The primary writes too little WAL for its standby.
	PrimaryWALLevel Code = "primary-wal-level"
	// superuser_reserved_connections (and reserved_connections, 16+; and max_wal_senders, 11) leave none of max_connections:
	// the server does not start.
	NoConnectionsLeft Code = "no-connections-left"
	// max_wal_senders is not below max_connections, up to 11: the server does not start.
	SendersExceedConnections Code = "senders-exceed-connections"
	// min_wal_size or max_wal_size is below two segments, 11+: the server does not start.
	WALSizeTooSmall Code = "wal-size-too-small"
	// max_wal_senders has no room for the standbys and a base backup, which needs two.
	FewSenders Code = "few-senders"

	// archive_mode is on, and nothing says how to archive: WAL piles up.
	ArchiveWithoutCommand Code = "archive-without-command"
	// archive_command or archive_library is set, but archive_mode is off: nothing is archived.
	CommandWithoutArchive Code = "command-without-archive"
	// archive_command and archive_library are both set: 15 ignores the command, 16+ archives nothing.
	ArchiveTwice Code = "archive-command-and-library"
	// A primary and its standby with archive_mode = always run the same archive_command.
	SharedArchive Code = "shared-archive"
	// A command has a % that 16+ does not know: each of its runs fails.
	BadPlaceholder Code = "bad-placeholder"
	// A command has a shell variable, which the server's environment will not have.
	ShellVariable Code = "shell-variable"
	// A command names a directory that 10 renamed: pg_xlog, pg_clog.
	OldDirectory Code = "old-directory"

	// More than one recovery target is set, 12+: the server does not start.
	TwoTargets Code = "two-recovery-targets"
	// A standby has neither primary_conninfo nor restore_command.
	NoSource Code = "no-wal-source"
	// primary_slot_name without primary_conninfo.
	SlotWithoutPrimary Code = "slot-without-primary"
	// sync_replication_slots (17+) lacks what it needs: it does nothing.
	SlotSync Code = "slot-sync"

	// synchronous_standby_names is not valid: the server does not start.
	SyncSyntax Code = "sync-syntax"
	// synchronous_standby_names asks for more standbys than can connect: commits wait for ever.
	SyncUnsatisfiable Code = "sync-unsatisfiable"
	// synchronous_standby_names needs every standby that there is: the loss of one blocks all commits.
	SyncNoSpare Code = "sync-no-spare"
	// synchronous_standby_names has *, which also matches pg_basebackup and pg_receivewal.
	SyncAnyName Code = "sync-any-name"
	// synchronous_standby_names has a name under which no standby connects.
	SyncUnknownName Code = "sync-unknown-name"
	// synchronous_standby_names is set, but synchronous_commit does not wait for standbys.
	SyncNotAwaited Code = "sync-not-awaited"

	// listen_addresses does not let other machines connect, and standbys must.
	ListenLocal Code = "listen-local"
	// listen_addresses has something that is no address.
	ListenAddress Code = "listen-address"
	// password_encryption makes MD5 hashes, or none.
	WeakPasswords Code = "weak-passwords"
	// More workers are asked for than the pool that they come from has.
	WorkersOverPool Code = "workers-over-pool"
	// A parameter of another major.
	WrongMajor Code = "wrong-major"
)

// Problem is one rule that a configuration breaks.
type Problem struct {
	Code     Code
	Severity Severity
	Message  string // what happens, in one sentence; no value that may be a secret
	Remedy   string // what to do
	// Settings are those involved, the one to change first. One that is not set has no File and Line, and the default for a Value.
	Settings []pgconf.Setting
}

// String returns "file:line: severity: message; remedy", without the place if no line is to blame.
func (p Problem) String() string {
	place := ""
	for _, s := range p.Settings {
		if s.Line > 0 {
			place = fmt.Sprintf("%s:%d: ", s.File, s.Line)
			break
		}
	}
	return fmt.Sprintf("%s%s: %s; %s", place, p.Severity, p.Message, p.Remedy)
}

// Check finds what is wrong with settings that are each valid for themselves: rules that span parameters, majors and servers.
// It does no validation of single values (see [Validate]), and a rule says nothing about a parameter whose value is not
// valid. The result is ordered by severity, the worst first.
func Check(s Situation) []Problem { return judge(s, rules) }

func judge(s Situation, rules []func(*checker)) []Problem {
	c := &checker{Situation: s, own: valuesOf(s.Settings, s.Major), primary: valuesOf(s.Primary, s.Major)}
	for _, rule := range rules {
		rule(c)
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return cmp.Compare(b.Severity, a.Severity) })
	return c.problems
}

var rules = []func(*checker){
	(*checker).wrongMajor,
	(*checker).standbyBelowPrimary,
	(*checker).primaryWALLevel,
	(*checker).walLevel,
	(*checker).connections,
	(*checker).senders,
	(*checker).walSizes,
	(*checker).archiving,
	(*checker).sharedArchive,
	(*checker).commands,
	(*checker).recoveryTargets,
	(*checker).walSource,
	(*checker).slotSync,
	(*checker).syncNames,
	(*checker).listening,
	(*checker).passwords,
	(*checker).workers,
}

// startRules are those of more than one setting that keep a server from starting or archiving.
var startRules = []func(*checker){
	(*checker).walLevel,
	(*checker).connections,
	(*checker).walSizes,
	(*checker).archiving,
	(*checker).recoveryTargets,
}

type checker struct {
	Situation
	own, primary *values
	problems     []Problem
}

// add notes a problem of settings of this server, by their names.
func (c *checker) add(code Code, severity Severity, message, remedy string, names ...string) {
	p := Problem{Code: code, Severity: severity, Message: message, Remedy: remedy}
	for _, name := range names {
		p.Settings = append(p.Settings, c.own.get(name))
	}
	c.problems = append(c.problems, p)
}

// standbyLimits are the parameters of which a standby must have as much as its primary, with the first major that says so
// (CheckRequiredParameterValues in src/backend/access/transam/xlogrecovery.c, before 15 in xlog.c).
var standbyLimits = []struct {
	name  string
	since pgconf.Major
}{
	{"max_connections", pgconf.V9_0},
	{"max_prepared_transactions", pgconf.V9_0},
	{"max_locks_per_transaction", pgconf.V9_0},
	{"max_worker_processes", pgconf.V9_4},
	{"max_wal_senders", 12},
}

func (c *checker) standbyBelowPrimary() {
	if !c.Standby || c.Primary == nil {
		return
	}
	severity, then := Error, "the standby does not start"
	if c.own.is("hot_standby", "off") {
		severity, then = Warning, "it can replay, but not start with hot_standby = on"
	}
	for _, limit := range standbyLimits {
		own, ok1 := c.own.number(limit.name)
		primary, ok2 := c.primary.number(limit.name)
		if !ok1 || !ok2 || c.Major < limit.since || own >= primary {
			continue
		}
		c.add(StandbyBelowPrimary, severity,
			fmt.Sprintf("%s is %.0f here and %.0f on the primary: %s", limit.name, own, primary, then),
			fmt.Sprintf("set it to %.0f or more here and restart; raise it on standbys first, lower it on the primary first", primary),
			limit.name)
	}
}

func (c *checker) primaryWALLevel() {
	if !c.Standby || c.Primary == nil {
		return
	}
	level, hot := c.primary.text("wal_level"), c.own.is("hot_standby", "on")
	enough := "replica"
	if c.Major < pgconf.V9_6 {
		enough = "hot_standby"
	}
	switch {
	case level == "minimal" && (c.Major >= 14 || hot):
		c.add(PrimaryWALLevel, Error, "wal_level is minimal on the primary: the standby stops at once",
			"set wal_level = "+enough+" on the primary, restart it, and clone the standby anew", "hot_standby")
	case level == "minimal":
		c.add(PrimaryWALLevel, Warning, "wal_level is minimal on the primary: its WAL does not have all changes",
			"set wal_level = "+enough+" on the primary, restart it, and clone the standby anew", "hot_standby")
	case level == "archive" && c.Major < pgconf.V9_6 && hot:
		c.add(PrimaryWALLevel, Error, "wal_level is archive on the primary: a standby with hot_standby = on does not start",
			"set wal_level = hot_standby on the primary and restart it", "hot_standby")
	}
}

func (c *checker) walLevel() {
	if !c.own.is("wal_level", "minimal") {
		return
	}
	enough := "replica"
	if c.Major < pgconf.V9_6 {
		enough = "hot_standby"
	}
	remedy := "set wal_level = " + enough
	if n, ok := c.own.number("max_wal_senders"); ok && n > 0 {
		c.add(WALLevelTooLow, Error, "wal_level is minimal and max_wal_senders is not 0: the server does not start",
			remedy+", or max_wal_senders = 0 on a server without standbys", "wal_level", "max_wal_senders")
	}
	if mode := c.own.text("archive_mode"); mode == "on" || mode == "always" {
		c.add(WALLevelTooLow, Error, "wal_level is minimal and archive_mode is on: the server does not start", remedy, "wal_level", "archive_mode")
	}
	if c.own.is("summarize_wal", "on") {
		c.add(WALLevelTooLow, Error, "wal_level is minimal and summarize_wal is on: the server does not start", remedy, "wal_level", "summarize_wal")
	}
	if n, ok := c.own.number("max_replication_slots"); ok && n > 0 && c.own.has("max_replication_slots") {
		c.add(SlotsWithoutWAL, Warning, "max_replication_slots is set, but with wal_level = minimal no slot can be made",
			remedy, "wal_level", "max_replication_slots")
	}
}

// connections follows the checks of PostmasterMain. They are these since 9.x; in 11 the senders count among the reserved
// connections, from 12 on they do not take connections at all.
func (c *checker) connections() {
	all, ok := c.own.number("max_connections")
	if !ok {
		return
	}
	names := []string{"superuser_reserved_connections"}
	if c.Major >= 16 {
		names = append(names, "reserved_connections")
	}
	if c.Major == 11 {
		names = append(names, "max_wal_senders")
	}
	sum := 0.0
	for _, name := range names {
		n, ok := c.own.number(name)
		if !ok {
			return
		}
		sum += n
	}
	if sum >= all {
		c.add(NoConnectionsLeft, Error,
			fmt.Sprintf("%s take %.0f of max_connections = %.0f: the server does not start", strings.Join(names, " and "), sum, all),
			fmt.Sprintf("raise max_connections above %.0f", sum), append([]string{"max_connections"}, names...)...)
	}
	if n, ok := c.own.number("max_wal_senders"); ok && c.Major < 11 && n >= all {
		c.add(SendersExceedConnections, Error, "max_wal_senders is not below max_connections: the server does not start",
			"lower it, or raise max_connections", "max_wal_senders", "max_connections")
	}
}

// backupSenders is what pg_basebackup takes with its default -X stream.
const backupSenders = 2

func (c *checker) senders() {
	n, ok := c.own.number("max_wal_senders")
	if !ok || c.own.is("wal_level", "minimal") {
		return
	}
	need := float64(len(c.Standbys) + backupSenders)
	switch {
	case n < float64(len(c.Standbys)):
		c.add(FewSenders, Error, fmt.Sprintf("max_wal_senders is %.0f and %d standbys connect: some never will", n, len(c.Standbys)),
			fmt.Sprintf("set it to %.0f or more, so that a base backup can run as well", need), "max_wal_senders")
	case n > 0 && n < need:
		c.add(FewSenders, Warning,
			fmt.Sprintf("max_wal_senders is %.0f: pg_basebackup takes two connections, beside those of %d known standbys", n, len(c.Standbys)),
			fmt.Sprintf("set it to %.0f or more", need), "max_wal_senders")
	}
}

func (c *checker) walSizes() {
	segment, ok := c.own.number("wal_segment_size")
	if !ok || c.Major < 11 {
		return
	}
	for _, name := range []string{"min_wal_size", "max_wal_size"} {
		if mb, ok := c.own.number(name); ok && mb*(1<<20) < 2*segment {
			c.add(WALSizeTooSmall, Error, name+" is below two WAL segments: the server does not start",
				"set it to twice the segment size or more (32MB, if initdb was not told another size)", name)
		}
	}
}

// wrongMajor finds the lines with parameters that a server of this major does not have and another one has: it does not start, also
// if a later line has the name again.
func (c *checker) wrongMajor() {
	for _, s := range c.Settings {
		_, elsewhere := HistoryOf(s.Name)
		_, gone := FateOf(s.Name, c.Major)
		_, recovery := recoveryConf[ascii.Lower(s.Name)]
		if _, ok := Lookup(c.Major, s.Name); ok || !elsewhere && !gone && !recovery {
			continue
		}
		err := unknown(c.Major, s.Name)
		remedy := fmt.Sprintf("translate the configuration for PostgreSQL %s, or remove the line", c.Major)
		if err.RecoveryConf {
			remedy = "move the line into recovery.conf"
		}
		c.problems = append(c.problems, Problem{
			Code: WrongMajor, Severity: Error, Settings: []pgconf.Setting{s},
			Message: "the server does not start: " + err.Error(), Remedy: remedy,
		})
	}
}
