package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// Outcome is how a server starts.
type Outcome uint8

// The outcomes.
const (
	Unknown        Outcome = iota // only beside an error
	StartsPrimary                 // it accepts writes as soon as it has recovered from its own WAL
	StartsStandby                 // it follows
	StartsRecovery                // it recovers from its archive, and then does what its target says
	RefusesToStart                // it ends with an error
)

// String returns the outcome in words.
func (o Outcome) String() string {
	return [...]string{"unknown", "starts as a primary", "starts as a standby", "starts targeted recovery", "refuses to start"}[min(o, RefusesToStart)]
}

// Start is what a server will do at its next start.
type Start struct {
	Major   pgconf.Major
	Outcome Outcome

	// Config is that of a standby or a targeted recovery, with defaults written out. It says what the server does, which a
	// line that is there need not: see Notes. It need not be valid: a standby without any source of WAL starts.
	Config Config

	// Triggered says that the trigger file of a standby is there: it promotes itself as soon as it has replayed what it finds.
	Triggered bool

	Why    []Finding // what decides the outcome: the file of the role, or each reason to refuse
	Notes  []Finding // what is there and has no effect, or one that may surprise
	Doubts []Finding // what could not be looked at or judged, and may change everything
}

// Finding is a piece of evidence.
type Finding struct {
	File string // its path, or [pgconf.CommandLine]
	Line int    // from 1; 0 for the file as a whole
	Name string // of the parameter, in lower case; empty for none
	Msg  string // no text of a value that may be a secret
}

// String returns "file:line: name: message".
func (f Finding) String() string {
	s := f.File
	if f.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, f.Line)
	}
	if f.Name != "" {
		s += ": " + f.Name
	}
	return s + ": " + f.Msg
}

func at(s pgconf.Setting, msg string) Finding { return Finding{s.File, s.Line, s.Name, msg} }

// String says what the server does and why, for people.
func (s Start) String() string {
	text := s.Outcome.String()
	for _, f := range s.Why {
		text += "; " + f.String()
	}
	return text
}

// Read says what the server will do at its next start, whatever tool left the files there: recovery.conf, signal files, settings in any
// of the configuration files, in postgresql.auto.conf or on the command line. It reads, and judges what it reads as the server
// does: readRecoveryCommandFile up to 11, and from 12 on readRecoverySignalFile and validateRecoveryParameters, in
// src/backend/access/transam/xlog.c (xlogrecovery.c from 15 on).
//
// Of what makes a server start or not, it looks at the configuration files and nothing else: not at the data, locks, ports,
// memory, the archive, or whether there is a timeline of the number that is asked for.
//
// The error is for what it cannot know: a file that it may not read, no data directory there, a major that is not known.
func Read(ctx context.Context, files Files, server Server) (Start, error) {
	return view{ctx: ctx, files: files}.start(server)
}

// versionFile has the major of a data directory.
const versionFile = "PG_VERSION"

// major reads PG_VERSION. The files of one major mean other things to others: 11 ignores standby.signal and would start as a primary,
// 12 does not start beside a recovery.conf.
func (v view) major(s Server) (pgconf.Major, error) {
	name := s.path(versionFile)
	data, err := v.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, &DataDirError{name, "it is not there, so this is no data directory"}
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", versionFile, err)
	}
	text := strings.TrimSpace(string(data))
	major, err := pgconf.ParseMajor(text)
	if err != nil || major.String() != text {
		return 0, &DataDirError{name, fmt.Sprintf("%q is no major version of PostgreSQL from %s to %s", text, pgconf.Oldest, pgconf.Newest)}
	}
	if s.Major != 0 && s.Major != major {
		return 0, &DataDirError{name, fmt.Sprintf("the data directory is of PostgreSQL %s, not %s", major, s.Major)}
	}
	return major, nil
}

// reading is a Read under way.
type reading struct {
	view
	server Server
	Start
	conf  *pgconf.Config
	inUse effective
}

func (v view) start(s Server) (Start, error) {
	major, err := v.major(s)
	if err != nil {
		return Start{}, err
	}
	r := &reading{view: v, server: s, Start: Start{Major: major}, inUse: effective{}}
	r.conf, err = r.load(s.main(), s.Args)
	if err != nil {
		return Start{}, err
	}
	if err := s.owns(r.conf); err != nil {
		return Start{}, err
	}
	r.judgeSettings()
	if major < 12 {
		err = r.recoveryConf()
	} else {
		err = r.signals()
	}
	if err != nil {
		return Start{}, err
	}
	if len(r.Notes) > 0 {
		slices.SortStableFunc(r.Notes, func(a, b Finding) int { return strings.Compare(a.Name, b.Name) })
	}
	return r.Start, nil
}

// refuse records a reason for the server not to start.
func (r *reading) refuse(f Finding) {
	if r.Outcome != RefusesToStart {
		r.Outcome, r.Why, r.Config, r.Triggered = RefusesToStart, nil, Config{}, false
	}
	r.Why = append(r.Why, f)
}

