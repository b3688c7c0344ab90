package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check explains what can go wrong with a command. The findings come in the order of the command, and none of them is proof that
// there is nothing else: what the programs do is known for the usual ones only, and from their names. An error says that the kind,
// the major or the shell is not known.
//
// An empty command is a finding of archive_command only: whether one of the others is needed, Check cannot know.
func (s Server) Check(kind Kind, command string) ([]Finding, error) {
	if err := s.check(kind); err != nil {
		return nil, err
	}
	c := checker{server: s, kind: kind}
	c.run(command)
	return c.findings, nil
}

// maxSteps is the number of commands in a script that are looked at.
const maxSteps = 64

// checker collects findings about one command.
type checker struct {
	server   Server
	kind     Kind
	steps    []step
	findings []Finding
}

func (c *checker) add(code Code, about string) {
	for _, f := range c.findings {
		if f.Code == code {
			return // once is enough
		}
	}
	c.findings = append(c.findings, find(c.kind, code, about))
}

func (c *checker) run(command string) {
	if strings.TrimSpace(command) == "" {
		if c.kind == Archive {
			c.add(NeverArchives, `""`)
		}
		return
	}
	c.placeholders(command)
	tolerant := c.server
	if c.server.refusesUnknown() {
		tolerant.Major = 15 // to read on behind what the server refuses
	}
	steps, err := tolerant.steps(c.kind, command)
	if err != nil {
		c.unreadable(err, command)
		return
	}
	if len(steps) > maxSteps {
		c.add(NotUnderstood, fmt.Sprintf("%d commands", len(steps)))
		return
	}
	c.steps = steps
	c.words()
	switch c.kind {
	case Archive, Restore:
		c.transfer(command)
	default:
		c.cleanup()
	}
}

// placeholders checks what the server does with the command.
func (c *checker) placeholders(command string) {
	strict := c.server
	strict.Major = 16
	var unknown *PlaceholderError
	if _, err := strict.scan(c.kind, command); errors.As(err, &unknown) {
		c.add(UnknownPlaceholder, unknown.Found)
		if c.server.refusesUnknown() {
			c.findings[len(c.findings)-1].Severity = Danger
		}
	}
	if items, err := c.server.scan(c.kind, command); err == nil {
		if e := c.server.tooLong(c.kind, items); e != nil {
			c.add(TooLong, e.Error())
		}
	}
}

func (c *checker) unreadable(err error, command string) {
	var compound *CompoundError
	if errors.As(err, &compound) {
		c.add(NotUnderstood, compound.Found)
		return
	}
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		c.add(Syntax, syntax.Msg)
		return
	}
	c.add(Syntax, command)
}

// steps reads a command, and the text that it gives to another shell.
func (s Server) steps(kind Kind, command string) ([]step, error) {
	script, err := s.Parse(kind, command)
	if err != nil {
		return nil, err
	}
	steps := recogniseAll(script, s.Shell)
	for len(steps) == 1 {
		inner, ok := steps[0].inner(kind)
		if !ok {
			break
		}
		script, err := assemble(inner, POSIX)
		if err != nil {
			return nil, err
		}
		pipefail := steps[0].option("pipefail")
		if steps = recogniseAll(script, s.Shell); len(steps) > 0 {
			steps[0].pipefail = steps[0].pipefail || pipefail
		}
	}
	return steps, nil
}

func recogniseAll(script Script, shell Shell) []step {
	var steps []step
	for _, c := range script.Commands {
		st := recognise(c, shell)
		if !st.renames(steps) {
			steps = append(steps, st)
			continue
		}
		for i := range steps {
			if steps[i].role == copies && steps[i].target.String() == st.source.String() {
				steps[i].target, steps[i].atomic = st.target, true
			}
		}
		st.role = helps
		steps = append(steps, st)
	}
	return steps
}

// renames reports whether the step gives a copy that was made before its final name.
func (st *step) renames(before []step) bool {
	if st.role != copies || !st.moves || st.source == nil || st.name == "ln" {
		return false
	}
	for _, b := range before {
		if b.role == copies && b.target.String() == st.source.String() {
			return true
		}
	}
	return false
}

// inner returns the text behind sh -c.
func (st *step) inner(kind Kind) (*lexer, bool) {
	if st.name != "sh" && st.name != "bash" && st.name != "dash" {
		return nil, false
	}
	for i, w := range st.args {
		text, _ := w.literal()
		if strings.HasPrefix(text, "-") && strings.HasSuffix(text, "c") && i+1 < len(st.args) {
			l := &lexer{kind: kind}
			for _, p := range st.args[i+1] {
				switch p := p.(type) {
				case Placeholder:
					l.items = append(l.items, item{placeholder: p})
				default:
					for _, b := range []byte(p.source()) {
						l.items = append(l.items, item{char: b})
					}
				}
			}
			l.read = l.posix
			return l, true
		}
	}
	return nil, false
}

