package pgconf

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// ErrOverruled is matched by the error of an edit that would have no effect, since something overrules the file to edit. The error is an
// [*OverruledError].
var ErrOverruled = errors.New("the setting is overruled")

// OverruledError says what overrules a setting, so that an edit of a file would have no effect.
type OverruledError struct {
	Name   string
	By     Setting // where it stands
	Origin Origin  // of it
}

// Error says where the overruling setting stands and what to do about it. It does not show values.
func (e *OverruledError) Error() string {
	switch e.Origin {
	case FromCommandLine:
		return fmt.Sprintf("%s: %s: argument %d of the command line sets it, whatever the files say; start the server without it",
			e.Name, ErrOverruled, e.By.Line)
	case FromAutoConf:
		return fmt.Sprintf("%s: %s: %s:%d, written by ALTER SYSTEM, goes before all other files; change or remove it there",
			e.Name, ErrOverruled, e.By.File, e.By.Line)
	default:
		return fmt.Sprintf("%s: %s: %s:%d is read later", e.Name, ErrOverruled, e.By.File, e.By.Line)
	}
}

// Is reports whether target is ErrOverruled.
func (e *OverruledError) Is(target error) bool { return target == ErrOverruled }

// Set makes value the one that the server uses for a parameter: [Config.SetAll] for a single one.
func (c *Config) Set(name, value string) error { return c.SetAll(map[string]string{name: value}) }

// SetAll makes the values those that the server uses for the parameters. Each is edited where it is set now, which may be an included
// file, and in the way of [File.Set]; one that no file sets goes to the main file. What has its value already stays as it is.
// Nothing is written to disk: see [Config.Changed].
//
// If SetAll returns nil, [Config.Get] returns the values, and so it will after the changed files have been loaded again. Else nothing
// has changed, and the error matches [ErrName] or [ErrValue] as that of File.Set, or [ErrOverruled] if postgresql.auto.conf or
// the command line sets a parameter: see [Config.AlterSystem] and [Config.AlterSystemReset] for the former.
func (c *Config) SetAll(values map[string]string) error {
	if err := New("").SetAll(values); err != nil {
		return err // a name or a value that no file can hold
	}
	byFile, err := c.plan(values)
	if err != nil {
		return err
	}
	return c.edit(slices.Sorted(maps.Keys(byFile)), func(name string, f *File) error { return f.SetAll(byFile[name]) }, func() error {
		now := c.winners()
		for name, value := range values {
			if s := now[ascii.Lower(name)]; s.Value != value || s.Line == 0 {
				return &OverruledError{name, s.Setting, s.Origin}
			}
		}
		return nil
	})
}

// plan says which file to edit for each value that is not there yet.
func (c *Config) plan(values map[string]string) (map[string]map[string]string, error) {
	byFile := map[string]map[string]string{}
	var errs []error
	now := c.winners()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		file := c.main
		if s, ok := now[ascii.Lower(name)]; ok {
			if s.Value == values[name] {
				continue
			}
			if s.Origin != FromFile {
				errs = append(errs, &OverruledError{name, s.Setting, s.Origin})
				continue
			}
			file = path.Clean(s.File)
		}
		if byFile[file] == nil {
			byFile[file] = map[string]string{}
		}
		byFile[file][name] = values[name]
	}
	return byFile, errors.Join(errs...)
}

// Unset makes the server use the default of parameters: in every file that sets one, each of its lines is commented out as
// [File.Unset] does. If Unset returns nil, [Config.Get] finds none of them. Else nothing has changed, and the error matches
// [ErrName], or [ErrOverruled] if postgresql.auto.conf or the command line sets one.
func (c *Config) Unset(names ...string) error {
	now := c.winners()
	byFile := map[string][]string{}
	var errs []error
	for _, name := range names {
		if err := checkName(name); err != nil {
			return err
		}
		s, ok := now[ascii.Lower(name)]
		if !ok {
			continue
		}
		if s.Origin != FromFile {
			errs = append(errs, &OverruledError{name, s.Setting, s.Origin})
		}
		for _, s := range append(s.Overruled, s.Setting) {
			file := path.Clean(s.File)
			byFile[file] = append(byFile[file], name)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	unset := func(file string, f *File) error {
		for _, name := range byFile[file] {
			if err := f.Unset(name); err != nil {
				return err
			}
		}
		return nil
	}
	return c.edit(slices.Sorted(maps.Keys(byFile)), unset, func() error { return nil })
}

// edit changes files and then checks the result. If one of them or the check fails, all files are what they were before.
func (c *Config) edit(names []string, change func(name string, f *File) error, check func() error) error {
	before := map[*File]File{}
	apply := func() error {
		for _, name := range names {
			s := c.read(name)
			if s.tree == nil {
				return fmt.Errorf("%s: %w", name, cause(s.err))
			}
			before[s.tree] = s.tree.copied()
			if err := change(name, s.tree); err != nil {
				return err
			}
		}
		return check()
	}
	err := apply()
	if err != nil {
		for f, copied := range before {
			*f = copied
		}
	}
	return err
}

// copied returns a copy that edits of f do not reach.
func (f *File) copied() File {
	return File{name: f.name, text: f.text, lines: slices.Clone(f.lines), edits: slices.Clone(f.edits)}
}
