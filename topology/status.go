package topology

import (
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Observation is what one node said about itself at one moment. The zero values of LSNs and times mean "not known".
//
// A node is the first-hand witness of its own role, positions, receiver, slots and settings. What Senders say of the standbys
// below it is second-hand: what those had told it last; and of what it receives, only the node above knows that it sent it.
type Observation struct {
	Node  NodeID    `json:"node"`
	Asked time.Time `json:"asked,omitzero"` // when the first question went out, by the observer's clock; connecting is before that
	At    time.Time `json:"at"`             // when the answer was complete, or the attempt given up; what follows was so between Asked and At

	// Err is why the node could not be observed; then nothing below counts. It says nothing about whether the server runs.
	Err error `json:"-"`

	Version    int          `json:"version,omitzero"`   // server_version_num, for example 150018
	SystemID   wal.SystemID `json:"system_id,omitzero"` // of the cluster the data belongs to
	InRecovery bool         `json:"in_recovery"`        // pg_is_in_recovery(): a standby, or a server still replaying
	ReadOnly   bool         `json:"read_only"`          // default_transaction_read_only or in recovery: would refuse a write
	Timeline   wal.Timeline `json:"timeline,omitzero"`

	// Position is the end of the WAL the node has: written for a primary (pg_current_wal_lsn), received and flushed for a
	// standby (pg_last_wal_receive_lsn, or replayed where that is further or nothing was streamed).
	Position wal.LSN `json:"position,omitzero"`

	// Flushed is what the node has on disk for certain: pg_current_wal_flush_lsn of a primary, pg_last_wal_receive_lsn of a standby,
	// which is zero if nothing was streamed since it started.
	Flushed wal.LSN `json:"flushed,omitzero"`

	Replayed   wal.LSN   `json:"replayed,omitzero"`    // standby: pg_last_wal_replay_lsn
	ReplayedAt time.Time `json:"replayed_at,omitzero"` // standby: commit time of the last replayed transaction; zero before the first

	// Replaying is what replay does: "not paused", "pause requested", "paused" (pg_get_wal_replay_pause_state, 14+; "not paused" or
	// "paused" before). Empty on a primary.
	Replaying string `json:"replaying,omitzero"`

	// ReplayDelay is how long ago, by the server's clock, the last transaction was committed that it has replayed; zero when it
	// has replayed everything that was streamed to it, so that an idle primary makes no delay. A node that replays from an archive
	// cannot know whether there is more: there it grows while the primary is idle.
	ReplayDelay time.Duration `json:"replay_delay_ns,omitzero"`

	StartedAt  time.Time `json:"started_at,omitzero"`  // pg_postmaster_start_time
	LoadedAt   time.Time `json:"loaded_at,omitzero"`   // pg_conf_load_time: the last reload that was accepted
	ServerTime time.Time `json:"server_time,omitzero"` // the server's clock when it answered; At is the observer's

	Senders   []Sender  `json:"senders,omitzero"`    // pg_stat_replication, one for each connected standby
	Receiver  *Receiver `json:"receiver,omitzero"`   // pg_stat_wal_receiver; nil when the node is not streaming
	SyncNames string    `json:"sync_names,omitzero"` // synchronous_standby_names in effect
	Slots     []Slot    `json:"slots,omitzero"`      // pg_replication_slots

	Archiver *Archiver    `json:"archiver,omitzero"` // pg_stat_archiver; nil means not asked
	Blocked  Blocked      `json:"blocked,omitzero"`  // commits that wait for a synchronous standby
	Control  ControlFacts `json:"control,omitzero"`

	// Parameters are the settings in effect that the package knows the meaning of (see [WatchedParameters]), by name, as far as the
	// major has them; and, without its value, every other one that waits for a restart.
	Parameters map[string]Parameter `json:"parameters,omitzero"`

	// Refused are lines of the configuration files that a reload or restart would refuse (pg_file_settings, pg_hba_file_rules and
	// pg_ident_file_mappings with an error, as far as the major has them). A change that only waits for a restart is none. Only
	// superusers and those with EXECUTE on the functions behind these views see them; RefusedKnown says whether the role does.
	Refused      []RefusedLine `json:"refused,omitzero"`
	RefusedKnown bool          `json:"refused_known,omitzero"`

	// Collation is the version of the C library's collations that the server runs with (13+, pg_collation_actual_version of the first
	// one that has a version; empty if none has): indexes over text are only good where it is the same.
	Collation string `json:"collation,omitzero"`

	// History is that of the node's timeline, read from its pg_wal by roles that may do so: superusers, and from 11 on those with
	// EXECUTE on pg_read_binary_file(text, bigint, bigint, boolean). Zero on timeline 1, or when not known.
	History wal.History `json:"-"`
}

// Sender is one row of pg_stat_replication on an upstream: what it knows of a standby below it.
type Sender struct {
	Name      string  `json:"name"`                // application_name
	Address   string  `json:"address,omitzero"`    // client_addr; empty for a Unix socket
	State     string  `json:"state,omitzero"`      // startup, catchup, streaming, backup, stopping
	SyncState string  `json:"sync_state,omitzero"` // async, potential, sync, quorum
	Priority  int     `json:"priority,omitzero"`   // sync_priority; 0 for async
	Slot      string  `json:"slot,omitzero"`       // that it streams through; empty for none
	Sent      wal.LSN `json:"sent,omitzero"`
	Written   wal.LSN `json:"written,omitzero"`
	Flushed   wal.LSN `json:"flushed,omitzero"`
	Replayed  wal.LSN `json:"replayed,omitzero"`

	// WriteLag, FlushLag and ReplayLag are the times that the upstream measured last; zero also when it has nothing recent to
	// measure by.
	WriteLag  time.Duration `json:"write_lag_ns,omitzero"`
	FlushLag  time.Duration `json:"flush_lag_ns,omitzero"`
	ReplayLag time.Duration `json:"replay_lag_ns,omitzero"`

	Since     time.Time `json:"since,omitzero"`      // backend_start
	RepliedAt time.Time `json:"replied_at,omitzero"` // reply_time, by the standby's clock (12+)
}

// Receiver is the row of pg_stat_wal_receiver on a standby.
type Receiver struct {
	Status    string       `json:"status,omitzero"` // streaming and others
	Host      string       `json:"host,omitzero"`   // of the upstream, as in its connection
	Port      int          `json:"port,omitzero"`
	Slot      string       `json:"slot,omitzero"`       // slot_name
	Timeline  wal.Timeline `json:"timeline,omitzero"`   // received_tli
	HeardAt   time.Time    `json:"heard_at,omitzero"`   // last_msg_receipt_time, by the standby's clock
	Written   wal.LSN      `json:"written,omitzero"`    // written_lsn (13+), as of before the node's Position was read
	Flushed   wal.LSN      `json:"flushed,omitzero"`    // flushed_lsn (13+), received_lsn before
	LatestEnd wal.LSN      `json:"latest_end,omitzero"` // latest_end_lsn: where the upstream said last that its WAL ends
}

// Slot is a row of pg_replication_slots.
type Slot struct {
	Name      string  `json:"name"`
	Logical   bool    `json:"logical,omitzero"`
	Temporary bool    `json:"temporary,omitzero"`
	Active    bool    `json:"active,omitzero"`
	Restart   wal.LSN `json:"restart,omitzero"` // restart_lsn: WAL is kept from here; zero reserves nothing
	Keeps     int64   `json:"keeps"`            // bytes of WAL that it keeps, from Restart to the node's position; -1 when not known

	// Status is wal_status (13+): reserved, extended, unreserved or lost. Safe is safe_wal_size, what may still be written until the
	// slot may be lost, zero if it may be already; -1 means no bound, or not known.
	Status string `json:"status,omitzero"`
	Safe   int64  `json:"safe"`

	Invalid       string    `json:"invalid,omitzero"`        // invalidation_reason (17+)
	InactiveSince time.Time `json:"inactive_since,omitzero"` // 17+
}

// Archiver is what a server says of its archiving: pg_stat_archiver and the settings.
type Archiver struct {
	Mode         string    `json:"mode,omitzero"` // archive_mode
	Archived     int64     `json:"archived,omitzero"`
	Failed       int64     `json:"failed,omitzero"`
	LastArchived string    `json:"last_archived,omitzero"` // name of the file
	ArchivedAt   time.Time `json:"archived_at,omitzero"`
	LastFailed   string    `json:"last_failed,omitzero"`
	FailedAt     time.Time `json:"failed_at,omitzero"`
}

// Failing reports whether the last attempt failed.
func (a Archiver) Failing() bool { return a.FailedAt.After(a.ArchivedAt) }

// Blocked are commits that wait for a synchronous standby (wait_event SyncRep, which servers have since 10).
type Blocked struct {
	Commits int           `json:"commits,omitzero"`
	Longest time.Duration `json:"longest_ns,omitzero"` // since the statement began that the oldest of them ends (state_change), so at least as long as the wait
}

// ControlFacts is what the server's SQL functions say of pg_control (pg_control_system, _checkpoint, _recovery, _init).
type ControlFacts struct {
	Version            int          `json:"version,omitzero"` // pg_control_version
	Catalog            int          `json:"catalog,omitzero"` // catalog_version_no
	Checkpoint         wal.LSN      `json:"checkpoint,omitzero"`
	Redo               wal.LSN      `json:"redo,omitzero"`
	CheckpointTimeline wal.Timeline `json:"checkpoint_timeline,omitzero"`
	CheckpointAt       time.Time    `json:"checkpoint_at,omitzero"`
	MinRecovery        wal.LSN      `json:"min_recovery,omitzero"`
	MinRecoveryTL      wal.Timeline `json:"min_recovery_timeline,omitzero"`
	SegmentSize        int          `json:"segment_size,omitzero"` // bytes per WAL segment
	BlockSize          int          `json:"block_size,omitzero"`   // of tables
	WALBlockSize       int          `json:"wal_block_size,omitzero"`
	Checksums          bool         `json:"checksums,omitzero"`
}

// WatchedParameters returns the names of the parameters that are observed on every node: what decides whether a standby can follow
// a primary, what replication and archiving do, and what [Cluster] sets. The order is that of the names.
func WatchedParameters() []string { return slices.Clone(watched) }

var watched = strings.Fields(`
	archive_cleanup_command archive_command archive_library archive_mode archive_timeout
	block_size cluster_name config_file data_checksums data_directory default_transaction_read_only
	fsync full_page_writes hba_file hot_standby hot_standby_feedback idle_replication_slot_timeout
	lc_collate listen_addresses max_connections max_locks_per_transaction max_prepared_transactions
	max_replication_slots max_slot_wal_keep_size max_standby_archive_delay max_standby_streaming_delay max_wal_senders
	max_wal_size max_worker_processes password_encryption port primary_conninfo primary_slot_name promote_trigger_file
	recovery_end_command recovery_min_apply_delay recovery_target recovery_target_action recovery_target_inclusive
	recovery_target_lsn recovery_target_name recovery_target_time recovery_target_timeline recovery_target_xid
	restore_command server_encoding ssl sync_replication_slots synchronized_standby_slots
	synchronous_commit synchronous_standby_names track_commit_timestamp wal_block_size wal_compression
	wal_keep_segments wal_keep_size wal_level wal_log_hints wal_receiver_create_temp_slot
	wal_receiver_status_interval wal_receiver_timeout wal_retrieve_retry_interval wal_segment_size wal_sender_timeout`)

// Parameter is a row of pg_settings.
type Parameter struct {
	Value   string `json:"value,omitzero"`  // as SHOW has it, with its unit; of a connection string, what is no secret
	Source  string `json:"source,omitzero"` // default, configuration file, command line …
	File    string `json:"file,omitzero"`   // of a configuration file; only superusers and pg_read_all_settings see it
	Line    int    `json:"line,omitzero"`
	Pending bool   `json:"pending,omitzero"` // pending_restart: the file says otherwise, and only a restart takes it up
}

// RefusedLine is a line of a configuration file that the server refuses.
type RefusedLine struct {
	File string `json:"file,omitzero"`
	Line int    `json:"line,omitzero"`
	Name string `json:"name"`         // parameter; empty for pg_hba.conf
	Msg  string `json:"msg,omitzero"` // the server's word; it may quote the line
}

// Status is one observation of every node that was asked.
type Status struct {
	At    time.Time     `json:"at"` // when the last answer was in
	Nodes []Observation `json:"nodes"`
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
