// Package pgnode runs one PostgreSQL server on one machine: create, configure, start, stop, promote, clone, rewind, kill.
//
// A [Node] is a data directory, the binaries of its major, and the [host.Host] on which both are. It works the same on this
// machine and in a container, because everything goes through the host. The commands run as the operating system user of
// the host, who must own the data directory; PostgreSQL refuses root.
//
//	n, err := pgnode.New(pgnode.Config{Host: host.NewLocal(), BinDir: "/usr/lib/postgresql/17/bin", DataDir: "/srv/pg/a"})
//	err = n.Start(ctx)
//	err = n.Promote(ctx)
//
// The source of truth is the machine: the running processes and the files of the data directory. A Node remembers nothing
// but its configuration and may be made anew at any time.
//
// # What it promises
//
//   - [Node.Fence] returns nil only when no process of the server is left. What cannot be proven is an error.
//   - A data directory is set aside by rename ([Node.SetAside]) and never emptied. [Node.Clone] works in a directory
//     beside it, makes the copy a standby first and moves it into place last: at no time is there a copy that would start as a
//     primary.
//   - [Node.Start] fails with the server's own words from its log, not with "could not start server".
//   - Passwords reach PostgreSQL's tools through libpq password files only.
//
// # What it does not do
//
// It decides nothing: whether a promotion is safe is the business of package failover, whether a returning server may follow
// that of recovery.Judge. It drives pg_ctl only; Debian's pg_ctlcluster and systemd units are not covered yet. Finding a
// server's processes needs Linux's /proc; elsewhere the process table of ps is used, which cannot see a backend that outlived
// its postmaster.
package pgnode
