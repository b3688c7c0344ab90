package guc

import (
	"fmt"
	"slices"
	"strings"
)

// archiveCommand and its like are the parameters that hold a shell command with placeholders, and the letters that may follow
// a % in them (replace_percent_placeholders in src/common/percentrepl.c, 16+; % itself is allowed in all).
var commandLetters = []struct{ name, letters string }{
	{"archive_command", "pf"},
	{"restore_command", "pfr"},
	{"archive_cleanup_command", "r"},
	{"recovery_end_command", "r"},
}

func (c *checker) archiving() {
	command, library, mode := c.own.text("archive_command"), c.own.text("archive_library"), c.own.text("archive_mode")
	if mode == "" {
		return
	}
	how := []string{"archive_command"}
	if library != "" {
		how = []string{"archive_library"}
	}
	switch {
	case mode != "off" && command == "" && library == "":
		c.add(ArchiveWithoutCommand, Warning, "archive_mode is on but nothing archives: WAL is kept until the disk is full",
			"set archive_command, or archive_mode = off", "archive_command", "archive_mode")
	case mode == "off" && command+library != "":
		c.add(CommandWithoutArchive, Warning, how[0]+" is set but archive_mode is off: nothing is archived",
			"set archive_mode = on and restart", append([]string{"archive_mode"}, how...)...)
	case mode != "off" && command != "" && library != "" && c.Major >= 16:
		c.add(ArchiveTwice, Error, "archive_command and archive_library are both set: the archiver stops and WAL is kept until the disk is full",
			"keep one of them", "archive_command", "archive_library")
	case mode != "off" && command != "" && library != "":
		c.add(ArchiveTwice, Warning, "archive_command and archive_library are both set: the command is never run",
			"keep one of them; 16 and later refuse both", "archive_command", "archive_library")
	}
}

func (c *checker) sharedArchive() {
	command := c.own.text("archive_command")
	if !c.Standby || c.Primary == nil || !c.own.is("archive_mode", "always") || command == "" || c.primary.text("archive_command") != command {
		return
	}
	c.add(SharedArchive, Warning, "the standby archives what it receives by the same archive_command as its primary: each file is stored twice at one place",
		"make sure that the command succeeds if the same file is there already, or use archive_mode = on", "archive_mode", "archive_command")
}

func (c *checker) commands() {
	for _, p := range commandLetters {
		command := c.own.text(p.name)
		if c.Major >= 16 && escapePlaceholders(command, p.letters) != command {
			c.add(BadPlaceholder, Error, p.name+" has a % that is no placeholder: from 16 on every run fails", "write %% for a percent sign", p.name)
		}
		if v := shellVariable(command); v != "" {
			c.add(ShellVariable, Warning,
				fmt.Sprintf("%s uses the shell variable %s, which the server's environment will hardly have: it is taken for empty", p.name, v),
				"write the value itself", p.name)
		}
		if c.Major >= 10 {
			if dir := oldDirectory(command); dir != "" {
				c.add(OldDirectory, Warning, fmt.Sprintf("%s names %s, which 10 renamed to %s", p.name, dir, renamedDirectories[dir]),
					"use the new name, or %p, which is right in every major", p.name)
			}
		}
	}
}

// escapePlaceholders doubles every % of a command that is not followed by one of the letters or another %.
func escapePlaceholders(command, letters string) string {
	if strings.IndexByte(command, '%') < 0 {
		return command
	}
	var b strings.Builder
	for i := 0; i < len(command); i++ {
		b.WriteByte(command[i])
		if command[i] != '%' {
			continue
		}
		if i+1 < len(command) && (command[i+1] == '%' || strings.IndexByte(letters, command[i+1]) >= 0) {
			i++
			b.WriteByte(command[i])
		} else {
			b.WriteByte('%')
		}
	}
	return b.String()
}

// environment are the variables that a server's processes have, or that every shell knows.
var environment = []string{"HOME", "PATH", "PGDATA", "PWD", "USER", "LOGNAME", "TMPDIR", "IFS", "RANDOM"}

