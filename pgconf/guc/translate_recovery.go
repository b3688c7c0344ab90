package guc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// ParseRecoveryConf reads recovery.conf of a server up to 11. From 9.1 on its grammar is that of postgresql.conf. 9.0 has its
// own: the value is always in single quotes, a backslash in it is a backslash, and what stands between the name and the value does not
// count. Lines of such a file that the later grammar reads in another way are rewritten for it in the result.
//
// The error is that of [pgconf.Parse]. Names are checked by [Translation.Apply]: unlike those of postgresql.conf they count
// upper and lower case.
func ParseRecoveryConf(name string, b []byte, m pgconf.Major) (*pgconf.File, error) {
	if m >= pgconf.V9_1 {
		return pgconf.Parse(name, b)
	}
	var text strings.Builder
	for raw := range strings.Lines(string(b)) {
		text.WriteString(oldRecoveryLine(raw))
	}
	return pgconf.Parse(name, []byte(text.String()))
}

// oldRecoveryLine rewrites a line of 9.0 for 9.1 (parseRecoveryCommandFileLine in src/backend/access/transam/xlog.c of 9.0). A line
// that 9.0 refuses stays.
func oldRecoveryLine(raw string) string {
	body := strings.TrimRight(raw, "\r\n")
	name := strings.TrimLeft(body, " \t\r\f\v")
	name = name[:wordEnd(name)]
	open := strings.IndexByte(body, '\'')
	if name == "" || open < 0 {
		return raw
	}
	var value strings.Builder
	for i := open + 1; i < len(body); i++ {
		if body[i] == '\'' {
			if i+1 == len(body) || body[i+1] != '\'' {
				return writeRecoveryLine(raw, body, name, value.String(), body[i+1:])
			}
			i++
		}
		value.WriteByte(body[i])
	}
	return raw // the quote is not closed
}

func writeRecoveryLine(raw, body, name, value, rest string) string {
	if f, err := pgconf.Parse("", []byte(body)); err == nil {
		if s, ok := f.Get(name); ok && s.Value == value {
			return raw
		}
	}
	quoted, err := pgconf.Quote(value)
	if err != nil || strings.TrimLeft(rest, " \t\r") != "" && strings.TrimLeft(rest, " \t\r")[0] != '#' {
		return raw
	}
	return name + " = " + quoted + rest + raw[len(body):]
}

// recoveryConf translates recovery.conf: in place for a major up to 11, else into the first file.
func (t *translator) recoveryConf() {
	if t.RecoveryConf == nil {
		return
	}
	settings := t.recoverySettings()
	if t.To < 12 {
		for _, s := range settings {
			t.recoverySetting(s)
		}
		return
	}
	t.signal = "recovery.signal"
	target := winningTarget(settings, t.From)
	for _, s := range settings {
		if slices.Contains(recoveryTargets, s.Name) && s.Name != target {
			t.remark(s, Info, "not taken over", "another recovery target overrules it, and from 12 on there may be one only")
			continue
		}
		t.move(s)
	}
	t.pinTimeline(settings)
	t.remark(pgconf.Setting{File: t.RecoveryConf.Name()}, Warning,
		fmt.Sprintf("create the empty file %s in the data directory and remove this one", t.signal),
		"from 12 on a server does not start beside recovery.conf")
}

// recoverySettings returns the settings of recovery.conf that win and that its server knows, in the order of their lines.
func (t *translator) recoverySettings() []pgconf.Setting {
	all := t.RecoveryConf.Settings()
	last := map[string]int{}
	for i, s := range all {
		last[s.Spelling] = i
	}
	var known []pgconf.Setting
	for i, s := range all {
		_, ok := recoveryConf[s.Spelling]
		switch {
		case s.IsInclude():
			t.remark(s, Warning, "not followed; give the translation a file that has all lines", "settings in another file are not seen")
		case !ok && s.Name != s.Spelling:
			t.remark(s, Error, "left as it is; write the name in lower case", "in recovery.conf upper and lower case differ")
		case !ok:
			t.remark(s, Error, "left as it is; remove it", "recovery.conf never had such a parameter")
		case last[s.Spelling] == i:
			known = append(known, s)
		}
	}
	return known
}

