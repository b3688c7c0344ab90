package failover

import (
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/topology"
)

// Policy holds the choices an operator makes. The zero value is usable: every field has a default.
type Policy struct {
	// FailAfter is how long the primary must be silent before it is fenced. It doubles, once, while WAL still arrives at a
	// standby below it. Raise it where short stalls are common: the cost is downtime. Zero means 5 s.
	FailAfter time.Duration

	// Misses is how many observations in a row must find the primary silent before it is fenced, however long they took. It
	// protects against one slow observation. Zero means 3.
	Misses int

	// RetryAfter is the least time between two attempts of an effect that did not certainly succeed. Zero means 1 s.
	RetryAfter time.Duration

	// MaxLag is how many bytes a candidate may be behind the last known position of the primary when replication is
	// asynchronous. It does not apply with synchronous standbys, where nothing acknowledged may be missing. Zero means
	// 16 MiB, negative means no limit.
	MaxLag int64
}

func (p Policy) withDefaults() Policy {
	if p.FailAfter <= 0 {
		p.FailAfter = 5 * time.Second
	}
	if p.Misses <= 0 {
		p.Misses = 3
	}
	if p.RetryAfter <= 0 {
		p.RetryAfter = time.Second
	}
	if p.MaxLag == 0 {
		p.MaxLag = 16 << 20
	}
	return p
}

// Code names a reason. The texts are stable: programs may compare them.
type Code string

// The reasons.
const (
	PrimaryAnswers   Code = "primary_answers"
	PrimarySilent    Code = "primary_silent"
	TimeIsUp         Code = "time_is_up"        // the primary was silent for long enough
	SplitBrain       Code = "split_brain"       // another node accepts writes as well
	NoCandidate      Code = "no_candidate"      // nobody answers who could take over
	FenceUnknown     Code = "fence_unknown"     // the fence did not certainly succeed; it is tried again
	Fenced           Code = "fenced"            // the primary certainly accepts no write
	NotFrozen        Code = "not_frozen"        // a standby's position may still move
	SyncUnheard      Code = "sync_unheard"      // a synchronous standby that may hold acknowledged commits does not answer
	TooFarBehind     Code = "too_far_behind"    // more than MaxLag
	TimelineBehind   Code = "timeline_behind"   // the best candidate never saw the primary's timeline
	Elected          Code = "elected"           // the candidate, with its position
	PromotionUnknown Code = "promotion_unknown" // the promotion did not certainly succeed; it is tried again
	CandidateSilent  Code = "candidate_silent"  // it fell silent while it was promoted; in the end it is fenced
	Promoted         Code = "promoted"          // the candidate accepts writes
	Attached         Code = "attached"          // a standby was told to stream from its new upstream
	AttachFailed     Code = "attach_failed"     // it was not, or perhaps not
	NotFollowing     Code = "not_following"     // a standby does not follow the new primary yet
	Settled          Code = "settled"           // all standbys that answer follow the new primary
	Waiting          Code = "waiting"           // for the outcome of an effect
	NothingToDo      Code = "nothing_to_do"     // the event concerns nothing that is going on
)

// Reason is one piece of evidence for a decision.
type Reason struct {
	Code   Code
	Node   topology.NodeID // which node it is about, if one
	Detail string          // the facts, for people
}

// String returns "code node: detail", leaving out what is empty.
func (r Reason) String() string {
	text := string(r.Code)
	if r.Node != "" {
		text += " " + string(r.Node)
	}
	if r.Detail != "" {
		return fmt.Sprintf("%s: %s", text, r.Detail)
	}
	return text
}
