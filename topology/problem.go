package topology

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Severity says how urgent a problem is.
type Severity int

// The severities. The zero value is that of no problem.
const (
	Fine     Severity = iota // nothing is wrong
	Notice                   // differs from what was asked for, and does no harm now
	Warning                  // something works that will not go on working, or not when it is needed
	Critical                 // redundancy, durability or service is lost now
)

var severityNames = [...]string{"fine", "notice", "warning", "critical"}

// String returns the severity's name in lower case.
func (s Severity) String() string {
	if s < Fine || s > Critical {
		return fmt.Sprintf("severity %d", int(s))
	}
	return severityNames[s]
}

// MarshalText is [Severity.String].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("severity %q: want fine, notice, warning or critical", text)
	}
	*s = Severity(i)
	return nil
}

// Code names a kind of problem; it is stable, for tools and alarms.
type Code string

// Who accepts writes.
const (
	// All nodes answer and none accepts writes. Critical. Promote the one that has come furthest.
	NoPrimary Code = "no-primary"
	// Nobody who answers accepts writes, but some do not answer. Critical. Find out what the silent ones do before any promotion.
	PrimaryUnknown Code = "primary-unknown"
	// Two or more accept writes: a split brain. Critical. Stop clients and all but one; the message says which one is likely right.
	SeveralPrimaries Code = "several-primaries"
	// Another node accepts writes than the description says. Warning. Correct the description, or switch over.
	WrongPrimary Code = "wrong-primary"
	// The primary has default_transaction_read_only. Critical: clients cannot write.
	ReadOnlyPrimary Code = "read-only-primary"
)

// What a node is.
const (
	// It did not answer. Critical, but a warning if another node says that it works.
	Silent Code = "silent"
	// It answers, but the role that asks may not see replication. Warning. GRANT pg_monitor.
	NotMonitor Code = "not-monitor"
	// Its data belongs to another cluster. Critical. It is not this node: a wrong address, or a wrong clone.
	OtherSystem Code = "other-system"
	// It was started a moment ago. Notice. Look why, if nobody did it.
	Restarted Code = "restarted"
	// Its clock and the observer's differ. Warning: times in other messages are off by as much.
	ClockSkew Code = "clock-skew"
	// A primary that writes has made no checkpoint for long. Warning. A crash would need as long to recover.
	OldCheckpoint Code = "old-checkpoint"
)

// Who follows whom.
const (
	// A standby has no WAL receiver. Critical. Its log says why.
	Detached Code = "detached"
	// A standby says that it streams, but the upstream that it names does not list it. Warning. Usually over in a minute.
	Unconfirmed Code = "unconfirmed"
	// The receiver has heard nothing of its upstream for long. Warning. The network, or an upstream that hangs.
	QuietLink Code = "quiet-link"
	// Standbys follow each other. Critical: none of them gets anything. Reparent one.
	Loop Code = "loop"
	// It follows another node than the description says. Warning. Reparent it, or correct the description.
	WrongUpstream Code = "wrong-upstream"
	// It streams through another slot than its own, or through none. Warning.
	WrongSlot Code = "wrong-slot"
	// Its upstream has no slot for it, and it does not stream. Critical. Create the slot.
	MissingSlot Code = "missing-slot"
	// It streams under another application_name than its id. Warning: synchronous replication does not count it.
	WrongName Code = "wrong-name"
	// Two servers stream under one application_name. Critical: one can acknowledge commits for the other.
	SharedName Code = "shared-name"
	// A server that is no node of the cluster streams from here. Warning. Somebody has all data.
	Stranger Code = "stranger"
	// All WAL senders are in use. Critical if a standby is kept out, else a warning.
	SendersExhausted Code = "senders-exhausted"
	// max_wal_senders would not do for all other nodes. Warning: the day this node is the primary.
	SendersFew Code = "senders-few"
)

// Which history the data belongs to.
const (
	// A standby is still on an older timeline than the primary, and can follow. Warning.
	TimelineBehind Code = "timeline-behind"
	// It has WAL that the primary does not have and never will. Critical. Rewind or clone it; what it has is lost then.
	Diverged Code = "diverged"
	// It is on a newer timeline than the primary: somebody promoted something. Critical.
	TimelineAhead Code = "timeline-ahead"
	// recovery_target_timeline is not latest. Warning: it would not follow a promotion.
	TargetTimeline Code = "target-timeline"
)

