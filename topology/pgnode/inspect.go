package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// Inspection is what the machine says of a server: files and processes, whether or not the server answers. Each part has its own
// error where it can fail alone.
type Inspection struct {
	Status Status

	Exists     bool            // the data directory is there, with a PG_VERSION
	Major      pgconf.Major    // by PG_VERSION, or, without a data directory, of the binaries
	Control    datadir.Control // zero without a data directory
	ControlErr error

	Start    recovery.Start // what the server does at its next start, and why; zero without a data directory
	StartErr error

	// Retirement is not nil for a server that was retired.
	Retirement *Retirement

	// Settings are what the configuration files and the command line say, by name in lower case. SettingsErr are the problems that keep
	// a server from reading all files; the settings that could be read are there all the same.
	Settings    map[string]pgconf.EffectiveSetting
	SettingsErr error

	HBAFile string // the file with the access rules, as far as it is known
	HBA     []byte // its content
	HBAErr  error

	// Unfinished are names beside the data directory that an interrupted clone or rewind left.
	Unfinished []string
	Asides     []Aside // what was set aside, oldest first
}

// Inspect looks at the server's machine. The error is for a machine that does not answer, or a user who may not look.
func (n *Node) Inspect(ctx context.Context) (Inspection, error) {
	i, err := n.inspect(ctx)
	if err != nil {
		return i, fmt.Errorf("inspect server in %s: %w", n.cfg.DataDir, err)
	}
	return i, nil
}

func (n *Node) inspect(ctx context.Context) (i Inspection, err error) {
	if i.Status, err = n.Status(ctx); err != nil {
		return i, err
	}
	if i.Exists, err = n.Exists(ctx); err != nil {
		return i, err
	}
	if i.Asides, err = n.Asides(ctx); err != nil {
		return i, err
	}
	for _, name := range []string{n.incoming(), n.incoming() + ".incoming", n.rewinding()} {
		there, err := n.cfg.Host.Exists(ctx, name)
		if err != nil {
			return i, err
		}
		if there {
			i.Unfinished = append(i.Unfinished, name)
		}
	}
	if i.Exists {
		if err := n.inspectData(ctx, &i); err != nil {
			return i, err
		}
	} else if major, err := n.Major(ctx); err == nil {
		i.Major = pgconf.Major(major)
	}
	err = n.inspectConfig(ctx, &i)
	return i, err
}

// inspectData looks into the data directory.
func (n *Node) inspectData(ctx context.Context, i *Inspection) (err error) {
	if i.Major, err = n.majorOf(ctx, n.cfg.DataDir); err != nil {
		return err
	}
	i.Control, i.ControlErr = n.Control(ctx)
	server, err := n.Server(ctx)
	if err != nil {
		return err
	}
	i.Start, i.StartErr = recovery.Read(ctx, n.Files(), server)
	r, retired, err := n.Retired(ctx)
	if retired {
		i.Retirement = &r
	}
	return err
}

// inspectConfig reads the configuration, which may be there without a data directory.
func (n *Node) inspectConfig(ctx context.Context, i *Inspection) error {
	there, err := n.cfg.Host.Exists(ctx, n.cfg.ConfigFile)
	if err != nil || !there {
		return err
	}
	conf, err := n.loadTolerant(ctx, n.cfg.DataDir)
	i.SettingsErr = err
	if conf == nil {
		return nil
	}
	i.Settings = map[string]pgconf.EffectiveSetting{}
	for _, s := range conf.Effective() {
		i.Settings[s.Name] = s
	}
	i.HBAFile, i.HBAErr = n.hbaFile(conf)
	if i.HBAErr == nil {
		i.HBA, i.HBAErr = n.cfg.Host.ReadFile(ctx, i.HBAFile)
	}
	if errors.Is(i.HBAErr, fs.ErrNotExist) {
		i.HBAErr = fmt.Errorf("the file with the access rules is not there, so the server does not start: %w", i.HBAErr)
	}
	return nil
}
