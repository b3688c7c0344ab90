package pgnode

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
)

// TestParseLog: what servers of 9.6 to 18 write, in the formats of log_destination and with prefixes of all kinds.
func TestParseLog(t *testing.T) {
	for _, tt := range []struct {
		line    string
		kind    EventKind
		subject string
	}{
		{"LOG:  database system is ready to accept connections", LogReady, ""},
		{"< 2026-01-01 LOG %a >LOG:  database system is ready to accept read only connections", LogReadOnly, ""},
		{"2026-01-01 10:00:00.000 UTC [12] app=LOG LOG:  database system is ready to accept read-only connections", LogReadOnly, ""},
		{"LOG:  starting PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64", LogStarting, ""},
		{"LOG:  database system was interrupted; last known up at 2026-11-22 02:25:55 UTC", LogStarting, ""},
		{"LOG:  entering standby mode", LogStandbyMode, ""},
		{"LOG:  consistent recovery state reached at 0/2000100", LogConsistent, "0/2000100"},
		{"LOG:  started streaming WAL from primary at 0/3000000 on timeline 1", LogStreaming, "1"},
		{"LOG:  restarted WAL streaming at 0/12000000 on timeline 2", LogStreaming, "2"},
		{"LOG:  replication terminated by primary server", LogReplicationEnded, ""},
		{"LOG:  invalid record length at 0/3000060: wanted 24, got 0", LogInvalidRecord, ""},
		{"LOG:  invalid record length at 0/3000060: expected at least 24, got 0", LogInvalidRecord, ""},
		{"FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000000000002 has already been removed", LogWALRemoved, "000000010000000000000002"},
		{"ERROR:  requested WAL segment 000000010000000000000002 has already been removed", LogWALRemoved, "000000010000000000000002"},
		{"FATAL:  could not start WAL streaming: ERROR:  replication slot \"b\" does not exist", LogNoSlot, "b"},
		{"FATAL:  could not connect to the primary server: connection to server at \"127.0.0.1\", port 1 failed: Connection refused", LogUnreachable, ""},
		{"FATAL:  could not connect to the primary server: FATAL:  password authentication failed for user \"r\"", LogAuthFailed, ""},
		{"FATAL:  number of requested standby connections exceeds max_wal_senders (currently 1)", LogNoSender, ""},
		{"FATAL:  too many connections for role \"r\"", LogNoSender, ""},
		{"FATAL:  database system identifier differs between the primary and standby", LogWrongSystem, ""},
		{"FATAL:  highest timeline 1 of the primary is behind recovery timeline 2", LogTimelineFork, "2"},
		{"LOG:  new timeline 2 forked off current database system timeline 1 before current recovery point 0/3000200", LogTimelineFork, ""},
		{"FATAL:  hot standby is not possible because max_connections = 10 is a lower setting than on the master server (its value was 20)", LogLowParameters, "max_connections"},
		{"FATAL:  recovery aborted because of insufficient parameter settings", LogLowParameters, ""},
		{"FATAL:  using recovery command file \"recovery.conf\" is not supported", LogRecoveryConf, ""},
		{"LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use", LogPortInUse, ""},
		{"LOG:  received SIGHUP, reloading configuration files", LogReloaded, ""},
		{"LOG:  parameter \"archive_command\" changed to \"x\"", LogChanged, "archive_command"},
		{"LOG:  parameter \"port\" cannot be changed without restarting the server", LogNeedsRestart, "port"},
		{"LOG:  configuration file \"/a b/postgresql.conf\" contains errors; no changes were applied", LogConfigRefused, ""},
		{"LOG:  configuration file \"/a b/postgresql.conf\" contains errors; unaffected changes were applied", LogConfigPartly, ""},
		{"LOG:  pg_hba.conf was not reloaded", LogHBARefused, ""},
		{"LOG:  /etc/pg_hba.conf was not reloaded", LogHBARefused, ""},
		{"LOG:  archive command failed with exit code 1", LogArchiveFailed, ""},
		{"WARNING:  archiving write-ahead log file \"000000010000000000000001\" failed too many times, will try again later", LogArchiveFailed, ""},
		{"LOG:  received promote request", LogPromoteRequest, ""},
		{"LOG:  trigger file found: /tmp/x", LogPromoteRequest, ""},
		{"LOG:  promote trigger file found: /tmp/x", LogPromoteRequest, ""},
		{"LOG:  selected new timeline ID: 2", LogNewTimeline, "2"},
		{"LOG:  archive recovery complete", LogRecoveryComplete, ""},
		{"LOG:  standby \"b\" is now a synchronous standby with priority 1", LogSyncStandby, "b"},
		{"LOG:  standby \"b\" is now the synchronous standby with priority 1", LogSyncStandby, "b"},
		{"LOG:  received fast shutdown request", LogStopping, ""},
		{"LOG:  database system is shut down", LogStopped, ""},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			all := ParseLog("stderr", tt.line+"\n")
			require.Len(t, all, 1, tt.line)
			require.Equal(t, tt.kind, all[0].Kind, tt.line)
			require.Equal(t, tt.subject, all[0].Subject)
			_, message, _ := strings.Cut(tt.line, ":  ")
			if strings.HasPrefix(tt.line, "LOG:  ") && !strings.Contains(tt.line, "archive_command") {
				require.Equal(t, message, all[0].Entry.Message)
				row := make([]string, 23)
				row[csvSeverity], row[csvMessage] = "LOG", `"`+strings.ReplaceAll(message, `"`, `""`)+`"`
				require.Equal(t, all, ParseLog("csvlog", strings.Join(row, ",")+"\n"))
				require.Equal(t, all, ParseLog("jsonlog", `{"error_severity":"LOG","message":"`+strings.ReplaceAll(message, `"`, `\"`)+"\"}\n"))
			}
		})
	}
}

