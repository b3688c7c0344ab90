package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

type checkCommand struct {
	configSource
	File   []string `arg:"" type:"path" help:"Main files of servers, postgresql.conf."`
	JSON   bool     `name:"json" help:"Print an array of objects with file, line, column, severity, rule and message."`
	Strict bool     `help:"Take warnings for problems."`
}

// finding is something that a check found.
type finding struct {
	File     string       `json:"file"`
	Line     int          `json:"line"`   // 0 for no line in particular
	Column   int          `json:"column"` // 0 for the whole line
	Severity guc.Severity `json:"severity"`
	Rule     string       `json:"rule"`
	Message  string       `json:"message"`
}

func newFinding(at pgconf.Place, severity guc.Severity, rule, message string) finding {
	return finding{at.File, at.Line, at.Col, severity, rule, message}
}

func (f finding) String() string {
	return fmt.Sprintf("%s: %s: %s", pgconf.Place{File: f.File, Line: f.Line, Col: f.Column}, f.Severity, f.Message)
}

// Run prints what is wrong with configurations: what a server cannot read, what it would refuse, and what it would regret.
func (k *checkCommand) Run(out *streams) error {
	all := []finding{}
	var errs []error
	for _, name := range k.File {
		c, err := k.load(name)
		if c == nil || c.File(c.Main()) == nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, k.findings(c)...)
	}
	worst := guc.Info
	for _, f := range all {
		worst = max(worst, f.Severity)
		if !k.JSON {
			fmt.Fprintln(out.Out, f)
		}
	}
	if k.JSON {
		errs = append(errs, printJSON(out, all))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if worst == guc.Error || worst == guc.Warning && k.Strict {
		return errNo
	}
	return nil
}

// findings checks one configuration.
func (k *checkCommand) findings(c *pgconf.Config) []finding {
	var all []finding
	var unread pgconf.LoadErrors
	errors.As(c.Err(), &unread)
	for _, e := range unread {
		all = append(all, newFinding(e.Place, guc.Error, "unreadable", e.Text()))
	}
	settings := append(c.Entries(), c.Args()...)
	problems := guc.Check(guc.Situation{
		Major: c.Major(), Settings: settings, Standby: isStandby(c.DataDir()),
	})
	judged := map[pgconf.Place]bool{} // lines that a problem says all about: it also has a remedy
	for _, p := range problems {
		if p.Severity == guc.Error {
			judged[placeOf(c, p)] = true
		}
	}
	last := map[string]int{}
	for i, s := range settings {
		last[s.Spelling] = i
	}
	for i, s := range settings {
		err := guc.Validate(c.Major(), s.Name, s.Value)
		switch {
		case err == nil || judged[s.Place()]:
		case i == last[s.Spelling] || errors.Is(err, guc.ErrUnknown):
			all = append(all, newFinding(s.Place(), guc.Error, "refused", err.Error()))
		default: // the server does not look at it
			all = append(all, newFinding(s.Place(), guc.Warning, "refused", err.Error()+"; a later line overrules it"))
		}
	}
	for _, p := range problems {
		all = append(all, newFinding(placeOf(c, p), p.Severity, string(p.Code), p.Message+"; "+p.Remedy))
	}
	return all
}

// placeOf returns the line to change first, or the main file if none is to blame.
func placeOf(c *pgconf.Config, p guc.Problem) pgconf.Place {
	for _, s := range p.Settings {
		if s.Line > 0 {
			return s.Place()
		}
	}
	return pgconf.Place{File: c.Main()}
}

// isStandby reports whether a server with that data directory would start as a standby (12+).
func isStandby(dataDir string) bool {
	_, err := os.Stat(filepath.Join(dataDir, "standby.signal"))
	return dataDir != "" && err == nil
}
