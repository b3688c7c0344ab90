// Package sftp keeps a WAL archive in a directory of a server that speaks SFTP, such as OpenSSH's.
//
//	store, err := sftp.Open(ctx, sftp.Config{Host: "backup.example.com", User: "archive", Path: "/srv/wal/main"})
//
// The directory looks like one of package dir: each object is a file under its own name, so "scp HOST:DIR/%f %p" restores a
// file that is stored as it is. The directory must exist ([Ensure] makes it, once); put it one level below the mount point
// of its disk.
//
// # Whom it trusts
//
// The server's host key is always checked, against known_hosts files or one given key, and never trusted because it
// is the first one seen: [*HostKeyError] says what was shown and what to do. Host certificates are not supported. Logins are by
// key, from files or an agent. There are no passwords, and no secret is in a [Config], a message or a process list.
//
// # What it promises, and what that takes
//
// A file is written under a temporary name, synced, and then linked as its own name, which fails if that exists; the directory
// is synced last. That takes three extensions of OpenSSH's server, found by asking it (PROTOCOL in its sources): hardlink@openssh.com,
// fsync@openssh.com, and that fsync works for directories, as it does since 6.5. Checked with OpenSSH 9.2:
//
//   - A server that does not offer the link (sftp-server -P hardlink) gets SFTP's rename instead. OpenSSH does that by link and unlink,
//     so it replaces nothing either. On a file system without hard links, though, it looks first and then
//     renames, so that of two writers at the same moment one may replace the other's file (process_rename in sftp-server.c).
//   - A server that offers the link and has a file system without hard links is an error.
//   - A server without fsync is an error, too, unless [Config.Unsynced] accepts it.
//   - A read-only server (sftp-server -R) serves reads.
//
// # Time
//
// Connecting has Config.Timeout. After it, a request that the server leaves without any answer for that long ends the connection and
// all calls on it, with an error that matches [os.ErrDeadlineExceeded]. A connection that broke is made anew by the next call;
// a call that can be repeated is, once. If the answer to the link was lost, Create finds out on a new connection whether it was done.
//
// What cannot be repeated, because its reader has been read, is an error. So are reads of an object that is open already.
// Temporary files that a broken connection left behind, named ".NAME.tmp-...", are for [Store.Sweep].
package sftp
