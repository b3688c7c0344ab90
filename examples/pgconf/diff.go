package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// diffCommand compares what two configurations mean.
type diffCommand struct {
	Old   string       `arg:"" type:"path" help:"The postgresql.conf that the server has."`
	New   string       `arg:"" type:"path" help:"The postgresql.conf that it shall have."`
	Major pgconf.Major `default:"${newest}" help:"Major version of the server that reads them, such as 9.6 or 17."`
	JSON  bool         `name:"json" help:"Print an array of objects with name, old, new, file, line, needs and error."`
}

// difference is a row of the output. A value that may be a secret is not shown.
type difference struct {
	Name  string  `json:"name"`
	Old   string  `json:"old"`
	New   string  `json:"new"`
	File  string  `json:"file"` // of the line that makes the difference: the new one, or the old one if that is gone
	Line  int     `json:"line"`
	Needs string  `json:"needs"`
	Error *string `json:"error"` // why the server refuses the new value
}

// Run prints the differences and what it takes to have them. The answer is no if there are any.
func (c *diffCommand) Run(out *streams) error {
	old, err := readSettings(c.Old, c.Major)
	if err != nil {
		return err
	}
	settings, err := readSettings(c.New, c.Major)
	if err != nil {
		return err
	}
	diff := guc.Diff(old, settings, c.Major)
	rows := []difference{}
	for _, d := range diff {
		rows = append(rows, newDifference(d))
	}
	show := printDifferences
	if c.JSON {
		show = func(out *streams, rows []difference) error { return printJSON(out, rows) }
	}
	if err := show(out, rows); err != nil {
		return err
	}
	fmt.Fprintf(out.Err, "parameters that differ: %d; needed: %s\n", len(diff), guc.Needs(diff))
	if len(diff) > 0 {
		return errNo
	}
	return nil
}

func newDifference(d guc.Difference) difference {
	row := difference{Name: d.Name, Old: d.Old.Value, New: d.New.Value, File: d.New.File, Line: d.New.Line, Needs: d.Action.String()}
	if !d.IsSet {
		row.File, row.Line = d.Old.File, d.Old.Line
	}
	if pgconf.MayHoldSecret(d.Name) {
		row.Old, row.New = hide(row.Old), hide(row.New)
	}
	if d.Err != nil {
		why := d.Err.Error()
		row.Error, row.Needs = &why, "refused"
	}
	return row
}

func hide(value string) string {
	if value == "" {
		return ""
	}
	return "***"
}

func printDifferences(out *streams, rows []difference) error {
	if len(rows) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PARAMETER\tOLD\tNEW\tNEEDS\tLINE")
	for _, r := range rows {
		needs := r.Needs
		if r.Error != nil {
			needs += ": " + *r.Error
		}
		fmt.Fprintf(w, "%s\t%q\t%q\t%s\t%s:%d\n", r.Name, r.Old, r.New, needs, r.File, r.Line)
	}
	return w.Flush()
}

// readSettings reads a configuration with the files that it includes and postgresql.auto.conf.
func readSettings(file string, m pgconf.Major) ([]pgconf.Setting, error) {
	config, err := readConfig(file, m)
	if err != nil {
		return nil, err
	}
	return config.Entries(), nil
}

func readConfig(file string, m pgconf.Major) (*pgconf.Config, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	return pgconf.Load(os.DirFS("/"), filepath.ToSlash(file), pgconf.Options{Major: m})
}
