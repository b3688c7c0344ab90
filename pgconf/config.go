package pgconf

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Origin says what kind of place a setting comes from. A later one overrules an earlier one.
type Origin uint8

// The origins.
const (
	FromFile        Origin = iota // the main file or one that it includes
	FromAutoConf                  // postgresql.auto.conf, which ALTER SYSTEM writes
	FromCommandLine               // an argument of postgres
)

// String returns a word for people.
func (o Origin) String() string {
	return [...]string{"configuration file", AutoConf, CommandLine}[o]
}

// EffectiveSetting is what a server uses for one parameter, and where that comes from.
type EffectiveSetting struct {
	Setting             // the one that wins
	Origin    Origin    // of it
	Overruled []Setting // the others, in the server's order
}

// Entries returns all settings of all files in the order in which a server reads them, which is that of pg_file_settings: the main file,
// each included file in the place of its directive, postgresql.auto.conf. Directives and what the command line says are not
// among them. Setting.File is the absolute path as pg_file_settings shows it.
//
// Where a server would stop for an error, Entries goes on; see [Config.FileSettings] for what a server shows.
func (c *Config) Entries() []Setting {
	var all []Setting
	for _, e := range c.walk(tolerant).entries {
		if e.problem == nil {
			all = append(all, e.Setting)
		}
	}
	return all
}

// FileSetting is a row of the view pg_file_settings (9.5+), as far as the files alone decide.
type FileSetting struct {
	Setting            // without a name if there is an Err
	Err     *LoadError // an error that the server lists as a row of its own
}

// FileSettings returns the rows of pg_file_settings in their order. They are the Entries if a server can read all files. Else they are what
// it lists until it gives up: it leaves a file at the first syntax error, a folder at the first file with an error, and does not
// come to postgresql.auto.conf after any error before it.
//
// Whether the server could apply them takes knowledge of the parameters: that is in package guc.
func (c *Config) FileSettings() []FileSetting {
	var rows []FileSetting
	for _, e := range c.walk(asServer).entries {
		rows = append(rows, FileSetting{e.Setting, e.problem})
	}
	return rows
}

// Args returns the settings that the command line makes, in order; the last one of a name wins. Their File is [CommandLine].
func (c *Config) Args() []Setting { return slices.Clone(c.args) }

// Get returns what wins for a parameter: the last argument of the command line or else the last entry. Names compare without
// regard to the case of ASCII letters.
func (c *Config) Get(name string) (EffectiveSetting, bool) {
	s, ok := c.winners()[ascii.Lower(name)]
	return s, ok
}

// Effective returns what wins for every parameter that the command line or a file sets, ordered by name.
func (c *Config) Effective() []EffectiveSetting {
	var all []EffectiveSetting
	for _, s := range c.winners() {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b EffectiveSetting) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// winners returns the winning setting for each folded name.
func (c *Config) winners() map[string]EffectiveSetting {
	all := map[string]EffectiveSetting{}
	add := func(s Setting, o Origin) {
		now, ok := all[s.Name]
		if ok {
			now.Overruled = append(now.Overruled, now.Setting)
		}
		now.Setting, now.Origin = s, o
		all[s.Name] = now
	}
	for _, e := range c.walk(tolerant).entries {
		if e.problem == nil {
			add(e.Setting, e.origin)
		}
	}
	for _, s := range c.args {
		add(s, FromCommandLine)
	}
	return all
}

// Files returns the absolute paths of all files that were read, in the order in which the server comes to them first. A
// file that cannot be read is not among them.
func (c *Config) Files() []string { return c.walk(tolerant).order }

// File returns the tree of a file that was read, by its path in any spelling, or nil. The tree is that of the Config: what is edited
// in it, the methods of the Config see, and [Config.Changed] lists. [Config.Set] and its kin are safer, as they know which file
// wins.
func (c *Config) File(name string) *File {
	if s := c.files[path.Clean(name)]; s != nil {
		return s.tree
	}
	return nil
}

// String says which file it is the configuration of; values do not show.
func (c *Config) String() string {
	return fmt.Sprintf("configuration of PostgreSQL %s in %s", c.major, c.main)
}
