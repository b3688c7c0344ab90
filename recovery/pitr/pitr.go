package pitr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// Options say what to restore, and to where.
type Options struct {
	// Backup is the folder of a base backup: a data directory that was never started since, or base.tar with its fellows.
	Backup string

	// DataDir is the absolute path of the data directory to make. It must not exist; the folder that it is in must.
	DataDir string

	// Tablespaces says where to put the tablespaces, by the location that the backup names; both are absolute. Each must be named,
	// and its new location must not exist.
	Tablespaces map[string]string

	// RestoreCommand fetches one file from the archive; see [recovery.Config]. Where the archive may be out of reach, it should exit with
	// more than 125 then: anything less says that there is no such file, and ends recovery.
	RestoreCommand string

	// Target is where recovery ends. One before the last checkpoint in the backup is refused, unless it is a TargetTime of which only the
	// server knows what its Text means: with an older backup it can be reached. Nil means the end of the archive, where the server always becomes a primary.
	Target recovery.Target

	// Action is what the server does at the Target. Empty means to pause. [recovery.ActionShutdown] leaves it stopped; at each start
	// it stops there again, until [recovery.Apply] says something else.
	Action recovery.TargetAction

	// Timeline is the one to follow. Empty means the server's default: up to 11 that of the backup, from 12 the latest.
	Timeline recovery.TargetTimeline

	// ConfigFile is the main configuration file if it is not in the backup, as in Debian's packages. Its data_directory, if any,
	// must be DataDir. [recovery.TakeOver] edits it.
	ConfigFile string

	// Args are more arguments for postgres, such as "-c", "port=5433". The server listens as its configuration says, unless they
	// say otherwise.
	Args []string

	// Runner starts the server. Required.
	Runner Runner
}

// Runner starts servers. [Local] is the one for this machine.
type Runner interface {
	// Start starts a server with these arguments of postgres, and appends what it writes to the file log. It does not wait until the
	// server is ready, and the server does not end with the caller.
	Start(args []string, log string) (Process, error)
}

// Process is a server that was started.
type Process interface {
	// Exited is closed when it has ended.
	Exited() <-chan struct{}
	// Stop ends it at once, if it has not ended, without a checkpoint, and returns when it has ended: an immediate shutdown.
	Stop() error
}

// ErrNotReached says that the WAL in the archive ends before the target.
var ErrNotReached = errors.New("the WAL that could be restored ends before the recovery target")

// ErrNotPaused says that the server got to the target, but became a primary there at once instead of pausing. That is what it does
// where it cannot let readers in, as when a transaction with more than 64 subtransactions was open while the backup was made. Choose
// another action, or a later target.
var ErrNotPaused = errors.New("the server did not pause at the recovery target, but became a primary there")

// ServerError says that the server ended, or never got anywhere.
type ServerError struct {
	Log  string // its log file
	Last string // the last thing in it that is an error; empty if there is none
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("the server ended before it reached the target: %s (see %s)", e.Last, e.Log)
}

// Result is what Run did.
type Result struct {
	Major pgconf.Major

	// Stopped is what the server said about the place where it stopped replay, in its own words. Empty at the end of the archive.
	Stopped string

	// Control is the control data when it got there. The server may be running.
	Control datadir.Control

	// Process is the server, if it runs: paused or promoted.
	Process Process

	Log string // the server's log file
}

// Run restores a backup and recovers it to the target, and returns when the server has done what Options.Action says. The server then
// runs, or not, independently of ctx and this process. It runs with its log in DataDir + ".log" until it is started again.
//
// If Run fails, no server runs. An unfinished copy is removed; a finished one stays, whatever a server has recovered of it, to be looked
// at, and never starts as a primary by mistake, unless the error is [ErrNotPaused]: remove DataDir before the next try. The error
// matches [ErrNotReached] if the target is not in the WAL, [fs.ErrExist] if DataDir is there, and [*ServerError], [*recovery.FieldError]
// or [*BackupError] where they fit.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Runner == nil || !filepath.IsAbs(o.DataDir) || o.Backup == "" {
		return Result{}, errors.New("options: Backup, Runner and an absolute DataDir are needed")
	}
	o.DataDir = filepath.Clean(o.DataDir)
	from, err := filepath.Abs(o.Backup)
	if err != nil {
		return Result{}, err
	}
	if rel, err := filepath.Rel(from, o.DataDir); err == nil && filepath.IsLocal(rel) {
		return Result{}, errors.New("options: DataDir must not be inside the backup, which is only read")
	}
	b, err := openBackup(ctx, o.Backup)
	if err != nil {
		return Result{}, err
	}
	cfg := o.config()
	if err := cfg.Validate(b.major); err != nil {
		return Result{}, err
	}
	if b.major < 10 {
		return Result{}, &BackupError{o.Backup, "it is of PostgreSQL " + b.major.String() + ", and this works from 10 on"}
	}
	if err := o.restore(ctx, b, cfg); err != nil {
		return Result{}, fmt.Errorf("restore: %w", err)
	}
	r := &run{Options: o, major: b.major, log: o.DataDir + ".log"}
	done, err := r.recover(ctx, cfg)
	if err != nil {
		return Result{}, fmt.Errorf("recover %s: %w", o.DataDir, err)
	}
	return done, nil
}

