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

	Senders   []Sender  // pg_stat_replication, one for each connected standby
	Receiver  *Receiver // pg_stat_wal_receiver; nil when the node is not streaming
	SyncNames string    // synchronous_standby_names in effect
}

// Sender is one row of pg_stat_replication on an upstream: what it knows of a standby below it.
type Sender struct {
	Name      string // application_name
	State     string // startup, catchup, streaming, backup, stopping
	SyncState string // async, potential, sync, quorum
	Sent      wal.LSN
	Written   wal.LSN
	Flushed   wal.LSN
	Replayed  wal.LSN
	ReplayLag time.Duration // replay_lag; zero also when the upstream has nothing recent to measure by
}

// Receiver is the row of pg_stat_wal_receiver on a standby.
type Receiver struct {
	Status   string // streaming and others
	Host     string // of the upstream, as in its connection
	Port     int
	Timeline wal.Timeline // received_tli
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
