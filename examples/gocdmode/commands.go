package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/understudy-ha/understudy/gocd"
)

var (
	errUnknownMode = errors.New("the mode is not known")
	errUsage       = errors.New("wrong command line")
	errNoServer    = errors.New("no GoCD server is installed here")
)

type commands struct {
	Mode struct {
		Get getCommand `cmd:"" help:"Tell what the server starts as, and what is wrong with the file."`
		Set struct {
			Standby standbyCommand `cmd:"" help:"Make the server start as standby of another."`
			Primary primaryCommand `cmd:"" help:"Make the server start as primary."`
		} `cmd:"" help:"Change what the server starts as. Without --write, show the change only."`
	} `cmd:"" help:"The mode in which a GoCD server starts."`
}

// output is where a command prints: results to Out, remarks for people to Err.
type output struct{ Out, Err io.Writer }

// fileFlags choose the file.
type fileFlags struct {
	File    string `help:"File to look at. Default: the one that the GoCD server installed here reads." placeholder:"FILE"`
	Format  string `help:"Syntax of the file: ${enum}." enum:"auto,shell,wrapper" default:"auto"`
	Windows bool   `help:"The server runs on Windows." default:"${windows}" negatable:""`
}

// installed is where the Linux packages keep the files: from 19.6 on, and before.
var installed = struct{ wrapperDir, wrapper, shell string }{
	wrapperDir: "/usr/share/go-server/wrapper-config",
	wrapper:    "wrapper-properties.conf",
	shell:      "/etc/default/go-server",
}

// choose returns the path and the options that the flags mean. A package from 19.6 on no longer reads the old
// file, which may still be there.
func (f fileFlags) choose() (string, gocd.Options, error) {
	o := gocd.Options{Windows: f.Windows}
	if f.Format != "auto" {
		if err := o.Format.UnmarshalText([]byte(f.Format)); err != nil {
			return "", o, err
		}
	}
	if f.File != "" {
		return f.File, o, nil
	}
	if info, err := os.Stat(installed.wrapperDir); err == nil && info.IsDir() {
		return filepath.Join(installed.wrapperDir, installed.wrapper), o, nil
	}
	if _, err := os.Stat(installed.shell); err == nil {
		return installed.shell, o, nil
	}
	return "", o, fmt.Errorf("%w (neither %s nor %s exists); name its file with --file",
		errNoServer, installed.wrapperDir, installed.shell)
}

type getCommand struct {
	fileFlags
	JSON     bool `name:"json" help:"Print the report as JSON."`
	NoSource bool `help:"Never run the code in a shell file; the mode may then stay unknown."`
}

// Run prints the report. The wrapper's own file is optional: while it is missing, it sets nothing.
func (c *getCommand) Run(ctx context.Context, out *output) error {
	path, o, err := c.choose()
	if err != nil {
		return err
	}
	o.NoSource = c.NoSource
	report, err := gocd.Read(ctx, path, o)
	if c.File == "" && errors.Is(err, fs.ErrNotExist) {
		report, err = gocd.Inspect(path, nil, o)
	}
	if err != nil {
		return err
	}
	if err := c.print(out, report); err != nil {
		return err
	}
	if report.Mode == gocd.ModeUnknown {
		return errUnknownMode
	}
	return nil
}

func (c *getCommand) print(out *output, report gocd.Report) error {
	if c.JSON {
		e := json.NewEncoder(out.Out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	readBy := "not evaluated"
	if report.ReadBy != gocd.ReadByNobody {
		readBy = "by " + string(report.ReadBy)
	}
	w := tabwriter.NewWriter(out.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "mode\t%s\n", report.Mode)
	fmt.Fprintf(w, "go.server.mode\t%s\n", property(report.ServerMode))
	fmt.Fprintf(w, "bc.primary.url\t%s\n", property(report.PrimaryURL))
	fmt.Fprintf(w, "file\t%s (%s, %s)\n", report.File, report.Format, readBy)
	if err := w.Flush(); err != nil {
		return err
	}
	return printFindings(out.Out, report.Findings)
}

func property(p gocd.Property) string {
	switch {
	case !p.Set:
		return "(not set)"
	case p.Line == 0:
		return fmt.Sprintf("%q", p.Value)
	}
	return fmt.Sprintf("%q, line %d", p.Value, p.Line)
}

func printFindings(w io.Writer, findings []gocd.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "\n%s\n    %s\n", f, f.Advice); err != nil {
			return err
		}
	}
	return nil
}

type setFlags struct {
	fileFlags
	Write bool `help:"Write the change and verify it. Without this it is only shown."`
}

type standbyCommand struct {
	setFlags
	PrimaryURL string       `name:"primary-url" help:"Base URL of the primary, without /go." required:"" placeholder:"URL"`
	Version    gocd.Version `help:"Release of the server, for example 21.2.0. What a standby does depends on it." required:"" placeholder:"VERSION"`
}

func (c *standbyCommand) Run(ctx context.Context, out *output) error {
	target, warnings, err := gocd.Standby(c.Version, c.PrimaryURL)
	var unsupported *gocd.UnsupportedError
	if err != nil && !errors.As(err, &unsupported) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintf(out.Err, "warning: GoCD %s: %s\n", c.Version, w.Text)
	}
	return c.set(ctx, out, target)
}

type primaryCommand struct{ setFlags }

func (c *primaryCommand) Run(ctx context.Context, out *output) error {
	return c.set(ctx, out, gocd.Primary())
}

// set shows the change, and writes it if told to.
func (f setFlags) set(ctx context.Context, out *output, target gocd.Target) error {
	path, o, err := f.choose()
	if err != nil {
		return err
	}
	change, err := gocd.Prepare(path, target, o)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out.Out, change.Diff()); err != nil {
		return err
	}
	if !f.Write {
		if change.Empty() {
			fmt.Fprintf(out.Err, "%s: nothing to change for a %s\n", path, target.Mode())
			return nil
		}
		fmt.Fprintf(out.Err, "%s: nothing was written; add --write to make the server a %s\n", path, target.Mode())
		return nil
	}
	report, err := gocd.Apply(ctx, change, o)
	if err != nil {
		return err
	}
	if change.Empty() {
		fmt.Fprintf(out.Err, "%s: nothing to change; verified: the server starts as %s\n", path, report.Mode)
	} else {
		fmt.Fprintf(out.Err, "%s: written and verified: the server starts as %s from its next restart on\n", path, report.Mode)
	}
	return printFindings(out.Err, report.Findings)
}
