package main

import (
	"fmt"
	"os"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// translateCommand rewrites a configuration for another major.
type translateCommand struct {
	File         string       `arg:"" type:"path" help:"The postgresql.conf. The files that it includes and postgresql.auto.conf are translated too."`
	From         pgconf.Major `required:"" help:"Major version for which it was written, such as 9.6 or 13."`
	To           pgconf.Major `required:"" help:"Major version that shall read it."`
	RecoveryConf string       `name:"recovery-conf" type:"path" help:"The recovery.conf of a server up to 11. For 12 and later its settings go into FILE."`
	SegmentSize  int64        `name:"segment-size" default:"16" help:"Size of a WAL segment of the server, in MB."`
	Pin          bool         `help:"Write the old default where a default changed, so that the server goes on as before."`
	writeFlag
}

// Run shows or makes the edits, and prints the remarks. The answer is no if one of them is an error: the server would not start.
func (c *translateCommand) Run(out *streams) error {
	config, err := readConfig(c.File, c.From)
	if err != nil {
		return err
	}
	t := guc.Translation{From: c.From, To: c.To, SegmentSize: c.SegmentSize << 20, Pin: c.Pin}
	var recovery []byte
	if c.RecoveryConf != "" {
		if recovery, err = os.ReadFile(c.RecoveryConf); err != nil {
			return err
		}
		if t.RecoveryConf, err = guc.ParseRecoveryConf(c.RecoveryConf, recovery, c.From); err != nil {
			return err
		}
	}
	var files []*pgconf.File
	for _, name := range config.Files() {
		files = append(files, config.File(name))
	}
	done, err := t.Apply(files...)
	if err != nil {
		return err
	}
	if err := c.show(out, config, t, recovery); err != nil {
		return err
	}
	if c.RecoveryConf != "" && c.To >= 12 {
		warnReadable(out, config)
	}
	return report(out, done.Remarks)
}

// warnReadable warns if a password came from recovery.conf into a file that is open to all.
func warnReadable(out *streams, config *pgconf.Config) {
	s, _ := config.Get("primary_conninfo")
	info, err := conninfo.Parse(s.Value)
	if err != nil {
		return
	}
	password, _ := info.Get("password")
	stat, err := os.Stat(s.File)
	if password != "" && err == nil && stat.Mode()&0o004 != 0 {
		fmt.Fprintf(out.Err, "%s: warning: primary_conninfo has a password, and everybody on this machine can read the file; "+
			"chmod o-r, or let primary_conninfo name a passfile\n", s.File)
	}
}

// show finishes all files that the translation changed.
func (c *translateCommand) show(out *streams, config *pgconf.Config, t guc.Translation, recovery []byte) error {
	changed := config.Changed()
	for _, f := range changed {
		if err := c.finish(out, f.File, f.Before, f.After, f.DiffHiding(pgconf.MayHoldSecret)); err != nil {
			return err
		}
	}
	if f := t.RecoveryConf; f != nil && t.To < 12 {
		return c.finish(out, c.RecoveryConf, recovery, f.Bytes(), f.DiffHiding(pgconf.MayHoldSecret))
	}
	if len(changed) == 0 {
		fmt.Fprintf(out.Err, "%s: nothing to change\n", c.File)
	}
	return nil
}

func report(out *streams, remarks []guc.Remark) error {
	bad := 0
	for _, r := range remarks {
		fmt.Fprintln(out.Err, r)
		if r.Severity == guc.Error {
			bad++
		}
	}
	if bad > 0 {
		fmt.Fprintf(out.Err, "errors: %d; the server will not start until they are settled\n", bad)
		return errNo
	}
	return nil
}
