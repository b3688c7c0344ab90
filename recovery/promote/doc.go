// Package promote ends the recovery of a standby, by whichever way its major and set-up allow, and clears the way back.
//
//	result, err := promote.Promote(ctx, promote.Standby{DB: pool})
//
// [Promote] asks the server to end recovery and waits, until ctx ends, for it to accept writes, on a newer timeline than
// [Standby.From] if that is known: that alone counts, no file and no line of a log. The ways are
//
//	                    9.0    9.1 - 11   12 - 15    16 -
//	pg_promote()                           yes       yes
//	pg_ctl promote              yes        yes       yes
//	trigger file        yes     yes        yes
//
// A server looks for a trigger file every five seconds only, and only where its configuration names one. pg_promote() needs a
// superuser or EXECUTE on the function, pg_ctl the owner of the data directory on the server's machine.
//
// # A paused standby
//
// Up to 12, a standby whose replay is paused, by hand or at a recovery target, does not notice a request before replay goes on. Promote
// refuses with a [*PausedError], and with [Standby.Resume] resumes after the request. From 13 on a promotion ends the pause. Either
// way the server then replays all WAL that it has: a pause does not choose where the new timeline begins, but a recovery target does.
// recovery_min_apply_delay does not hold a promotion up.
//
// # When the one who waits dies
//
// A request cannot be taken back, so a promotion goes on without the one who asked for it. The next one finds a primary, and learns from
// [Standby.From] whether it is that: [ErrAlreadyPromoted].
//
// # The way back
//
// [Clear] removes what would promote a standby as soon as it starts: trigger files, and the files promote and
// fallback_promote (9.3 to 13), which servers of 10 and later remove by themselves when they start. [Return] makes a server that was promoted a standby again, up to 11 from
// its recovery.done, if [recovery.Judge] says that it may follow as it is.
//
// # What it does not do
//
// It does not know whether another primary is left: fencing comes before (package failover). It starts and stops nothing. It does not
// look at default_transaction_read_only, with which a primary refuses the writes of everybody who does not overrule it. What
// it says about majors before 10 follows the manual; 10 to 18 are tested on real servers.
package promote
