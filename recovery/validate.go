package recovery

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

// Validate reports what a server of the major would refuse, ignore or do in another way than c says, and what to do instead. The
// error joins a [*FieldError] for each fault, in the order of the fields, or is a [*MajorError]. It does not hold the value of a field
// that may have secrets in it.
func (c Config) Validate(major pgconf.Major) error {
	if major < pgconf.Oldest || major > pgconf.Newest {
		return &MajorError{Major: major}
	}
	v := &validation{Config: c, major: major}
	v.source()
	v.streaming()
	v.commands()
	v.trigger()
	v.delay()
	v.target()
	v.action()
	v.timeline()
	v.text()
	return errors.Join(v.faults...)
}

type validation struct {
	Config
	major  pgconf.Major
	faults []error
}

func (v *validation) fault(field, format string, args ...any) {
	v.faults = append(v.faults, &FieldError{Field: field, Major: v.major, Msg: fmt.Sprintf(format, args...)})
}

// since adds a fault if the major is too old for a field that is used.
func (v *validation) since(used bool, first pgconf.Major, field, instead string) {
	if used && v.major < first {
		v.fault(field, "PostgreSQL %s has it only from %s on: %s", v.major, first, instead)
	}
}

func (v *validation) streams() bool { return v.PrimaryConninfo.Text() != "" }

func (v *validation) source() {
	switch {
	case v.Role > Targeted:
		v.fault("Role", "%d is no role: use Standby or Targeted", v.Role)
	case v.Role == Targeted && v.RestoreCommand == "":
		v.fault("RestoreCommand", "is empty, and targeted recovery reads all WAL through it, so the server would not start: set it")
	case !v.streams() && v.RestoreCommand == "":
		v.fault("PrimaryConninfo", "and RestoreCommand are both empty: the standby would have no source of WAL; set one")
	}
}

func (v *validation) streaming() {
	if v.Role == Targeted && v.streams() {
		v.fault("PrimaryConninfo", "has no effect in targeted recovery, which does not stream: leave it empty, or make it a Standby with a Target")
	}
	if err := v.PrimaryConninfo.Validate(v.major); err != nil {
		v.fault("PrimaryConninfo", "the WAL receiver of PostgreSQL %s cannot use it: %v", v.major, err)
	}
	slot := v.PrimarySlotName
	v.since(slot != "", pgconf.V9_4, "PrimarySlotName",
		"leave it empty, and have the upstream keep enough WAL (wal_keep_segments) or set RestoreCommand")
	if slot != "" && !v.streams() {
		v.fault("PrimarySlotName", "is set but PrimaryConninfo is not: a slot is for streaming; set both or neither")
	}
	if !validSlotName(slot) {
		v.fault("PrimarySlotName", "%q: only a-z, 0-9 and _, at most 63 characters", slot)
	}
}

