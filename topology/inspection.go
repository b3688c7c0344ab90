package topology

import (
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// Processes is whether a server has any on its machine.
type Processes string

// The answers. In doubt means that nobody knows; it is not stopped.
const (
	Running Processes = "running"
	Stopped Processes = "stopped"
	InDoubt Processes = "in doubt" // the zero value is the same
)

// Inspection is what a node's machine says: files and processes, whether or not the server answers. topology/build makes it.
type Inspection struct {
	Node NodeID
	At   time.Time

	// Err is why the machine could not be looked at; then nothing below counts.
	Err error

	Processes Processes
	Doubt     string // why InDoubt

	Exists  bool            // the data directory is there, with a PG_VERSION
	Major   pgconf.Major    // by PG_VERSION, or, without a data directory, of the server's programs; zero means not known
	Control datadir.Control // its last checkpoint; zero if there is no data directory
	Start   recovery.Start  // what the server does at its next start, and why

	// Unfinished are names beside the data directory that an interrupted clone or rewind left.
	Unfinished []string

	// Settings are what the configuration files say, by name in lower case: the value that wins, and where it comes from.
	Settings map[string]pgconf.EffectiveSetting

	// HBA is the content of pg_hba.conf, HBAFile its path.
	HBA     []byte
	HBAFile string

	// Passfile is whether the password file that the replication settings name holds what it should; false also without one.
	Passfile bool
}

// Observed is all that is known of a cluster: what its servers say, and what their machines say.
type Observed struct {
	Status      Status
	Inspections []Inspection

	// Lacking are the accounts that the primary does not have, or without what they need; also empty if nobody asked.
	Lacking []AccountUse
}

// Inspection returns what a node's machine says: the latest if there are several.
func (o Observed) Inspection(id NodeID) (Inspection, bool) {
	var latest Inspection
	found := false
	for _, i := range o.Inspections {
		if i.Node == id && (!found || i.At.After(latest.At)) {
			latest, found = i, true
		}
	}
	return latest, found
}