// decide records the outcome, unless the server does not start.
func (r *reading) decide(o Outcome, f Finding) {
	if r.Outcome != RefusesToStart {
		r.Outcome, r.Why = o, append(r.Why, f)
	}
}

func (r *reading) path(name string) string { return r.server.path(name) }

func (r *reading) note(f Finding) { r.Notes = append(r.Notes, f) }

func (r *reading) file(name, msg string) Finding { return Finding{File: r.path(name), Msg: msg} }

// definite are the causes of a [pgconf.LoadError] that are the same for everybody.
var definite = []error{
	fs.ErrNotExist, errors.ErrUnsupported, pgconf.ErrTooBig, pgconf.ErrIncludeDepth, pgconf.ErrIncludeEmpty, pgconf.ErrIncludeRecursion, fs.ErrInvalid,
}

// load reads a file with what it includes, and postgresql.auto.conf. What a server could not read it refuses.
func (r *reading) load(main string, args []string) (*pgconf.Config, error) {
	c, err := pgconf.Load(r.view, main, pgconf.Options{Major: r.Major, Args: args, DataDir: r.server.DataDir})
	if c == nil {
		return nil, err
	}
	var problems pgconf.LoadErrors
	if err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	for _, p := range problems {
		found := Finding{File: p.File, Line: p.Line, Msg: p.Text()}
		known := func(cause error) bool { return errors.Is(p, cause) }
		switch {
		case errors.Is(p, ErrNoList):
			r.Doubts = append(r.Doubts, found)
		case errors.As(p, new(*pgconf.SyntaxError)), slices.ContainsFunc(definite, known):
			r.refuse(found)
		default:
			return nil, p
		}
	}
	return c, nil
}

// applied returns the settings that a starting server looks at, in its order: those of the command line, and of the files the last
// of each spelling.
func applied(c *pgconf.Config) []pgconf.Setting {
	last := map[string]pgconf.Setting{}
	entries := c.Entries()
	for _, s := range entries {
		last[s.Spelling] = s
	}
	overruled := func(s pgconf.Setting) bool { return last[s.Spelling] != s }
	return append(c.Args(), slices.DeleteFunc(entries, overruled)...)
}

// maxFindings bounds the time that files full of errors take; a server does not log more of them, either.
const maxFindings = 100

// judgeSettings looks for what keeps a server from starting in any role, and takes what is in force. A name that no major knows
// may be that of a minor release.
func (r *reading) judgeSettings() {
	for _, s := range applied(r.conf) {
		if len(r.Why)+len(r.Doubts) >= maxFindings {
			break
		}
		err := guc.Validate(r.Major, s.Name, s.Value)
		var unknown *guc.UnknownError
		switch {
		case errors.As(err, &unknown) && unknown.Since == 0 && unknown.Until == 0 && unknown.Fate == nil && !unknown.RecoveryConf:
			r.Doubts = append(r.Doubts, at(s, "no major has it; if this release has not, either, it does not start: remove the line"))
		case err != nil:
			r.refuse(at(s, strings.TrimPrefix(err.Error(), s.Name+": ")))
		}
	}
	for _, s := range r.conf.Effective() {
		r.inUse[s.Name] = s.Setting
	}
}

// signals is the start of a server from 12 on.
func (r *reading) signals() error {
	target := r.oneTarget()
	there := map[string]bool{}
	for _, name := range []string{RecoveryConf, StandbySignal, RecoverySignal, RecoveryDone, "backup_label"} {
		found, err := r.exists(r.path(name))
		if err != nil {
			return err
		}
		there[name] = found
	}
	if there[RecoveryConf] {
		r.refuse(r.recoveryConfFinding())
	}
	if there[RecoveryDone] {
		r.note(r.file(RecoveryDone, "the server removes it"))
	}
	switch {
	case there[StandbySignal] && there[RecoverySignal]:
		r.note(r.file(RecoverySignal, "standby.signal wins, but this file outlives a promotion and acts at the restart after it: remove it"))
		fallthrough
	case there[StandbySignal]:
		return r.follow(Standby, target, r.file(StandbySignal, "is there"))
	case there[RecoverySignal]:
		return r.follow(Targeted, target, r.file(RecoverySignal, "is there"))
	}
	r.primary(r.file(StandbySignal, "is not there, nor is "+RecoverySignal), there["backup_label"])
	return nil
}

func (r *reading) recoveryConfFinding() Finding {
	data, _ := r.read(r.path(RecoveryConf))
	if strings.HasPrefix(string(data), guardMark) {
		return r.file(RecoveryConf, "an interrupted Apply left it, and the server does not start beside it: call Apply again")
	}
	return r.file(RecoveryConf, "PostgreSQL 12 and later do not start while this file is there: carry it over with Migrate, or remove it")
}

