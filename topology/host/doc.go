// Package host runs commands and reads and writes files on the machine where a PostgreSQL server lives, without caring
// which kind of machine that is: this one ([Local]), one reached over SSH ([SSH]), or a container reached through the docker command
// line ([Container]).
//
//	h, err := host.Open("ssh://postgres@db1.example.com", host.OpenConfig{})
//	res, err := h.Run(ctx, host.Cmd{Path: "/usr/lib/postgresql/17/bin/pg_controldata", Args: []string{dataDir}})
//
// The machine is the source of truth: nothing is cached, every call asks again.
//
// # What a failed Run means
//
// A caller that is about to promote a server has to tell three failures apart, so each has its own type:
//
//   - [StartError]: the command did not start. It changed nothing.
//   - [ExitError]: the command ran to its end and said no. It carries the exit code and the last lines of standard error.
//   - [UnknownError]: nobody knows whether it ran, or whether it ended. The context ended, or the connection to the
//     machine was lost. Ask the machine what is so before doing anything else.
//
// A nil error means that the command ran and exited with 0, nothing less.
//
// # Secrets
//
// A password reaches a command in [Cmd].Env or [Cmd].Stdin. Neither is ever put into an argument list, on this machine or on
// the other, nor printed: Cmd's String and LogValue leave them out. Over SSH and into containers they travel through standard input, as
// file contents do.
//
// # Files
//
// WriteFile replaces a file so that a reader, or a crash, meets the old content or the new and nothing in between: temporary
// file in the same directory, fsync, rename, fsync of the directory. Rename never replaces anything and never copies. File
// errors are [fs.PathError] values, so errors.Is with [fs.ErrNotExist], [fs.ErrPermission] or [fs.ErrExist] works on every
// kind of host. A host is what package recovery takes as its Files, with include_dir followed and a look at all files before the
// first one is written.
//
// # What it does not promise
//
// There is no shell: no globbing, no quoting, no pipes. Output is held in memory, so it is no place for a base backup. A
// command that leaves a process behind, as pg_ctl start does, has to redirect that process's output (pg_ctl -l); otherwise
// Run waits for it for a moment and then lets go of its output.
//
// Package hosttest has the conformance suite that every kind passes.
package host
