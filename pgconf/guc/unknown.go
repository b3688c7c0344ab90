package guc

import (
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// unknown returns the error for a name that a major does not have.
func unknown(m pgconf.Major, name string) *UnknownError {
	e := &UnknownError{Name: name, Major: m}
	if h, ok := HistoryOf(name); ok && h.First > m {
		e.Since = h.First
	} else if ok {
		e.Until = h.Last
	}
	if fate, ok := FateOf(name, m); ok {
		e.Fate = &fate
	}
	since, ok := recoveryConf[ascii.Lower(name)]
	e.RecoveryConf = ok && since <= m && m < 12 && (m < pgconf.V9_5 || ascii.Lower(name) != "pause_at_recovery_target")
	if e.Since == 0 && e.Until == 0 && e.Fate == nil && !e.RecoveryConf {
		e.Similar = similar(m, ascii.Lower(name))
	}
	return e
}

// recoveryConf are the parameters of recovery.conf, until 11, and the first major that has them.
var recoveryConf = map[string]pgconf.Major{
	"restore_command": pgconf.V9_0, "archive_cleanup_command": pgconf.V9_0, "recovery_end_command": pgconf.V9_0,
	"recovery_target_time": pgconf.V9_0, "recovery_target_xid": pgconf.V9_0, "recovery_target_inclusive": pgconf.V9_0,
	"recovery_target_timeline": pgconf.V9_0, "primary_conninfo": pgconf.V9_0, "standby_mode": pgconf.V9_0,
	"trigger_file": pgconf.V9_0, "recovery_target_name": pgconf.V9_1, "pause_at_recovery_target": pgconf.V9_1,
	"recovery_target": pgconf.V9_4, "primary_slot_name": pgconf.V9_4, "recovery_min_apply_delay": pgconf.V9_4,
	"recovery_target_action": pgconf.V9_5, "recovery_target_lsn": 10,
}

// similar returns the parameter whose name takes the fewest edits to become name, if they are few for its length.
func similar(m pgconf.Major, name string) string {
	if len(name) > maxName {
		return ""
	}
	limit, found := min(3, 1+len(name)/4), ""
	for _, candidate := range catalogue().names {
		d := distance(name, candidate, limit)
		if d > limit || d == limit && found != "" {
			continue
		}
		if e := catalogue().find(candidate, m); e != nil {
			limit, found = d, e.param.Name
		}
	}
	return found
}

// maxName is the length of the longest name that is compared with those of the catalogue.
const maxName = 63

// distance counts the insertions, deletions, replacements and swaps of neighbours that make b of a. More than limit is
// limit+1, and takes less time.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var older, old, row [maxName + 1]int
	for j := range len(b) + 1 {
		old[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(old[j]+cost, old[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
			least = min(least, row[j+1])
		}
		if least > limit {
			return limit + 1
		}
		older, old = old, row
	}
	return old[len(b)]
}
