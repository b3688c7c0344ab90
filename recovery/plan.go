package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
)

// step is one change of a file.
type step struct {
	path string
	data []byte
	gone bool // remove it
}

// guardMark is how a recovery.conf of our own begins. From 12 on a server does not start beside any recovery.conf, so nothing can
// happen between the steps that change a role.
const guardMark = "# understudy is changing the role of this server"

const guardText = guardMark + ", and while this file is there it does not start.\n" +
	"# If nothing is under way any more, that was interrupted: do it again, which also removes this file.\n"

// planner finds out what to write.
type planner struct {
	view
	server   Server
	major    pgconf.Major
	cfg      Config
	takeOver bool
	migrate  bool // recovery.conf is there to be carried over
	conf     *pgconf.Config
}

// plan returns the steps in order, none of them done yet. What they lead to is what cfg says, by the judgement of Read.
func (p *planner) plan() ([]step, error) {
	steps := p.recoveryConf
	if p.major >= 12 {
		steps = p.since12
	}
	todo, err := steps()
	if err != nil {
		return nil, err
	}
	return todo, p.verify(todo)
}

func (p *planner) path(name string) string { return p.server.path(name) }

func (p *planner) unfit(name, msg string) error { return &DataDirError{File: p.path(name), Msg: msg} }

// recoveryConf edits recovery.conf, up to 11. The server reads its includes as well, which nobody uses and which could overrule any
// line, the role among them.
func (p *planner) recoveryConf() ([]step, error) {
	name := p.path(RecoveryConf)
	before, err := p.read(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", RecoveryConf, err)
	}
	if p.major > pgconf.V9_0 {
		f, err := pgconf.Parse(name, before)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(f.Settings(), pgconf.Setting.IsInclude) {
			return nil, p.unfit(RecoveryConf, "it includes other files, which could overrule the settings: put their lines here")
		}
	}
	after, err := p.cfg.recoveryConf(p.major, before)
	return []step{{path: name, data: after}}, err
}

// since12 writes a signal file and settings.
func (p *planner) since12() ([]step, error) {
	guarded, err := p.guarded()
	if err != nil {
		return nil, err
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	if err := p.conflicts(); err != nil {
		return nil, err
	}
	other, err := p.otherSignal()
	if err != nil {
		return nil, err
	}
	cleared, err := p.clear()
	if err != nil {
		return nil, err
	}
	files, err := p.cfg.Render(p.major)
	if err != nil {
		return nil, err
	}
	var todo []step
	for _, f := range files {
		todo = append(todo, step{path: p.path(f.Name), data: f.Data})
	}
	todo = append(todo, cleared...)
	main := p.conf.File(p.server.main()).Bytes()
	if !p.included() {
		todo = slices.DeleteFunc(todo, func(s step) bool { return s.path == p.server.main() })
		todo = append(todo, step{path: p.server.main(), data: p.withInclude(main)})
	}
	todo = append(todo, other...)
	if guarded || !p.safe(todo) {
		return p.guard(todo, guarded)
	}
	return todo, nil
}

// safe reports whether the server, started between any two of the steps, is a standby that stays one, or already what it shall be.
func (p *planner) safe(todo []step) bool {
	for done := 1; done < len(todo); done++ {
		start, err := p.after(todo[:done]).start(p.server)
		stays := start.Outcome == StartsStandby && start.Config.Target == nil && !start.Triggered
		if err != nil || !stays && !p.isGoal(start) {
			return false
		}
	}
	return true
}

// after returns the files as they are after some steps.
func (p *planner) after(done []step) view {
	v := p.view
	for _, s := range done {
		data := &s.data
		if s.gone {
			data = nil
		}
		v = v.with(s.path, data)
	}
	return v
}

// isGoal reports whether a server does what it shall.
func (p *planner) isGoal(s Start) bool {
	return s.Outcome == p.cfg.Role.outcome() && same(s.Config, p.cfg, p.major) && !s.Triggered
}

// guarded reports whether an earlier call was interrupted, or recovery.conf is there to be carried over. Any other recovery.conf is
// in the way.
func (p *planner) guarded() (bool, error) {
	data, err := p.read(p.path(RecoveryConf))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %s: %w", RecoveryConf, err)
	case p.migrate, bytes.HasPrefix(data, []byte(guardMark)):
		return true, nil
	default:
		return false, p.unfit(RecoveryConf, "PostgreSQL 12 and later do not start while this file is there: carry it over with Migrate, or remove it")
	}
}

