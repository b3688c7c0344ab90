// Package gocd tells and sets whether a GoCD server starts as primary or as standby.
//
// A GoCD server takes its role from two JVM system properties, go.server.mode and bc.primary.url, and reads them
// only at start. Where they are written depends on the release:
//
//   - up to 19.5, the Linux packages source /etc/default/go-server with bash and split the variable
//     GO_SERVER_SYSTEM_PROPERTIES with eval ([FormatShell]);
//   - from 19.6 on (and on Windows before that), the Tanuki wrapper includes wrapper-properties.conf, one
//     wrapper.java.additional.N line for each JVM argument ([FormatWrapper]).
//
// The smallest useful calls:
//
//	report, err := gocd.Read(ctx, "/etc/default/go-server", gocd.Options{})
//	fmt.Println(report.Mode, report.Findings)
//
//	version, err := gocd.ParseVersion("19.5.0")
//	standby, warnings, err := gocd.Standby(version, "https://primarygo:8154")
//	change, err := gocd.Prepare("/etc/default/go-server", standby, gocd.Options{})
//	fmt.Print(change.Diff())
//	report, err = gocd.Apply(ctx, change, gocd.Options{})
//
// [Inspect] and [Edit] are the same decisions on bytes, without IO.
//
// # What an edit does
//
// A standby gets one managed block between a BEGIN and an END comment. In a shell file the block holds exactly one
// quoted assignment, which appends to what the file said before; it stands at the end, or stays where it is if
// that has the same effect. In a wrapper file it holds two lines whose numbers nothing else in the file uses:
// those it already had, or else new ones above every other number and from 1000 on, because people and
// container images count up from 100, and a number used twice silently loses the earlier argument.
//
// A primary gets no property at all. The word "primary" is not a mode: the code compares with "standby" and
// "production" only, and takes anything else for a development server.
//
// Both remove every other definition of the two properties:
//
//   - In an assignment of GO_SERVER_SYSTEM_PROPERTIES, exported or not, only the words that define them go,
//     with the blanks before them.
//   - A line of bare words ("GO_SERVER_SYSTEM_PROPERTIES=… -Dgo.server.mode=standby", unquoted) sets nothing: bash
//     takes it for a command of that name. It is made a comment by putting ": # " before it, which cannot
//     leave a surrounding if without a body.
//   - In a wrapper file the line goes, and the .stripquotes or .quotable line of its number if no other line has
//     that number. If it had hidden an earlier line of the same number, that one counts again.
//   - What is written in any other way (by another variable, in code, in a wrapper line that holds other arguments
//     too) is not touched. A standby block overrides it; for a primary the edit is refused with an
//     [EditError] that names the line.
//
// All other bytes stay: comments, CRLF, encodings, a missing final newline. The same edit twice changes
// nothing, and a standby made primary again gives back the bytes it had, if they did not define the properties.
// A wrapper file's block has the line ends of the file; a shell file's always has plain newlines, because bash takes
// a carriage return for a part of the value.
//
// # What Read and Apply promise
//
// [Apply] refuses to overwrite a file that changed since [Prepare], writes it atomically with its mode and owner, and
// then evaluates it as the server would. Unless that gives the wanted mode, it puts the old file back and
// returns a [VerifyError].
//
// Evaluating a shell file means sourcing it, as root if the caller is root: THE FILE'S CODE RUNS, as it does at every
// start of the server. It runs in a bash with an empty environment and no start-up files. Apply always does that;
// [Read] does it only for a file that is more than plain assignments, and never with [Options.NoSource].
//
// # What this package does not do
//
// It judges one file. It does not see wrapper.conf, files included from the wrapper file (it reports them), the
// service's environment, or the JVM arguments of a running server; and it does not restart GoCD, without which no
// change has an effect. It does not promote a database and does not fence anything. Two programs that edit the
// same file in the same instant are not kept apart.
//
// # How it fails
//
// [UnsupportedError]: a standby is asked of a release that would start ACTIVE (23.1.0 and later) or would not read
// the file. [EditError]: the file is broken, or defines a property in a way that is not edited. [VerifyError],
// [ErrChanged], [ErrNoBash]: see there. [ModeUnknown] is a value, not an error: it is not known what the server would
// do, and the report's findings say why.
//
// Sources: the GoCD repository (server.sh, SystemEnvironment.java, the businesscontinuity package from 20.6.0
// to 22.3.0, installers/include) and the Tanuki wrapper (property.c, wrapper_file.c).
package gocd