// oneTarget returns the target in force, from 12 on, if a server starts with what is set. Each assignment is refused while another
// target is set, even one that is empty, and whatever the role is (assign_recovery_target_time and its like).
func (r *reading) oneTarget() pgconf.Setting {
	byArgs := map[string]bool{}
	for _, s := range r.conf.Args() {
		byArgs[s.Name] = true
	}
	var set pgconf.Setting
	for _, s := range applied(r.conf) {
		if !isTargetName(s.Name) || byArgs[s.Name] && s.File != pgconf.CommandLine {
			continue
		}
		if set.Value != "" && set.Name != s.Name {
			r.refuse(at(s, fmt.Sprintf("comes after %s (%s), and a server does not start with more than one recovery target, not even with an empty one: keep one",
				set.Name, set.Place())))
			return set
		}
		set = s
	}
	return set
}

// follow ends the reading of a server that is not a primary.
func (r *reading) follow(role Role, target pgconf.Setting, why Finding) error {
	outcome := StartsStandby
	if role == Targeted {
		outcome = StartsRecovery
		if s, ok := r.inUse["restore_command"]; !ok || s.Value == "" && r.Major >= 12 {
			why.Msg += ", and restore_command is not set: set it, or make the server a standby"
			r.refuse(why)
		}
	}
	if s, ok := r.inUse[timelineParameter]; ok && r.Major >= 12 {
		if n, _ := strtoul(s.Value); uint32(n) == 0 && s.Value != string(TimelineLatest) && s.Value != string(TimelineCurrent) {
			r.refuse(at(s, "the server takes it for timeline 0, which does not exist: use latest, current or a number"))
		}
	}
	r.decide(outcome, why)
	if r.Outcome == RefusesToStart {
		return nil
	}
	r.Config, r.Notes = r.config(role, target)
	r.noteSurprises(target)
	return r.lookForTrigger()
}

// config returns the Config that is in force, and what has no effect beside it.
func (r *reading) config(role Role, target pgconf.Setting) (Config, []Finding) {
	var to Target
	if target.Value != "" || target.Name != "" && r.Major < 12 {
		to = newTarget(target.Name, target.Value, r.inUse.exclusive())
		r.Why = append(r.Why, at(target, "is where recovery ends"))
	}
	c, ignored := r.inUse.config(r.Major, role, to, r.delay())
	return c, append(r.Notes, ignored...)
}

// delay returns recovery_min_apply_delay. Up to 11, lock_timeout is a parameter of the same kind.
func (r *reading) delay() time.Duration {
	name, s := applyDelay, r.inUse[applyDelay]
	if r.Major < 12 {
		name = "lock_timeout"
	}
	v, err := guc.Parse(r.Major, name, s.Value)
	ms, _ := v.Number()
	if s.Value == "" || err != nil { // or it is negative, which is no delay up to 11
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// noteSurprises says what the lines do not.
func (r *reading) noteSurprises(target pgconf.Setting) {
	if t, ok := r.Config.Target.(TargetTime); ok && t.Text != "" {
		r.Doubts = append(r.Doubts, at(target, "what this time means depends on the server's time zone, and whether it takes it only the server can say"))
	}
	v, err := guc.Parse(r.Major, "hot_standby", r.inUse["hot_standby"].Value)
	if r.inUse["hot_standby"].Value == "" {
		v, err = guc.Parse(r.Major, "hot_standby", map[bool]string{true: "on", false: "off"}[r.Major >= 10])
	}
	if hot, _ := v.Bool(); err == nil && !hot && r.Config.Action == ActionPause {
		does := "shuts down"
		if r.Major < pgconf.V9_5 {
			does = "promotes itself"
		}
		r.note(at(target, "with hot_standby off, the server "+does+" there in place of a pause"))
	}
	if r.Config.Role == Standby && r.Config.Target == nil && r.Config.TargetTimeline != TimelineLatest {
		why := Finding{File: r.path(RecoveryConf), Name: timelineParameter, Msg: "is not set"}
		if s, ok := r.inUse[timelineParameter]; ok {
			why = at(s, "is not latest")
		}
		why.Msg += ", so the standby cannot follow a promotion of its upstream: set it to latest"
		r.note(why)
	}
	if r.Config.Action == ActionShutdown {
		r.note(at(target, "each start after that ends there again, until the target or the action is changed"))
	}
}

// lookForTrigger finds out whether a standby promotes itself.
func (r *reading) lookForTrigger() error {
	name := r.Config.TriggerFile
	if name == "" {
		return nil
	}
	if !path.IsAbs(name) {
		name = r.path(name)
	}
	there, err := r.exists(name)
	if there {
		r.Triggered = true
		r.note(Finding{File: name, Msg: "the trigger file is there, so the standby promotes itself as soon as it has replayed what it finds"})
	}
	return err
}

// primary ends the reading of a server that is one.
func (r *reading) primary(why Finding, backup bool) {
	r.decide(StartsPrimary, why)
	for _, p := range (Config{}).parameters(r.Major) {
		if s := r.inUse[p.name]; s.Value != "" && r.Major >= 12 {
			r.note(at(s, "has no effect on a primary"))
		}
	}
	if backup {
		r.note(r.file("backup_label", "this is a base backup, of which the server will only use the WAL that lies in it: "+
			"with an archive to recover from, make it a targeted recovery or a standby"))
	}
}
