// Package dir keeps a WAL archive in a directory of a file system, local or shared.
//
// Each archived file lies in the directory under its own name: to restore one that is stored as it is without this project,
// use "restore_command = 'cp DIR/%f %p'". Beside them lie the marker (walarchive.MarkerName, a text file that
// names the cluster) and, while a push runs or after one was killed, temporary files named ".NAME.tmp-…", which
// [Store.Sweep] removes when they are old. Files have mode 0600, or [Config.Mode].
//
// Long runs of zeros, such as the end of a segment that was switched early, are holes that take no room. A copy by cp has holes, too, unless
// it is told --sparse=never; a server that reuses such a file for new WAL may find the disk full later than it should.
//
// The directory must exist; Open never makes it, [Ensure] does. Put it one level below the mount point of a disk or share
// (/mnt/backup/archive, not /mnt/backup): if nothing is mounted there it is missing, and pushes fail until it is
// back, instead of filling the wrong disk. [Config.Mount] checks the same without relying on the layout.
//
// The file system must have hard links or, on Linux, renameat2 with RENAME_NOREPLACE: one of them publishes a
// file without ever replacing one. Symbolic links that lead out of the directory are not followed.
//
// # When the disk fails
//
// A full disk or quota ([syscall.ENOSPC], [syscall.EDQUOT]) is an error that says how much space there is; the temporary file is
// removed. An fsync that failed is never repeated: Linux may have dropped what it could not write, and then a second fsync
// of the same file says that all is well. The temporary file is thrown away, and the next Create writes a new one.
//
// # On NFS
//
// A link whose answer was lost is recognised as done. When the directory's handle is stale (ESTALE), it is opened again, once, if the
// path leads to the same directory (device and inode); Create does that before it reads anything. A hard mount whose server hangs makes
// calls hang, whatever the context says: the kernel does not let go. ".nfs…" files, which NFS keeps for removed files that are open, are
// not listed. Symbolic links in the directory part are followed as usual.
package dir