func TestParseLog_parts(t *testing.T) {
	text := "p LOG:  first\np DETAIL:  what\n\tmore\np HINT:  do\np CONTEXT:  line 3 of configuration file \"/x\"\np STATEMENT:  SELECT\n\t'secret'\nnot one\n"
	require.Equal(t, []LogEntry{
		{"LOG", "first", "what more", "do", `line 3 of configuration file "/x"`}, {Message: "not one"},
	}, parseStderrLog(text))
	require.Equal(t, "LOG:  first; DETAIL:  what; HINT:  do", LogEntry{Severity: "LOG", Message: "first", Detail: "what", Hint: "do"}.String())
	require.Empty(t, parseJSONLog("{\n"))
	require.Empty(t, parseCSVLog("a,b\n"))
	require.Equal(t, []string{"-D", "/a b", "-c", "x=y"}, parseOpts("/usr/bin/postgres \"-D\" \"/a b\" \"-c\" \"x=y\"\n"))
	require.Empty(t, parseOpts("/usr/bin/postgres\n"))
}

const marker = "hunter2"

// secretLines are places where a server's log repeats a secret; %s is where it stands.
var secretLines = []string{
	`LOG:  parameter "primary_conninfo" changed to "host=a password=%s dbname='x'"`,
	`LOG:  parameter "archive_command" changed to "curl -u me:%s x"`,
	`LOG:  invalid value for parameter "primary_conninfo": "%s"`,
	`LOG:  syntax error in file "/a/postgresql.conf" line 3, near token "%s"`,
	`FATAL:  could not connect to the primary server: invalid connection string syntax: missing "=" after "%s" in connection info string`,
	`FATAL:  could not connect to the primary server: invalid connection option "%s"`,
	`FATAL:  could not connect: invalid port in postgresql://me:%s@host/db`,
	`LOG:  x password=%s y`, `LOG:  x password='a b %s' y`, `LOG:  x PASSWORD = "%s"`,
	`ERROR:  syntax in ALTER ROLE r PASSWORD '%s'`,
	"LOG:  archive command failed with exit code 1\nDETAIL:  The failed archive command was: curl -u me:%s x",
	"ERROR:  x\nSTATEMENT:  ALTER ROLE r\n\tPASSWORD '%s'",
}

