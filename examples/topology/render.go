package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
	"github.com/understudy-ha/understudy/recovery"
	"github.com/understudy-ha/understudy/topology"
)

type renderCommand struct {
	source
	Node   topology.NodeID `arg:"" help:"Name of the node."`
	Major  string          `arg:"" help:"Major of its server, such as 17."`
	Output string          `placeholder:"DIR" help:"Write the files into this new folder instead of printing them."`
}

// Run prints or writes what the files of a node must say.
func (k *renderCommand) Run(out *streams) error {
	c, err := k.load(out)
	if err != nil {
		return err
	}
	if _, err := node(c, k.Node); err != nil {
		return err
	}
	major, err := pgconf.ParseMajor(k.Major)
	if err != nil {
		return codeError{exitUsage, err}
	}
	cfg, err := c.Render(k.Node, major)
	if err != nil {
		return codeError{exitFile, err}
	}
	files, err := configFiles(cfg, major)
	if err != nil {
		return codeError{exitFile, err}
	}
	if k.Output != "" {
		return writeFiles(k.Output, files)
	}
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(out.Out)
		}
		fmt.Fprintf(out.Out, "--- %s\n%s", f.Name, f.Data)
	}
	return nil
}

// configFiles writes a configuration as files. Those of the recovery settings before 12 are recovery.conf; from 12 on they are settings of
// postgresql.conf, and standby.signal is an empty file. Passwords stay references.
func configFiles(cfg topology.NodeConfig, major pgconf.Major) ([]recovery.File, error) {
	var settings, slots, passfile strings.Builder
	for _, s := range cfg.Settings {
		value, err := pgconf.Quote(s.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		fmt.Fprintf(&settings, "# %s\n%s = %s\n", s.Why, s.Name, value)
	}
	access := hba.New("pg_hba.conf")
	for _, r := range cfg.Access {
		if err := access.Append(r); err != nil {
			return nil, err
		}
	}
	if cfg.Recovery != nil && major >= 12 {
		fmt.Fprintf(&settings, "# upstream, slot and archive of a standby\ninclude_if_exists = '%s'\n", recovery.SettingsFile)
	}
	files := []recovery.File{{Name: "postgresql.conf", Data: []byte(settings.String())}, {Name: "pg_hba.conf", Data: access.Bytes()}}
	if cfg.Recovery != nil {
		more, err := cfg.Recovery.Render(major)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	for _, name := range cfg.Slots {
		fmt.Fprintf(&slots, "SELECT pg_create_physical_replication_slot('%s');\n", name)
	}
	for _, l := range cfg.Passfile {
		fmt.Fprintf(&passfile, "%s:%s:%s:%s:<%s>\n", l.Host, l.Port, l.Database, l.User, l.Secret)
	}
	if slots.Len() > 0 {
		files = append(files, recovery.File{Name: "slots.sql", Data: []byte(slots.String())})
	}
	if passfile.Len() > 0 {
		files = append(files, recovery.File{Name: "passfile.template", Data: []byte(passfile.String())})
	}
	return files, nil
}

// writeFiles writes files into a folder that does not exist yet: what is there is never overwritten.
func writeFiles(dir string, files []recovery.File) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return codeError{exitFailed, errors.Join(err, errors.New("--output names a folder to make, in one that is there"))}
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
