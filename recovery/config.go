package recovery

import (
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// Names of the files by which a server knows its role, relative to the data directory.
const (
	RecoveryConf   = "recovery.conf"            // up to 11: settings and role in one; from 12 a server does not start beside it
	RecoveryDone   = "recovery.done"            // up to 11: what promotion made of recovery.conf
	StandbySignal  = "standby.signal"           // from 12: start as a standby; the content is ignored
	RecoverySignal = "recovery.signal"          // from 12: start targeted recovery; the content is ignored
	SettingsFile   = "understudy.recovery.conf" // from 12: the parameters [Apply] writes; it replaces the whole file
)

// Role is what a server with recovery settings is.
type Role uint8

// The roles.
const (
	// Standby follows its upstream and its archive until somebody promotes it, or, if it has a target, until it gets there.
	Standby Role = iota
	// Targeted reads WAL from its archive, up to the target or the end of the archive. It never streams. At the end of the archive
	// it becomes a primary, at the target it does what Config.Action says.
	Targeted
)

// String returns "standby" or "targeted recovery".
func (r Role) String() string {
	if r == Targeted {
		return "targeted recovery"
	}
	return "standby"
}

// TargetTimeline says which timeline recovery follows: one of the constants, or what [TimelineNumber] returns.
type TargetTimeline string

// Timelines to follow. The zero value means the server's default, which is TimelineCurrent up to 11 and TimelineLatest from 12.
const (
	TimelineDefault TargetTimeline = ""
	// TimelineLatest is the newest one that the archive or the upstream has a history of: a standby follows a promotion of its
	// upstream.
	TimelineLatest TargetTimeline = "latest"
	// TimelineCurrent is the one that the data is on: a standby cannot follow a promotion. Up to 11 there is no word for it; it is
	// what a server does if recovery.conf says nothing.
	TimelineCurrent TargetTimeline = "current"
)

// TargetAction says what a server does at its recovery target.
type TargetAction string

// Actions. The zero value means the server's default, which is to pause, and to promote in 9.0.
const (
	ActionDefault TargetAction = ""
	// ActionPause stops replay and lets people look; pg_wal_replay_resume() (before 10 pg_xlog_replay_resume()) then promotes. It
	// needs hot_standby = on: otherwise the server shuts down (9.5+) or promotes (9.1 to 9.4).
	ActionPause TargetAction = "pause"
	// ActionPromote makes it a primary on a new timeline.
	ActionPromote TargetAction = "promote"
	// ActionShutdown (9.5+) stops the server. Its role stays, so at the next start it goes on from there, and stops again.
	ActionShutdown TargetAction = "shutdown"
)

// Config describes a server that recovers: a standby, or a recovery to a target. The zero value is not valid, as it has no source
// of WAL. There is no role for a primary: a primary is a server without such settings.
//
// One Config serves all majors from 9.0 to 18; [Config.Validate] says what one of them cannot do. [Config.WithDefaults]
// makes two of them comparable.
type Config struct {
	// Role is Standby unless it is set.
	Role Role

	// PrimaryConninfo is how the WAL receiver reaches the upstream: host, port, user, application_name and passfile (better
	// than password: the settings stay free of secrets). A dbname has no effect for physical replication, but for the
	// synchronization of slots (17+). Keywords that the libpq of the server's major does not know make its WAL receiver fail, so
	// they are not valid: conninfo.Info.For leaves them out. Empty means no streaming; then RestoreCommand is required. Only a
	// standby streams.
	PrimaryConninfo conninfo.Info

	// PrimarySlotName (9.4+) is the physical replication slot to use on the upstream. It must exist there. Empty means none. It
	// needs PrimaryConninfo.
	PrimarySlotName string

	// RestoreCommand fetches one file from the archive: %f is its name, %p where to put it, %r the oldest file still needed,
	// %% a percent sign. It runs through the shell in the data directory. Empty means streaming only.
	RestoreCommand string

	// ArchiveCleanupCommand runs at every restartpoint with %r, the oldest segment still needed. Empty means none. With
	// more than one consumer of an archive, leave it empty: it knows only about this standby.
	ArchiveCleanupCommand string

	// RecoveryEndCommand runs once, with %r, when recovery ends and before the first write. Empty means none.
	RecoveryEndCommand string

	// TriggerFile is a file whose appearance promotes a standby, up to 15 (trigger_file, promote_trigger_file). It is absolute
	// or relative to the data directory. Whoever can make it promotes the server, so its folder must not be one that others can
	// write to, such as /tmp; and the server must be able to remove it. Empty means none.
	TriggerFile string

	// MinApplyDelay (9.4+) is how long after its commit a transaction is replayed, in whole milliseconds, at most some 24 days.
	// Zero means at once.
	MinApplyDelay time.Duration

	// Target is where recovery ends. Nil means the end of WAL: targeted recovery ends there, a standby goes on.
	Target Target

	// Action is what happens at the Target. Without one it is not valid, as it would have no effect.
	Action TargetAction

	// TargetTimeline is the timeline to follow. Set [TimelineLatest] wherever a standby shall survive a failover of its
	// upstream.
	TargetTimeline TargetTimeline
}

// WithDefaults returns c with the defaults of a major written out: what [Read] returns for c once [Apply] has written it.
func (c Config) WithDefaults(major pgconf.Major) Config {
	if c.TargetTimeline == TimelineDefault {
		c.TargetTimeline = TimelineLatest
		if major < 12 {
			c.TargetTimeline = TimelineCurrent
		}
	}
	if c.Target != nil && c.Action == ActionDefault {
		c.Action = ActionPause
		if major < pgconf.V9_1 {
			c.Action = ActionPromote
		}
	}
	if t, ok := c.Target.(TargetTime); ok {
		c.Target = t.normal()
	}
	return c
}
