// Package atomicfile changes files so that a reader, or a machine that lost power, sees the old state or the
// new one and nothing between. It is the one place in this module that renames, publishes and removes files
// that PostgreSQL or an archive will trust.
//
// Every function works in the directory that holds the file: a temporary file beside it, write, fsync, close,
// rename (or link), fsync of the directory. [Write] replaces, [Publish] never does, [Rename] sets aside, and
// [Remove] removes. When one of them returns nil, a power loss a microsecond later undoes nothing.
//
// When one returns an error before the name changed, the temporary file is removed and nothing else happened.
// If only the last step, the fsync of the directory, fails, the change is visible but may not survive a power
// loss; the caller repeats the call. A process killed in between leaves at most a temporary file, named
// ".NAME.tmp-RANDOM", which no function here ever reads; [Sweep] removes old ones.
//
// Symbolic links: the last element of a path is never followed. Write and Publish refuse to write where a link
// stands, because writing through it would change a file the caller did not name, and replacing it would
// silently detach the file that somebody linked there on purpose. A caller who means the target resolves the
// link first (filepath.EvalSymlinks). Links in the directory part are followed as usual.
//
// Not kept by Write: access control lists, extended attributes and hard links to the old file.
// The package is for Unix systems.
package atomicfile
