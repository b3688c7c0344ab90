package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// configSource is embedded in every verb that reads the configuration of a whole server.
type configSource struct {
	Major   pgconf.Major `help:"Major version of the server, such as 9.6 or 17. Default: what PG_VERSION in the data directory says, else the newest."`
	DataDir string       `short:"D" type:"path" placeholder:"DIR" help:"The data directory, if neither data_directory in the files says it nor it is the folder of FILE."`
	Option  []string     `short:"c" sep:"none" placeholder:"NAME=VALUE" help:"A setting on the command line of postgres, which overrules all files. May be repeated."`
}

// load reads a configuration. After an error that is [pgconf.LoadErrors] it is there all the same.
func (s *configSource) load(main string) (*pgconf.Config, error) {
	opt := pgconf.Options{Major: s.Major, DataDir: filepath.ToSlash(s.DataDir)}
	for _, set := range s.Option {
		opt.Args = append(opt.Args, "-c", set)
	}
	main, err := filepath.Abs(main)
	if err != nil {
		return nil, err
	}
	c, err := pgconf.Load(os.DirFS("/"), filepath.ToSlash(main), opt)
	if c == nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if opt.Major, err = s.majorOf(c); err != nil {
		return nil, err
	}
	return pgconf.Load(os.DirFS("/"), c.Main(), opt)
}

// majorOf returns the major of the server whose configuration it is.
func (s *configSource) majorOf(c *pgconf.Config) (pgconf.Major, error) {
	if s.Major != 0 {
		return s.Major, nil
	}
	name := filepath.Join(c.DataDir(), "PG_VERSION")
	text, err := os.ReadFile(name)
	if err != nil {
		return pgconf.Newest, nil //nolint:nilerr // FILE may be one without a server
	}
	major, err := pgconf.ParseMajor(string(text))
	if err != nil {
		return 0, fmt.Errorf("%s: %w; say --major", name, err)
	}
	return major, nil
}

type getCommand struct {
	configSource
	File string   `arg:"" type:"path" help:"The main file of the server, postgresql.conf."`
	Name []string `arg:"" help:"Parameters."`
	JSON bool     `name:"json" help:"Print an array of objects with name, value, file and line."`
}

// setting is a setting in JSON.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	File  string `json:"file"`
	Line  int    `json:"line"`
}

// Run prints what wins, also if files have errors.
func (g *getCommand) Run(out *streams) error {
	c, err := g.load(g.File)
	if c == nil || c.File(c.Main()) == nil {
		return err
	}
	found := []setting{}
	for _, name := range g.Name {
		s, ok := c.Get(name)
		if !ok {
			fmt.Fprintf(out.Err, "%s: not set\n", name)
			continue
		}
		found = append(found, setting{s.Name, s.Value, s.File, s.Line})
		switch {
		case g.JSON:
		case len(g.Name) == 1:
			fmt.Fprintln(out.Out, s.Value)
		default:
			fmt.Fprintf(out.Out, "%s = %s\n", s.Name, s.Value)
		}
	}
	if g.JSON {
		err = errors.Join(err, printJSON(out, found))
	}
	if err == nil && len(found) < len(g.Name) {
		return errNo
	}
	return err
}

// configEdit is embedded in the verbs that edit a configuration.
type configEdit struct {
	configSource
	writeFlag
	Reset   bool `help:"First remove the parameters from postgresql.auto.conf, where ALTER SYSTEM put them."`
	Secrets bool `help:"Show the values of parameters that may hold secrets in the diff, which is then a patch."`
}

// edit loads a configuration, changes it, and shows or writes the result.
func (e *configEdit) edit(out *streams, main string, names []string, change func(c *pgconf.Config) error) error {
	c, err := e.load(main)
	if c == nil || c.File(c.Main()) == nil {
		return err
	}
	if err != nil {
		fmt.Fprintf(out.Err, "pgconf: the configuration has errors all the same:\n%v\n", err)
	}
	for _, name := range names {
		if e.Reset {
			if err := c.AlterSystemReset(name); err != nil {
				return err
			}
		}
	}
	err = change(c)
	var overruled *pgconf.OverruledError
	if errors.As(err, &overruled) && overruled.Origin == pgconf.FromAutoConf {
		return fmt.Errorf("%w (--reset removes it)", err)
	}
	if err != nil {
		return err
	}
	return e.finishAll(out, c)
}

// finishAll shows or writes all files that were changed.
func (e *configEdit) finishAll(out *streams, c *pgconf.Config) error {
	changes := c.Changed()
	if len(changes) == 0 {
		fmt.Fprintf(out.Err, "%s: nothing to change\n", c.Main())
	}
	for _, ch := range changes {
		if ch.New && e.Write && os.Geteuid() == 0 {
			return fmt.Errorf("there is no %s, and one made by root could not be read by the server; run this as the owner of the data directory", ch.File)
		}
		diff := ch.DiffHiding(pgconf.MayHoldSecret)
		if e.Secrets {
			diff = ch.Diff()
		}
		if err := e.finish(out, filepath.FromSlash(ch.File), ch.Before, ch.After, diff); err != nil {
			return err
		}
	}
	return nil
}

