package guc

import (
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// Translation rewrites the configuration of a server for another major.
type Translation struct {
	// From is the major for which the files were written, To the one that shall read them, later or earlier.
	From, To pgconf.Major

	// SegmentSize is the size of a WAL segment of the server, in bytes. Zero means 16 MiB, which is what all servers have
	// that were not built (up to 10) or initialized (from 11) in another way.
	SegmentSize int64

	// Pin writes the old default where a parameter is not set and its default changed. Otherwise that is only remarked on.
	Pin bool

	// RecoveryConf is recovery.conf of a server up to 11; [ParseRecoveryConf] reads it. For a server from 12 on its settings go
	// into the first of the files, and it stays as it is: remove it from the data directory, since the server refuses to start
	// beside it. For a server up to 11 it is edited like the other files. Nil means that there is none.
	RecoveryConf *pgconf.File
}

// Remark is one thing that a translation did or could not do.
type Remark struct {
	File string
	Line int    // in the file as it was before the translation; 0 if the remark is about no line
	Name string // of the parameter, as the file spells it
	What string // what was done, or what is left to do; it holds no text of a value that may be a secret
	Why  string

	// Severity is Info for what keeps its meaning, Warning for what changes behaviour or is left to do, and Error where a
	// server of the new major does not start until somebody decides.
	Severity Severity

	// Code is the rule that [Check] finds broken in the result and not in what was given, or "".
	Code Code
}

// String returns "file:line: severity: name: what (why)".
func (r Remark) String() string {
	s := r.Severity.String() + ": "
	if r.File != "" && r.Line > 0 {
		s = fmt.Sprintf("%s:%d: %s", r.File, r.Line, s)
	} else if r.File != "" {
		s = r.File + ": " + s
	}
	if r.Name != "" {
		s += r.Name + ": "
	}
	s += r.What
	if r.Why != "" {
		s += " (" + r.Why + ")"
	}
	return s
}

// Translated is the outcome of a translation.
type Translated struct {
	Remarks []Remark // in the order of the files and their lines; those about no line come last

	// Signal is the file that takes the place of recovery.conf from 12 on, to be created empty in the data directory:
	// "standby.signal", "recovery.signal" or, if there was no recovery.conf, "".
	Signal string
}

// Translate edits one file, in place, for another major. See [Translation.Apply].
func Translate(f *pgconf.File, from, to pgconf.Major) ([]Remark, error) {
	done, err := Translation{From: from, To: to}.Apply(f)
	return done.Remarks, err
}

// Apply edits the files of one configuration, in place. The first one is the main file; it gets what must be added.
//
// Parameters that were renamed get their new names, and values their new units and words. What the new major does not have
// is commented out, with the reason at the end of the line. A value that the new major refuses and that has no equal is left
// and remarked on as an [Error]. All other bytes stay. Applying the same translation to the result changes nothing.
//
// Of several lines of a name in one file only the last gets a new value, since only that one counts; they all get a new name.
//
// The error matches [pgconf.ErrMajor] for a major that is not known. It is not nil, either, if no file is given, if
// SegmentSize is no power of two from 1 MiB to 1 GiB, or if there is a RecoveryConf of a server from 12 on. Then nothing is edited.
func (t Translation) Apply(files ...*pgconf.File) (Translated, error) {
	if err := t.check(files); err != nil {
		return Translated{}, err
	}
	tr := &translator{Translation: t, files: files, set: map[string]bool{}}
	for _, f := range files {
		for _, s := range f.Settings() {
			tr.set[s.Name] = true
		}
	}
	before := tr.broken(t.From)
	for _, f := range files {
		tr.file(f)
	}
	tr.recoveryConf()
	tr.defaults()
	tr.rules(before)
	general := func(r Remark) bool { return r.Line == 0 }
	about := slices.DeleteFunc(slices.Clone(tr.remarks), general)
	rest := slices.DeleteFunc(tr.remarks, func(r Remark) bool { return !general(r) })
	return Translated{Remarks: append(about, rest...), Signal: tr.signal}, nil
}

func (t Translation) check(files []*pgconf.File) error {
	for _, m := range []pgconf.Major{t.From, t.To} {
		if m < pgconf.Oldest || m > pgconf.Newest {
			return fmt.Errorf("%w: %d (known are %s to %s)", pgconf.ErrMajor, int(m), pgconf.Oldest, pgconf.Newest)
		}
	}
	size := t.SegmentSize
	switch {
	case len(files) == 0:
		return errors.New("no file to translate; give at least postgresql.conf")
	case size != 0 && (size < 1<<20 || size > 1<<30 || size&(size-1) != 0):
		return fmt.Errorf("SegmentSize %d is not the size of a WAL segment: it must be a power of two from 1 MiB to 1 GiB", size)
	case t.RecoveryConf != nil && t.From >= 12:
		return fmt.Errorf("PostgreSQL %s has no recovery.conf: say from which major up to 11 the files are", t.From)
	}
	return nil
}

// segmentMB is the size of a WAL segment in megabytes.
func (t Translation) segmentMB() float64 {
	if t.SegmentSize == 0 {
		return 16
	}
	return float64(t.SegmentSize >> 20)
}

// translator is a translation under way.
type translator struct {
	Translation
	files   []*pgconf.File
	set     map[string]bool // names that any of the files set before
	remarks []Remark
	signal  string
	guesses int // how often somebody was asked what a wrong name was meant to be
}

// maxGuesses bounds the time that a file full of wrong names takes.
const maxGuesses = 100

func (t *translator) remark(s pgconf.Setting, severity Severity, what, why string) {
	t.remarks = append(t.remarks, Remark{File: s.File, Line: s.Line, Name: s.Spelling, What: what, Why: why, Severity: severity})
}

// file translates the settings of a file, each name once, in the order of the lines that win.
func (t *translator) file(f *pgconf.File) {
	all := f.Settings()
	last, spelled := map[string]int{}, map[string]int{}
	for i, s := range all {
		last[s.Name], spelled[s.Spelling] = i, i
	}
	for i, s := range all {
		switch {
		case s.IsInclude():
			t.include(s)
		case last[s.Name] == i:
			t.setting(f, s)
		case spelled[s.Spelling] == i:
			t.overruled(s)
		}
	}
}

// overruled looks at a line that does not win but is read all the same: a server drops an overruled line unread only if the name is
// spelled as in the line that overrules it.
func (t *translator) overruled(s pgconf.Setting) {
	if p, ok := Lookup(t.To, s.Name); !ok || ascii.Lower(p.Name) != s.Name {
		return // it gets the same name as the other line, or is commented out
	}
	if err := Validate(t.To, s.Name, s.Value); err != nil {
		t.remark(s, Error, "left as it is; remove the line", err.Error()+"; a later line overrules it, but spells the name in another way")
	}
}

// include remarks on a directive that is newer than the major.
func (t *translator) include(s pgconf.Setting) {
	since := map[string]pgconf.Major{"include_if_exists": pgconf.V9_2, "include_dir": pgconf.V9_3}[s.Name]
	if t.To < since {
		t.remark(s, Error, "left as it is; put the lines of what it includes here", fmt.Sprintf("PostgreSQL %s has it only from %s on", t.To, since))
	}
}

func (t *translator) setting(f *pgconf.File, s pgconf.Setting) {
	p, ok := Lookup(t.To, s.Name)
	old, before := Lookup(t.From, s.Name)
	switch {
	case ok && before && ascii.Lower(old.Name) == s.Name && ascii.Lower(p.Name) != s.Name:
		t.rename(f, s, ascii.Lower(p.Name), s.Value, "the server still takes the old name")
	case ok:
		t.value(f, s)
	case isCustom(s.Name):
		if t.To < pgconf.V9_2 {
			t.remark(s, Warning, "left as it is; see to it that custom_variable_classes lists what stands before the dot", "up to 9.1 the server refuses it otherwise")
		}
	default:
		t.gone(f, s)
	}
}

// value translates the value of a parameter that keeps its name.
func (t *translator) value(f *pgconf.File, s pgconf.Setting) {
	to := change{value: s.Value}
	if convert := conversions[s.Name]; convert != nil {
		to = convert(t.Translation, s.Value)
	}
	switch {
	case to.drop:
		t.comment(f, s, to.severity, to.why)
		return
	case to.left:
		t.remark(s, to.severity, "left as it is", to.why)
		return
	}
	if refused := Validate(t.To, s.Name, to.value); refused != nil {
		respelled, ok := t.respell(s)
		if !ok {
			t.remark(s, Error, "left as it is; change it", refused.Error())
			return
		}
		to.value, to.why = respelled, fmt.Sprintf("PostgreSQL %s does not read the old spelling", t.To)
	}
	t.assign(f, s, to)
}

// respell writes a value of the old major so that the new one reads the same.
func (t *translator) respell(s pgconf.Setting) (string, bool) {
	v, err := Parse(t.From, s.Name, s.Value)
	if err != nil {
		return "", false
	}
	for _, text := range []string{v.String(), v.Setting()} {
		if now, err := Parse(t.To, s.Name, text); err == nil && now.String() == v.String() {
			return text, true
		}
	}
	return "", false
}

// assign gives a setting another value.
func (t *translator) assign(f *pgconf.File, s pgconf.Setting, to change) {
	if to.value == s.Value {
		return
	}
	if err := f.Set(s.Name, to.value); err != nil {
		t.remark(s, Error, "left as it is; change it", err.Error())
		return
	}
	t.remark(s, to.severity, t.nowIs(s.Name, to.value), to.why)
}

// nowIs says what a value is now, if that cannot be a secret since it is a number or one of some words.
func (t *translator) nowIs(name, value string) string {
	if p, ok := Lookup(t.To, name); !ok || p.Type == String {
		return "the value is rewritten"
	}
	return "the value is now " + value
}

// gone translates a parameter that the new major does not have.
func (t *translator) gone(f *pgconf.File, s pgconf.Setting) {
	fate, why, ok := t.fate(s.Name)
	if ok {
		value, problem := convertValue(t.Translation, fate, s.Value)
		if problem != "" {
			t.remark(s, Error, "left as it is; set "+fate.To+" instead", problem)
			return
		}
		t.rename(f, s, fate.To, value, why)
		return
	}
	h, known := HistoryOf(s.Name)
	since, recovery := recoveryConf[s.Name]
	switch {
	case recovery && t.To < 12 && since <= t.To:
		t.comment(f, s, Warning, "it belongs into recovery.conf up to 11")
	case fate.Reason != "":
		t.comment(f, s, t.loss(s), fmt.Sprintf("gone in %s: %s", fate.Major, fate.Reason))
	case known && h.First > t.To:
		t.comment(f, s, t.loss(s), fmt.Sprintf("it came with %s", h.First))
	case known:
		t.comment(f, s, t.loss(s), fmt.Sprintf("gone in %s", h.Last+1))
	case recovery:
		t.comment(f, s, Warning, fmt.Sprintf("PostgreSQL %s has no such parameter", t.To))
	default:
		why := "unknown parameter"
		if t.guesses++; t.guesses <= maxGuesses {
			why = unknown(t.To, s.Name).Error()
		}
		t.remark(s, Warning, "left as it is; look whether it is spelled right", why)
	}
}

// fate finds what takes the place of a parameter in the new major: what became of it later, or what it was before. The second
// result says why. If it is not ok, there may be a fate all the same, which says why nothing does.
func (t *translator) fate(name string) (fate Fate, why string, ok bool) {
	if fate, ok = FateOf(name, t.To); ok {
		_, ok = Lookup(t.To, fate.To)
		return fate, fate.Reason, ok && fate.Convert != Drop && fate.Convert != ToSignalFile
	}
	for old, list := range fates() {
		for _, later := range list {
			if _, ok := Lookup(t.To, old); ok && later.To == name && later.Convert != Drop {
				later.To, later.Name = old, name
				return later, fmt.Sprintf("up to %s it is called so", later.Major-1), true
			}
		}
	}
	return Fate{}, "", false
}

// loss is the severity of dropping a setting: none if it sets the default.
func (t *translator) loss(s pgconf.Setting) Severity {
	p, ok := Lookup(t.From, s.Name)
	if ok && same(t.From, s.Name, s.Value, p.shownDefault()) {
		return Info
	}
	return Warning
}

func (t *translator) rename(f *pgconf.File, s pgconf.Setting, name, value, why string) {
	if t.set[name] {
		t.comment(f, s, Warning, name+" is set already")
		return
	}
	if err := Validate(t.To, name, value); err != nil {
		t.remark(s, Error, "left as it is; set "+name+" instead", err.Error())
		return
	}
	if err := errors.Join(f.Rename(s.Name, name), f.Set(name, value)); err != nil {
		t.remark(s, Error, "left as it is; set "+name+" instead", err.Error())
		return
	}
	what := "now " + name
	if value != s.Value {
		what += ", and " + t.nowIs(name, value)
	}
	t.remark(s, Info, what, why)
}

// comment takes a setting out, with the reason on its line.
func (t *translator) comment(f *pgconf.File, s pgconf.Setting, severity Severity, why string) {
	if err := f.Comment(s.Name, fmt.Sprintf("PostgreSQL %s: %s", t.To, why)); err != nil {
		t.remark(s, Error, "left as it is; remove it", err.Error())
		return
	}
	t.remark(s, severity, "commented out", why)
}

// broken returns the rules of more than one setting that keep a server of a major from starting.
func (t *translator) broken(m pgconf.Major) []Problem {
	var all []pgconf.Setting
	for _, f := range t.files {
		all = append(all, f.Settings()...)
	}
	problems := judge(Situation{Major: m, Settings: all}, startRules)
	return slices.DeleteFunc(problems, func(p Problem) bool { return p.Severity != Error })
}

// rules remarks on combinations with which the new major does not start, and the old one did.
func (t *translator) rules(before []Problem) {
	const senders = "max_wal_senders" // its default became 10 in 10, which small or minimal servers cannot have
	problems := t.broken(t.To)
	about := func(p Problem) bool {
		return slices.ContainsFunc(p.Settings, func(s pgconf.Setting) bool { return s.Name == senders })
	}
	if t.From < 10 && t.To >= 10 && !t.has(senders) && slices.ContainsFunc(problems, about) {
		t.pin(senders, "0", Info, "with the default, which is 10 from 10 on, the server would not start")
		problems = t.broken(t.To)
	}
	for _, p := range problems {
		s := p.Settings[0]
		old := func(b Problem) bool { return b.Code == p.Code && b.Settings[0].Name == s.Name }
		if !slices.ContainsFunc(before, old) {
			t.remarks = append(t.remarks, Remark{File: s.File, Line: s.Line, Name: s.Spelling, What: p.Remedy, Why: p.Message, Severity: Error, Code: p.Code})
		}
	}
}

// has reports whether a file sets a parameter now.
func (t *translator) has(name string) bool {
	return slices.ContainsFunc(t.files, func(f *pgconf.File) bool { _, ok := f.Get(name); return ok })
}

// pin sets a parameter in the first file that no file sets.
func (t *translator) pin(name, value string, severity Severity, why string) {
	s := pgconf.Setting{Name: name, Spelling: name}
	if err := t.files[0].Set(name, value); err != nil {
		t.remark(s, Error, "set it", err.Error())
		return
	}
	t.remark(s, severity, "set to "+value, why)
}

// defaults remarks on parameters that are not set and whose default changed, or pins them.
func (t *translator) defaults() {
	for _, d := range changedDefaults(t.From, t.To) {
		if t.has(d.name) {
			continue
		}
		if t.Pin && d.pinnable {
			t.pin(d.name, d.before, Info, d.why)
			continue
		}
		s := pgconf.Setting{Name: d.name, Spelling: d.name}
		t.remark(s, d.severity, fmt.Sprintf("not set: the default was %q and is %q now", d.before, d.after), d.why)
	}
}
