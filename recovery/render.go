package recovery

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// File is one file of a rendered configuration.
type File struct {
	Name string // relative to the data directory
	Data []byte // may hold secrets, if PrimaryConninfo does
}

// Render returns the files that give a server of a major its role. Up to 11 that is [RecoveryConf], with what is set. From 12
// on it is the signal file of the role, empty, and [SettingsFile], which sets every parameter that Config speaks of, so that none is
// inherited from a line of postgresql.conf; that file must include it. Of the targets it has the one that is set: a server does not
// start where several are. [Apply] sees to all of this.
func (c Config) Render(major pgconf.Major) ([]File, error) {
	if err := c.Validate(major); err != nil {
		return nil, err
	}
	if major <= 11 {
		f, err := c.recoveryConf(major, nil)
		return []File{{RecoveryConf, f}}, err
	}
	settings, err := c.settingsFile(major)
	return []File{{Name: c.Role.signal()}, {SettingsFile, settings}}, err
}

// signal returns the file that gives a server from 12 on the role.
func (r Role) signal() string {
	if r == Targeted {
		return RecoverySignal
	}
	return StandbySignal
}

// recoveryConf returns what recovery.conf must be to say what c says: its lines are edited, those that c leaves empty are
// commented out, and all others stay.
func (c Config) recoveryConf(major pgconf.Major, before []byte) ([]byte, error) {
	if major == pgconf.V9_0 {
		return c.oldRecoveryConf(string(before)), nil
	}
	f, err := pgconf.Parse(RecoveryConf, before)
	if err != nil {
		return nil, err
	}
	for _, p := range c.parameters(major) {
		edit := func() error { return f.Set(p.name, p.value) }
		if p.value == "" {
			edit = func() error { return f.Unset(p.name) }
		}
		if err := edit(); err != nil {
			return nil, fmt.Errorf("edit %s: %w", RecoveryConf, err)
		}
	}
	return f.Bytes(), nil
}

// oldRecoveryConf is recoveryConf for 9.0, where a value is always in single quotes, which are doubled in it, and a backslash is just
// that. Lines of ours that say something else are commented out, and the new ones come last.
func (c Config) oldRecoveryConf(before string) []byte {
	missing := map[string]string{}
	for _, p := range c.parameters(pgconf.V9_0) {
		missing[p.name] = ""
		if p.value != "" {
			missing[p.name] = p.name + " = '" + strings.ReplaceAll(p.value, "'", "''") + "'"
		}
	}
	var text strings.Builder
	for raw := range strings.Lines(before) {
		name := lower(firstWord(raw))
		line, ours := missing[name]
		if ours && line == strings.TrimRight(raw, "\r\n") {
			delete(missing, name) // and a second one is one too many
			missing[name] = ""
		} else if ours {
			raw = "#" + raw
		}
		text.WriteString(raw)
	}
	if s := text.String(); s != "" && !strings.HasSuffix(s, "\n") {
		text.WriteByte('\n')
	}
	for _, p := range c.parameters(pgconf.V9_0) {
		if missing[p.name] != "" {
			text.WriteString(missing[p.name] + "\n")
		}
	}
	return []byte(text.String())
}

// firstWord returns the name at the front of a line.
func firstWord(raw string) string {
	raw = strings.TrimLeft(raw, " \t\r\f\v")
	rest := strings.TrimLeft(raw, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
	return raw[:len(raw)-len(rest)]
}

const settingsHeader = "# Written by understudy, which replaces the whole file: put other settings into postgresql.conf.\n"

// settingsFile returns the content of SettingsFile.
func (c Config) settingsFile(major pgconf.Major) ([]byte, error) {
	f, err := pgconf.Parse(SettingsFile, []byte(settingsHeader))
	if err != nil {
		return nil, err
	}
	for _, p := range c.parameters(major) {
		if p.value == "" && p.ifSet {
			continue
		}
		if err := f.Set(p.name, p.value); err != nil {
			return nil, fmt.Errorf("render %s: %w", SettingsFile, err)
		}
	}
	return f.Bytes(), nil
}
