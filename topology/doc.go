// Package topology says what a PostgreSQL cluster should look like and what it does look like.
//
// [Cluster] is the desired shape: nodes, and who streams from whom. It is a value, checked by [Cluster.Validate], and it
// answers what each node's machine must say: [Cluster.Render] has the settings of postgresql.conf, the rules of pg_hba.conf, how a
// standby follows, its slots and passwords.
//
//	c := topology.Cluster{
//		Name: "orders",
//		Nodes: []topology.Node{
//			{ID: "master", Host: "10.0.0.1"},
//			{ID: "cascade", Host: "10.0.0.2", Upstream: "master", Sync: true},
//			{ID: "downstream", Host: "10.0.0.3", Upstream: "cascade", Sync: true},
//		},
//	}
//
// [Status] is what was observed, one [Observation] a node, each with its time. [Derive] puts observations together to a
// [Tree]: roles are computed from what the servers say about themselves and each other, never from names. A node that did
// not answer is [RoleUnknown], which is not the same as down.
//
// [NewPlan] compares the two, and what machines' files say, and returns the steps between them.
//
// [Assess] says what is wrong: who is the primary, and typed problems with severity, evidence and remedy. [CheckCompat] says whether
// a server can follow a primary at all.
//
// The package is pure: it reads no clock, opens no connection and writes no file. Observing is done by topology/pgprobe,
// running commands and writing files by topology/host and topology/pgnode, carrying a plan out by topology/build. Descriptions as
// files are read by topology/clusterfile.
//
// # What a tree can be wrong about
//
// The answers of the nodes come within a second or so of each other, not at one moment. While a standby changes its upstream, a
// tree may show it detached, or still where it was; the next one is right. A row that an upstream keeps of a connection that
// has broken does not count against the standby's own word. Two nodes that both accept writes are both shown as primaries:
// which of them is the right one is not to be seen from a tree. [Report.Likely] is a doubt with reasons, not an answer.
//
// A standby's position is what it knows it has. One that has just started replays what lies in its pg_wal before it asks its
// upstream for more, so for a while it may have more than it says.
//
// # What Assess reports
//
// Every [Problem] has a [Code] that is stable, for tools and alarms; the constants say what each means and what to do. By theme:
//
//   - who accepts writes: [NoPrimary], [PrimaryUnknown], [SeveralPrimaries], [WrongPrimary], [ReadOnlyPrimary]
//   - what a node is: [Silent], [NotMonitor], [OtherSystem], [Restarted], [ClockSkew], [OldCheckpoint]
//   - who follows whom: [Detached], [Unconfirmed], [QuietLink], [Loop], [WrongUpstream], [WrongSlot], [MissingSlot], [WrongName],
//     [SharedName], [Stranger], [SendersExhausted], [SendersFew]
//   - which history it has: [TimelineBehind], [Diverged], [TimelineAhead], [TargetTimeline]
//   - how far it is: [LagBytes], [LagTime], [DelayExceeded], [DelayNotKept], [ReplayPaused]
//   - whom commits wait for: [CommitsBlocked], [SyncUnmet], [SyncImpossible], [SyncWeaker], [SyncNamesDiffer], [SyncAnyone],
//     [SyncNobody], [CommitNotWaiting]
//   - where WAL goes: [ArchivingFailing], [ArchivingNever], [ArchivingOff], [ArchiveLag], [ArchiveDiffers], [ArchiveNotShared]
//   - slots: [SlotKeepsWAL], [SlotAtRisk], [SlotLost], [SlotExtended], [SlotLeftOver]
//   - settings and versions: [PendingRestart], [RefusedLines], [SettingsDiffer], [LowerLimit], [MajorDiffers], [MinorOlder],
//     [CollationDiffers], [BlockSizeDiffers], [ChecksumsDiffer], [WALLevel], [NoRewind], [HotStandbyOff], [FullPageWritesOff], [FsyncOff]
//
// What follows from another problem is not reported beside it:
//
//   - an upstream that is silent, of another system, has no WAL sender left or has lost the slot explains that its standbys are detached;
//     one that is silent also explains that they follow somebody else;
//   - several primaries explain timelines and upstreams of those who follow the other one, left-over slots and unmet sync policies;
//   - another system explains everything else about the node;
//   - a diverged or other timeline explains that a node is detached or unconfirmed, a missing slot that it is detached;
//   - another name explains that a node is unconfirmed and that a stranger streams;
//   - each lag is measured against the upstream, so that one that is late does not make all below it late; bytes explain time, and
//     replay that is paused, or a limit below the primary's, explains both;
//   - commits that are blocked, or a number that nobody can meet, explain that fewer standbys stream than asked for;
//   - a problem with a setting of its own is not repeated among those that differ.
//
// After a change of roles, who should follow the primary should follow the new one: only [WrongPrimary] speaks of the
// description. Remedies name commands; "DATADIR" stands in them where the description has no data directory. No message holds what a
// command or connection string says.
//
// # What Assess cannot see
//
// Up to 11, recovery.conf does not show over SQL: neither recovery_target_timeline nor the delay nor restore_command. The last
// commit time of a standby says nothing after an idle time, so a delayed standby is late by what its upstream measured only. Where the
// history of the primary's timeline is not known, a standby on an older one may be behind or diverged; the message says so.
// Machines, their disks and processors are not looked at.
package topology
