package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// WordError says why a word cannot be part of a command.
type WordError struct {
	Kind  Kind
	Index int // 0 is the program
	Msg   string
}

func (e *WordError) Error() string { return fmt.Sprintf("%v: word %d: %s", e.Kind, e.Index, e.Msg) }

// TooLongError says that a server of this major would cut the command off once the values are in.
type TooLongError struct {
	Kind   Kind
	Major  pgconf.Major
	Length int // with the longest values there are, in bytes
	Limit  int // in bytes
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("%v: with its values it grows to %d bytes, and PostgreSQL %v cuts it off after %d: put it into a script of its own",
		e.Kind, e.Length, e.Major, e.Limit)
}

// Build returns the command that runs a program with these arguments; the first word is the program. The shell splits it back into
// exactly these words, whatever they hold, and a percent sign in a text stays one. A placeholder always stands in double quotes.
//
// What cannot be said is refused with a [*WordError]: a NUL byte, a line feed (a configuration line has none), [Unknown], a
// placeholder of another kind of command; on Windows also a double quote, a percent sign (cmd.exe puts variables in even between
// quotes) and control characters. A command that the server would cut off is a [*TooLongError].
//
// The result is the value of the setting; quoting it for a configuration file ([pgconf.Quote]) comes on top. A program that is named
// without a folder is looked up by the shell: among its own commands, then on the PATH of the server.
func (s Server) Build(kind Kind, argv ...Word) (string, error) {
	if err := s.check(kind); err != nil {
		return "", err
	}
	if len(argv) == 0 || len(argv[0]) == 0 {
		return "", &WordError{Kind: kind, Msg: "the program is missing"}
	}
	words := make([]string, len(argv))
	program, _ := argv[0].literal()
	for i, w := range argv {
		word, problem := s.quote(kind, w, i == 0, isBuiltin(program))
		if problem != "" {
			return "", &WordError{Kind: kind, Index: i, Msg: problem}
		}
		words[i] = word
	}
	command := strings.Join(words, " ")
	if s.Shell == Windows && !s.wrapsCommand() && command[0] == '"' {
		command = `"` + command + `"` // cmd.exe takes the first and the last quote off
	}
	items, err := s.scan(kind, command)
	if err != nil {
		return "", err
	}
	if e := s.tooLong(kind, items); e != nil {
		return "", e
	}
	return command, nil
}

// longest are values as long as the server ever puts in.
var longest = Values{
	File:   "000000010000000000000001.00000028.backup",
	Path:   "pg_xlog/000000010000000000000001.00000028.backup",
	Oldest: "000000010000000000000001",
}

// tooLong measures a command.
func (s Server) tooLong(kind Kind, items []item) *TooLongError {
	length := 0
	for _, it := range items {
		length++
		if it.placeholder != 0 {
			length += len(longest.of(it.placeholder)) - 1
		}
	}
	if len(s.expand(kind, items, longest)) == length {
		return nil
	}
	return &TooLongError{Kind: kind, Major: s.major(), Length: length, Limit: s.maxLength(kind)}
}

// quote returns the word as it stands in a command, or what is wrong with it.
func (s Server) quote(kind Kind, w Word, program, builtin bool) (quoted, problem string) {
	for _, p := range w {
		if problem := s.refuse(kind, p); problem != "" {
			return "", problem
		}
	}
	text, plain := w.literal()
	if s.Shell == Windows {
		if program && strings.HasSuffix(text, `\`) {
			return "", `a program cannot end in a backslash`
		}
		if plain && isPlain(text, program, plainWindows, windowsWords) && !(program && strings.Contains(text, "/")) {
			return text, ""
		}
		return quoteWindows(w, builtin), ""
	}
	if plain && isPlain(text, program, plainPOSIX, posixWords) && !(program && strings.ContainsAny(text, "=-+")) {
		return strings.ReplaceAll(text, "%", "%%"), ""
	}
	return quotePOSIX(w), ""
}

func (s Server) refuse(kind Kind, p Piece) string {
	switch p := p.(type) {
	case Unknown:
		return fmt.Sprintf("%s is for the shell to replace: pass the value itself", p)
	case Placeholder:
		if strings.IndexByte(kind.letters(), byte(p)) < 0 {
			return fmt.Sprintf("%v is no placeholder of it: it has %s", p, listed(kind.letters()))
		}
	case Text:
		switch {
		case strings.ContainsAny(string(p), "\x00\n"):
			return "a NUL byte or a line feed cannot stand in a command"
		case s.Shell == Windows && strings.Contains(string(p), `"`):
			return "a double quote cannot stand in a command of Windows: cmd.exe would take it for the end of a quoted text"
		case s.Shell == Windows && strings.Contains(string(p), "%"):
			return "a percent sign cannot stand in a command of Windows: cmd.exe would take it for a variable"
		case s.Shell == Windows && strings.ContainsFunc(string(p), func(r rune) bool { return r < ' ' }):
			return "a control character cannot stand in a command of Windows"
		}
	}
	return ""
}

// listed returns "%f, %p" for "fp".
func listed(letters string) string {
	var all []string
	for _, c := range letters {
		all = append(all, "%"+string(c))
	}
	return strings.Join(all, ", ")
}

// Texts of these bytes, letters and digits mean themselves without quotes.
const (
	plainPOSIX   = "_@%+=:,./-"
	plainWindows = `_.:\/-`
)

// The words that mean something else at the place of a program.
var (
	posixWords = strings.Fields("if then else elif fi do done case esac while until for in function select time coproc")

	windowsWords = strings.Fields("if for rem")
)

func isPlain(text string, program bool, others string, reserved []string) bool {
	if text == "" || program && slices.Contains(reserved, strings.ToLower(text)) {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(others, r) })
}

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// quotePOSIX puts the word between double quotes, where only four characters are special (POSIX, Shell Command Language, 2.2.3).
func quotePOSIX(w Word) string {
	return quoted(w, strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`", `%`, `%%`))
}

// quoteWindows puts the word between double quotes. The program's C library halves backslashes before a quote ("Parsing C
// command-line arguments" in Microsoft's documentation), so those at the end are doubled; no other quote can follow one. What is a part
// of cmd.exe does not.
func quoteWindows(w Word, builtin bool) string {
	q := quoted(w, strings.NewReplacer())
	if builtin {
		return q
	}
	body := strings.TrimRight(q[:len(q)-1], `\`)
	return body + strings.Repeat(`\`, 2*(len(q)-1-len(body))) + `"`
}

func quoted(w Word, escape *strings.Replacer) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, p := range w {
		if t, ok := p.(Text); ok {
			b.WriteString(escape.Replace(string(t)))
		} else {
			b.WriteString(p.source())
		}
	}
	b.WriteByte('"')
	return b.String()
}
