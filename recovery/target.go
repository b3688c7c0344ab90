package recovery

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Target is where recovery ends: a [TargetTime], [TargetXID], [TargetLSN], [TargetName] or [TargetImmediate]. Nil is the end of WAL.
type Target interface{ isTarget() }

// TargetTime ends recovery after the last commit up to a time.
type TargetTime struct {
	// At is the time, in whole microseconds.
	At time.Time

	// Text is what to give the server in place of At, such as "2026-03-01 12:00 Europe/Berlin". What it means may depend on the
	// server's TimeZone and DateStyle. [Read] uses it for what it does not understand. Empty if At is set.
	Text string

	// Exclusive ends recovery before the first commit at that very time, not after the last.
	Exclusive bool
}

// TargetXID ends recovery after the commit or abort of a transaction. Transactions with a lower number may end later, and are then
// not in the data.
type TargetXID struct {
	XID       uint32 // at least 3; the lower 32 bits of what pg_current_xact_id() returns
	Exclusive bool   // ends recovery before it
}

// TargetLSN (10+) ends recovery after the record that begins at a position, or the first one behind it.
type TargetLSN struct {
	LSN       wal.LSN // not 0
	Exclusive bool    // ends recovery before that record
}

// TargetName (9.1+) ends recovery at a restore point that pg_create_restore_point made.
type TargetName struct {
	Name string // 1 to 63 bytes
}

// TargetImmediate (9.4+) ends recovery as soon as the data is consistent, which for a base backup is the end of the backup.
type TargetImmediate struct{}

func (TargetTime) isTarget()      {}
func (TargetXID) isTarget()       {}
func (TargetLSN) isTarget()       {}
func (TargetName) isTarget()      {}
func (TargetImmediate) isTarget() {}

// Names of the parameters.
const (
	targetImmediate = "recovery_target"
	targetLSN       = "recovery_target_lsn"
	targetName      = "recovery_target_name"
	targetTime      = "recovery_target_time"
	targetXID       = "recovery_target_xid"
)

// targetNames are the parameters that name a target. Their order is that in which servers up to 9.3 let one win.
var targetNames = []string{targetXID, targetName, targetTime, targetLSN, targetImmediate}

func isTargetName(name string) bool { return slices.Contains(targetNames, name) }

// targetSetting returns the parameter and value that stand for a target, and whether it is exclusive; the last is "" for a target of
// which there is only one form.
func targetSetting(t Target) (name, value, inclusive string) {
	word := map[bool]string{false: "on", true: "off"}
	switch t := t.(type) {
	case TargetTime:
		return targetTime, t.text(), word[t.Exclusive]
	case TargetXID:
		return targetXID, strconv.FormatUint(uint64(t.XID), 10), word[t.Exclusive]
	case TargetLSN:
		return targetLSN, t.LSN.String(), word[t.Exclusive]
	case TargetName:
		return targetName, t.Name, ""
	case TargetImmediate:
		return targetImmediate, "immediate", ""
	default:
		return "", "", ""
	}
}

// newTarget is the inverse of targetSetting: it reads a value that the server takes.
func newTarget(name, value string, exclusive bool) Target {
	switch name {
	case targetTime:
		return TargetTime{Text: value, Exclusive: exclusive}.normal()
	case targetXID:
		n, _ := strtoul(value)
		return TargetXID{uint32(n), exclusive} // the server cuts it as well
	case targetLSN:
		lsn, _ := wal.ParseLSN(value) // who calls has judged it
		return TargetLSN{lsn, exclusive}
	case targetName:
		return TargetName{value}
	default:
		return TargetImmediate{}
	}
}

const timeLayout = "2006-01-02 15:04:05.999999"

// text returns a form of the time that means the same whatever TimeZone and DateStyle are.
func (t TargetTime) text() string {
	if t.At.IsZero() {
		return t.Text
	}
	return t.At.UTC().Format(timeLayout) + "+00"
}

// timeLayouts are the forms of a time that mean the same on every server.
var timeLayouts = func() (all []string) {
	for _, sep := range []string{" ", "T"} {
		for _, zone := range []string{"Z07:00", "Z07", "Z0700", " Z07:00", " Z07", " Z0700"} {
			all = append(all, "2006-01-02"+sep+"15:04:05"+zone, "2006-01-02"+sep+"15:04"+zone)
		}
	}
	return all
}()

// normal returns t with At in place of a Text that says it without doubt, and in UTC.
func (t TargetTime) normal() TargetTime {
	if t.Text == "" {
		t.At = t.At.UTC()
		return t
	}
	text := t.Text
	for _, utc := range []string{" UTC", "UTC", " GMT", "GMT"} {
		if cut, ok := strings.CutSuffix(text, utc); ok {
			text = cut + "Z"
			break
		}
	}
	for _, layout := range timeLayouts {
		at, err := time.Parse(layout, text)
		if at = at.UTC(); err == nil && validTime(at) == "" && !strings.Contains(text, ",") {
			return TargetTime{At: at, Exclusive: t.Exclusive}
		}
	}
	return t
}

// validTime says what is wrong with a time, or nothing.
func validTime(at time.Time) string {
	switch {
	case at.Nanosecond()%1000 != 0:
		return "PostgreSQL counts in microseconds: use Truncate(time.Microsecond)"
	case at.UTC().Year() < 1 || at.UTC().Year() > 9999 || at.IsZero():
		return "its year is not one from 1 to 9999"
	default:
		return ""
	}
}

// TimelineNumber returns the target that is a timeline of that number, which is not 0.
func TimelineNumber(tli wal.Timeline) TargetTimeline {
	return TargetTimeline(strconv.FormatUint(uint64(tli), 10))
}

// Number returns the timeline that t names by its number; false for the other targets and for what is not valid.
func (t TargetTimeline) Number() (wal.Timeline, bool) {
	n, err := strconv.ParseUint(string(t), 10, 32)
	if err != nil || n == 0 || TimelineNumber(wal.Timeline(n)) != t {
		return 0, false
	}
	return wal.Timeline(n), true
}

// strtoul reads a number as C does with base 0: blanks, a sign, 0x or 0 or decimal, and as many digits as there are, if need be none.
// It is false if the number does not fit into 64 bits.
func strtoul(s string) (uint64, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	base, digits := 10, "0123456789"
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && strings.IndexByte("0123456789abcdefABCDEF", s[2]) >= 0 {
		s, base, digits = s[2:], 16, "0123456789abcdefABCDEF"
	} else if strings.HasPrefix(s, "0") {
		base, digits = 8, "01234567"
	}
	end := len(s) - len(strings.TrimLeft(s, digits))
	if end == 0 {
		return 0, true
	}
	n, err := strconv.ParseUint(s[:end], base, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}
