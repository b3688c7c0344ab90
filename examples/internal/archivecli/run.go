package archivecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive"
)

// Exit codes besides 0; the package comment says when.
const (
	exitFailed          = 1
	exitAbsent          = 1
	exitBad             = 2
	exitConflict        = 3
	exitForeign         = 4
	exitUsage           = 64
	exitUnknownStandby  = 1
	exitUnknownRecovery = 200
	exitSignal          = 128 // plus the signal's number
)

// Run executes the command line args (without the program's name) and returns the exit code. It returns soon after
// ctx ends, and leaves nothing half-written then.
func Run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return newApp(stdout, stderr).run(ctx, args)
}

func newApp(stdout, stderr io.Writer) app {
	return app{stdout: stdout, stderr: stderr, identity: identity, grace: 2 * time.Second}
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
	self           string        // this program, to start a helper with; empty if it cannot be called so
}

// grammar are the flags of the command line that are for all verbs.
type grammar struct {
	Archive    []string       `env:"UNDERSTUDY_ARCHIVE" sep:"none" placeholder:"URL" help:"Where the archive is: a directory, file:///DIR, sftp://USER@HOST/DIR or s3://BUCKET/PREFIX. Repeat it for several places that must all hold every file."`
	Config     string         `env:"UNDERSTUDY_ARCHIVE_CONFIG" placeholder:"FILE" help:"Configuration file (YAML), in the place of --archive and what belongs to it."`
	Compress   string         `placeholder:"FORMAT" help:"How to store segments: none, zstd, lz4, gzip, s2, with a level as in zstd:3. Default: none."`
	Recipient  []string       `sep:"none" placeholder:"KEY" help:"Encrypt to this age public key, or to those in this file. Can be repeated."`
	Identities string         `placeholder:"FILE" help:"File with the age keys that decrypt."`
	DataDir    string         `short:"D" default:"." placeholder:"DIR" help:"Data directory of the server (default: the current directory)."`
	Spool      string         `placeholder:"DIR" help:"Folder of the helper that looks ahead: local, the server's own, beside the data directory."`
	Ahead      *int           `placeholder:"N" help:"Look ahead: push or fetch the next files too, N at once, through a helper process. Needs --spool."`
	Retry      *time.Duration `placeholder:"TIME" help:"For how long a fetch tries again what failed, before it says that it cannot tell. Default: 20s."`
	Deadline   *time.Duration `placeholder:"TIME" help:"The longest that a push or fetch may take; a large segment on a slow line needs more. Default: 10m."`

	CheckRecords bool `help:"Check the WAL records of segments, too, in push and verify: lengths, order, checksums."`
}

// commandLine is the whole command line.
type commandLine struct {
	grammar

	Push     pushCmd     `cmd:"" help:"Archive a file, for archive_command. Exit code 0: archived; 1: try again; 3: archived with other content; 4: another cluster's archive; 64: usage."`
	Fetch    fetchCmd    `cmd:"" help:"Restore a file, for restore_command. Exit code 0: restored; 1: not in the archive, or on a standby: cannot tell; 200: cannot tell, in any other recovery."`
	Cleanup  cleanupCmd  `cmd:"" help:"Remove WAL that nobody needs, for archive_cleanup_command. Exit code 0: done; 1: failed; 64: usage."`
	List     listCmd     `cmd:"" help:"Show what the archive holds. Exit code 0: done; 1: failed; 64: usage."`
	Gaps     gapsCmd     `cmd:"" help:"Show what is missing. Exit code 0: nothing that matters; 1: failed; 2: something is lost; 64: usage."`
	Verify   verifyCmd   `cmd:"" help:"Read everything and check it. Exit code 0: all good; 1: failed; 2: something is damaged; 64: usage."`
	Wait     waitCmd     `cmd:"" help:"Wait until a position or a file is archived. Exit code 0: it is; 1: failed, or --timeout is over; 64: usage."`
	Check    checkCmd    `cmd:"" help:"Try whether the archive works from here: written, read back, the same place as another, room enough. Exit code 0: yes; 1: failed; 2: no; 64: usage."`
	Consumer consumerCmd `cmd:"" help:"Register who needs WAL, so that cleanup keeps it."`
	Receive  receiveCmd  `cmd:"" help:"Receive WAL from a server all the time, and archive it within seconds. Exit code 0: stopped; 1: failed; 2: only a decision helps; 64: usage."`
	Serve    serveCmd    `cmd:"" help:"Run the helper that looks ahead as a service. Exit code 0: stopped; 1: failed; 64: usage."`
	Settings settingsCmd `cmd:"" help:"Print the lines for postgresql.conf (up to 11 partly recovery.conf) of a major."`
}

