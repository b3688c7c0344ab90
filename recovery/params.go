package recovery

import (
	"fmt"
	"strconv"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// Names of parameters that need a rule of their own.
const (
	standbyMode       = "standby_mode"
	triggerFile       = "trigger_file"
	promoteTrigger    = "promote_trigger_file"
	applyDelay        = "recovery_min_apply_delay"
	pauseAtTarget     = "pause_at_recovery_target"
	targetAction      = "recovery_target_action"
	targetInclusive   = "recovery_target_inclusive"
	timelineParameter = "recovery_target_timeline"
)

// parameter is a field of Config under the server's name for it. An empty value stands for a line that is not there.
type parameter struct {
	field, name, value string
	// ifSet: an empty value must not be written, since the server takes it for something else than no line at all.
	ifSet bool
}

// parameters returns all that a Config speaks of, sorted by the names they have in a major: lines of recovery.conf up to 11,
// parameters from 12 on.
func (c Config) parameters(major pgconf.Major) []parameter {
	c = c.WithDefaults(major)
	target, at, inclusive := targetSetting(c.Target)
	value := func(name string) string {
		if name == target {
			return at
		}
		return ""
	}
	all := []struct {
		since, until pgconf.Major
		parameter
	}{
		{pgconf.V9_0, 18, parameter{"ArchiveCleanupCommand", "archive_cleanup_command", c.ArchiveCleanupCommand, false}},
		{pgconf.V9_1, pgconf.V9_4, parameter{"Action", pauseAtTarget, map[TargetAction]string{ActionPause: "on", ActionPromote: "off"}[c.Action], true}},
		{pgconf.V9_0, 18, parameter{"PrimaryConninfo", "primary_conninfo", c.PrimaryConninfo.Text(), false}},
		{pgconf.V9_4, 18, parameter{"PrimarySlotName", "primary_slot_name", c.PrimarySlotName, false}},
		{12, 15, parameter{"TriggerFile", promoteTrigger, c.TriggerFile, false}},
		{pgconf.V9_0, 18, parameter{"RecoveryEndCommand", "recovery_end_command", c.RecoveryEndCommand, false}},
		{pgconf.V9_4, 18, parameter{"MinApplyDelay", applyDelay, delayText(c.MinApplyDelay, major), false}},
		{pgconf.V9_4, 18, parameter{"Target", targetImmediate, value(targetImmediate), true}},
		{pgconf.V9_5, 18, parameter{"Action", targetAction, string(c.Action), true}},
		{pgconf.V9_0, 18, parameter{"Target", targetInclusive, inclusive, true}},
		{10, 18, parameter{"Target", targetLSN, value(targetLSN), true}},
		{pgconf.V9_1, 18, parameter{"Target", targetName, value(targetName), true}},
		{pgconf.V9_0, 18, parameter{"Target", targetTime, value(targetTime), true}},
		{pgconf.V9_0, 18, parameter{"TargetTimeline", timelineParameter, timelineText(c.TargetTimeline, major), true}},
		{pgconf.V9_0, 18, parameter{"Target", targetXID, value(targetXID), true}},
		{pgconf.V9_0, 18, parameter{"RestoreCommand", "restore_command", c.RestoreCommand, false}},
		{pgconf.V9_0, 11, parameter{"Role", standbyMode, map[Role]string{Standby: "on"}[c.Role], true}},
		{pgconf.V9_0, 11, parameter{"TriggerFile", triggerFile, c.TriggerFile, false}},
	}
	var known []parameter
	for _, p := range all {
		if p.since <= major && major <= p.until {
			known = append(known, p.parameter)
		}
	}
	return known
}

// isParameter reports whether a Config has a say in a parameter of a major. Names are in lower case.
func isParameter(major pgconf.Major, name string) bool {
	for _, p := range (Config{}).parameters(major) {
		if p.name == name {
			return true
		}
	}
	return false
}

// timelineText returns the value of recovery_target_timeline; up to 11 there is no word for the current timeline.
func timelineText(t TargetTimeline, major pgconf.Major) string {
	if major < 12 && t == TimelineCurrent {
		return ""
	}
	return string(t)
}

// delayText returns the value of recovery_min_apply_delay. From 12 on it is written even if it is 0.
func delayText(d time.Duration, major pgconf.Major) string {
	if d == 0 && major < 12 {
		return ""
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// effective are the values that are in force, by name. What is not set is not there.
type effective map[string]pgconf.Setting

// config turns what is in force into a Config, with defaults written out. The values are such that a server takes them. It
// also returns what of it the server ignores.
func (e effective) config(major pgconf.Major, role Role, target Target, delay time.Duration) (Config, []Finding) {
	c := Config{
		Role: role, RestoreCommand: e["restore_command"].Value, ArchiveCleanupCommand: e["archive_cleanup_command"].Value,
		RecoveryEndCommand: e["recovery_end_command"].Value, MinApplyDelay: delay, Target: target, TargetTimeline: e.timeline(major),
	}
	var ignored []Finding
	ignore := func(name, why string) {
		if s := e[name]; s.Value != "" {
			ignored = append(ignored, at(s, why))
		}
	}
	trigger := triggerFile
	if major >= 12 {
		trigger = promoteTrigger
	}
	if role == Standby {
		info, err := conninfo.Parse(e["primary_conninfo"].Value)
		if err != nil {
			ignore("primary_conninfo", "is no connection string, so nothing is streamed: put it right")
			info = conninfo.Info{}
		}
		c.PrimaryConninfo, c.PrimarySlotName, c.TriggerFile = info, e["primary_slot_name"].Value, e[trigger].Value
		if info.Text() == "" {
			c.PrimarySlotName = ""
			ignore("primary_slot_name", "has no effect without primary_conninfo")
		}
	} else {
		for _, name := range []string{"primary_conninfo", "primary_slot_name", trigger} {
			ignore(name, "has no effect in targeted recovery, which does not stream and waits for no trigger")
		}
	}
	if target != nil {
		c.Action = e.action(major)
	} else {
		ignore(targetAction, "has no effect without a recovery target")
		ignore(pauseAtTarget, "has no effect without a recovery target")
	}
	return c.WithDefaults(major), ignored
}

func (e effective) timeline(major pgconf.Major) TargetTimeline {
	s, ok := e[timelineParameter]
	switch {
	case !ok:
		return TimelineDefault
	case s.Value == string(TimelineLatest), major >= 12 && s.Value == string(TimelineCurrent):
		return TargetTimeline(s.Value)
	}
	n, _ := strtoul(s.Value)
	if uint32(n) == 0 {
		return TimelineLatest // what servers up to 11 make of any text; later ones refuse it
	}
	return TargetTimeline(fmt.Sprint(uint32(n)))
}

func (e effective) action(major pgconf.Major) TargetAction {
	if s, ok := e[pauseAtTarget]; ok && major < pgconf.V9_5 {
		if pause, _ := parseBool(s.Value); pause {
			return ActionPause
		}
		return ActionPromote
	}
	return TargetAction(lower(e[targetAction].Value))
}

// exclusive reports whether recovery ends before the target.
func (e effective) exclusive() bool {
	s, ok := e[targetInclusive]
	inclusive, _ := parseBool(s.Value)
	return ok && !inclusive
}