// guard puts the steps between writing and removing the file that keeps the server from starting. Steps that change nothing are left
// out, and so is all of it if none is left.
func (p *planner) guard(todo []step, there bool) ([]step, error) {
	var changes []step
	for _, s := range todo {
		now, err := p.read(s.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read %s: %w", s.path, err)
		}
		if s.gone || err != nil || !bytes.Equal(now, s.data) {
			changes = append(changes, s)
		}
	}
	name := p.path(RecoveryConf)
	if !there && len(changes) > 0 {
		changes = slices.Insert(changes, 0, step{path: name, data: []byte(guardText)})
	}
	if there || len(changes) > 0 {
		changes = append(changes, step{path: name, gone: true})
	}
	return changes, nil
}

// load reads the configuration. A folder that cannot be listed may stay unknown, and what is included may be missing: perhaps it is
// what is about to be written.
func (p *planner) load() error {
	opt := pgconf.Options{Major: p.major, Args: p.server.Args, DataDir: p.server.DataDir}
	c, err := pgconf.Load(p.view, p.server.main(), opt)
	p.conf = c
	var problems pgconf.LoadErrors
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	for _, problem := range problems {
		switch main := problem.File == p.server.main() && problem.Line == 0; {
		case main && errors.Is(problem, fs.ErrNotExist):
			return fmt.Errorf("read the main configuration file: %w; where a distribution keeps it elsewhere, name it in ConfigFile", problem)
		case main, !errors.Is(problem, ErrNoList) && !errors.Is(problem, fs.ErrNotExist):
			return problem
		}
	}
	return p.server.owns(c)
}

// owns makes sure that the configuration is that of the data directory.
func (s Server) owns(c *pgconf.Config) error {
	if dir := c.DataDir(); dir != "" && dir != path.Clean(s.DataDir) {
		return &DataDirError{c.Main(), fmt.Sprintf("this is the configuration of the data directory %q, not of %q: give DataDir as it is written there", dir, s.DataDir)}
	}
	return nil
}

func (p *planner) conflict(s pgconf.Setting) error {
	return &ConflictError{File: s.File, Line: s.Line, Name: s.Name, Major: p.major}
}

// conflicts looks for what would overrule the settings, and for other recovery targets.
func (p *planner) conflicts() error {
	for _, s := range p.conf.Args() {
		if p.sets(s.Name) || isTargetName(s.Name) && s.Value != "" {
			return p.conflict(s)
		}
	}
	if p.takeOver {
		return nil
	}
	targets := map[string]pgconf.Setting{}
	for _, s := range p.conf.Entries() {
		switch {
		case p.isAutoConf(s.File) && p.sets(s.Name):
			return p.conflict(s)
		case isTargetName(s.Name) && !p.isOurs(s.File):
			targets[s.Name] = s
		}
	}
	for _, name := range targetNames {
		if s := targets[name]; s.Value != "" {
			return p.conflict(s)
		}
	}
	return nil
}

// sets reports whether the new settings have a line for a parameter.
func (p *planner) sets(name string) bool {
	for _, param := range p.cfg.parameters(p.major) {
		if param.name == name {
			return param.value != "" || !param.ifSet
		}
	}
	return false
}

func (p *planner) isAutoConf(file string) bool { return path.Clean(file) == p.path(pgconf.AutoConf) }
func (p *planner) isOurs(file string) bool     { return path.Clean(file) == p.path(SettingsFile) }

