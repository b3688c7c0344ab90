// Command gocdmode tells and sets whether a GoCD server starts as primary or as standby.
//
//	gocdmode mode get [--json] [--no-source]
//	gocdmode mode set standby --primary-url https://primarygo:8154 --version 19.5.0 [--write]
//	gocdmode mode set primary [--write]
//
// All take --file FILE (default: the file that the Linux package installed on this machine reads), --format shell or
// wrapper (default: told by name and content) and --windows (the server runs there).
//
// Without --write, set prints the change as a unified diff and writes nothing. With it, the file is written atomically,
// evaluated as the server would, and put back if that does not give the wanted mode. The server reads the file
// only at start: restart it afterwards.
//
// Evaluating a shell file runs its code in bash, as every start of the server does. "mode get" does that only if
// the file is more than plain assignments, and never with --no-source; "set --write" always does.
//
// Exit codes:
//
//	0  get: the mode is known; set: the change was shown, or written and verified, or there is none to make
//	1  failed: the file cannot be read or written, or changed meanwhile, or did not verify and was put back
//	2  the command line is wrong
//	3  refused: the release would ignore the mode or the file, or the file cannot be edited safely
//	4  get: the mode is not known; the findings say why
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/gocd"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitUnknown = 4
)

func main() { cli.Main(run) }

// run is the whole command. It returns the exit code.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var given commands
	command, err := cli.Parse("gocdmode", &given, args, stdout, stderr,
		kong.Description("Tells and sets whether a GoCD server starts as primary or as standby.\n\n"+
			"Exit codes: 0 done, 1 failed, 2 wrong command line, 3 refused, 4 mode not known."),
		kong.Vars{"windows": strconv.FormatBool(runtime.GOOS == "windows")},
	)
	if errors.Is(err, cli.ErrHelped) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "gocdmode: %v\nTry gocdmode --help.\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(&output{stdout, stderr})
	if err != nil && !errors.Is(err, errUnknownMode) {
		fmt.Fprintf(stderr, "gocdmode: %v\n", err)
		if hint := hintFor(err); hint != "" {
			fmt.Fprintln(stderr, hint)
		}
	}
	return exitCode(err)
}

// exitCode tells refusals from failures: see the package comment.
func exitCode(err error) int {
	var unsupported *gocd.UnsupportedError
	var edit *gocd.EditError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &unsupported), errors.As(err, &edit):
		return exitRefused
	case errors.Is(err, errUsage), errors.Is(err, errNoServer), errors.Is(err, gocd.ErrUnknownFormat):
		return exitUsage
	case errors.Is(err, errUnknownMode):
		return exitUnknown
	}
	return exitFailed
}

// hintFor says what to do about an error whose text does not.
func hintFor(err error) string {
	switch {
	case errors.Is(err, gocd.ErrUnknownFormat):
		return "Say which it is with --format shell or --format wrapper."
	case errors.Is(err, gocd.ErrChanged):
		return "Look at the file and run the command again."
	case errors.Is(err, fs.ErrNotExist):
		return "Name the server's file with --file."
	case errors.Is(err, fs.ErrPermission):
		return "Run the command as root, or as the owner of the file."
	}
	return ""
}
