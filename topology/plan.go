package topology

import (
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
)

// Plan is the way from what is observed to what is desired. Its steps are in order; each waits for the one before it.
type Plan struct {
	Steps []Step

	// Refused are nodes for which nothing is planned, and why: they do not answer, or hold data that is not proven to be redundant.
	Refused []Refusal
}

// Refusal says why nothing is planned for a node, and what to do.
type Refusal struct {
	Node NodeID
	Why  string
}

// Step is one change on one node. Doing it again when it is done changes nothing.
type Step struct {
	Node   NodeID
	Action Action
	Why    string
}

// Action is what a step does: one of the types below.
type Action interface{ action() }

// The actions. Those that change files say what they found, for people.
type (
	// Set edits postgresql.conf.
	Set struct{ Changes []SettingChange }

	// Allow edits pg_hba.conf: records that must be there, ahead of what would keep them from having effect, and records that must go.
	Allow struct{ Add, Remove []hba.Record }

	// WritePassfile writes the password file that the replication settings name.
	WritePassfile struct{ Lines []PassfileLine }

	// EnsureAccount creates or changes a role on the primary.
	EnsureAccount struct {
		Account Account
		Use     AccountUse
	}

	// Follow writes the recovery settings of a standby: upstream, slot, archive, delay.
	Follow struct {
		Recovery recovery.Config
		Upstream NodeID // empty for archive only
	}

	// CreateSlot and DropSlot are for physical slots of the node.
	CreateSlot struct{ Name string }
	DropSlot   struct{ Name string }

	// Reload and Restart make a running server take its files up. Restart of a standby waits until it follows again.
	Reload  struct{}
	Restart struct{}

	// Start starts a server that is stopped and is what it should be.
	Start struct{}

	// Clone makes the data directory of a standby that has none, from another node, and starts it.
	Clone struct{ From NodeID }

	// Initialise makes the first data directory of a new cluster.
	Initialise struct{}

	// AwaitStreaming waits until the node streams from its upstream and has what that had when the step began.
	AwaitStreaming struct{ Upstream NodeID }

	// SetSync changes synchronous_standby_names of the primary; it is a step of its own, since its order counts.
	SetSync struct{ From, To string }
)

func (Set) action()            {}
func (Allow) action()          {}
func (WritePassfile) action()  {}
func (EnsureAccount) action()  {}
func (Follow) action()         {}
func (CreateSlot) action()     {}
func (DropSlot) action()       {}
func (Reload) action()         {}
func (Restart) action()        {}
func (Start) action()          {}
func (Clone) action()          {}
func (Initialise) action()     {}
func (AwaitStreaming) action() {}
func (SetSync) action()        {}

// AccountUse is what a role may do.
type AccountUse string

// The uses.
const (
	ForReplication AccountUse = "replication" // LOGIN REPLICATION
	ForMonitoring  AccountUse = "monitoring"  // LOGIN, member of pg_monitor
)

// SettingChange is a parameter that differs.
type SettingChange struct {
	Setting
	From  string // what is in effect or in the files now; empty if nothing is set
	File  string // where From stands
	Line  int
	Needs Need
}

// Need is what makes a server take a change up.
type Need string

// The needs.
const (
	NeedsNothing Need = "nothing"
	NeedsReload  Need = "reload"
	NeedsRestart Need = "restart"
)
