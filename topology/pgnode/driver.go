package pgnode

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology/host"
)

// driver does what a manager does. Whether it did so is judged by the processes and files of the server, not by the driver's word alone.
// stop, reload and promote are only called for a server whose postmaster.pid names one of its own processes.
type driver interface {
	start(ctx context.Context) error
	stop(ctx context.Context, mode StopMode) error
	restart(ctx context.Context) error
	reload(ctx context.Context) error
	promote(ctx context.Context) error

	// release tells what would start the server again by itself to leave it stopped. It does not wait for the server.
	release(ctx context.Context) error

	// released says why the server may still be started by itself, or "".
	released(ctx context.Context) (string, error)
}

func (n *Node) newDriver() driver {
	plain := pgCtl{n}
	switch n.cfg.Manager {
	case Debian:
		version, name, _ := splitCluster(n.cfg.Cluster)
		return pgCtlCluster{plain, version, name}
	case Systemd:
		return systemd{plain, n.cfg.Unit}
	case Commands:
		return userCommands{plain}
	default:
		return plain
	}
}

// pgCtl drives a server with pg_ctl.
type pgCtl struct{ n *Node }

// run runs pg_ctl for the data directory.
func (d pgCtl) run(ctx context.Context, verb string, args ...string) error {
	seconds := strconv.Itoa(int((d.n.cfg.Timeout + time.Second - 1) / time.Second))
	_, err := d.n.run(ctx, "pg_ctl", append([]string{verb, "-s", "-D", d.n.cfg.DataDir, "-t", seconds}, args...)...)
	return err
}

func (d pgCtl) start(ctx context.Context) error {
	args := []string{"-w", "-l", d.n.cfg.LogFile}
	if d.n.cfg.ownConfig() {
		args = append(args, "-o", "-c config_file="+shellQuote(d.n.cfg.ConfigFile))
	}
	return d.run(ctx, "start", args...)
}

// shellQuote quotes a word for the shell, to which pg_ctl hands the options of postgres.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (d pgCtl) stop(ctx context.Context, mode StopMode) error {
	return d.run(ctx, "stop", "-w", "-m", string(mode))
}

func (d pgCtl) restart(ctx context.Context) error {
	if err := d.n.Stop(ctx, StopFast); err != nil {
		return err
	}
	return d.start(ctx)
}

func (d pgCtl) reload(ctx context.Context) error             { return d.run(ctx, "reload") }
func (d pgCtl) promote(ctx context.Context) error            { return d.run(ctx, "promote", "-w") }
func (pgCtl) release(context.Context) error                  { return nil }
func (pgCtl) released(context.Context) (why string, _ error) { return "", nil }

// userCommands drives a server with commands of the user's own.
type userCommands struct{ pgCtl }

// run runs the user's command for a verb, if there is one.
func (d userCommands) run(ctx context.Context, verb string, args ...string) (there bool, err error) {
	command := d.n.cfg.Commands[verb]
	if command == "" {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.n.cfg.Timeout)
	defer cancel()
	_, err = d.n.cfg.Host.Run(ctx, host.Cmd{
		Path: "sh", Args: append([]string{"-c", command, "sh"}, args...), Env: []string{"PGDATA=" + d.n.cfg.DataDir},
	})
	if err != nil {
		err = fmt.Errorf("%s command: %w", verb, err)
	}
	return true, err
}

func (d userCommands) start(ctx context.Context) error {
	if there, err := d.run(ctx, "start"); there {
		return err
	}
	return d.pgCtl.start(ctx)
}

func (d userCommands) stop(ctx context.Context, mode StopMode) error {
	if there, err := d.run(ctx, "stop", string(mode)); there {
		return err
	}
	return d.pgCtl.stop(ctx, mode)
}

func (d userCommands) restart(ctx context.Context) error {
	if there, err := d.run(ctx, "restart"); there {
		return err
	}
	if err := d.n.Stop(ctx, StopFast); err != nil {
		return err
	}
	return d.start(ctx)
}

func (d userCommands) reload(ctx context.Context) error {
	if there, err := d.run(ctx, "reload"); there {
		return err
	}
	return d.pgCtl.reload(ctx)
}

func (d userCommands) promote(ctx context.Context) error {
	if there, err := d.run(ctx, "promote"); there {
		return err
	}
	return d.pgCtl.promote(ctx)
}

// release gives the user's own stop command the word, since it may be what keeps a supervisor from starting the server again. That
// it fails says nothing: there is no server left for it.
func (d userCommands) release(ctx context.Context) error {
	_, _ = d.run(ctx, "stop", string(StopImmediate))
	return nil
}