// winningTarget returns the recovery target that the old server would recover to, or "". Up to 9.3 there is an order among
// them, later the last line wins, even if its value is empty.
func winningTarget(settings []pgconf.Setting, m pgconf.Major) string {
	winner := ""
	for _, s := range settings {
		rank := slices.Index(recoveryTargets, s.Name)
		if rank < 0 {
			continue
		}
		if m >= pgconf.V9_4 {
			winner = s.Name
		} else if s.Value != "" && (winner == "" || rank < slices.Index(recoveryTargets, winner)) {
			winner = s.Name
		}
	}
	return winner
}

// move takes a setting of recovery.conf over into the first file.
func (t *translator) move(s pgconf.Setting) {
	name, value := s.Name, s.Value
	switch {
	case name == "standby_mode":
		if isTrue(value) {
			t.signal = "standby.signal"
		}
		t.remark(s, Info, "the file "+t.signal+" stands for it", "from 12 on there is no such parameter")
		return
	case value == "":
		return // means the default, as no line does
	}
	if _, ok := Lookup(t.To, name); !ok {
		fate, ok := FateOf(name, t.To)
		if !ok || fate.Convert == Drop {
			t.remark(s, Warning, "not taken over", fate.Reason)
			return
		}
		converted, problem := convertValue(t.Translation, fate, value)
		if problem != "" {
			t.remark(s, Error, "not taken over; set "+fate.To, problem)
			return
		}
		name, value = fate.To, converted
	}
	if convert := conversions[name]; convert != nil {
		if to := convert(t.Translation, value); !to.left {
			value = to.value
		}
	}
	if err := Validate(t.To, name, value); err != nil {
		t.remark(s, Error, "not taken over; set "+name, err.Error())
		return
	}
	if err := t.files[0].Set(name, value); err != nil {
		t.remark(s, Error, "not taken over; set "+name, err.Error())
		return
	}
	t.remark(s, Info, "now "+name+" in "+t.files[0].Name(), "from 12 on it is a parameter like others")
}

// pinTimeline speaks of recovery_target_timeline, which was the timeline of the data unless set, and is the newest one.
func (t *translator) pinTimeline(settings []pgconf.Setting) {
	const name = "recovery_target_timeline"
	isSet := func(s pgconf.Setting) bool { return s.Name == name && s.Value != "" }
	if slices.ContainsFunc(settings, isSet) {
		return
	}
	if t.Pin {
		t.pin(name, "current", Info, "the default became latest in 12")
		return
	}
	t.remark(pgconf.Setting{Name: name, Spelling: name}, Warning, "not set: recovery now follows the newest timeline; set it to current if it must not",
		"the default became latest in 12, which is what a standby needs after a failover")
}

// recoverySetting translates a line of recovery.conf that stays there.
func (t *translator) recoverySetting(s pgconf.Setting) {
	const pause, action = "pause_at_recovery_target", "recovery_target_action"
	switch {
	case s.Name == pause && t.To >= pgconf.V9_5:
		t.renameAction(s, action)
	case s.Name == action && t.To < pgconf.V9_5:
		t.renameAction(s, pause)
	case recoveryConf[s.Name] > t.To:
		t.comment(t.RecoveryConf, s, Warning, fmt.Sprintf("it came with %s", recoveryConf[s.Name]))
	}
}

// renameAction turns pause_at_recovery_target into recovery_target_action or back.
func (t *translator) renameAction(s pgconf.Setting, name string) {
	f := t.RecoveryConf
	value, problem := pauseToAction(s.Value, t.To >= pgconf.V9_5)
	if _, both := f.Get(name); both {
		problem = name + " is set already"
	}
	if problem != "" {
		t.comment(f, s, Warning, problem)
		return
	}
	if err := errors.Join(f.Rename(s.Name, name), f.Set(name, value)); err != nil {
		t.remark(s, Error, "left as it is; set "+name+" instead", err.Error())
		return
	}
	t.remark(s, Info, "now "+name+", and its value "+value, fmt.Sprintf("PostgreSQL %s has it so", t.To))
}
