// Package pgnode runs one PostgreSQL server on one machine: create, configure, start, stop, promote, clone, rewind, kill.
//
// A [Node] is a data directory, the binaries of its major, and the [host.Host] on which both are. It works the same on this
// machine and in a container, because everything goes through the host. The commands run as the operating system user of
// the host, who must own the data directory; PostgreSQL refuses root.
//
//	n, err := pgnode.New(pgnode.Config{Host: host.NewLocal(host.LocalConfig{}), BinDir: "/usr/lib/postgresql/17/bin", DataDir: "/srv/pg/a"})
//	err = n.Start(ctx)
//	err = n.Promote(ctx)
//
// The source of truth is the machine: the running processes and the files of the data directory. A Node remembers nothing
// but its configuration and may be made anew at any time. Its methods are not meant to run beside each other for the same data
// directory.
//
// # What it promises
//
//   - [Node.Fence] returns nil only when no process of the server is left. What cannot be proven is an error ([DoubtError]): a
//     data directory that cannot be looked at, a process of its owner that hides where it works, a look from another user.
//   - A data directory is set aside by rename ([Node.SetAside]) and never emptied. [Node.Clone] and [Node.Rewind] work under
//     another name beside it and move the result into place last, as a configured standby. So whatever interrupts them, under
//     the name of the data directory there never is half a copy, nor one that would start as a second primary.
//   - A half copy never acknowledges a synchronous commit.
//   - [Node.Start] fails with the server's own words from its log, not with "could not start server".
//   - pg_ctl is only let loose on a process that certainly is the server's postmaster, whatever stands in postmaster.pid.
//   - Passwords reach PostgreSQL's tools through files only, and are in no error.
//
// # Names beside the data directory
//
// DataDir + ".log" is the server's log unless Config says otherwise, ".incoming" a clone that is not finished (the next
// one removes it), ".rewinding" a rewind that was not finished (set it aside), ".aside-" and a time what was set aside, ".pw"
// the password on its way to initdb.
//
// # What it does not do
//
// It decides nothing: whether a promotion is safe is the business of package failover, whether a returning server may follow
// that of recovery.Judge. It drives pg_ctl only; Debian's pg_ctlcluster and systemd units are not covered yet, and the
// configuration must lie in the data directory. It clones no tablespaces.
//
// A server's processes are found by their working directory, which needs Linux's /proc, among those whose program is called
// postgres, postmaster, .postgres-wrapped (Nix) or edb-postgres. Elsewhere the process table of ps is used;
// there, a backend that has outlived any postmaster of the machine is doubt. Processes in another container cannot be seen,
// or, where they can, count only if they certainly work in this data directory.
package pgnode
