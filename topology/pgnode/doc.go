// Package pgnode runs one PostgreSQL server on one machine: create, configure, start, stop, reload, promote, clone, rewind, kill, look.
//
// A [Node] is a data directory, the binaries of its major, what starts and stops it, and the [host.Host] on which all that is. It works
// the same on this machine, on another and in a container, because everything goes through the host. The commands run as the operating
// system user of the host, who must own the data directory; PostgreSQL refuses root.
//
//	n, err := pgnode.New(pgnode.Config{Host: host.NewLocal(host.LocalConfig{}), BinDir: "/usr/lib/postgresql/17/bin", DataDir: "/srv/pg/a"})
//	n, err = pgnode.Open(ctx, pgnode.Config{Host: h, Manager: pgnode.Debian, Cluster: "17/main"})
//	err = n.Start(ctx)
//	reloaded, err := n.Reload(ctx, nil)
//	ready, err := n.WaitReady(ctx, nil)
//
// The source of truth is the machine: the running processes and the files of the data directory. A Node remembers nothing
// but its configuration and may be made anew at any time. Its methods are not meant to run beside each other for the same data
// directory.
//
// # Managers
//
// [PgCtl] is pg_ctl itself. [Debian] is pg_ctlcluster; the places of the cluster come from pg_lsclusters. [Systemd] starts, stops and
// restarts a unit, by sudo without a password where sudoers(5) allows systemctl start, stop, stop --no-block, restart, reset-failed, enable
// and disable for it, else directly; reloads and promotions need no such right. [Commands] are the user's own. What a manager says is
// not taken for what is so: exit codes of 0 are checked against processes, files, log and, where there is a connection, the server.
//
// # What it promises
//
//   - [Node.Fence] returns nil only when no process of the server is left, and nothing known would start it again by itself: a unit is
//     stopped first. What cannot be proven is an error ([DoubtError]): a data directory that cannot be looked at, a process of its owner
//     that hides where it works, a look from another user.
//   - [Node.Status] is not fooled by a postmaster.pid that was left behind, a number that another process has by now, or a dead process
//     that nobody has waited for.
//   - [Node.Reload] says whether the server took its files, of which the exit code tells nothing.
//   - A data directory is set aside by rename ([Node.SetAside]) and never emptied; [Node.RemoveAside] removes one that was, by name.
//     [Node.Clone] and [Node.Rewind] work under another name beside it and move the result into place last, as a configured
//     standby. So whatever interrupts them, under the name of the data directory there never is half a copy, nor one that
//     would start as a second primary.
//   - A half copy never acknowledges a synchronous commit.
//   - [Node.Start] fails with the kind of its failure and the server's own words from its log, not with "could not start server".
//   - [Node.Retire] keeps a server from starting, whoever starts it.
//   - Edits of configuration files and access rules touch their own lines only. A configuration outside of the data directory, as Debian
//     has it, is the machine's own and survives clones and rewinds; none of the source's comes with them.
//   - pg_ctl is only let loose on a process that certainly is the server's postmaster, whatever stands in postmaster.pid.
//   - Passwords reach PostgreSQL's tools through files only, and are in no error; what logs repeat of them is hidden.
//
// # Names beside the data directory
//
// DataDir + ".log" is the server's log unless Config says otherwise, ".incoming" a clone that is not finished (the next
// one removes it), ".rewinding" a rewind that was not finished (set it aside), ".aside-" and a time what was set aside, ".pw"
// the password on its way to initdb, ".unit-disabled" a note that Retire has disabled the unit. A retired server has a recovery.conf
// that says so in its data directory.
//
// # What it does not do
//
// It decides nothing: whether a promotion is safe is the business of package failover, whether a returning server may follow
// that of recovery.Judge. It shows no progress of a clone. The messages of servers and programs are understood in English only (lc_messages
// C or en_*): in another language, a failure of a start has no kind and a reload without a connection is [ReloadUnknown]. A unit that
// Debian's packages made is driven by pg_ctlcluster; where somebody has given it a Restart= of its own, name it as [Systemd].
//
// A server's processes are found by their working directory, which needs Linux's /proc, among those whose program is called
// postgres, postmaster, .postgres-wrapped (Nix) or edb-postgres. Elsewhere the process table of ps is used;
// there, a backend that has outlived any postmaster of the machine is doubt. Processes in another container cannot be seen,
// or, where they can, count only if they certainly work in this data directory.
//
// # What was proven
//
// Servers of 10 to 18 are started, broken, reloaded, cloned, promoted and retired in the tests; pg_rewind and pg_basebackup on those majors
// that are installed with them; Debian's tools as of postgresql-common 248 on real clusters; systemd by a stand-in that follows
// systemctl(1) and runs real servers.
package pgnode
