// Package pgprobe observes PostgreSQL servers over SQL, and proves that what is written on the primary arrives.
//
// A [Prober] opens one connection a node and keeps it. All nodes of a cluster are asked at the same time, so one that hangs hides no
// other.
//
//	p, err := pgprobe.New(pgprobe.Config{Connect: map[topology.NodeID]string{"master": dsn, …}, Timeout: time.Second})
//	defer p.Close(ctx)
//	tree := topology.Derive(cluster, p.Observe(ctx))
//
// A node that does not answer is an observation with Err: it is unknown, which is not the same as down. There are no half
// observations: what fails in the middle fails whole. A Prober writes nothing to the servers. No error holds a password, and no
// observation the password of a connection string; commands, such as archive_command, are shown as the server shows them to everyone.
//
// # What the role may see
//
// It needs membership in pg_monitor (on 9.6: superuser); without it a server hides who streams from whom, and that would look like
// nobody, so it is an error that matches [ErrNotMonitor]. With it, everything is known but two facts, for which files are
// read on the server: the lines of the configuration that would be refused, and the history of the timeline (see
// [topology.Observation]). Superusers and roles with EXECUTE on the functions get these as well. The role's rights are asked for first:
// nothing is tried that the server would refuse, and log. If these two cannot be read, the rest of the observation stands.
//
// # What an observation can be relied on for
//
// All statements go out at once and are executed one after the other, in an order on which elections depend: a standby is asked for its
// WAL receiver before it is asked for its position. So if an observation has no receiver, nothing more was streamed after the
// position in it. (Replay from an archive may still go on.) Of an upstream, the position is read before those of its standbys,
// so a lag is never shown too large. Facts are as of their moment between Asked and At: one transaction could not make them all of one
// moment, since positions, connections and roles are not subject to snapshots. A promotion in the middle is noticed, since the role is
// read at both ends; then the server is asked once more, so there is never a mixture of before and after.
//
// # What hangs
//
// [Prober.Observe] returns at the end of Config.Timeout at the latest, whether a node is out of reach, accepts the connection and says
// nothing, or stops in the middle of a row. There is at most one attempt and one connection a node: if an attempt does not end even though
// its time is over, which takes a Config.Dial that heeds no context, the node is not asked again before it ends, and reported with a
// [HangingError]. No request to cancel is sent, since that would be one more connection that may hang: the session's
// statement_timeout is Config.Timeout. A kept connection that turns out to be broken is made anew within the same observation.
//
// # The proof by writing
//
// [Verify] commits a marked row on the primary, waits to read it on every standby of a tree, times each hop, and removes the row, and the
// table and schema if it made them. It needs more rights than observing. A commit that waits for a synchronous standby which is not there
// is given up in time with a [BlockedError]; what became of the row is said in any case. [Compare] runs one reading statement on the
// primary and, each when it has replayed as much, on the standbys, and tells the rows that differ.
//
// # Majors
//
// 10 to 18 are tested on real servers of each. The statements for 9.6 are written by its manual, and their answers are tested with
// rows that were made by hand: no such server was at hand.
package pgprobe
