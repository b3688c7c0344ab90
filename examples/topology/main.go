// Command topology shows what a PostgreSQL cluster is, says what is wrong with it, and makes it what its description says.
//
//	topology check orders.yaml                    is the description right?
//	topology show orders.yaml --watch             the tree and its problems, again and again
//	topology show orders.yaml --format dot        for pictures; also mermaid, json and table
//	topology problems orders.yaml                 for alarms: the exit code tells
//	topology verify orders.yaml                   write on the primary, and wait to read it on every node
//	topology render orders.yaml reports 17        what the files of a node must say
//
// A description is YAML; "topology schema" prints its JSON Schema. The servers are asked as the description's monitor account, or admin
// if there is none, with the password that its secret refers to, or else as libpq finds one (PGPASSFILE, ~/.pgpass). No password is ever
// an argument.
//
// Exit codes:
//
//	  0  done; there is no problem, or only notices
//	  1  there are warnings
//	  2  something is critical
//	 64  the command line is wrong
//	 65  the description is wrong; every fault is printed with its line
//	 69  nobody can tell: no node answers, or a password cannot be read
//	 70  something else failed
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