type setCommand struct {
	configEdit
	File     string   `arg:"" type:"path" help:"The main file of the server, postgresql.conf."`
	Settings []string `arg:"" name:"name=value" help:"Parameters with their values."`
	System   bool     `help:"Write them to postgresql.auto.conf as ALTER SYSTEM does. For a server that is down."`
	Force    bool     `help:"Also values that the server would refuse."`
}

// Run edits each setting where it stands.
func (s *setCommand) Run(out *streams) error {
	values := map[string]string{}
	var names []string
	for _, text := range s.Settings {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := values[name]; !ok || twice {
			return fmt.Errorf("%w: %q is not NAME=VALUE, or given twice", errUsage, name)
		}
		values[name] = value
		names = append(names, name)
	}
	return s.edit(out, s.File, names, func(c *pgconf.Config) error {
		if err := s.validate(out, c.Major(), names, values); err != nil {
			return err
		}
		if !s.System {
			return c.SetAll(values)
		}
		for _, name := range names {
			if err := c.AlterSystem(name, values[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

// validate says what the server would refuse.
func (s *setCommand) validate(out *streams, m pgconf.Major, names []string, values map[string]string) error {
	bad := false
	for _, name := range names {
		if err := guc.Validate(m, name, values[name]); err != nil {
			fmt.Fprintf(out.Err, "pgconf: PostgreSQL %s: %v\n", m, err)
			bad = true
		}
	}
	if bad && !s.Force {
		return errNo
	}
	return nil
}

type unsetCommand struct {
	configEdit
	File string   `arg:"" type:"path" help:"The main file of the server, postgresql.conf."`
	Name []string `arg:"" help:"Parameters."`
}

// Run comments the parameters out wherever they stand.
func (u *unsetCommand) Run(out *streams) error {
	return u.edit(out, u.File, u.Name, func(c *pgconf.Config) error { return c.Unset(u.Name...) })
}

type effectiveCommand struct {
	configSource
	File    string `arg:"" type:"path" help:"The main file of the server, postgresql.conf."`
	JSON    bool   `name:"json" xor:"form" help:"Print the rows of pg_file_settings on a server that was started so: an array of objects with name, value, file, line and applied, secrets included."`
	All     bool   `xor:"form" help:"Also list the parameters that are not set, with the built-in defaults."`
	Secrets bool   `help:"Show the values of parameters that may hold secrets in the table."`
}

// Run prints what can be read also if there are errors; then the command has failed.
func (e *effectiveCommand) Run(out *streams) error {
	c, err := e.load(e.File)
	if c == nil {
		return err
	}
	show := e.table
	if e.JSON {
		show = fileSettings
	}
	return errors.Join(err, show(out, c))
}

// fileSetting is a row of pg_file_settings in JSON. One for an error has no name and value.
type fileSetting struct {
	Name    *string `json:"name"`
	Value   *string `json:"value"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Applied bool    `json:"applied"`
}

func fileSettings(out *streams, c *pgconf.Config) error {
	rows := []fileSetting{}
	for _, s := range guc.FileSettings(c) {
		row := fileSetting{nil, nil, s.File, s.Line, s.Applied}
		if s.Name != "" {
			row.Name, row.Value = &s.Spelling, &s.Value
		}
		rows = append(rows, row)
	}
	return printJSON(out, rows)
}

// table prints one line for each parameter.
func (e *effectiveCommand) table(out *streams, c *pgconf.Config) error {
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVALUE\tFROM\tOVERRULES")
	set := map[string]bool{}
	for _, s := range c.Effective() {
		var others []string
		for _, o := range s.Overruled {
			others = append(others, where(o))
		}
		set[s.Name] = true
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, e.shown(s.Setting), where(s.Setting), strings.Join(others, ", "))
	}
	if e.All {
		for _, p := range guc.Params(c.Major()) {
			if !set[strings.ToLower(p.Name)] {
				fmt.Fprintf(w, "%s\t%s\tdefault\t\n", p.Name, p.Default)
			}
		}
	}
	return w.Flush()
}

// shown returns a value for people.
func (e *effectiveCommand) shown(s pgconf.Setting) string {
	if pgconf.MayHoldSecret(s.Name) && !e.Secrets && s.Value != "" {
		return "***"
	}
	if q := fmt.Sprintf("%+q", s.Value); s.Value == "" || strings.ContainsAny(q, `\`) {
		return q
	}
	return s.Value
}

func where(s pgconf.Setting) string {
	if s.File == pgconf.CommandLine {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}