// validSlotName follows ReplicationSlotValidateName in src/backend/replication/slot.c; empty stands for "no slot".
func validSlotName(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// maxCommand is where servers cut a command off, restore_command up to 12 and the others up to 15.
const maxCommand = 1023

// commands lets the commands be expanded, with the longest values there are.
func (v *validation) commands() {
	values := command.Values{File: strings.Repeat("F", 24), Path: "pg_xlog/RECOVERYHISTORY", Oldest: strings.Repeat("F", 24)}
	for _, c := range []struct {
		field, text string
		kind        command.Kind
	}{
		{"RestoreCommand", v.RestoreCommand, command.Restore},
		{"ArchiveCleanupCommand", v.ArchiveCleanupCommand, command.Cleanup},
		{"RecoveryEndCommand", v.RecoveryEndCommand, command.RecoveryEnd},
	} {
		expanded, err := command.Server{Major: v.major}.Expand(c.kind, c.text, values)
		var bad *command.PlaceholderError
		switch {
		case errors.As(err, &bad):
			v.fault(c.field, "%q is no placeholder, and PostgreSQL 16 and later stop at it: write %%%% for a percent sign", bad.Found)
		case len(expanded) >= maxCommand && (v.major <= 12 || v.major <= 15 && c.kind != command.Restore):
			v.fault(c.field, "PostgreSQL %s cuts a command off after %d bytes: put it into a script", v.major, maxCommand)
		}
	}
}

func (v *validation) trigger() {
	switch {
	case v.TriggerFile == "":
	case v.major >= 16:
		v.fault("TriggerFile", "PostgreSQL 16 and later know no trigger file: leave it empty and promote with pg_promote() or pg_ctl promote")
	case v.Role == Targeted:
		v.fault("TriggerFile", "has no effect in targeted recovery: leave it empty, or make it a Standby with a Target")
	}
}

// maxDelay is the bound of recovery_min_apply_delay.
const maxDelay = (1<<31 - 1) * time.Millisecond

func (v *validation) delay() {
	d := v.MinApplyDelay
	v.since(d != 0, pgconf.V9_4, "MinApplyDelay", "set it to 0, and pause replay with pg_xlog_replay_pause() (9.1 and later) where needed")
	if d < 0 || d > maxDelay || d%time.Millisecond != 0 {
		v.fault("MinApplyDelay", "%v: it takes whole milliseconds from 0 to %v", d, maxDelay)
	}
}

func (v *validation) target() {
	switch t := v.Target.(type) {
	case TargetTime:
		v.targetTime(t)
	case TargetXID:
		if t.XID < 3 {
			v.fault("Target", "no transaction has the XID %d: they begin with 3", t.XID)
		}
	case TargetLSN:
		v.since(true, 10, "Target", "name a time, a transaction or a restore point in place of an LSN")
		if t.LSN == 0 {
			v.fault("Target", "LSN is not set")
		}
	case TargetName:
		v.since(true, pgconf.V9_1, "Target", "name a time or a transaction in place of a restore point")
		if t.Name == "" || len(t.Name) > 63 {
			v.fault("Target", "Name %q: a restore point has a name of 1 to 63 bytes", t.Name)
		}
	case TargetImmediate:
		v.since(true, pgconf.V9_4, "Target", "name the time at which the base backup ended")
	}
}

func (v *validation) targetTime(t TargetTime) {
	if (t.Text == "") == t.At.IsZero() {
		v.fault("Target", "set one of At and Text")
		return
	}
	if msg := validTime(t.At); t.Text == "" && msg != "" {
		v.fault("Target", "At: %s", msg)
	}
	words := []string{"now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity"}
	for _, word := range words {
		if lower(t.Text) == word {
			v.fault("Target", "Text %q: write a date with a time, not a word", t.Text)
		}
	}
}

func (v *validation) action() {
	switch {
	case v.Action == ActionDefault:
	case v.Action != ActionPause && v.Action != ActionPromote && v.Action != ActionShutdown:
		v.fault("Action", "%q: it takes %q, %q, %q or nothing", string(v.Action), ActionPause, ActionPromote, ActionShutdown)
	case v.Target == nil && v.Role == Targeted:
		v.fault("Action", "has no effect without a Target: at the end of WAL the server always becomes a primary; leave it empty")
	case v.Target == nil:
		v.fault("Action", "has no effect without a Target: leave it empty")
	default:
		v.since(v.Action == ActionPause, pgconf.V9_1, "Action", "leave it empty; the server always promotes")
		v.since(v.Action == ActionShutdown, pgconf.V9_5, "Action", "use ActionPause (9.1 and later) and stop the server then")
	}
}

func (v *validation) timeline() {
	t := v.TargetTimeline
	if _, ok := t.Number(); !ok && t != TimelineDefault && t != TimelineLatest && t != TimelineCurrent {
		v.fault("TargetTimeline", "%q: use TimelineLatest, TimelineCurrent or what TimelineNumber returns, or leave it empty", string(t))
	}
}

// maxOldLine is what a line of recovery.conf may have in 9.0, the name and quotes not counted (readRecoveryCommandFile in xlog.c
// reads lines of 1 kB).
const maxOldLine = 950

// text judges what no file can hold.
func (v *validation) text() {
	for _, p := range v.parameters(v.major) {
		switch {
		case strings.IndexByte(p.value, 0) >= 0:
			v.fault(p.field, "holds a NUL byte, which would end the value there: remove it")
		case v.major == pgconf.V9_0 && strings.ContainsAny(p.value, "\r\n"):
			v.fault(p.field, "holds a line break, which recovery.conf of 9.0 cannot: write one line")
		case v.major == pgconf.V9_0 && len(p.value)+strings.Count(p.value, "'") > maxOldLine:
			v.fault(p.field, "is too long for recovery.conf of 9.0, whose lines have at most 1 kB: put the command into a script")
		}
	}
}