// How far it is.
const (
	// A standby has more to replay than Limits.LagBytes. Warning.
	LagBytes Code = "lag-bytes"
	// What a standby shows is older than Limits.LagSeconds, and there is something to replay. Warning.
	LagTime Code = "lag-time"
	// A delayed standby is further behind than its Delay. Warning.
	DelayExceeded Code = "delay-exceeded"
	// A delayed standby replays sooner than its Delay. Warning: it would not save anybody.
	DelayNotKept Code = "delay-not-kept"
	// Replay is paused. Warning. pg_wal_replay_resume().
	ReplayPaused Code = "replay-paused"
)

// Whom commits wait for.
const (
	// Commits have been waiting for a synchronous standby for long. Critical.
	CommitsBlocked Code = "commits-blocked"
	// Fewer standbys stream than commits wait for. Critical: the next commit blocks.
	SyncUnmet Code = "sync-unmet"
	// More standbys are asked for than are listed. Critical: no commit can ever return.
	SyncImpossible Code = "sync-impossible"
	// Commits wait for fewer standbys than the policy promises for those that are there. Critical: durability.
	SyncWeaker Code = "sync-weaker"
	// The names in effect are not those of the policy. Warning.
	SyncNamesDiffer Code = "sync-names-differ"
	// The names have *: any program that streams counts. Warning.
	SyncAnyone Code = "sync-anyone"
	// A name in the list is that of no node. Warning.
	SyncNobody Code = "sync-nobody"
	// synchronous_commit does not wait although the policy wants it. Critical: durability.
	CommitNotWaiting Code = "commit-not-waiting"
)

// Where WAL goes.
const (
	// The last attempt to archive failed. Warning, critical after Limits.ArchiveDelay: pg_wal grows until the disk is full.
	ArchivingFailing Code = "archiving-failing"
	// No attempt to archive has ever succeeded. Critical.
	ArchivingNever Code = "archiving-never"
	// archive_mode is off although there is an archive. Critical on the primary, else a warning.
	ArchivingOff Code = "archiving-off"
	// The archive is further behind than Limits.ArchiveLag. Warning.
	ArchiveLag Code = "archive-lag"
	// archive_command differs from the primary's. Warning: after a promotion WAL goes elsewhere.
	ArchiveDiffers Code = "archive-differs"
	// restore_command of a standby looks where the primary does not archive. Warning.
	ArchiveNotShared Code = "archive-not-shared"
)

// Slots.
const (
	// An inactive slot keeps more WAL than Limits.SlotKeeps. Warning.
	SlotKeepsWAL Code = "slot-keeps-wal"
	// A slot is about to be lost. Critical.
	SlotAtRisk Code = "slot-at-risk"
	// A slot is lost: its standby must be cloned, unless the archive has what it needs. Critical.
	SlotLost Code = "slot-lost"
	// A slot keeps more than max_wal_size. Notice.
	SlotExtended Code = "slot-extended"
	// An inactive slot of a node that does not belong here. Warning, a notice while it keeps nothing.
	SlotLeftOver Code = "slot-left-over"
)

// Settings and versions.
const (
	// Settings wait for a restart. Warning.
	PendingRestart Code = "pending-restart"
	// The files have lines that a reload or restart would refuse. Warning: the next restart may fail.
	RefusedLines Code = "refused-lines"
	// Settings are not what the description says. Notice.
	SettingsDiffer Code = "settings-differ"
	// A standby has a limit below the primary's, without which it cannot replay. Critical.
	LowerLimit Code = "lower-limit"
	// Another major than the primary's. Critical: streaming needs the same.
	MajorDiffers Code = "major-differs"
	// A standby of an older minor than the primary. Warning: update standbys first.
	MinorOlder Code = "minor-older"
	// The C library sorts in another way than the primary's. Warning: indexes over text are not to be trusted there.
	CollationDiffers Code = "collation-differs"
	// Block or segment sizes differ from the primary's. Critical: it is no copy.
	BlockSizeDiffers Code = "block-size-differs"
	// One has checksums and the other has none. Warning: it was not cloned, or they were changed on one.
	ChecksumsDiffer Code = "checksums-differ"
	// wal_level is below replica. Critical on the primary, else a warning.
	WALLevel Code = "wal-level"
	// Neither wal_log_hints nor checksums: pg_rewind cannot take the node back. Warning.
	NoRewind Code = "no-rewind"
	// hot_standby is off. Warning: as a standby the node answers nobody.
	HotStandbyOff Code = "hot-standby-off"
	// full_page_writes is off. Warning: a crash can tear pages.
	FullPageWritesOff Code = "full-page-writes-off"
	// fsync is off. Critical: a crash of the machine destroys the data.
	FsyncOff Code = "fsync-off"
)

