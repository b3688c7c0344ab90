package recovery

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// recoveryConf is the start of a server up to 11.
func (r *reading) recoveryConf() error {
	for _, name := range []string{StandbySignal, RecoverySignal} {
		if there, err := r.exists(r.path(name)); err != nil {
			return err
		} else if there {
			r.note(r.file(name, "means nothing to servers up to 11"))
		}
	}
	r.inUse = effective{"hot_standby": r.inUse["hot_standby"]}
	data, err := r.read(r.path(RecoveryConf))
	if errors.Is(err, fs.ErrNotExist) {
		backup, err := r.exists(r.path("backup_label"))
		r.primary(r.file(RecoveryConf, "is not there"), backup)
		return err
	}
	if err != nil {
		return err
	}
	settings, err := r.recoverySettings(data)
	if err != nil {
		return err
	}
	var target pgconf.Setting
	for _, s := range settings {
		if overruled(r.Major, target, s) {
			r.note(at(s, "has no effect, since "+target.Name+" goes before it"))
			continue
		}
		if msg := refuseOld(r.Major, s); msg != "" {
			r.refuse(at(s, msg))
		}
		r.inUse[s.Name] = s
		if isTargetName(s.Name) {
			target = s
		}
	}
	role, why := Targeted, r.file(RecoveryConf, "is there, and does not set standby_mode")
	if s, ok := r.inUse[standbyMode]; ok {
		if on, _ := parseBool(s.Value); on {
			role, why = Standby, at(s, "is on")
		} else {
			why = at(s, "is off")
		}
	}
	return r.follow(role, target, why)
}

// recoverySettings returns the lines of recovery.conf, from 9.1 on with what they include, in the server's order.
func (r *reading) recoverySettings(data []byte) ([]pgconf.Setting, error) {
	name := r.path(RecoveryConf)
	if r.Major < pgconf.V9_1 {
		for i, line := range slices.Collect(strings.Lines(string(data))) {
			if !validOldLine(line) {
				r.refuse(Finding{File: name, Line: i + 1, Msg: "9.0 wants a name and a value in single quotes"})
			}
		}
		f, err := guc.ParseRecoveryConf(name, data, r.Major)
		if err != nil && r.Outcome != RefusesToStart { // it holds a NUL byte
			r.refuse(Finding{File: name, Msg: err.Error()})
		}
		return f.Settings(), nil
	}
	alone := *r
	alone.view = r.with(r.path(pgconf.AutoConf), nil)
	c, err := alone.load(name, nil)
	if err != nil {
		return nil, err
	}
	r.Start = alone.Start
	return c.Entries(), nil
}

// validOldLine follows parseRecoveryCommandFileLine of 9.0.
func validOldLine(raw string) bool {
	line := strings.Trim(raw, " \t\r\n")
	if line == "" || line[0] == '#' {
		return true
	}
	name := firstWord(line)
	_, value, ok := strings.Cut(line, "'")
	if name == "" || !ok {
		return false
	}
	for {
		_, rest, closed := strings.Cut(value, "'")
		if !closed {
			return false
		}
		if !strings.HasPrefix(rest, "'") {
			rest = strings.TrimLeft(rest, " \t\r\n")
			return rest == "" || rest[0] == '#'
		}
		value = rest[1:]
	}
}

// overruled reports whether a server up to 9.3 passes over a target because of another: xid goes before name before time. Later
// ones take the last.
func overruled(major pgconf.Major, set, s pgconf.Setting) bool {
	now, was := slices.Index(targetNames, s.Name), slices.Index(targetNames, set.Name)
	return major < pgconf.V9_4 && now >= 0 && was >= 0 && was < now
}

// refuseOld says why a server up to 11 does not start with a line of recovery.conf, or nothing. Unlike in postgresql.conf, names count
// upper and lower case, and each line is judged, whether a later one overrules it or not.
func refuseOld(major pgconf.Major, s pgconf.Setting) string {
	if !isParameter(major, s.Spelling) {
		if isParameter(major, s.Name) {
			return "in recovery.conf, names count upper and lower case: write " + s.Name
		}
		return "recovery.conf of PostgreSQL " + major.String() + " has no such parameter: remove the line"
	}
	good, takes := true, ""
	switch s.Name {
	case standbyMode, targetInclusive, pauseAtTarget:
		_, good = parseBool(s.Value)
		takes = "on or off"
	case targetAction:
		good = slices.Contains([]TargetAction{ActionPause, ActionPromote, ActionShutdown}, TargetAction(s.Value))
		takes = "pause, promote or shutdown, in lower case"
	case targetImmediate:
		good, takes = s.Value == "immediate", "immediate"
	case timelineParameter, targetXID:
		_, good = strtoul(s.Value)
		takes = "a number of at most 64 bits"
	case targetTime:
		good, takes = s.Value != "", "a date with a time"
	case targetName:
		good, takes = len(s.Value) <= 63, "a name of at most 63 bytes"
	case targetLSN:
		_, err := wal.ParseLSN(s.Value)
		good, takes = err == nil, "a WAL position such as 0/3000148"
	case "primary_slot_name":
		good, takes = s.Value != "" && validSlotName(s.Value), "a slot name of at most 63 lower-case letters, digits and underscores"
	case applyDelay:
		good = guc.Validate(major, "lock_timeout", strings.TrimPrefix(s.Value, "-")) == nil
		takes = "a time such as 5min"
	}
	if good {
		return ""
	}
	return "takes " + takes + ": put it right"
}

// parseBool reads a boolean as the server does.
func parseBool(s string) (value, ok bool) {
	v, err := guc.Parse(pgconf.Newest, "hot_standby", s)
	value, _ = v.Bool()
	return value, err == nil
}

// lower folds ASCII letters, as the server does in names.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
