package topology

// Severity says how urgent a problem is.
type Severity int

// The severities.
const (
	Notice   Severity = iota // differs from what was asked for, and does no harm now
	Warning                  // something works that will not go on working, or not when it is needed
	Critical                 // redundancy, durability or service is lost now
)

// Code names a kind of problem; it is stable, for tools and alarms.
type Code string

// Problem is something that is wrong with an observed cluster.
type Problem struct {
	Code     Code
	Severity Severity
	Node     NodeID // whom it is about; empty for the cluster
	Other    NodeID // the other end of a link, if there is one
	Msg      string // what is so, with the evidence: figures, names, who says it
	Remedy   string // what to do about it
}

// Limits are the bounds above which something is a problem. A zero field means its default, a negative one no bound.
type Limits struct {
	LagBytes     int64 // replay lag of a standby without Delay; zero means 64 MiB
	LagSeconds   int   // the same in time; zero means 60
	SlotKeeps    int64 // WAL that a slot keeps, in bytes; zero means 8 GiB
	SlotSafe     int64 // what is left until a slot may be lost; zero means 1 GiB
	Blocked      int   // seconds that a commit waits for a synchronous standby; zero means 10
	ArchiveDelay int   // seconds since the last archived file while archiving fails; zero means 300
	Silence      int   // seconds since a receiver heard of its upstream; zero means 60
	ClockSkew    int   // seconds between a server's clock and the observer's; zero means 5
}

// Report is what is known and what is wrong.
type Report struct {
	Tree     Tree
	Problems []Problem // the most severe first, then by code and node
}
