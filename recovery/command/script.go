package command

import (
	"fmt"
	"slices"
	"strings"
)

// Script is what a command says to the shell: simple commands, joined by operators.
type Script struct {
	Commands []Command
}

// Command is one simple command of a [Script].
type Command struct {
	Negated     bool   // by "!"
	Assignments []Word // NAME=value before the program
	Words       []Word // the program and its arguments
	Redirects   []Redirect

	// Next is the operator behind it: "&&", "||", ";", "|", "&", "" at the end, and on Windows [Then] behind the condition of an if.
	Next string

	bare        bool // %p stands outside of quotes
	conditional bool // it begins with an if of cmd.exe
}

// Then is the operator between the condition of an if of cmd.exe and its command.
const Then = "then"

// Redirect sends a file to a command, or what it writes to a file.
type Redirect struct {
	FD     string // the number before the operator; empty for 0 or 1
	Op     string // "<", ">", ">>", ...
	Target Word
}

// SyntaxError says why the shell would not run a command.
type SyntaxError struct {
	Kind   Kind
	Offset int // in the command, in bytes
	Msg    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%v: byte %d: %s", e.Kind, e.Offset, e.Msg) }

// CompoundError says that a command is more than simple commands in a row, and not read by this package: a group, a loop, a
// condition, a text that follows.
type CompoundError struct {
	Kind   Kind
	Offset int    // in the command, in bytes
	Found  string // what begins it
}

func (e *CompoundError) Error() string {
	return fmt.Sprintf("%v: byte %d: %q begins something that is not followed here: put it into a script of its own", e.Kind, e.Offset, e.Found)
}

// Argv returns the words if the script is one program with arguments and nothing else, so that [Server.Build] says the same.
func (s Script) Argv() ([]Word, bool) {
	if len(s.Commands) != 1 {
		return nil, false
	}
	c := s.Commands[0]
	if c.Negated || c.Next != "" || len(c.Assignments)+len(c.Redirects) > 0 || len(c.Words) == 0 {
		return nil, false
	}
	for _, w := range c.Words {
		for _, p := range w {
			if _, unknown := p.(Unknown); unknown {
				return nil, false
			}
		}
	}
	return c.Words, true
}

// Parse reads a command as the server and then the shell read it. The errors are [*PlaceholderError], [*SyntaxError] and
// [*CompoundError].
//
// The shells are read as the documents of POSIX ("Shell Command Language") and of cmd.exe (cmd /?) describe them, as far as a list
// of simple commands goes. Of cmd.exe's conditions, "if exist" and "if not exist" are known.
func (s Server) Parse(kind Kind, command string) (Script, error) {
	if err := s.check(kind); err != nil {
		return Script{}, err
	}
	items, err := s.scan(kind, command)
	if err != nil {
		return Script{}, err
	}
	l := lexer{kind: kind, items: items, end: len(command)}
	if s.Shell == Windows {
		if !s.wrapsCommand() {
			l.items = unwrap(items)
		}
		l.read, l.dull = l.windows, true
	} else {
		l.read = l.posix
	}
	return assemble(&l, s.Shell)
}

// assemble makes commands of tokens.
func assemble(l *lexer, shell Shell) (Script, error) {
	var script Script
	var c Command
	for {
		t, err := l.next()
		if err != nil {
			return Script{}, err
		}
		switch {
		case t.op == "" && t.word != nil:
			c.bare = c.bare || t.bare
			if err := c.add(l, t, shell); err != nil {
				return Script{}, err
			}
		case isRedirect(t.op):
			if err := c.redirect(l, t); err != nil {
				return Script{}, err
			}
		default:
			if err := script.finish(&c, t, l); err != nil {
				return Script{}, err
			}
			l.dull = true
			if t.op == "" {
				return script, nil
			}
		}
	}
}

// finish ends a command at an operator, or at the end of the text.
func (s *Script) finish(c *Command, t token, l *lexer) error {
	empty := len(c.Words)+len(c.Assignments)+len(c.Redirects) == 0
	if empty {
		last := len(s.Commands) - 1
		switch {
		case t.op == "" && !c.Negated && (last < 0 || s.Commands[last].Next == ";" || s.Commands[last].Next == "&"):
			if last >= 0 && s.Commands[last].Next == ";" {
				s.Commands[last].Next = "" // the operator separates nothing
			}
			return nil
		case t.op == "":
			return l.syntax(t.at, "a command is missing at the end")
		case t.op == ";" && t.newline:
			return nil
		default:
			return l.syntax(t.at, fmt.Sprintf("a command is missing before %q", t.op))
		}
	}
	if c.conditional {
		if err := s.condition(c, l); err != nil {
			return err
		}
	}
	c.Next = t.op
	s.Commands = append(s.Commands, *c)
	*c = Command{}
	return nil
}

// condition makes the condition of an if of cmd.exe a command of its own.
func (s *Script) condition(c *Command, l *lexer) error {
	for len(c.Words) > 0 && isWord(c.Words[0], "if") {
		n := 1
		if n < len(c.Words) && isWord(c.Words[n], "not") {
			n++
		}
		if n+2 >= len(c.Words) || !isWord(c.Words[n], "exist") {
			return &CompoundError{Kind: l.kind, Offset: l.at(), Found: "if"}
		}
		n += 2
		s.Commands = append(s.Commands, Command{Words: c.Words[:n], Next: Then})
		c.Words = c.Words[n:]
	}
	return nil
}

func isWord(w Word, text string) bool {
	got, ok := w.literal()
	return ok && strings.EqualFold(got, text)
}

// add takes a word into the command.
func (c *Command) add(l *lexer, t token, shell Shell) error {
	text, literal := t.word.literal()
	first := len(c.Words) == 0
	if first && !t.quoted && literal {
		switch {
		case shell == POSIX && text == "!" && !c.Negated && len(c.Assignments) == 0:
			c.Negated = true
			return nil
		case shell == Windows && strings.EqualFold(text, "if"):
			c.conditional = true
		case shell == POSIX && len(c.Assignments) == 0 && compound[text], shell == Windows && strings.EqualFold(text, "for"):
			return &CompoundError{Kind: l.kind, Offset: t.at, Found: text}
		}
	}
	if first && shell == POSIX && isAssignment(t) {
		c.Assignments = append(c.Assignments, t.word)
		return nil
	}
	c.Words = append(c.Words, t.word)
	if first {
		l.dull = !t.quoted && (isBuiltin(text) || strings.EqualFold(text, "if"))
	}
	return nil
}

// isBuiltin reports whether a program is a part of cmd.exe, which takes its words as they are: backslashes escape nothing.
func isBuiltin(program string) bool {
	return slices.Contains(builtinsOfCmd, strings.ToLower(program))
}

var builtinsOfCmd = strings.Fields("copy move del erase ren rename md mkdir type echo exit mklink cd set")

// compound are the words that begin what is no simple command.
var compound = map[string]bool{
	"if": true, "while": true, "until": true, "for": true, "case": true, "{": true, "function": true,
	"then": true, "else": true, "elif": true, "fi": true, "do": true, "done": true, "esac": true, "}": true,
}

// isAssignment reports whether a word begins with NAME=, unquoted.
func isAssignment(t token) bool {
	if len(t.word) == 0 {
		return false
	}
	text, _ := t.word[0].(Text)
	name, _, found := strings.Cut(string(text), "=")
	if !found || name == "" || len(name) >= t.plain || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !alphanumeric(r) && r != '_' })
}

// redirect reads the target of a redirection.
func (c *Command) redirect(l *lexer, t token) error {
	if t.op == "<<" {
		return &CompoundError{Kind: l.kind, Offset: t.at, Found: t.op}
	}
	target, err := l.next()
	if err != nil {
		return err
	}
	if target.op != "" || target.word == nil {
		return l.syntax(t.at, fmt.Sprintf("%q needs a file", t.op))
	}
	c.bare = c.bare || target.bare
	c.Redirects = append(c.Redirects, Redirect{FD: t.fd, Op: t.op, Target: target.word})
	return nil
}

func isRedirect(op string) bool { return op != "" && (op[0] == '<' || op[0] == '>') }
