package recovery

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Files of a data directory that a plan depends on.
const (
	versionFile    = "PG_VERSION"
	mainConf       = "postgresql.conf"
	autoConf       = "postgresql.auto.conf"
	recoverySignal = "recovery.signal"
)

// targets are the parameters that name a recovery target; an empty value names none.
var targets = []string{"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"}

// found is what Apply found in a data directory.
type found struct {
	dataDir string
	major   int
	conf    map[string]*pgconf.File // the files of confNames; one that is not there is empty
}

// checkVersion makes sure that the files of this major mean anything to the server: 11 ignores standby.signal and would start as
// a primary, 12 does not start beside a recovery.conf.
func (f *found) checkVersion(text string, exists bool) error {
	version := strings.TrimSpace(text)
	switch {
	case !exists:
		return f.unfit(versionFile, "it is not there, so this is no data directory")
	case version != strconv.Itoa(f.major):
		return f.unfit(versionFile, fmt.Sprintf("the data directory is of PostgreSQL %q, not %d", version, f.major))
	}
	return nil
}

// leftovers are the files that must not be there.
func (f *found) leftovers() []string {
	if f.major <= 11 {
		return nil // standby.signal and recovery.signal mean nothing to them, recovery.done is overwritten
	}
	return []string{RecoveryConf, recoverySignal}
}

func (f *found) leftover(name string) error {
	if name == RecoveryConf {
		return f.unfit(name, "PostgreSQL 12 and later do not start while this file is there: take over what you need of it, then remove it")
	}
	return f.unfit(name, "it asks for recovery to a target, would outlive standby.signal and act at the first restart after a promotion: "+
		"if that recovery is not wanted any more, remove it")
}

// confNames are the configuration files that have a say, each overruling the one before.
func (f *found) confNames() []string {
	if f.major <= 11 {
		return []string{RecoveryConf}
	}
	return []string{mainConf, autoConf}
}

func (f *found) unfit(name, msg string) error {
	return &DataDirError{File: path.Join(f.dataDir, name), Msg: msg}
}

func (f *found) conflict(name string, s pgconf.Setting) error {
	return &ConflictError{File: path.Join(f.dataDir, name), Line: s.Line, Name: s.Name, Major: f.major}
}

// get returns the setting that wins, and the name of its file. Files that they include are not followed.
func (f *found) get(param string) (pgconf.Setting, string) {
	for _, name := range slices.Backward(f.confNames()) {
		if s, ok := f.conf[name].Get(param); ok {
			return s, name
		}
	}
	return pgconf.Setting{}, ""
}

// plan returns the files to write, in order.
func (f *found) plan(cfg Config) ([]File, error) {
	for _, param := range targets {
		if s, name := f.get(param); s.Value != "" {
			return nil, f.conflict(name, s)
		}
	}
	if f.major <= 11 {
		return f.planRecoveryConf(cfg)
	}
	for _, p := range cfg.parameters() {
		if s, ok := f.conf[autoConf].Get(p.name); ok {
			return nil, f.conflict(autoConf, s)
		}
	}
	todo, err := cfg.Render(f.major)
	if err != nil {
		return nil, err
	}
	if !f.included(cfg) {
		todo = append(todo, File{mainConf, withInclude(f.conf[mainConf].Bytes())})
	}
	return todo, nil
}

// planRecoveryConf edits recovery.conf. The server reads its includes as well, which nobody uses and which could overrule any line,
// the role among them.
func (f *found) planRecoveryConf(cfg Config) ([]File, error) {
	conf := f.conf[RecoveryConf]
	if slices.ContainsFunc(conf.Settings(), pgconf.Setting.IsInclude) {
		return nil, f.unfit(RecoveryConf, "it includes other files, which could overrule the settings: put their lines here")
	}
	if err := cfg.editRecoveryConf(conf); err != nil {
		return nil, err
	}
	return []File{{RecoveryConf, conf.Bytes()}}, nil
}

// trigger returns the path of the file whose existence promotes a standby, if the server has one configured. Such files were
// abolished in 16.
func (f *found) trigger() string {
	param := "promote_trigger_file"
	switch {
	case f.major <= 11:
		param = "trigger_file"
	case f.major >= 16:
		return ""
	}
	s, _ := f.get(param)
	if s.Value == "" || path.IsAbs(s.Value) {
		return s.Value
	}
	return path.Join(f.dataDir, s.Value)
}

// included reports whether postgresql.conf includes SettingsFile after every line that could overrule it: lines that set one of
// its parameters, and other includes, whose content is not known here.
func (f *found) included(cfg Config) bool {
	last := false
	for _, s := range f.conf[mainConf].Settings() {
		ours := func(p parameter) bool { return p.name == s.Name }
		if s.IsInclude() {
			last = s.Name != "include_dir" && f.isSettingsFile(s.Value)
		} else if slices.ContainsFunc(cfg.parameters(), ours) {
			last = false
		}
	}
	return last
}

// isSettingsFile resolves the path of an include as the server does, against the folder of the file that holds it.
func (f *found) isSettingsFile(name string) bool {
	if !path.IsAbs(name) {
		name = path.Join(f.dataDir, name)
	}
	return path.Clean(name) == path.Join(f.dataDir, SettingsFile)
}

// withInclude appends the line that includes SettingsFile, with the line end that the file uses last.
func withInclude(conf []byte) []byte {
	eol := "\n"
	if i := bytes.LastIndexByte(conf, '\n'); i > 0 && conf[i-1] == '\r' {
		eol = "\r\n"
	}
	if len(conf) > 0 && conf[len(conf)-1] != '\n' {
		conf = append(conf, eol...)
	}
	return append(conf, "include_if_exists = '"+SettingsFile+"'"+eol...)
}
