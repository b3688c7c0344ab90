package pgnode

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/topology/host"
)

// Manager is what starts and stops a server.
type Manager string

// The managers.
const (
	// PgCtl is pg_ctl in Config.BinDir. The empty Manager is the same.
	PgCtl Manager = "pg_ctl"

	// Debian is pg_ctlcluster of Debian's and Ubuntu's postgresql-common, for Config.Cluster.
	Debian Manager = "debian"

	// Systemd is systemctl, for Config.Unit. It is run by sudo without a password if sudoers(5) lets the host's user, else directly,
	// for root or a polkit rule.
	Systemd Manager = "systemd"

	// Commands are the user's own, in Config.Commands.
	Commands Manager = "commands"
)

// Verbs are the keys of Config.Commands.
var Verbs = []string{"start", "stop", "restart", "reload", "promote", "status"}

// Config describes a server.
type Config struct {
	// Host is the machine, as the user who owns the data directory. Required.
	Host host.Host

	// Manager starts and stops the server. Empty means [PgCtl].
	Manager Manager

	// BinDir holds pg_ctl, postgres and the other binaries of the server's major. Required, absolute; [Open] finds that of a Debian
	// cluster.
	BinDir string

	// DataDir is the data directory. Its parent must be writable, because clones and directories set aside lie beside it. If it is a
	// symbolic link, that is what is set aside, and a clone takes its place in the parent. Required, absolute; [Open] finds that of a
	// Debian cluster.
	DataDir string

	// ConfigFile is the main configuration file. Empty means postgresql.conf in DataDir; [Open] finds that of a Debian cluster. One
	// that lies elsewhere is the machine's own: clones and rewinds keep it.
	ConfigFile string

	// LogFile receives the server's output. Empty means DataDir + ".log", and of a systemd unit the journal; [Open] finds that of a
	// Debian cluster. Where logging_collector is on, the files that current_logfiles names are read as well.
	LogFile string

	// Cluster is the name of a Debian cluster, as in "17/main".
	Cluster string

	// Unit is the name of a systemd unit, as in "postgresql-17.service".
	Unit string

	// Commands are the user's own, by [Verbs], run by sh as the host's user with PGDATA set; stop gets the mode (smart, fast, immediate)
	// as $1. What is missing is done by pg_ctl, and restart by stop and start. An exit status other than 0 is a failure, and one of 0 is
	// believed only as far as processes and files bear it out. status exits with 0 for a server that runs.
	Commands map[string]string

	// Basebackup is the absolute path of a program on the machine, with which to clone in place of pg_basebackup: that of
	// examples/basebackup, or one that takes the same arguments.
	Basebackup string

	// Tablespaces says where clones have tablespaces, by their location on the source; both absolute. A source with one that is not
	// named is refused.
	Tablespaces map[string]string

	// Timeout bounds starting, stopping and promoting. Zero means one minute, pg_ctl's own default.
	Timeout time.Duration
}

// New checks the configuration; it touches nothing. A Debian cluster needs [Open].
func New(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.DataDir = path.Clean(cfg.DataDir) // names beside it are made by appending to it
	if cfg.ConfigFile == "" {
		cfg.ConfigFile = path.Join(cfg.DataDir, "postgresql.conf")
	}
	cfg.ConfigFile = path.Clean(cfg.ConfigFile)
	if cfg.LogFile == "" && cfg.Manager != Systemd {
		cfg.LogFile = cfg.DataDir + ".log"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	n := &Node{cfg: cfg}
	n.driver = n.newDriver()
	return n, nil
}

// Open is New for a server whose configuration the machine completes: of a Debian cluster it takes the port, BinDir, DataDir,
// ConfigFile and LogFile from there, where cfg does not say them. A cluster that does not exist yet has the places that
// pg_createcluster would give it.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Manager != Debian {
		return New(cfg)
	}
	if cfg.Host == nil {
		return nil, errors.New("Host is missing")
	}
	if err := cfg.complete(ctx); err != nil {
		return nil, fmt.Errorf("look for the Debian cluster %s on %s: %w", cfg.Cluster, cfg.Host.Name(), err)
	}
	return New(cfg)
}

func (cfg Config) check() error {
	if cfg.Host == nil {
		return errors.New("Host is missing")
	}
	if err := cfg.checkManager(); err != nil {
		return err
	}
	switch {
	case !path.IsAbs(cfg.BinDir):
		return fmt.Errorf("BinDir %q is not an absolute path", cfg.BinDir)
	case !path.IsAbs(cfg.DataDir) || path.Clean(cfg.DataDir) == "/":
		return fmt.Errorf("DataDir %q is not the absolute path of a directory of its own", cfg.DataDir)
	}
	for _, p := range []struct{ field, path string }{
		{"ConfigFile", cfg.ConfigFile}, {"LogFile", cfg.LogFile}, {"Basebackup", cfg.Basebackup},
	} {
		if p.path != "" && !path.IsAbs(p.path) {
			return fmt.Errorf("%s %q is not an absolute path", p.field, p.path)
		}
	}
	for from, to := range cfg.Tablespaces {
		if !path.IsAbs(from) || !path.IsAbs(to) || strings.ContainsAny(from+to, "\n\r") {
			return fmt.Errorf("Tablespaces: %q to %q: both must be absolute paths", from, to)
		}
	}
	return nil
}

// checkManager refuses fields that the manager does not have, because somebody must have meant another one.
func (cfg Config) checkManager() error {
	switch cfg.Manager {
	case "", PgCtl, Debian, Systemd, Commands:
	default:
		return fmt.Errorf("Manager %q is none of pg_ctl, debian, systemd, commands", cfg.Manager)
	}
	for _, f := range []struct {
		field string
		set   bool
		of    Manager
	}{
		{"Cluster", cfg.Cluster != "", Debian}, {"Unit", cfg.Unit != "", Systemd}, {"Commands", len(cfg.Commands) > 0, Commands},
	} {
		switch {
		case f.set && cfg.Manager != f.of:
			return fmt.Errorf("%s is for the manager %s", f.field, f.of)
		case !f.set && cfg.Manager == f.of:
			return fmt.Errorf("%s is missing", f.field)
		}
	}
	if cfg.Manager == Debian {
		if _, _, err := splitCluster(cfg.Cluster); err != nil {
			return err
		}
	}
	if strings.HasPrefix(cfg.Unit, "-") || strings.ContainsAny(cfg.Unit, " \t\n/*?[") {
		return fmt.Errorf("Unit %q is not the name of one unit", cfg.Unit)
	}
	for verb := range cfg.Commands {
		if !slices.Contains(Verbs, verb) {
			return fmt.Errorf("Commands: %q is none of %s", verb, strings.Join(Verbs, ", "))
		}
	}
	return nil
}

// ownConfig reports whether the configuration lies outside of the data directory.
func (cfg Config) ownConfig() bool { return !strings.HasPrefix(cfg.ConfigFile, cfg.DataDir+"/") }
