// Command topology shows what a PostgreSQL cluster is, says what is wrong with it, and makes it what its description says.
//
//	topology check orders.yaml                    is the description right?
//	topology show orders.yaml --watch             the tree and its problems, again and again
//	topology show orders.yaml --format dot        for pictures; also mermaid, json and table
//	topology problems orders.yaml                 for alarms: the exit code tells
//	topology verify orders.yaml                   write on the primary, and wait to read it on every node
//	topology render orders.yaml reports 17        what the files of a node must say
//	topology plan orders.yaml                     what has to be done to make it so
//	topology apply orders.yaml                    do that, after a question
//
// bootstrap, clone, attach, detach, reparent and retire do one thing each, after a question that --yes answers. Where the description is
// another one afterwards, they print it: put it in the place of the file.
//
// A description is YAML; "topology schema" prints its JSON Schema. The servers are asked as the description's monitor account, or admin
// if there is none, with the password that its secret refers to, or else as libpq finds one (PGPASSFILE, ~/.pgpass). No password is ever
// an argument.
//
// Exit codes:
//
//	  0  done; there is no problem, or only notices; nothing is left to do
//	  1  there are warnings; plan and apply: steps are left to do; bootstrap: a restart of the primary is
//	  2  something is critical; verify: the row did not get everywhere; plan and apply: something is refused
//	 64  the command line is wrong
//	 65  the description is wrong; every fault is printed with its line
//	 69  nobody can tell: no node answers, or a password cannot be read
//	 70  something else failed, or the answer to the question was no
//	130  interrupted
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/topology"
)

const (
	exitOK          = 0
	exitWarning     = 1
	exitCritical    = 2
	exitUsage       = 64
	exitFile        = 65
	exitCannotTell  = 69
	exitFailed      = 70
	exitInterrupted = 130
)

// commands are the verbs; each is in the file named for it.
type commands struct {
	Check    checkCommand    `cmd:"" help:"Say whether a description is right, with all faults and their lines."`
	Schema   schemaCommand   `cmd:"" help:"Print the JSON Schema of descriptions, for editors."`
	Render   renderCommand   `cmd:"" help:"Print or write the files that a node must have."`
	Show     showCommand     `cmd:"" help:"Show what the cluster is, and what is wrong with it."`
	Problems problemsCommand `cmd:"" help:"List what is wrong with the cluster, and what to do about it."`
	Verify   verifyCommand   `cmd:"" help:"Write a row on the primary, wait to read it on every node, and remove it."`

	Plan  planCommand  `cmd:"" help:"Print what has to be done to make the cluster what its description says."`
	Apply applyCommand `cmd:"" help:"Do that."`

	Bootstrap bootstrapCommand `cmd:"" help:"Make a new cluster, or one around a primary that is there."`
	Clone     cloneCommand     `cmd:"" help:"Make the data directory of a standby that has none."`
	Attach    attachCommand    `cmd:"" help:"Take a node of the description into the cluster, or back."`
	Detach    detachCommand    `cmd:"" help:"Take a standby out of the cluster; its data stays."`
	Reparent  reparentCommand  `cmd:"" help:"Let a standby, with all below it, stream from another node."`
	Retire    retireCommand    `cmd:"" help:"Take a standby out for good; its data is set aside under another name."`
}

// codeError ends a command with an exit code. Without an error all has been said already.
type codeError struct {
	code int
	err  error
}

func (e codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e codeError) Unwrap() error { return e.err }

// streams are what a command reads and prints: results to Out, remarks for people to Err.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

func main() { cli.Main(run) }

// run is the whole command. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var given commands
	command, err := cli.Parse("topology", &given, args, stdout, stderr, kong.Description(
		"Shows what a PostgreSQL cluster is, says what is wrong with it, and makes it what its description says.\n\n"+
			"Exit codes: 0 no problems or notices, 1 warnings, 2 critical, 64 wrong command line, 65 wrong description, "+
			"69 nobody can tell, 70 failed, 130 interrupted."))
	if errors.Is(err, cli.ErrHelped) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "topology: %v\nTry topology --help.\n", err)
		return exitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(&streams{stdin, stdout, stderr})
	if err == nil {
		return exitOK
	}
	coded := codeError{code: exitFailed, err: err}
	errors.As(err, &coded)
	if errors.Is(err, context.Canceled) {
		coded.code = exitInterrupted
	}
	if coded.err != nil {
		fmt.Fprintf(stderr, "topology: %v\n", err)
	}
	return coded.code
}

// levelError is the exit code for the worst problem.
func levelError(level topology.Severity) error {
	switch level {
	case topology.Critical:
		return codeError{code: exitCritical}
	case topology.Warning:
		return codeError{code: exitWarning}
	default:
		return nil
	}
}
