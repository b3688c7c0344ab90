// Package pgprobe observes PostgreSQL servers over SQL.
//
// A [Prober] opens one connection a node and keeps it. All nodes of a cluster are asked at the same time, each within its own
// time limit, so one that hangs does not delay what is known of the others by more than that.
//
//	p, err := pgprobe.New(pgprobe.Config{Connect: map[topology.NodeID]string{"master": dsn, …}, Timeout: time.Second})
//	defer p.Close(ctx)
//	tree := topology.Derive(cluster, p.Observe(ctx))
//
// A node that does not answer is an observation with Err: it is unknown, which is not the same as down. There are no half
// observations: what fails in the middle fails whole. The role needs membership in pg_monitor (or superuser); without it a server
// hides who streams from whom, and that would look like nobody, so it is an error that matches [ErrNotMonitor]. Nothing
// is written to the servers. No error holds a password.
//
// # What an observation can be relied on for
//
// The statements of one node run one after the other, in an order on which elections depend: a standby is asked for its WAL
// receiver before it is asked for its position. So if an observation has no receiver, nothing more was streamed after the
// position in it. (Replay from an archive may still go on.) Of an upstream, the position is read before those of its standbys,
// so a lag is never shown too large.
package pgprobe
