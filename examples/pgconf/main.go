// Command pgconf reads, judges and edits the configuration files of PostgreSQL servers.
//
// "pgconf --help" lists the verbs. A verb that changes a file prints the change as a unified diff; only with --write it
// makes it, atomically.
//
// Exit codes:
//
//	0  done: printed, nothing to complain about, or the change was shown or made
//	1  failed: a file cannot be read or written, or its text is not valid
//	2  the command line is wrong
//	3  the answer is no: a check found problems, a parameter is not set, two files differ, no rule lets the connection in
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/pgconf"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitNo     = 3
)

// commands are the verbs; each is in the file named for it.
type commands struct {
	Get       getCommand       `cmd:"" help:"Print what a server uses for parameters: the last setting of its files, or the command line's."`
	Set       setCommand       `cmd:"" help:"Set parameters where they are set now: in postgresql.conf, or a file that it includes."`
	Unset     unsetCommand     `cmd:"" help:"Comment parameters out in all files, so that the defaults count."`
	Check     checkCommand     `cmd:"" help:"Say what is wrong with the configuration of servers."`
	Effective effectiveCommand `cmd:"" help:"List all parameters that are set, where, and what they overrule."`
	Diff      diffCommand      `cmd:"" help:"Compare what two configurations mean, and say what a running server needs: nothing, a reload or a restart."`
	Translate translateCommand `cmd:"" help:"Rewrite a configuration for another major version: names, units, words; recovery.conf into its new place."`
	Param     paramCommand     `cmd:"" help:"Explain a parameter: its type, unit, bounds, default, what a change needs, and what other majors do differently."`
	HBA       hbaCommands      `cmd:"" name:"hba" help:"Work with pg_hba.conf, which says who may connect from where and how."`
	Conninfo  conninfoCommand  `cmd:"" help:"Read a connection string, edit it, and write it as key=value pairs, as a URI or as a URL of pgjdbc."`
}

// errNo ends a command whose answer is no. It has been printed already.
var errNo = errors.New("the answer is no")

// errUsage is matched by errors that the command line is to blame for.
var errUsage = errors.New("wrong command line")

func main() {
	// A signal ends the command at once: files are replaced as a whole, so that none is half-written.
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// streams are what a command reads and prints: results to Out, remarks for people to Err.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// run is the whole command. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var given commands
	command, err := cli.Parse("pgconf", &given, args, stdout, stderr,
		kong.Description("Reads, judges and edits the configuration files of PostgreSQL servers.\n\n"+
			"Exit codes: 0 done, 1 failed, 2 wrong command line, 3 the answer is no."),
		kong.Vars{"newest": pgconf.Newest.String()},
	)
	if errors.Is(err, cli.ErrHelped) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "pgconf: %v\nTry pgconf --help.\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(&streams{stdin, stdout, stderr})
	if err != nil && !errors.Is(err, errNo) {
		fmt.Fprintf(stderr, "pgconf: %v\n", err)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return exitNo
	case errors.Is(err, errUsage):
		return exitUsage
	}
	return exitFailed
}
