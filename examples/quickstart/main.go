// Command quickstart plays the life of a PostgreSQL cluster in front of your eyes: it builds a master, a cascading standby and
// a downstream standby out of nothing, kills the master under load, fails over, proves from the data that no acknowledged
// row is missing, and brings the old master back as a standby.
//
//	quickstart                 newest installed PostgreSQL, in a new temporary directory, on loopback ports
//	quickstart --docker        one container for each node instead
//	quickstart --json          the same as events, one JSON object a line
//	quickstart cleanup         ends and removes what a killed run left behind (the next run does that too)
//
// Flags may begin with one dash or two.
//
// Exit codes: 0 every proof held; 1 a step or a proof failed; 2 it could not begin (wrong usage, nothing installed, no
// Docker, a busy port, an unwritable directory); 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/archivecli"
	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/examples/internal/story"
)

const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { cli.Main(run) }

// commands are what the command line can say.
type commands struct {
	Run     runCommand     `cmd:"" help:"Play the story: a cluster from nothing, the death of its master, the proof that nothing is lost. The default; see also quickstart cleanup."`
	Cleanup cleanupCommand `cmd:"" help:"End and remove what killed runs left behind."`
	Guard   guardCommand   `cmd:"" hidden:"" help:"Clean up after the process at the other end of standard input."`
}

type runCommand struct {
	Bindir  string `placeholder:"DIR" help:"Directory of PostgreSQL's binaries. Default: the newest on PATH or in the usual places."`
	Major   int    `placeholder:"N" help:"PostgreSQL major to use, 10 to 18. Default: the newest found (with --docker: 17)."`
	Dir     string `placeholder:"DIR" help:"Where to create the run's own directory. Default: the system's temporary directory."`
	Port    int    `placeholder:"N" help:"First of three ports on 127.0.0.1. Default: any free ones."`
	Rows    int    `default:"300" help:"Rows to commit before the master dies, and again after it."`
	Clone   bool   `help:"Bring the old master back by a clone even if it could be rewound."`
	Keep    bool   `help:"Keep the directory (data, logs, archive) at the end. The servers are stopped all the same."`
	JSON    bool   `name:"json" help:"Print events, one JSON object a line."`
	Docker  bool   `help:"One container for each node instead of local processes."`
	Image   string `placeholder:"NAME" help:"Image for --docker: any with PostgreSQL and a user postgres. Default: that of UNDERSTUDY_TEST_IMAGE_MAJOR in the environment, else postgres:MAJOR."`
	Program string `placeholder:"FILE" help:"A static Linux build of this program to run inside the containers. Default: this one."`
}

type cleanupCommand struct {
	Dir string `placeholder:"DIR" help:"Where runs created their directories. Default: the system's temporary directory."`
}

type guardCommand struct {
	Directory string `arg:"" help:"The run's directory."`
	Keep      bool   `help:"Keep the directory."`
}

// usageError is a mistake that shows before anything was started.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == archiverVerb {
		return archivecli.Run(ctx, args[1:], stdin, stdout, stderr)
	}
	args = normalize(args)
	var given commands
	chosen, err := cli.Parse("quickstart", &given, args, stdout, stderr, kong.UsageOnError(),
		kong.Description("A PostgreSQL cluster that survives the loss of its master, from nothing to the proof."))
	if errors.Is(err, cli.ErrHelped) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "quickstart: %v (see quickstart --help)\n", err)
		return exitUsage
	}
	switch chosen.Command() {
	case "cleanup":
		err = cleanup(ctx, given.Cleanup, stdout)
	case "guard <directory>":
		err = guard(ctx, given.Guard, stdin)
	default:
		err = play(ctx, given.Run, stdout)
	}
	return explain(ctx, err, stderr)
}

// normalize names the default command, so that --help shows its flags, and lets long flags begin with one dash too.
func normalize(args []string) []string {
	long := make([]string, 0, len(args)+1)
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		long = append(long, "run")
	}
	for _, a := range args {
		if len(a) > 2 && a[0] == '-' && a[1] != '-' {
			a = "-" + a
		}
		long = append(long, a)
	}
	return long
}

// explain prints an error and returns its exit code.
func explain(ctx context.Context, err error, stderr io.Writer) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "quickstart: interrupted; everything it started has been ended")
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "quickstart:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "quickstart:", err)
		return exitFailed
	}
}

// play sets the scene, runs the story, and cleans up.
func play(ctx context.Context, cmd runCommand, stdout io.Writer) (err error) {
	place, err := newPlace(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.leave(ctx)) }()
	cfg, err := place.config(ctx, cmd)
	if err != nil {
		return err
	}
	out := newPrinter(stdout, cmd.JSON)
	defer out.close()
	out.begin(cfg, place)
	cfg.Emit = out.event
	_, err = story.Run(ctx, cfg)
	return err
}