func (o Options) config() recovery.Config {
	return recovery.Config{
		Role: recovery.Targeted, RestoreCommand: o.RestoreCommand, Target: o.Target, Action: o.Action, TargetTimeline: o.Timeline,
	}
}

// restore makes the data directory. It has its role before it has its name, so that nobody can start it as a primary.
func (o Options) restore(ctx context.Context, b *backup, cfg recovery.Config) (err error) {
	if _, err := os.Lstat(o.DataDir); !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "make", Path: o.DataDir, Err: fs.ErrExist}
	}
	c := &copying{backup: b, dir: o.DataDir + ".restoring", tablespaces: o.Tablespaces}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.undo())
		}
	}()
	c.prepare = func() error {
		if err := o.notBefore(filepath.Join(c.dir, heldBack), b.major); err != nil {
			return err
		}
		files, err := cfg.Render(b.major)
		for _, f := range files {
			if err == nil {
				err = atomicfile.Write(filepath.Join(c.dir, f.Name), f.Data, 0o600)
			}
		}
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	return atomicfile.Rename(c.dir, o.DataDir)
}

// notBefore refuses a target before the last checkpoint in the backup. The server would stop at the first commit after the backup, if
// that is the first which it sees, with everything in the data that was committed between the target and the backup.
func (o Options) notBefore(controlFile string, major pgconf.Major) error {
	target := o.config().WithDefaults(major).Target
	at, isTime := target.(recovery.TargetTime)
	to, isLSN := target.(recovery.TargetLSN)
	if !isTime && !isLSN {
		return nil
	}
	data, err := os.ReadFile(controlFile)
	if err != nil {
		return err
	}
	control, err := datadir.ParseControl(controlFile, data)
	early := isTime && !at.At.IsZero() && at.At.Before(control.CheckpointTime) || isLSN && to.LSN < control.Redo
	if err != nil || !early {
		return err
	}
	return &BackupError{o.Backup, fmt.Sprintf("it is of after the target: it has a checkpoint of %v at %v; take an older backup",
		control.CheckpointTime.UTC().Format(time.RFC3339), control.Redo)}
}

// run is a server under way.
type run struct {
	Options
	major pgconf.Major
	log   string
}

// recover lets the server recover.
func (r *run) recover(ctx context.Context, cfg recovery.Config) (Result, error) {
	if r.major <= 12 && cfg.Target != nil {
		proof := cfg
		proof.Action = recovery.ActionShutdown
		done, err := r.start(ctx, proof, "-c", "archive_mode=off")
		if err != nil || cfg.Action == recovery.ActionShutdown {
			return done, err
		}
	}
	return r.start(ctx, cfg)
}

// start makes the settings those of cfg, starts the server and waits until it is where it shall be.
func (r *run) start(ctx context.Context, cfg recovery.Config, more ...string) (Result, error) {
	server := recovery.Server{DataDir: r.DataDir, Major: r.major, ConfigFile: r.ConfigFile, Args: r.args(more)}
	if err := recovery.TakeOver(ctx, recovery.Disk{}, server, cfg); err != nil {
		return Result{}, err
	}
	earlier, err := sizeOf(r.log)
	if err != nil {
		return Result{}, err
	}
	p, err := r.Runner.Start(server.Args, r.log)
	if err != nil {
		return Result{}, fmt.Errorf("start the server: %w", err)
	}
	stopped, err := wait(ctx, p, r.log, earlier, cfg.WithDefaults(r.major))
	if err != nil {
		return Result{}, errors.Join(err, p.Stop())
	}
	done := Result{Major: r.major, Stopped: stopped, Process: p, Log: r.log}
	if done.Control, err = datadir.ReadControl(r.DataDir); err != nil {
		return Result{}, errors.Join(err, p.Stop())
	}
	if cfg.Action == recovery.ActionShutdown {
		done.Process = nil
		if done.Control.State != datadir.StateShutDownInRecovery {
			return Result{}, &ServerError{Log: r.log, Last: "its control file says " + done.Control.State.String()}
		}
	}
	return done, nil
}

// args returns the arguments of the server: its log must be where it is looked for, in English, and pausing takes hot_standby.
func (r *run) args(more []string) []string {
	args := []string{"-D", r.DataDir}
	if r.ConfigFile != "" {
		args = append(args, "-c", "config_file="+r.ConfigFile)
	}
	args = append(append(args, r.Args...), more...)
	for _, s := range []string{
		"hot_standby=on", "logging_collector=off", "log_destination=stderr", "log_min_messages=warning", "lc_messages=C",
		"log_error_verbosity=default", "log_line_prefix=%m [%p] ", // see message
	} {
		args = append(args, "-c", s)
	}
	return args
}
