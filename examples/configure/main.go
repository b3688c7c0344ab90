// Command configure sets up a PostgreSQL cluster on this machine, one node after the other: a master, a cascading standby below it, a
// downstream standby below that, or any other tree.
//
//	configure master     --cluster 17/main --port 5432
//	configure cascade    --cluster 17/cascade --port 5433
//	configure downstream --cluster 17/downstream --port 5434
//	configure standby    --name reports --upstream cascade --data-dir /srv/reports --bin-dir /usr/lib/postgresql/17/bin --port 5435
//	configure apply
//	configure clean reports
//
// Each of the first four adds a node to a cluster file (--file, package topology/clusterfile), makes the machine what the file says,
// and prints the steps as it does them. The same arguments mean the same thing each time: what is done is not done again, what an
// interrupted run left is finished, and a node that is there with other facts is an error. apply does what the file says after
// somebody has edited it. With --dry-run the steps are printed and nothing is done.
//
// What is missing is asked for, if there is a terminal: a Debian cluster or the place of a data directory, the port, and the
// passwords of the superuser and of the replication role. Passwords show neither on the screen nor in the arguments of any process;
// they are kept beside the cluster file in FILE.secrets, for its owner alone, and the cluster file refers to them. Without a
// terminal, write them there before, one file each: admin and replication.
//
// clean takes a node out of the cluster: it stops the server and sets the data directory aside, by another name beside it. Nothing is
// deleted. It says what it will set aside, and wants the system identifier of the cluster typed back, or given with --yes. A
// node that others stream from is refused, and so is a standby that may have what the master has not. The last node takes the
// cluster file along. The configuration of a Debian cluster stays; pg_dropcluster removes it when nobody needs it.
//
// Run it as root, who works as the owner of the servers (--user), or as that owner. Servers from 10 on; cloning takes pg_basebackup,
// or the program basebackup of these examples (--basebackup).
//
// Exit codes: 0 done, or nothing to do; 1 failed, and the same command goes on from there; 64 wrong usage, or something is missing and
// there is nobody to ask; 65 the cluster file is wrong; 75 somebody else works on the cluster; 77 refused: not confirmed, or data
// would be lost; 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/clusterfile"
	"github.com/understudy-ha/understudy/topology/host"
)

const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64
	exitFile        = 65
	exitBusy        = 75
	exitRefused     = 77
	exitInterrupted = 130
)

func main() { cli.Main(run) }

// grammar is what the command line can say.
type grammar struct {
	File       string `short:"f" default:"cluster.yaml" placeholder:"FILE" help:"Cluster file. Default: ${default}."`
	User       string `placeholder:"NAME" help:"Owner of the servers. Default: this user, and postgres for root."`
	Basebackup string `placeholder:"PROGRAM" help:"Absolute path of a program to clone with in place of pg_basebackup."`
	DryRun     bool   `help:"Print what there is to do, and do nothing."`

	Master     masterFlags  `cmd:"" help:"Set up the primary."`
	Standby    standbyFlags `cmd:"" help:"Set up a standby of the master."`
	Cascade    standbyFlags `cmd:"" help:"Set up the standby of the master that commits wait for."`
	Downstream standbyFlags `cmd:"" help:"Set up a standby of the cascading one."`
	Apply      struct{}     `cmd:"" help:"Do what the cluster file says."`
	Clean      cleanFlags   `cmd:"" help:"Stop a node and set its data directory aside."`
}

// masterFlags describe a node.
type masterFlags struct {
	Name    string `placeholder:"NAME" help:"The node's name. Default: the name of the command."`
	Host    string `placeholder:"ADDRESS" help:"Address at which the nodes reach it. Default: 127.0.0.1."`
	Port    int    `placeholder:"N" help:"Port of the server."`
	Cluster string `placeholder:"VERSION/NAME" xor:"place" help:"Debian cluster, as in 17/main; it is created if need be."`
	DataDir string `placeholder:"DIR" xor:"place" help:"Data directory, where Debian's tools are not used."`
	BinDir  string `placeholder:"DIR" help:"Folder of postgres, for --data-dir."`
}

type standbyFlags struct {
	masterFlags `embed:""`

	Upstream string `placeholder:"NAME" help:"The node to stream from. Default: master, for downstream cascade."`
	Sync     *bool  `negatable:"" help:"Whether commits may wait for it. Default: for cascade and downstream."`
}

type cleanFlags struct {
	Node string `arg:"" help:"The node's name."`
	Yes  string `placeholder:"IDENTIFIER" help:"The system identifier of the cluster, to be asked nothing."`
}

// program is one run.
type program struct {
	grammar

	terminal terminal
	out      io.Writer
	steps    int // events of steps so far
}

// refusal is an error with an exit code of its own.
type refusal struct {
	code int
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func usage(format string, args ...any) error { return &refusal{exitUsage, fmt.Errorf(format, args...)} }
func refuse(format string, args ...any) error {
	return &refusal{exitRefused, fmt.Errorf(format, args...)}
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runWith(ctx, args, openTerminal(stdin, stderr), stdout, stderr)
}

func runWith(ctx context.Context, args []string, t terminal, stdout, stderr io.Writer) int {
	p := &program{terminal: t, out: stdout}
	parsed, err := cli.Parse("configure", &p.grammar, args, stdout, stderr,
		kong.Description("Set up a PostgreSQL cluster on this machine, one node after the other."))
	switch {
	case errors.Is(err, cli.ErrHelped):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "configure: %v (see configure --help)\n", err)
		return exitUsage
	}
	if err := p.do(ctx, parsed.Command()); err != nil {
		fmt.Fprintf(stderr, "configure: %v\n", err)
		return exitCode(ctx, err)
	}
	return exitOK
}

func exitCode(ctx context.Context, err error) int {
	var (
		own   *refusal
		busy  *build.LockedError
		data  *build.NotRedundantError
		fault *clusterfile.Error
	)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &busy):
		return exitBusy
	case errors.As(err, &data):
		return exitRefused
	case errors.As(err, &fault):
		return exitFile
	}
	return exitFailed
}

func (p *program) do(ctx context.Context, command string) error {
	switch command {
	case "master":
		return p.add(ctx, "master", standbyFlags{masterFlags: p.Master})
	case "standby":
		return p.add(ctx, "standby", p.Standby)
	case "cascade":
		return p.add(ctx, "cascade", p.Cascade)
	case "downstream":
		return p.add(ctx, "downstream", p.Downstream)
	case "apply":
		f, err := p.load()
		if err != nil {
			return err
		}
		return p.apply(ctx, f)
	default:
		return p.clean(ctx)
	}
}

// builder is what works on the machine.
func (p *program) builder(f file) (*build.Builder, error) {
	return build.New(build.Config{
		Cluster: f.cluster, Machines: host.OpenConfig{User: p.owner()}, Basebackup: p.Basebackup,
		Progress: func(e build.Event) {
			p.steps++
			fmt.Fprintln(p.out, e)
		},
	})
}

// owner is who owns the servers.
func (p *program) owner() string {
	if me, err := user.Current(); p.User == "" && err == nil && me.Uid == "0" {
		return "postgres" // PostgreSQL refuses root
	}
	return p.User
}

// local refuses nodes of other machines, whose files are not for us to name.
func local(c topology.Cluster) error {
	for _, n := range c.Nodes {
		if n.Machine != "" && n.Machine != "local" {
			return usage("node %s is on another machine (%s): configure works on this one", n.ID, n.Machine)
		}
	}
	return nil
}
