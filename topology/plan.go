package topology

import (
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
)

// Plan is the way from what is observed to what is desired. Its steps are in order; each waits for the one before it. A plan that was
// cut short is made anew from what is observed then.
type Plan struct {
	Steps []Step

	// Refused says for which nodes nothing, or not everything, is planned, and why: they do not answer, or hold data that is not proven
	// to be redundant.
	Refused []Refusal
}

// Refusal says what is not planned for a node, and why.
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
	// Set writes parameters into postgresql.conf, or whichever file has the line that wins. What postgresql.auto.conf says of them is
	// taken out there, since it would win. Running servers go on as before; a Reload or Restart is a step of its own.
	Set struct{ Changes []SettingChange }

	// Allow edits pg_hba.conf: records that must be there, ahead of what would keep them from having effect, and records that must go.
	Allow struct{ Add, Remove []hba.Record }

	// WritePassfile writes the password file that the replication settings name, readable by the server's user alone. Other lines of
	// the file stay.
	WritePassfile struct{ Lines []PassfileLine }

	// EnsureAccount creates or changes a role on the primary, without waiting for a synchronous standby.
	EnsureAccount struct {
		Account Account
		Use     AccountUse
	}

	// Follow writes the recovery settings of a standby: upstream, slot, archive, delay. What postgresql.auto.conf says of them is taken
	// out there. A running server goes on as before; a stopped one is a standby at its next start.
	Follow struct {
		Recovery recovery.Config
		Upstream NodeID // empty for archive only
	}

	// CreateSlot makes a physical slot that keeps WAL from now on.
	CreateSlot struct{ Name string }

	// DropSlot removes a physical slot as soon as nobody uses it.
	DropSlot struct{ Name string }

	// Reload makes a running server take up what needs no restart, and proves that it did.
	Reload struct{}

	// Restart stops a server, fast, and starts it; it is over when the primary accepts writes again, or a standby queries. That
	// it streams is waited for by a step of its own, from whom it is to stream by then.
	Restart struct{}

	// Start starts a server that is stopped and is what it should be; it is over as Restart is. A primary is not started beside
	// another one.
	Start struct{}

	// Clone makes the data directory of a standby that has none, from another node, with all that Render says but for the password
	// file, and starts it.
	Clone struct{ From NodeID }

	// Initialise makes the first data directory of a new cluster, with the settings and rules that Render says, except that commits
	// wait for nobody: synchronous_standby_names is empty. It does not start it.
	Initialise struct{}

	// AwaitStreaming waits until the node streams from its upstream and has what that had when the step began. Of a node that takes its
	// WAL from the archive alone, Upstream is empty: it waits until that answers queries.
	AwaitStreaming struct{ Upstream NodeID }

	// SetSync changes synchronous_standby_names of the primary, in the file and, by a reload, in effect. It is a step of its own,
	// since its order counts.
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
	From     string // what the files say now, or the default
	File     string // where From stands; empty if no file has it
	Line     int
	Overrule bool // From stands in postgresql.auto.conf, which wins over all other files, so it is taken out there
	Needs    Need
}

// Need is what makes a server take a change up.
type Need string

// The needs.
const (
	NeedsNothing Need = "nothing"
	NeedsReload  Need = "reload"
	NeedsRestart Need = "restart"
)