// shellVariable returns the first variable that a command uses but neither sets nor finds in the environment.
func shellVariable(command string) string {
	for rest := command; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found {
			return ""
		}
		rest = after
		after = strings.TrimPrefix(after, "{")
		name := after[:wordEnd(after)]
		known := name == "" || '0' <= name[0] && name[0] <= '9' || slices.Contains(environment, name)
		if !known && !strings.Contains(command, name+"=") && !strings.Contains(command, "for "+name+" in") {
			return "$" + name
		}
	}
}

func wordEnd(s string) int {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || '9' < c) && (c < 'A' || 'Z' < c) && (c < 'a' || 'z' < c) {
			return i
		}
	}
	return len(s)
}

var renamedDirectories = map[string]string{"pg_xlog": "pg_wal", "pg_clog": "pg_xact"}

func oldDirectory(text string) string {
	for _, dir := range []string{"pg_xlog", "pg_clog"} {
		if i := strings.Index(text, dir); i >= 0 && wordEnd(text[i:]) == len(dir) {
			return dir
		}
	}
	return ""
}

// recoveryTargets are the parameters of which one at most may say something. Their order is that in which servers up to 9.3
// let one win.
var recoveryTargets = []string{"recovery_target_xid", "recovery_target_name", "recovery_target_time", "recovery_target_lsn", "recovery_target"}

// recoveryTargets goes through the lines in the server's order: each assignment is refused while another target is set, even
// one that is empty (assign_recovery_target_time and its like in src/backend/access/transam/xlogrecovery.c). The server
// does so whether it recovers or not.
func (c *checker) recoveryTargets() {
	if c.Major < 12 {
		return
	}
	var target string
	for _, s := range c.own.ordered() {
		if !slices.Contains(recoveryTargets, s.Name) {
			continue
		}
		if target != "" {
			c.add(TwoTargets, Error, fmt.Sprintf("%s comes after %s: with more than one recovery target the server does not start", s.Name, target),
				"remove all but one, also lines with an empty value", s.Name, target)
			return
		}
		target = s.Name
		if s.Value == "" {
			target = ""
		}
	}
}

func (c *checker) walSource() {
	if c.Major < 12 {
		return // in recovery.conf
	}
	conninfo := c.own.text("primary_conninfo")
	if c.Standby && conninfo == "" && c.own.text("restore_command") == "" {
		c.add(NoSource, Warning, "the standby has neither primary_conninfo nor restore_command: it reads what somebody puts into pg_wal",
			"set primary_conninfo", "primary_conninfo", "restore_command")
	}
	if conninfo == "" && c.own.text("primary_slot_name") != "" {
		c.add(SlotWithoutPrimary, Warning, "primary_slot_name is set without primary_conninfo: it has no effect", "set primary_conninfo", "primary_conninfo", "primary_slot_name")
	}
}

// slotSync follows ValidateSlotSyncParams in src/backend/replication/logical/slotsync.c (17+).
func (c *checker) slotSync() {
	if !c.Standby || !c.own.is("sync_replication_slots", "on") {
		return
	}
	var missing []string
	for _, need := range []struct{ name, value string }{{"wal_level", "logical"}, {"hot_standby_feedback", "on"}} {
		if v := c.own.text(need.name); v != "" && v != need.value {
			missing = append(missing, need.name)
		}
	}
	if c.own.text("primary_slot_name") == "" {
		missing = append(missing, "primary_slot_name")
	}
	if !strings.Contains(c.own.text("primary_conninfo"), "dbname") {
		missing = append(missing, "primary_conninfo")
	}
	if len(missing) > 0 {
		c.add(SlotSync, Warning, "sync_replication_slots is on, but slots are not synchronized: see "+strings.Join(missing, ", "),
			"it needs wal_level = logical, hot_standby_feedback = on, primary_slot_name, and a dbname in primary_conninfo", missing...)
	}
}
