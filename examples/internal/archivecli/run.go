package archivecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive"
)

// Exit codes besides 0; the package comment says when.
const (
	exitFailed          = 1
	exitAbsent          = 1
	exitConflict        = 3
	exitForeign         = 4
	exitUsage           = 64
	exitUnknownStandby  = 75
	exitUnknownRecovery = 200
	exitSignal          = 128 // plus the signal's number
)

// Run executes the command line args (without the program's name) and returns the exit code. It returns soon after
// ctx ends, and leaves nothing half-written then.
func Run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return app{stdout: stdout, stderr: stderr, identity: identity, grace: 2 * time.Second}.run(ctx, args)
}

func identity(dataDir string) (walarchive.Identity, error) {
	c, err := datadir.ReadControl(dataDir)
	return walarchive.Identity{SystemID: c.SystemID, SegmentSize: c.SegmentSize}, err
}

// app is one run with what it takes from outside.
type app struct {
	stdout, stderr io.Writer
	identity       func(dataDir string) (walarchive.Identity, error)
	grace          time.Duration // how long a stopped command may take to tidy up
}

// grammar is the command line.
type grammar struct {
	Archive string     `required:"" env:"UNDERSTUDY_ARCHIVE" placeholder:"DIR" help:"The archive: an existing directory, or file:///DIR."`
	DataDir string     `short:"D" default:"." placeholder:"DIR" help:"Data directory of the server (default: the current directory)."`
	Push    pushCmd    `cmd:"" help:"Archive a file, for archive_command. Exit code 0: archived; 1: try again; 3: archived with other content; 4: another cluster's archive; 64: usage."`
	Fetch   fetchCmd   `cmd:"" help:"Restore a file, for restore_command. Exit code 0: restored; 1: not in the archive; 75: cannot tell, on a standby; 200: cannot tell, in any other recovery."`
	Cleanup cleanupCmd `cmd:"" help:"Remove WAL from before a file, for archive_cleanup_command. Exit code 0: done; 1: failed; 64: usage."`
	List    listCmd    `cmd:"" help:"Print the names of the archived files. Exit code 0: done; 1: failed; 64: usage."`
}

const description = `Keeps a PostgreSQL WAL archive.

archive_command = 'walarchive --archive DIR push "%p"'

restore_command = 'walarchive --archive DIR fetch "%f" "%p"'

archive_cleanup_command = 'walarchive --archive DIR cleanup "%r"'

PostgreSQL takes exit codes from 1 to 125 of restore_command for the end of the archive, and those above 125 for
a reason to stop. So fetch says 1 only if the archive is there and does not hold the file.`

// command is a parsed verb.
type command interface {
	// do works until it is done or ctx ends.
	do(ctx context.Context, a app, g *grammar) error
	// exitCode is for what do returned, nil included.
	exitCode(g *grammar, err error) int
}

// done is how kong's --help gets out of the parser.
type done struct{ code int }

func (a app) run(ctx context.Context, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			d, ok := r.(done)
			if !ok {
				panic(r)
			}
			code = d.code
		}
	}()
	var g grammar
	parser := kong.Must(&g, kong.Name("walarchive"), kong.Description(description),
		kong.Writers(a.stdout, a.stderr), kong.Exit(func(code int) { panic(done{code}) }))
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(a.stderr, "walarchive: %v (see walarchive --help)\n", err)
		return usageExit(&g, err)
	}
	cmd := parsed.Selected().Target.Addr().Interface().(command)
	err = a.guarded(ctx, func() error { return cmd.do(ctx, a, &g) })
	if err != nil && !errors.As(err, new(*walarchive.AbsentError)) { // a standby asks for what is not there all day
		fmt.Fprintf(a.stderr, "walarchive %s: archive %s: %v\n", parsed.Selected().Name, g.Archive, err)
	}
	return cmd.exitCode(&g, err)
}

// usageExit is the exit code for a command line that did not parse.
func usageExit(g *grammar, err error) int {
	var bad *kong.ParseError
	if errors.As(err, &bad) {
		if node := bad.Context.Selected(); node != nil && node.Name != "fetch" {
			return exitUsage
		}
	}
	return g.Fetch.exitCode(g, err)
}

// guarded runs work and returns its error. A panic is an error: a Go program that panics exits with 2, which
// in restore_command means the end of the archive. When ctx ends, work gets the grace period; a system call
// that hangs longer (a dead network file system) is left behind.
func (a app) guarded(ctx context.Context, work func() error) error {
	result := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				result <- fmt.Errorf("internal error: %v", r)
			}
		}()
		result <- work()
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result:
		return err
	case <-time.After(a.grace):
		return context.Cause(ctx)
	}
}
