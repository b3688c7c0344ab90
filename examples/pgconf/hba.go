package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/hba"
)

// hbaCommands are the verbs for pg_hba.conf.
type hbaCommands struct {
	Match hbaMatch `cmd:"" help:"Say which rule decides for a connection, and why not those before it."`
	Add   hbaAdd   `cmd:"" help:"Add a record where it takes effect, unless its connections already get what it says."`
	Lint  hbaLint  `cmd:"" help:"Judge the rules: who gets in who should not, what is never reached, what does not mean what it says."`
	List  hbaList  `cmd:"" help:"List the rules of a pg_hba.conf and of all files that it names, and its errors, as the view pg_hba_file_rules shows them."`
}

// hbaSource is embedded in every verb that reads a pg_hba.conf with the files it names.
type hbaSource struct {
	File  string       `arg:"" type:"path" help:"The pg_hba.conf."`
	Major pgconf.Major `default:"${newest}" help:"Major version of the server that reads it, such as 9.6 or 17."`
}

// load reads the file as a server does. After an error that is a [pgconf.SyntaxErrors] the rules are there all the same.
func (s *hbaSource) load() (*hba.Rules, error) {
	file, err := filepath.Abs(s.File)
	if err != nil {
		return nil, err
	}
	return hba.Load(os.DirFS("/"), filepath.ToSlash(file), s.Major)
}

type hbaList struct {
	hbaSource
	JSON    bool `name:"json" help:"Print an array of objects with the columns that the view has in that major, null for NULL."`
	Secrets bool `help:"Show the secrets among the options, as the view does."`
}

// Run prints the rows also if there are errors; they are among the rows, and then the command has failed.
func (c *hbaList) Run(out *streams) error {
	rules, err := c.load()
	if rules == nil {
		return err
	}
	rows := rules.View()
	if c.Secrets {
		rows = rules.ViewSecrets()
	}
	show := printTable
	if c.JSON {
		show = func(out *streams, rows []hba.Row) error { return printJSON(out, rows) }
	}
	if failed := show(out, rows); failed != nil {
		return failed
	}
	return err
}

// printTable prints rows with a line of titles. NULL shows as -, a list with commas between.
func printTable(out *streams, rows []hba.Row) error {
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	for i, row := range rows {
		var titles, cells []string
		for _, c := range row {
			titles = append(titles, strings.ToUpper(c.Name))
			cells = append(cells, cell(c.Value))
		}
		if i == 0 {
			fmt.Fprintln(w, strings.Join(titles, "\t"))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func cell(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(value)
}