func TestRedact(t *testing.T) {
	for _, line := range secretLines {
		entries := parseStderrLog(strings.ReplaceAll(line, "%s", marker) + "\n")
		require.NotEmpty(t, entries)
		for _, e := range entries {
			require.NotContains(t, e.String(), marker, line)
		}
		err := &StartError{Err: redacted(errText(strings.ReplaceAll(line, "%s", marker)))}
		if !strings.Contains(line, "\n") {
			require.NotContains(t, err.Error(), marker, line)
		}
	}
	for _, plain := range []string{
		`parameter "work_mem" changed to "7MB"`, `invalid value for parameter "shared_buffers": "a lot"`, `could not open file "x"`,
		`password authentication failed for user "r"`, `role "password" does not exist`,
	} {
		require.Equal(t, plain, redact(plain))
	}
}

type errText string

func (e errText) Error() string { return string(e) }

// FuzzRedact: whatever the secret is, no log line shows it.
func FuzzRedact(f *testing.F) {
	for i := range secretLines {
		f.Add(uint(i), "x")
	}
	f.Fuzz(func(t *testing.T, i uint, around string) {
		line := secretLines[i%uint(len(secretLines))]
		if strings.ContainsAny(around, "\n\r\"'\\@/: \t\v\f\u0085\u00a0\u2028\u2029") || !strings.Contains(line, "%s") {
			return // would end the word
		}
		for _, e := range parseStderrLog(strings.ReplaceAll(line, "%s", around+marker+around) + "\n") {
			require.NotContains(t, e.String(), marker)
		}
	})
}

// FuzzParseLog: no input makes it fail, and it loses no entry of a format that has one a line.
func FuzzParseLog(f *testing.F) {
	f.Add("stderr", "LOG:  x\n\ty\nDETAIL:  z\n")
	f.Add("csvlog", `,,,,,,,,,,,LOG,,"a ""b""",,,,,,,,,`+"\n")
	f.Add("jsonlog", `{"error_severity":"LOG","message":"x"}`)
	f.Fuzz(func(t *testing.T, format, text string) {
		for _, e := range ParseLog(format, text) {
			require.NotEmpty(t, e.Kind)
			require.NotEmpty(t, e.Entry.Message)
		}
	})
}

func TestParseUnit(t *testing.T) {
	u, err := parseUnit("a.service", "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nMainPID=0\nX=y\n")
	require.NoError(t, err)
	require.Equal(t, "unit a.service: failed (failed), exit-code", u.String())
	u, err = parseUnit("a.service", "LoadState=not-found\nActiveState=inactive\n")
	require.NoError(t, err)
	require.Equal(t, "unit a.service: not found", u.String())
	_, err = parseUnit("a.service", "")
	require.Error(t, err)
}

func TestConfig_managers(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Manager: "init"}, "none of pg_ctl"},
		{Config{Unit: "x"}, "Unit is for the manager systemd"},
		{Config{Manager: Systemd}, "Unit is missing"},
		{Config{Manager: Systemd, Unit: "-x"}, "not the name of one unit"},
		{Config{Manager: Systemd, Unit: "a b"}, "not the name of one unit"},
		{Config{Manager: Debian}, "Cluster is missing"},
		{Config{Manager: Debian, Cluster: "main"}, "not of the form"},
		{Config{Manager: Debian, Cluster: "15/a-b"}, "not of the form"},
		{Config{Cluster: "15/main"}, "Cluster is for the manager debian"},
		{Config{Manager: Commands}, "Commands is missing"},
		{Config{Manager: Commands, Commands: map[string]string{"begin": "x"}}, `"begin" is none of start`},
		{Config{Commands: map[string]string{"start": "x"}}, "Commands is for the manager commands"},
		{Config{ConfigFile: "x"}, "ConfigFile"},
		{Config{Basebackup: "x"}, "Basebackup"},
		{Config{Tablespaces: map[string]string{"/a": "b"}}, "Tablespaces"},
	} {
		tt.cfg.Host, tt.cfg.BinDir, tt.cfg.DataDir = nowhere{}, "/b", "/d"
		_, err := New(tt.cfg)
		require.ErrorContains(t, err, tt.want)
	}
}

// nowhere is a host that nobody asks.
type nowhere struct{ host.Host }
