package recovery

import (
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// Names of the files by which a server knows its role, relative to the data directory.
const (
	RecoveryConf  = "recovery.conf"            // up to 11: settings and role in one
	RecoveryDone  = "recovery.done"            // up to 11: what promotion made of recovery.conf
	StandbySignal = "standby.signal"           // from 12: start as a standby; the content is ignored
	SettingsFile  = "understudy.recovery.conf" // from 12: the parameters [Apply] writes; it replaces the whole file
)

// MinMajor and MaxMajor bound the PostgreSQL majors this package knows.
const (
	MinMajor = 10
	MaxMajor = 18
)

// TargetTimeline says which timeline a standby follows; its text is the value of recovery_target_timeline.
type TargetTimeline string

// Timelines a standby can follow. The zero value means the server's default, which is the one of its data up to 11 (such a
// standby cannot follow a promotion) and "latest" from 12.
const (
	TimelineDefault TargetTimeline = ""
	TimelineLatest  TargetTimeline = "latest"
)

// Config describes a standby. It holds no role for a primary: a primary is a server without such settings.
type Config struct {
	// PrimaryConninfo is how the WAL receiver reaches the upstream: host, port, user, application_name and passfile (better
	// than password: the settings stay free of secrets). A dbname has no effect for physical replication. Keep to keywords
	// that the libpq of the server's major knows: with any other its WAL receiver fails. Empty means no streaming; then
	// RestoreCommand is required.
	PrimaryConninfo conninfo.Info

	// PrimarySlotName is the physical replication slot to use on the upstream. It must exist there. Empty means none. It
	// needs PrimaryConninfo.
	PrimarySlotName string

	// RestoreCommand fetches one file from the archive: %f is its name, %p where to put it, %r the oldest file still needed,
	// %% a percent sign. It runs through /bin/sh in the data directory. Empty means streaming only.
	RestoreCommand string

	// ArchiveCleanupCommand runs at every restartpoint with %r, the oldest segment still needed. Empty means none. With
	// more than one consumer of an archive, leave it empty: it knows only about this standby.
	ArchiveCleanupCommand string

	// TargetTimeline is the timeline to follow. Set [TimelineLatest] wherever a standby shall survive a failover of its
	// upstream.
	TargetTimeline TargetTimeline
}

const timelineParameter = "recovery_target_timeline"

// parameter is a field of Config and the server's name for it. placeholders are the letters that may follow a % in a
// command; empty means that the value is no command.
type parameter struct{ field, name, value, placeholders string }

// parameters returns all that a Config speaks of, sorted by the server's names. They are parameters from 12 on and lines of
// recovery.conf up to 11.
func (c Config) parameters() []parameter {
	return []parameter{
		{"ArchiveCleanupCommand", "archive_cleanup_command", c.ArchiveCleanupCommand, "r"},
		{"PrimaryConninfo", "primary_conninfo", c.PrimaryConninfo.Text(), ""},
		{"PrimarySlotName", "primary_slot_name", c.PrimarySlotName, ""},
		{"TargetTimeline", timelineParameter, string(c.TargetTimeline), ""},
		{"RestoreCommand", "restore_command", c.RestoreCommand, "fpr"},
	}
}

// Validate reports what a server of the given major would refuse or ignore. The error begins with the field's name, or is a
// [*MajorError]. It does not hold the value of a field that may have secrets in it.
func (c Config) Validate(major int) error {
	if major < MinMajor || major > MaxMajor {
		return &MajorError{Major: major}
	}
	streams := c.PrimaryConninfo.Text() != ""
	switch {
	case !streams && c.RestoreCommand == "":
		return errors.New("PrimaryConninfo and RestoreCommand are both empty: the standby would have no source of WAL; set one")
	case !streams && c.PrimarySlotName != "":
		return errors.New("PrimarySlotName is set but PrimaryConninfo is not: a slot is for streaming; set both or neither")
	case c.TargetTimeline != TimelineDefault && c.TargetTimeline != TimelineLatest:
		return fmt.Errorf("TargetTimeline %q: use %q or leave it empty", string(c.TargetTimeline), string(TimelineLatest))
	case !validSlotName(c.PrimarySlotName):
		return fmt.Errorf("PrimarySlotName %q: only a-z, 0-9 and _, at most 63 characters", c.PrimarySlotName)
	}
	for _, p := range c.parameters() {
		if strings.IndexByte(p.value, 0) >= 0 {
			return fmt.Errorf("%s holds a NUL byte, which would end the value there: remove it", p.field)
		}
		if bad := badPlaceholder(p.value, p.placeholders); bad != "" && p.placeholders != "" && major >= 16 {
			return fmt.Errorf("%s: %q is no placeholder, and PostgreSQL 16 and later stop at it: write %%%% for a percent sign", p.field, bad)
		}
	}
	return nil
}

// validSlotName follows ReplicationSlotValidateName in src/backend/replication/slot.c; empty stands for "no slot".
func validSlotName(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// badPlaceholder returns the first placeholder of a shell command that is not among the letters, or nothing. From 16 on the
// server ends with an error there (replace_percent_placeholders in src/common/percentrepl.c), before it passed it on.
func badPlaceholder(command, letters string) string {
	for i := 0; i < len(command); i++ {
		if command[i] != '%' {
			continue
		}
		i++
		if i == len(command) {
			return "%"
		}
		if command[i] != '%' && strings.IndexByte(letters, command[i]) < 0 {
			return command[i-1 : i+1]
		}
	}
	return ""
}

// File is one file of a rendered configuration.
type File struct {
	Name string // relative to the data directory
	Data []byte // may hold secrets, if PrimaryConninfo does
}

// Render returns the files that make a server of the given major a standby, in the order in which they must be written:
// the file that carries the role comes first. Up to 11 that is [RecoveryConf], with what is set. From 12 on it is
// [StandbySignal], then [SettingsFile], which sets every parameter that Config speaks of, so that none is inherited from a
// line of postgresql.conf; that file must include it. [Apply] sees to all of this.
func (c Config) Render(major int) ([]File, error) {
	if err := c.Validate(major); err != nil {
		return nil, err
	}
	if major <= 11 {
		f := pgconf.New(RecoveryConf)
		if err := c.editRecoveryConf(f); err != nil {
			return nil, err
		}
		return []File{{RecoveryConf, f.Bytes()}}, nil
	}
	settings, err := c.settingsFile()
	if err != nil {
		return nil, err
	}
	return []File{{Name: StandbySignal}, {SettingsFile, settings}}, nil
}

// editRecoveryConf makes recovery.conf say what c says. Parameters that c leaves empty are commented out: to an empty
// primary_slot_name up to 11 the server objects.
func (c Config) editRecoveryConf(f *pgconf.File) error {
	for _, p := range append(c.parameters(), parameter{name: "standby_mode", value: "on"}) {
		edit := func() error { return f.Set(p.name, p.value) }
		if p.value == "" {
			edit = func() error { return f.Unset(p.name) }
		}
		if err := edit(); err != nil {
			return fmt.Errorf("edit %s: %w", RecoveryConf, err)
		}
	}
	return nil
}

const settingsHeader = "# Written by understudy, which replaces the whole file: put other settings into postgresql.conf.\n"

// settingsFile returns the content of SettingsFile.
func (c Config) settingsFile() ([]byte, error) {
	f, err := pgconf.Parse(SettingsFile, []byte(settingsHeader))
	if err != nil {
		return nil, err
	}
	for _, p := range c.parameters() {
		if p.name == timelineParameter && p.value == "" {
			p.value = string(TimelineLatest) // the default; unlike the others, this one cannot be reset by an empty value
		}
		if err := f.Set(p.name, p.value); err != nil {
			return nil, fmt.Errorf("render %s: %w", SettingsFile, err)
		}
	}
	return f.Bytes(), nil
}