// hookLine is the part of it that a server waits for. It is tried first, because it is ready in a quarter of the time.
type hookLine struct {
	grammar

	Push  pushCmd  `cmd:""`
	Fetch fetchCmd `cmd:""`
}

const description = `Keeps a PostgreSQL WAL archive.

archive_command = 'walarchive --archive URL push "%p"'

restore_command = 'walarchive --archive URL fetch "%f" "%p"'

archive_cleanup_command = 'walarchive --archive URL cleanup "%r"'

PostgreSQL takes exit codes from 1 to 125 of restore_command for the end of the archive, and those above 125 for
a reason to stop. So fetch says 1 only if the archive is there and does not hold the file, or on a standby, which asks again.
"walarchive settings 17" prints the exact lines for a major.`

// verb is one that was parsed.
type verb interface {
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
	hook := new(hookLine)
	if selected, err := parse(hook, args, kong.NoDefaultHelp()); err == nil {
		return a.execute(ctx, &hook.grammar, selected)
	}
	line := new(commandLine)
	selected, err := parse(line, args, kong.Name("walarchive"), kong.Description(description), kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(code int) { panic(done{code}) }))
	if err != nil {
		fmt.Fprintf(a.stderr, "walarchive: %v (see walarchive --help)\n", err)
		return line.usageExit(err)
	}
	return a.execute(ctx, &line.grammar, selected)
}

// parse reads the command line into a pointer to one of the structs above.
func parse(line any, args []string, options ...kong.Option) (*kong.Node, error) {
	parsed, err := kong.Must(line, options...).Parse(args)
	if err != nil {
		return nil, err
	}
	return parsed.Selected(), nil
}

// execute does what a verb is for and returns the exit code.
func (a app) execute(ctx context.Context, g *grammar, selected *kong.Node) int {
	cmd := selected.Target.Addr().Interface().(verb)
	err := a.guarded(ctx, func() error { return cmd.do(ctx, a, g) })
	if err != nil && !errors.As(err, new(*walarchive.AbsentError)) { // a standby asks for what is not there all day
		fmt.Fprintf(a.stderr, "walarchive %s: %s\n", verbName(selected), oneLine(err))
	}
	if _, isFetch := cmd.(*fetchCmd); errors.As(err, new(usageError)) && !isFetch {
		return exitUsage
	}
	return cmd.exitCode(g, err)
}

// verbName is what the user typed, such as "consumer set".
func verbName(n *kong.Node) string {
	if n.Parent != nil && n.Parent.Type == kong.CommandNode {
		return n.Parent.Name + " " + n.Name
	}
	return n.Name
}

// usageError is a mistake on the command line that its grammar does not see.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// oneLine is an error's text for the server's log, where each line would get a prefix of its own.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// usageExit is the exit code for a command line that did not parse.
func (l *commandLine) usageExit(err error) int {
	var bad *kong.ParseError
	if errors.As(err, &bad) {
		if node := bad.Context.Selected(); node != nil && node.Name != "fetch" {
			return exitUsage
		}
	}
	return l.Fetch.exitCode(&l.grammar, err)
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