// clear returns the steps that remove what would be in conflict.
func (p *planner) clear() ([]step, error) {
	if !p.takeOver {
		return nil, nil
	}
	for _, s := range p.conf.Entries() {
		if p.isAutoConf(s.File) && isParameter(p.major, s.Name) {
			if err := p.conf.AlterSystemReset(s.Name); err != nil {
				return nil, err
			}
		}
	}
	if err := p.conf.Unset(targetNames...); err != nil {
		return nil, err
	}
	var todo []step
	for _, c := range p.conf.Changed() {
		if !p.isOurs(c.File) {
			todo = append(todo, step{path: c.File, data: c.After})
		}
	}
	return todo, nil
}

// otherSignal handles the signal file of the other role.
func (p *planner) otherSignal() ([]step, error) {
	name, msg := RecoverySignal, "it asks for recovery to a target, would outlive standby.signal and act at the first restart after a promotion: "+
		"if that recovery is not wanted any more, remove it"
	if p.cfg.Role == Targeted {
		name, msg = StandbySignal, "it makes the server a standby, whatever recovery.signal asks for: if it shall be none, remove it"
	}
	there, err := p.exists(p.path(name))
	switch {
	case err != nil || !there:
		return nil, err
	case p.takeOver:
		return []step{{path: p.path(name), gone: true}}, nil
	default:
		return nil, p.unfit(name, msg+", or apply with TakeOver")
	}
}

// included reports whether the main file includes SettingsFile after every line that could overrule it: lines that set one of
// its parameters, and other includes, whose content may be anything tomorrow.
func (p *planner) included() bool {
	last := false
	for _, s := range p.conf.File(p.server.main()).Settings() {
		if s.IsInclude() {
			last = s.Name != "include_dir" && p.isSettingsFile(s.Value)
		} else if isParameter(p.major, s.Name) {
			last = false
		}
	}
	return last
}

// isSettingsFile resolves the path of an include as the server does, against the folder of the file that holds it.
func (p *planner) isSettingsFile(name string) bool {
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(p.server.main()), name)
	}
	return p.isOurs(name)
}

// withInclude appends the line that includes SettingsFile, with the line end that the file uses last.
func (p *planner) withInclude(conf []byte) []byte {
	eol, name := "\n", SettingsFile
	if path.Dir(p.server.main()) != path.Clean(p.server.DataDir) {
		name = p.path(SettingsFile)
	}
	if i := bytes.LastIndexByte(conf, '\n'); i > 0 && conf[i-1] == '\r' {
		eol = "\r\n"
	}
	if len(conf) > 0 && conf[len(conf)-1] != '\n' {
		conf = append(conf, eol...)
	}
	quoted, _ := pgconf.Quote(name) // what came in as a path of the machine has no NUL byte
	return append(conf, "include_if_exists = "+quoted+eol...)
}

// verify lets Read judge what the steps lead to. Reasons not to start that have nothing to do with recovery are not ours to mend.
func (p *planner) verify(todo []step) error {
	start, err := p.after(todo).start(p.server)
	if err != nil {
		return err
	}
	if start.Outcome == RefusesToStart {
		for _, f := range start.Why {
			if f.File == p.path(RecoveryConf) || isParameter(p.major, f.Name) {
				where := Finding{File: fmt.Sprintf("line %d", f.Line), Name: f.Name, Msg: f.Msg}
				return &DataDirError{f.File, "with the new settings the server would not start: " + where.String()}
			}
		}
		return nil
	}
	if start.Triggered {
		return triggered(p.server, start.Config.TriggerFile)
	}
	if !p.isGoal(start) {
		return &DataDirError{p.server.DataDir, "other files overrule the new settings: " + start.String()}
	}
	return nil
}

func triggered(s Server, name string) error {
	if !path.IsAbs(name) {
		name = s.path(name)
	}
	return &DataDirError{File: name, Msg: "this trigger file is there, so the standby would promote itself at once: remove it"}
}

func (r Role) outcome() Outcome {
	if r == Targeted {
		return StartsRecovery
	}
	return StartsStandby
}

// same reports whether two configs mean the same to a major.
func same(a, b Config, major pgconf.Major) bool {
	return a.Role == b.Role && slices.Equal(a.parameters(major), b.parameters(major))
}
