// Package failover decides when a standby takes over from its primary, and which one.
//
// The decisions are one pure function, [Policy.Step]: it takes a [State] and an [Event] and returns a [Decision], that is the
// next state, the effects to carry out and the reasons. It reads no clock and does no input or output. [Driver] is the
// loop around it: observe, decide, act, feed the outcomes back.
//
//	driver := failover.Driver{World: world, Tick: time.Second}
//	state, err := driver.Run(ctx, failover.Begin(cluster, time.Now()), nil)
//
// # The states
//
//	             silent                FailAfter and Misses        fenced
//	Watching ───────────▶ Suspecting ───────────────────▶ Fencing ────────▶ Electing
//	   ▲  ▲   answers again  │                             ▲  ▲ └─ again        │ elected
//	   │  └──────────────────┘                             │  └────┐            ▼
//	   │                                primary silent     │       └─────── Promoting
//	   │                                (by way of         │    candidate lost  │ accepts writes
//	   └──────────────────────────────── Settling ◀────────┼────────────────────┘
//	      all standbys that answer follow   │  Suspecting) │
//	                                        └──────────────┘
//
// A standby is promoted only in answer to a fence that certainly succeeded. A fence or a promotion whose outcome is in doubt
// is tried again, at most every RetryAfter; a candidate that falls silent in the middle may already be a primary and is
// fenced before another is elected. [Policy.Elect] has the rules of the choice.
//
// # The deadlines
//
//	detection   FailAfter (5 s) after the last answer as a primary, but not before Misses (3) observations found it silent:
//	            at most max(FailAfter, (Misses-1) × Tick) + Tick + one observation
//	            twice FailAfter if WAL still arrived at a standby below it
//	promotion   as long as the server takes; the time limit is the world's
//
// # What is promised, and what is not
//
// With synchronous standbys, no acknowledged commit is missing on the node that Elect chooses, provided the observations are
// true and nobody lowers synchronous_commit. Without, at most MaxLag bytes behind the last position seen are lost; what the
// primary wrote after it was last seen is beyond anyone's knowledge.
//
// One Driver watches one cluster, and it must be the only one: there is no leader lease yet, so two drivers could fence each
// other's choice. Nothing here starts a fenced server again or attaches it; see recovery.Judge for how it may come back.
package failover
