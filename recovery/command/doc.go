// Package command writes and reads the commands that a PostgreSQL server runs to archive and to restore WAL: archive_command,
// restore_command, archive_cleanup_command and recovery_end_command.
//
// Such a command passes through two hands. The server replaces %f, %p, %r and %%; the rest goes to a shell. [Server.Build] makes a
// command of a program and its arguments, so that the program gets exactly these, on a Unix system as on Windows:
//
//	argv := append(command.Words("walarchive", "--archive", "/mnt/wal archive", "push"), command.Word{command.Path})
//	text, err := command.Server{Major: 17}.Build(command.Archive, argv...) // walarchive --archive "/mnt/wal archive" push "%p"
//
// [Server.Expand] says what the server gives to the shell, [Server.Parse] reads a command back into words and operators.
//
// # Faults
//
// [Server.Check] explains what can go wrong with a command that somebody wrote: the usual idioms, from "test ! -f X && cp %p X" to the
// calls of WAL-G and pgBackRest, are recognised, and supposed to fail and to find their file there already. Each [Finding] has a
// [Code], what can go wrong and what to do. [Server.Compare] looks for commands that do not fit together. Both judge by names and
// words: what a script does they cannot know, and say so.
//
// # Who decides
//
// The server decides what a placeholder is and how long a command may be, which differs by major; the shell decides the rest:
// /bin/sh, or cmd.exe and the C library of the program. A text is bytes here; neither knows about encodings.
//
// # What it does not do
//
// It runs nothing and opens no file, and knows nothing of the shell's variables, aliases and options. Groups, loops, conditions,
// here-documents and lines that go on are not followed; Parse says so. The quoting of a value in a configuration file is [pgconf.Quote].
package command