// words checks the words, whatever they are for.
func (c *checker) words() {
	set := map[string]bool{}
	for _, st := range c.steps {
		for _, w := range st.Assignments {
			name, _, _ := strings.Cut(w.String(), "=")
			set[name] = true
		}
		if st.bare && c.kind == Restore {
			c.add(UnquotedPath, c.about(st))
		}
		if st.public && c.kind == Archive {
			c.add(WorldReadable, c.about(st))
		}
		for _, w := range st.all() {
			c.variables(w, set)
			if c.kind == Restore && w.has(Oldest) {
				c.add(RewindRefuses, c.about(st))
			}
			if text := w.String(); strings.ContainsFunc(text, func(r rune) bool { return r > 0 && r < ' ' && r != '\n' }) ||
				c.server.Shell == Windows && strings.HasPrefix(text, `\`) && !strings.HasPrefix(text, `\\`) {
				c.add(LostBackslash, text)
			}
		}
	}
}

// all returns the words and the targets of redirections.
func (st *step) all() []Word {
	words := append([]Word(nil), st.Words...)
	for _, r := range st.Redirects {
		words = append(words, r.Target)
	}
	return append(words, st.Assignments...)
}

func (c *checker) variables(w Word, set map[string]bool) {
	for _, p := range w {
		u, ok := p.(Unknown)
		if !ok {
			continue
		}
		name := strings.Trim(string(u), "${}%")
		named := len(u) > 1 && (u[0] == '$' && (isNameByte(u[1]) || u[1] == '{') || u[0] == '%')
		if named && name != "" && isNameByte(name[0]) && (name[0] < '0' || name[0] > '9') && !set[name] {
			c.add(Variable, string(u))
		}
	}
}

// about returns the words of a step.
func (c *checker) about(st step) string {
	var words []string
	for _, w := range st.Words {
		words = append(words, w.String())
	}
	return strings.Join(words, " ")
}

// transfer checks a command that archives or restores.
func (c *checker) transfer(command string) {
	known, strange, named := false, "", false
	for i, st := range c.steps {
		for _, w := range st.all() {
			named = named || w.has(File) || w.has(Path)
		}
		switch st.role {
		case copies:
			c.copy(i)
		case archives:
			c.archiver(i)
		case removes:
			c.add(WrongTool, c.about(st))
		case filters:
			c.failure(i)
		case unknown:
			strange = c.about(st)
			c.failure(i)
		default:
			continue
		}
		known = true
	}
	switch {
	case !known:
		c.constant(command)
	case strange != "":
		c.add(NotUnderstood, strange)
		if !named {
			c.add(NoPath, command)
		}
	}
}

// constant checks a command that touches no file: it has one exit status, always.
func (c *checker) constant(command string) {
	switch status := suppose(c.steps, true, nothing).status; {
	case c.kind == Archive && status == 0:
		c.add(Discards, command)
	case c.kind == Archive:
		c.add(NeverArchives, command)
	case status == 0:
		c.add(HidesMissing, command)
	case status > 125:
		c.add(StopsServer, command)
	}
}

// copy checks a step that copies a file.
func (c *checker) copy(i int) {
	st := c.steps[i]
	about := c.about(st)
	inside, archived := st.target, st.source // %p, and the file in the archive
	if c.kind == Archive {
		inside, archived = st.source, st.target
	}
	piped := i > 0 && c.steps[i-1].Next == "|"
	switch {
	case archived.has(Path) && !inside.has(Path):
		c.add(Reversed, about)
		return
	case !piped && !inside.has(Path) && !inside.has(File):
		c.add(NoPath, about)
	}
	p := placeOf(archived, c.server.Shell)
	c.place(p, archived)
	if st.moves {
		c.add(NotACopy, about)
	}
	if st.name == "pg_standby" {
		c.add(Obsolete, about)
	}
	if c.kind == Archive {
		c.stored(i, p)
	}
	c.failure(i)
	if c.kind == Restore && !st.moves {
		c.mistaken(i)
	}
}

// place checks where the file lies in the archive.
func (c *checker) place(p place, w Word) {
	if p.text == "" {
		return
	}
	if p.host != "" {
		c.add(Remote, p.text)
	}
	if before, _, ok := strings.Cut(p.name, "%f"); !ok {
		c.add(NoFileName, p.text)
	} else if before != "" && !strings.HasSuffix(before, "-") && !strings.HasSuffix(before, "_") && !strings.HasSuffix(before, ".") {
		c.add(JoinedName, p.text)
	}
	if p.relative(c.server.Shell) && !w.has(Path) {
		c.add(InDataDirectory, p.text)
	}
}

// stored checks how a file gets into the archive.
func (c *checker) stored(i int, p place) {
	st := c.steps[i]
	about := c.about(st)
	synced := false
	for _, later := range c.steps[i+1:] {
		synced = synced || later.name == "sync"
	}
	if !st.durable && !synced {
		c.add(NoFsync, about)
	}
	if !st.atomic {
		c.add(NotAtomic, about)
	}
	absent := suppose(c.steps, false, nothing)
	there := suppose(c.steps, true, nothing)
	if c.guardedElsewhere(i, p) {
		there = absent // the test does not see the file that is there
	}
	switch {
	case !absent.ran[i]:
		if absent.status == 0 && !c.anyRan(absent) {
			c.add(Discards, about)
		}
	case !there.ran[i] && there.status == 0:
		c.add(TrustsExisting, about)
	case !there.ran[i]:
		c.add(Sticks, about)
	case st.existing == skips:
		c.add(TrustsExisting, about)
	default:
		c.add(Overwrites, about)
	}
}

// guardedElsewhere reports whether a test before a step looks at another file than the one that it writes.
func (c *checker) guardedElsewhere(i int, p place) bool {
	for _, g := range c.steps[:i] {
		if g.role != tests || !g.source.has(File) {
			continue
		}
		if q := placeOf(g.source, c.server.Shell); q.dir != p.dir || q.name != p.name || p.host != "" {
			c.add(GuardElsewhere, g.source.String())
			return true
		}
	}
	return false
}

// anyRan reports whether a step was run that stores something.
func (c *checker) anyRan(end outcome) bool {
	for i, st := range c.steps {
		if end.ran[i] && st.works() {
			return true
		}
	}
	return false
}

// works reports whether the step does what the command is for, or may do it.
func (st *step) works() bool {
	return st.role == copies || st.role == archives || st.role == filters || st.role == unknown
}

// failure checks what becomes of the exit status of a step that fails.
func (c *checker) failure(i int) {
	missing := false
	for exists := range 2 {
		end := suppose(c.steps, exists == 1, only(i))
		missing = missing || end.ran[i] && end.status == 0
		if end.ran[i] && end.status > 125 {
			c.add(map[Kind]Code{Archive: RestartArchiver, Restore: StopsServer}[c.kind], c.about(c.steps[i]))
		}
	}
	if missing && !c.another(i) {
		c.add(map[Kind]Code{Archive: HidesFailure, Restore: HidesMissing}[c.kind], c.about(c.steps[i]))
	}
}

// another reports whether a failure leads to another step that does the work: "a || b".
func (c *checker) another(i int) bool {
	good, bad := suppose(c.steps, false, nothing), suppose(c.steps, false, only(i))
	for j, st := range c.steps {
		if j > i && bad.ran[j] && !good.ran[j] && st.works() {
			return true
		}
	}
	return false
}

// mistaken checks whether a failure of all steps that restore is one of 1 to 125, which the server takes for a file that is not there.
func (c *checker) mistaken(i int) {
	all := func(j int) bool { return c.steps[j].works() }
	hidden := slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Code == HidesMissing })
	if end := suppose(c.steps, true, all); !hidden && end.status > 0 && end.status <= 125 {
		c.add(FailureLooksLikeEnd, c.about(c.steps[i]))
	}
}

// archiver checks a program with an archive of its own.
func (c *checker) archiver(i int) {
	st := c.steps[i]
	about := c.about(st)
	path, file := false, false
	for _, w := range st.args {
		path, file = path || w.has(Path), file || w.has(File)
	}
	switch {
	case st.tool.pushes != (c.kind == Archive):
		c.add(WrongTool, about)
	case !path:
		c.add(NoPath, about)
	case c.kind == Restore && !file:
		c.add(NoFileName, about)
	}
	if st.tool.overwrites && c.kind == Archive {
		c.add(OverwritesByDefault, about)
	}
	c.failure(i)
	if c.kind == Restore && !st.tool.careful {
		c.mistaken(i)
	}
}

// cleanup checks archive_cleanup_command and recovery_end_command.
func (c *checker) cleanup() {
	for _, st := range c.steps {
		about := c.about(st)
		oldest := false
		for _, w := range st.args {
			oldest = oldest || w.has(Oldest)
		}
		switch {
		case st.role == removes && st.byAge():
			c.add(ByAge, about)
		case st.role == removes && st.name != "rm" && st.name != "del" && st.name != "erase":
			if !oldest {
				c.add(NoOldest, about)
			}
			c.add(OneConsumer, about)
		case st.role == archives:
			c.add(WrongTool, about)
		case st.role == unknown:
			c.add(NotUnderstood, about)
		}
	}
}
