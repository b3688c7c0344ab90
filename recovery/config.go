package recovery

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// Names of the files by which a server knows its role, relative to the data directory.
const (
	RecoveryConf  = "recovery.conf"            // up to 11: settings and role in one
	RecoveryDone  = "recovery.done"            // up to 11: what promotion made of recovery.conf
	StandbySignal = "standby.signal"           // from 12: start as a standby; the content is ignored
	SettingsFile  = "understudy.recovery.conf" // from 12: the parameters [Apply] writes
)

// MinMajor and MaxMajor bound the PostgreSQL majors this package knows.
const (
	MinMajor = 10
	MaxMajor = 18
)

// TargetTimeline says which timeline a standby follows; its text is the value of recovery_target_timeline.
type TargetTimeline string

// Timelines a standby can follow. The zero value leaves the server's default, which is "current" up to 11 (such a standby
// cannot follow a promotion) and "latest" from 12.
const (
	TimelineDefault TargetTimeline = ""
	TimelineLatest  TargetTimeline = "latest"
)

// Config describes a standby. It holds no role for a primary: a primary is a server without such settings.
type Config struct {
	// PrimaryConninfo is how the WAL receiver reaches the upstream: host, port, user, application_name and passfile (better
	// than password: the settings stay free of secrets). A dbname has no effect for physical replication. Empty means no
	// streaming; then RestoreCommand is required.
	PrimaryConninfo conninfo.Info

	// PrimarySlotName is the physical replication slot to use on the upstream. It must exist there. Empty means none.
	PrimarySlotName string

	// RestoreCommand fetches one file from the archive: %f is its name, %p where to put it, %% a percent sign. It runs
	// through /bin/sh in the data directory. Empty means streaming only.
	RestoreCommand string

	// ArchiveCleanupCommand runs at every restartpoint with %r, the oldest segment still needed. Empty means none. With
	// more than one consumer of an archive, leave it empty: it knows only about this standby.
	ArchiveCleanupCommand string

	// TargetTimeline is the timeline to follow. Set [TimelineLatest] wherever a standby shall survive a failover of its
	// upstream.
	TargetTimeline TargetTimeline
}

// Validate reports what a server of the given major would refuse or ignore. The error names the field.
func (c Config) Validate(major int) error {
	if major < MinMajor || major > MaxMajor {
		return &MajorError{Major: major}
	}
	if c.PrimaryConninfo.Text() == "" && c.RestoreCommand == "" {
		return fmt.Errorf("PrimaryConninfo and RestoreCommand are both empty: the standby would have no source of WAL; set one")
	}
	if c.TargetTimeline != TimelineDefault && c.TargetTimeline != TimelineLatest {
		return fmt.Errorf("TargetTimeline %q: use %q or leave it empty", string(c.TargetTimeline), string(TimelineLatest))
	}
	if !validSlotName(c.PrimarySlotName) {
		return fmt.Errorf("PrimarySlotName %q: only a-z, 0-9 and _, at most 63 characters", c.PrimarySlotName)
	}
	for name, value := range c.settings() {
		if strings.IndexByte(value, 0) >= 0 {
			return fmt.Errorf("%s holds a NUL byte, which ends the value there: remove it", name)
		}
	}
	return nil
}

// validSlotName follows ReplicationSlotValidateName in src/backend/replication/slot.c; empty stands for "no slot".
func validSlotName(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// settings returns the parameters without those left at their default, by the names they have from 12 on (which are also
// their names in recovery.conf).
func (c Config) settings() map[string]string {
	all := map[string]string{
		"primary_conninfo":         c.PrimaryConninfo.Text(),
		"primary_slot_name":        c.PrimarySlotName,
		"restore_command":          c.RestoreCommand,
		"archive_cleanup_command":  c.ArchiveCleanupCommand,
		"recovery_target_timeline": string(c.TargetTimeline),
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// File is one file of a rendered configuration.
type File struct {
	Name string // relative to the data directory
	Data []byte
}

// Render returns the files that make a server of the given major a standby, in the order in which they must be written:
// the file that carries the role comes first. From 12 on postgresql.conf must also include [SettingsFile]; [Apply] sees to
// that.
func (c Config) Render(major int) ([]File, error) {
	if err := c.Validate(major); err != nil {
		return nil, err
	}
	settings := c.settings()
	if major <= 11 {
		settings["standby_mode"] = "on"
		data, err := render(RecoveryConf, settings)
		return []File{{Name: RecoveryConf, Data: data}}, err
	}
	data, err := render(SettingsFile, settings)
	return []File{{Name: StandbySignal}, {Name: SettingsFile, Data: data}}, err
}

// render writes the settings in sorted order in postgresql.conf syntax, which recovery.conf shares from 9.1 on.
func render(name string, settings map[string]string) ([]byte, error) {
	f := pgconf.New(name)
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if err := f.Set(key, settings[key]); err != nil {
			return nil, fmt.Errorf("render %s: %w", name, err)
		}
	}
	return f.Bytes(), nil
}

// MajorError refuses a PostgreSQL major that the package does not know.
type MajorError struct{ Major int }

func (e *MajorError) Error() string {
	return fmt.Sprintf("PostgreSQL %d: recovery settings are known for majors %d to %d", e.Major, MinMajor, MaxMajor)
}
