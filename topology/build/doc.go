// Package build brings machines to what a description of a PostgreSQL cluster says.
//
//	b, err := build.New(build.Config{Cluster: c})
//	pending, err := b.Bootstrap(ctx, build.BootstrapConfig{}) // a new cluster, or one around a server that runs
//	plan, err := b.Plan(ctx)                                  // what differs, and why: a dry run
//	err = b.Apply(ctx, plan)                                  // do it
//	c, err = b.Reparent(ctx, "downstream", "cascade")         // the other verbs return the new description
//
// A [Builder] observes ([Builder.Observe]: servers over SQL, and files and processes of their machines), plans ([topology.NewPlan]) and
// applies. The machines are the source of truth. The Builder keeps no state, neither in memory nor in a file: what has to be done is what
// differs. So a program that was killed half-way is continued by starting it again, and a second run finds nothing to do.
//
// # What it promises
//
//   - Each step looks whether it is done, does it, and looks whether that worked: a reload whether the server took the files, a restart
//     of a standby whether it streams again, a new upstream whether the standby has what that had. Steps are done in the plan's order,
//     one at a time, and the first that fails ends it, with a [*StepError].
//   - Nothing is deleted. A data directory is set aside by rename; settings and access rules are edited line by line, and lines of others
//     stay. Clones, and the first data directory, are made under another name and moved into place as the last thing.
//   - Data that is not proven to be redundant is left alone: other clusters', diverged, or of a server that runs and does not follow. The
//     error is a [*NotRedundantError]. That no data is to be seen is no proof of a new cluster: only [Builder.Bootstrap] makes one, and
//     only if every machine could be looked at.
//   - Nothing is started that would be a second primary.
//   - Commits begin to wait for a standby only when that streams, and cease to wait for one before it is stopped.
//   - Secrets are resolved on this machine and reach others as file contents, to be read by their owner alone, and servers as
//     verifiers. None is in an argument, an error, an event or the log.
//   - Two who work on one cluster do not interleave: each locks every machine first. The lock is flock(1) on a file beside the data
//     directory, held by a process on that machine whose input ends with ours, so a killed holder leaves no lock behind. The second one
//     gets a [*LockedError]; if a lock is lost, because the connection broke, what runs is ended ([ErrLockLost]).
//
// # Order
//
// What depends on what is the plan's business: access rules and slots on an upstream come before the standby that needs them, a slot goes
// after its standby streams from elsewhere, servers restart one at a time with the primary last, and synchronous_standby_names comes
// last when it grows and first when it shrinks. The verbs that take a node away change it first, then stop the server, then drop its slot,
// then the access rules.
//
// # What it does not do
//
// It promotes nothing and decides on no failover: see package failover. It does not tell a machine that is gone from one that is
// silent: nothing is planned for a silent one, and [Builder.Detach] has to be told. Base backups in [CloneConfig] must be data
// directories without tablespaces; of an archive that needs more, recovery/pitr makes one. It makes no user, firewall rule, certificate
// or archive, installs no package, and gives no server a place at boot. Servers from 10 on.
//
// # What is known to be wrong
//
// A review found these, and they are to be mended before anybody relies on the package:
//
//   - While a machine of a synchronous candidate is gone, SetSync waits for it in vain, so commits go on waiting for fewer than asked for.
//   - Detach and Retire can stop a standby that commits wait for, when its replacement is not there.
//   - The verbs fail when a node that has nothing to do with them is dead.
//   - Adopting a primary lowers settings that its owner had higher: wal_level, max_replication_slots, max_slot_wal_keep_size, wal_keep_size.
//   - Clones and rewinds replace the rules of pg_hba.conf that the owner had there; rules of detached nodes stay.
//   - A slot that is lost counts as one that is there.
//   - A change from one synchronous standby to another is one reload: commits that the old one acknowledged in between may not be on the
//     new one yet.
//
// The programs of PostgreSQL must be on each machine, and sh, the GNU core utilities and flock of util-linux.
package build
