package topology

import (
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Observation is what one node said about itself at one moment. The zero values of LSNs and times mean "not known".
type Observation struct {
	Node NodeID
	At   time.Time // when the answer was complete, or the attempt given up

	// Err is why the node could not be observed; then nothing below counts. It says nothing about whether the server runs.
	Err error

	Version    int          // server_version_num, for example 150018
	SystemID   wal.SystemID // of the cluster the data belongs to
	InRecovery bool         // pg_is_in_recovery(): a standby, or a server still replaying
	ReadOnly   bool         // default_transaction_read_only or in recovery: would refuse a write
	Timeline   wal.Timeline

	// Position is the end of the WAL the node has: written for a primary (pg_current_wal_lsn), received and flushed for a
	// standby (pg_last_wal_receive_lsn, or replayed where that is further or nothing was streamed).
	Position wal.LSN

	Replayed   wal.LSN   // standby: pg_last_wal_replay_lsn
	ReplayedAt time.Time // standby: commit time of the last replayed transaction; zero before the first

	// Replaying is what replay does: "not paused", "pause requested", "paused" (pg_get_wal_replay_pause_state, 14+; "not paused" or
	// "paused" before). Empty on a primary.
	Replaying string

	// ReplayDelay is how long ago, by the server's clock, the last transaction was committed that it has replayed; zero when it
	// has replayed everything that it received. On a standby of an idle primary it means nothing unless the node has more to replay.
	ReplayDelay time.Duration

	StartedAt  time.Time // pg_postmaster_start_time
	LoadedAt   time.Time // pg_conf_load_time: the last reload that was accepted
	ServerTime time.Time // the server's clock when it answered; At is the observer's

	Senders   []Sender  // pg_stat_replication, one for each connected standby
	Receiver  *Receiver // pg_stat_wal_receiver; nil when the node is not streaming
	SyncNames string    // synchronous_standby_names in effect
	Slots     []Slot    // pg_replication_slots

	Archiver *Archiver // pg_stat_archiver; nil means not asked
	Blocked  Blocked   // commits that wait for a synchronous standby
	Control  ControlFacts

	// Parameters are the settings in effect that the package knows the meaning of (see [WatchedParameters]), by name.
	Parameters map[string]Parameter

	// Refused are lines of the configuration files that a reload or restart would refuse (pg_file_settings and pg_hba_file_rules
	// with an error). Only superusers and those with EXECUTE on the functions behind these views see them; RefusedKnown says whether
	// the role does.
	Refused      []RefusedLine
	RefusedKnown bool

	// Collation is the version of the C library's collations that the server runs with (13+, pg_collation_actual_version of
	// "en_US" or the like; empty if there is none): indexes over text are only good where it is the same.
	Collation string

	// History is that of the node's timeline, if the observer could get it; empty on timeline 1, or when not known.
	History wal.History
}

// Sender is one row of pg_stat_replication on an upstream: what it knows of a standby below it.
type Sender struct {
	Name      string // application_name
	Address   string // client_addr; empty for a Unix socket
	State     string // startup, catchup, streaming, backup, stopping
	SyncState string // async, potential, sync, quorum
	Priority  int    // sync_priority; 0 for async
	Slot      string // that it streams through; empty for none
	Sent      wal.LSN
	Written   wal.LSN
	Flushed   wal.LSN
	Replayed  wal.LSN

	// WriteLag, FlushLag and ReplayLag are the times that the upstream measured last; zero also when it has nothing recent to
	// measure by.
	WriteLag, FlushLag, ReplayLag time.Duration

	Since     time.Time // backend_start
	RepliedAt time.Time // reply_time, by the standby's clock (12+)
}

// Receiver is the row of pg_stat_wal_receiver on a standby.
type Receiver struct {
	Status    string // streaming and others
	Host      string // of the upstream, as in its connection
	Port      int
	Slot      string       // slot_name
	Timeline  wal.Timeline // received_tli
	HeardAt   time.Time    // last_msg_receipt_time, by the standby's clock
	LatestEnd wal.LSN      // latest_end_lsn: where the upstream said last that its WAL ends
}

// Slot is a row of pg_replication_slots.
type Slot struct {
	Name      string
	Logical   bool
	Temporary bool
	Active    bool
	Restart   wal.LSN // restart_lsn: WAL is kept from here; zero reserves nothing
	Keeps     int64   // bytes of WAL that it keeps, from Restart to the node's position; -1 when not known

	// Status is wal_status (13+): reserved, extended, unreserved or lost. Safe is safe_wal_size, what may still be written until the
	// slot may be lost; -1 means no bound, or not known.
	Status string
	Safe   int64

	Invalid       string    // invalidation_reason (17+)
	InactiveSince time.Time // 17+
}

// Archiver is what a server says of its archiving: pg_stat_archiver and the settings.
type Archiver struct {
	Mode         string // archive_mode
	Archived     int64
	Failed       int64
	LastArchived string // name of the file
	ArchivedAt   time.Time
	LastFailed   string
	FailedAt     time.Time
}

// Failing reports whether the last attempt failed.
func (a Archiver) Failing() bool { return a.FailedAt.After(a.ArchivedAt) }

// Blocked are commits that wait for a synchronous standby (wait_event SyncRep).
type Blocked struct {
	Commits int
	Longest time.Duration // since the oldest of them began to wait; its state_change
}

// ControlFacts is what the server's SQL functions say of pg_control (pg_control_system, _checkpoint, _recovery, _init).
type ControlFacts struct {
	Version            int // pg_control_version
	Catalog            int // catalog_version_no
	Checkpoint         wal.LSN
	Redo               wal.LSN
	CheckpointTimeline wal.Timeline
	CheckpointAt       time.Time
	MinRecovery        wal.LSN
	MinRecoveryTL      wal.Timeline
	SegmentSize        int // bytes per WAL segment
	BlockSize          int // of tables
	WALBlockSize       int
	Checksums          bool
}

// Parameter is a row of pg_settings.
type Parameter struct {
	Value   string // as SHOW has it, with its unit
	Source  string // default, configuration file, command line …
	File    string // of a configuration file; only superusers and pg_read_all_settings see it
	Line    int
	Pending bool // pending_restart: the file says otherwise, and only a restart takes it up
}

// RefusedLine is a line of a configuration file that the server refuses.
type RefusedLine struct {
	File string
	Line int
	Name string // parameter; empty for pg_hba.conf
	Msg  string // the server's word; it may quote the line
}

// Status is one observation of every node that was asked.
type Status struct {
	At    time.Time // when the last answer was in
	Nodes []Observation
}

// Node returns the observation of a node: the latest if there are several.
func (s Status) Node(id NodeID) (Observation, bool) {
	var latest Observation
	found := false
	for _, o := range s.Nodes {
		if o.Node == id && (!found || o.At.After(latest.At)) {
			latest, found = o, true
		}
	}
	return latest, found
}
