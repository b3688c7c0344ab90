package guc

import (
	"errors"
	"fmt"
	"path"

	"github.com/understudy-ha/understudy/pgconf"
)

// ErrRunning is matched by the error for a line that a server could only apply by a restart, as it runs with another value.
var ErrRunning = errors.New("the server runs with another value")

// FileSetting is a row of the view pg_file_settings (9.5+).
type FileSetting struct {
	pgconf.Setting      // without a name if Err is a *pgconf.LoadError, as then the row is for an error
	Applied        bool // the line is valid, and counts, or would if another spelling or the command line did not overrule it

	// Err says what is wrong with the line: a *pgconf.LoadError, an *UnknownError, a *ValueError, or something that matches
	// [ErrRunning]. It is nil for a line that is not applied for another reason: a later line of the same spelling, or an error
	// elsewhere that keeps the server from applying anything.
	Err error
}

// FileSettings returns what pg_file_settings shows on a server that was started with a configuration, in its order. The rules are
// those of ProcessConfigFileInternal in src/backend/utils/misc/guc.c:
//
//   - An error in a file, or a name that is no parameter and has no dot, keeps every line from being applied.
//   - A line that is followed by one of the same name in the same spelling is not looked at. One in another spelling is
//     applied and then overruled.
//   - A value that the parameter does not take is not applied; the others are.
//   - A parameter that only a restart changes must have the value that the server runs with. It is not applied if
//     the command line, or a line in another spelling, says otherwise.
//
// A server that cannot start with the configuration would show this for it when asked to reload it. What only a server can judge is in the
// package comment.
func FileSettings(c *pgconf.Config) []FileSetting {
	rows := c.FileSettings()
	all := make([]FileSetting, len(rows))
	fatal := false
	last := map[string]int{} // by spelling
	for i, row := range rows {
		all[i].Setting = row.Setting
		if row.Err != nil {
			all[i].Err, fatal = row.Err, true
			continue
		}
		last[row.Spelling] = i
		if _, known := Lookup(c.Major(), row.Name); !known && !isCustom(row.Name) {
			all[i].Err, fatal = unknown(c.Major(), row.Name), true
		}
	}
	if fatal {
		return all
	}
	live := make([]*FileSetting, 0, len(last))
	for i := range all {
		if last[all[i].Spelling] == i {
			live = append(live, &all[i])
		}
	}
	run := running(c, live)
	for _, s := range live {
		s.Err = run.refuse(s.Setting)
		s.Applied = s.Err == nil
	}
	return all
}

// server is what a server runs with.
type server struct {
	major  pgconf.Major
	values map[string]Value // of the parameters that take a restart, by their names in the catalogue
}

// running finds what a server runs with that was started with those settings.
func running(c *pgconf.Config, live []*FileSetting) server {
	s := server{c.Major(), map[string]Value{}}
	for _, set := range live {
		s.start(set.Setting)
	}
	for _, set := range c.Args() {
		s.start(set)
	}
	for name, file := range map[string]string{
		"data_directory": c.DataDir(), "config_file": c.Main(), "hba_file": s.file("hba_file"), "ident_file": s.file("ident_file"),
	} {
		s.values[name] = Value{kind: String, text: file}
	}
	return s
}

// start notes a setting as the server does when it starts.
func (s server) start(set pgconf.Setting) {
	if p, ok := Lookup(s.major, set.Name); ok && p.Context == Postmaster {
		if v, err := p.Parse(set.Value); err == nil {
			s.values[p.Name] = v
		}
	}
}

// file returns the path that SelectConfigFiles in guc.c makes of the one that was set; a relative one depends on where the server was
// started, so it becomes one that nothing equals.
func (s server) file(name string) string {
	if v := s.values[name].text; path.IsAbs(v) {
		return path.Clean(v)
	}
	return ""
}

// refuse says why a running server does not take a setting from a file.
func (s server) refuse(set pgconf.Setting) error {
	v, err := Parse(s.major, set.Name, set.Value)
	if err != nil {
		return err
	}
	p, ok := Lookup(s.major, set.Name)
	switch {
	case !ok:
	case p.Context == Postmaster && s.values[p.Name] != v:
		return fmt.Errorf("%s: %w, from the command line or a line that spells the name in another way", p.Name, ErrRunning)
	case p.Name == "transaction_deferrable", p.Name == "transaction_isolation" && v.text != "read committed":
		return fmt.Errorf("%s: %w: that of the transaction that looks at the view", p.Name, ErrRunning)
	}
	return nil
}