// defaultSeverity is that of a kind of problem where nothing makes it better or worse.
func defaultSeverity(code Code) Severity {
	switch code {
	case NoPrimary, PrimaryUnknown, SeveralPrimaries, ReadOnlyPrimary, Silent, OtherSystem, Detached, Loop,
		MissingSlot, SharedName, SendersExhausted, Diverged, TimelineAhead, CommitsBlocked, SyncUnmet,
		SyncImpossible, SyncWeaker, CommitNotWaiting, ArchivingNever, ArchivingOff, SlotAtRisk, SlotLost,
		LowerLimit, MajorDiffers, BlockSizeDiffers, WALLevel, FsyncOff:
		return Critical
	case Restarted, SlotExtended, SettingsDiffer:
		return Notice
	default:
		return Warning
	}
}

// Problem is something that is wrong with an observed cluster.
type Problem struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Node     NodeID   `json:"node,omitzero"`  // whom it is about; empty for the cluster
	Other    NodeID   `json:"other,omitzero"` // the other end of a link, if there is one
	Msg      string   `json:"msg"`            // what is so, with the evidence: figures, names, who says it
	Remedy   string   `json:"remedy"`         // what to do about it
}

// String returns the problem in one line, without its remedy.
func (p Problem) String() string {
	if p.Node == "" {
		return fmt.Sprintf("%s: %s: %s", p.Severity, p.Code, p.Msg)
	}
	return fmt.Sprintf("%s: %s: %s: %s", p.Severity, p.Code, p.Node, p.Msg)
}

// compareProblems puts the most severe first, then sorts by code and node.
func compareProblems(a, b Problem) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Node, b.Node),
		cmp.Compare(a.Other, b.Other), cmp.Compare(a.Msg, b.Msg))
}

// Limits are the bounds above which something is a problem. A zero field means its default, a negative one no bound.
type Limits struct {
	LagBytes      int64 // replay lag of a standby behind its upstream; zero means 64 MiB
	LagSeconds    int   // the same in time, and how exactly a delayed standby keeps its Delay; zero means 60
	SlotKeeps     int64 // WAL that an inactive slot keeps, in bytes; zero means 8 GiB
	SlotSafe      int64 // what is left until a slot may be lost; zero means 1 GiB
	Blocked       int   // seconds that a commit waits for a synchronous standby; zero means 10
	ArchiveDelay  int   // seconds since the last archived file while archiving fails; zero means 300
	ArchiveLag    int64 // WAL behind the last archived file; zero means 1 GiB
	Silence       int   // seconds since a receiver heard of its upstream; zero means 60
	ClockSkew     int   // seconds between a server's clock and the observer's; zero means 5
	Restarted     int   // seconds since a server started; zero means 60
	CheckpointAge int   // seconds since the checkpoint of a primary that has written since; zero means 7200
}

// exceeds says whether a value is above a bound of Limits.
func exceeds[T int | int64](value, limit, normal T) bool {
	return limit >= 0 && value > cmp.Or(limit, normal)
}

// Report is what is known and what is wrong.
type Report struct {
	Cluster string    // its name
	At      time.Time // of the status

	Tree Tree

	// Primary is the only node known to accept writes. Empty if there is none, or several.
	Primary NodeID

	// Likely is, where Primary is empty, the node that was or should be the primary, as far as the evidence goes: of several the
	// one that the others speak for, of none a silent one. It is doubt, not knowledge, and nothing to act upon without a person.
	Likely NodeID

	Problems []Problem // the most severe first, then by code and node
}

// Level is the worst severity among the problems.
func (r Report) Level() Severity {
	worst := Fine
	for _, p := range r.Problems {
		worst = max(worst, p.Severity)
	}
	return worst
}

// Of returns the problems of one node; those of the cluster for the empty name.
func (r Report) Of(id NodeID) []Problem {
	var all []Problem
	for _, p := range r.Problems {
		if p.Node == id {
			all = append(all, p)
		}
	}
	return all
}
