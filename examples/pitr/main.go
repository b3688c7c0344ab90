// Command pitr restores a base backup and recovers it from an archive of WAL to a moment in the past.
//
//	pitr --bin-dir /usr/lib/postgresql/17/bin --restore-command 'cp /mnt/wal/%f "%p"' \
//	     --time '2026-03-01 11:59:00+00' --then pause /backups/sunday /var/lib/postgresql/17/restored
//
// BACKUP is what basebackup (or pg_basebackup) made, plain or tar; it is only read. DATADIR is made. Without a target the server recovers
// to the end of the archive. Then it is paused (look at the data, and call pg_wal_replay_resume() to promote it), promoted, or stopped.
// A server that runs goes on running; its log is DATADIR.log. Run it as the user of the server.
//
// Exit codes: 0 the server is there; 1 it is not, and none runs; 2 wrong usage; 3 the archive ends before the target; 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/alecthomas/kong"

	"github.com/understudy-ha/understudy/examples/internal/cli"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/pitr"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReached  = 3
	exitInterrupted = 130
)

func main() { cli.Main(run) }

// flags are what the command line can say.
type flags struct {
	Backup  string `arg:"" help:"Folder of the base backup."`
	DataDir string `arg:"" name:"datadir" help:"Data directory to make."`

	BinDir         string            `required:"" placeholder:"DIR" help:"Folder of postgres, of the backup's major."`
	RestoreCommand string            `required:"" placeholder:"COMMAND" help:"Fetches the file %f from the archive to %p. It should exit with more than 125 if it cannot tell."`
	Time           string            `xor:"target" placeholder:"TIME" help:"Recover to this time, such as '2026-03-01 11:59:00+00'."`
	LSN            string            `name:"lsn" xor:"target" placeholder:"LSN" help:"Recover to this position, such as 0/3000148."`
	Name           string            `xor:"target" placeholder:"TEXT" help:"Recover to this restore point."`
	XID            uint32            `name:"xid" xor:"target" placeholder:"N" help:"Recover to the end of this transaction."`
	Consistency    bool              `xor:"target" help:"Recover to the end of the backup."`
	Exclusive      bool              `help:"Stop before a time, position or transaction, not after it."`
	Then           string            `enum:"pause,promote,shutdown" default:"pause" help:"What the server does at the target: ${enum}."`
	Timeline       string            `placeholder:"N" help:"Timeline to follow: a number, latest or current."`
	ConfigFile     string            `placeholder:"FILE" help:"Main configuration file, if it is not in the backup."`
	Port           int               `placeholder:"N" help:"Port of the restored server. Default: as its configuration says."`
	Tablespace     map[string]string `placeholder:"OLD=NEW" mapsep:"none" help:"Put the tablespace that the backup has at OLD at NEW. Can be repeated."`
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var given flags
	_, err := cli.Parse("pitr", &given, args, stdout, stderr,
		kong.Description("Restore a base backup and recover it to a moment in the past."))
	if errors.Is(err, cli.ErrHelped) {
		return exitOK
	}
	var o pitr.Options
	if err == nil {
		o, err = given.options()
	}
	if err != nil {
		fmt.Fprintf(stderr, "pitr: %v (see pitr --help)\n", err)
		return exitUsage
	}
	result, err := pitr.Run(ctx, o)
	return report(ctx, given, result, err, stdout, stderr)
}

// options are what the flags mean.
func (f flags) options() (pitr.Options, error) {
	dataDir, err := filepath.Abs(f.DataDir)
	if err != nil {
		return pitr.Options{}, err
	}
	target, err := f.target()
	o := pitr.Options{
		Backup: f.Backup, DataDir: dataDir, Tablespaces: f.Tablespace, RestoreCommand: f.RestoreCommand, Target: target,
		Timeline: recovery.TargetTimeline(f.Timeline), ConfigFile: f.ConfigFile, Runner: pitr.Local{BinDir: f.BinDir},
	}
	if target != nil {
		o.Action = recovery.TargetAction(f.Then)
	}
	if f.Port != 0 {
		o.Args = []string{"-c", fmt.Sprintf("port=%d", f.Port)}
	}
	return o, err
}

// target is where to go; nil is the end of the archive.
func (f flags) target() (recovery.Target, error) {
	switch {
	case f.Time != "":
		return recovery.TargetTime{Text: f.Time, Exclusive: f.Exclusive}, nil
	case f.LSN != "":
		lsn, err := wal.ParseLSN(f.LSN)
		return recovery.TargetLSN{LSN: lsn, Exclusive: f.Exclusive}, err
	case f.Name != "":
		return recovery.TargetName{Name: f.Name}, nil
	case f.XID != 0:
		return recovery.TargetXID{XID: f.XID, Exclusive: f.Exclusive}, nil
	case f.Consistency:
		return recovery.TargetImmediate{}, nil
	default:
		return nil, nil
	}
}

// report says how it ended.
func report(ctx context.Context, cli flags, result pitr.Result, err error, stdout, stderr io.Writer) int {
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(stderr, "pitr: interrupted: %v\n", err)
		return exitInterrupted
	case errors.Is(err, pitr.ErrNotReached):
		fmt.Fprintf(stderr, "pitr: %v\n", err)
		return exitNotReached
	case err != nil:
		fmt.Fprintf(stderr, "pitr: %v\n", err)
		return exitFailed
	}
	state := "is promoted"
	if result.Stopped != "" {
		state = map[string]string{"pause": "is paused", "promote": "is promoted", "shutdown": "is stopped"}[cli.Then]
		fmt.Fprintln(stdout, result.Stopped)
	}
	fmt.Fprintf(stdout, "the server in %s %s; its log is %s\n", cli.DataDir, state, result.Log)
	return exitOK
}
