package command

import (
	"slices"
	"strings"
)

// token is a word or an operator. One with neither is the end.
type token struct {
	op      string
	newline bool   // the operator ";" was a line feed
	fd      string // the number before a redirection

	word   Word // not nil for a word
	plain  int  // how many bytes at its beginning stood outside of quotes
	quoted bool // some of it was quoted
	bare   bool // %p stood outside of quotes

	at int
}

// lexer cuts a command into tokens.
type lexer struct {
	kind  Kind
	items []item
	pos   int
	end   int // length of the command
	read  func() (token, error)

	dull bool // a backslash does not escape a double quote (Windows)
}

func (l *lexer) syntax(at int, msg string) error {
	return &SyntaxError{Kind: l.kind, Offset: at, Msg: msg}
}

// at returns the offset of the present item in the command.
func (l *lexer) at() int {
	if l.pos < len(l.items) {
		return l.items[l.pos].at
	}
	return l.end
}

// peek returns the byte n items ahead; 0 stands for a placeholder or the end. (A command holds no NUL.)
func (l *lexer) peek(n int) byte {
	if l.pos+n < len(l.items) {
		return l.items[l.pos+n].char
	}
	return 0
}

func (l *lexer) done() bool { return l.pos >= len(l.items) }

func (l *lexer) next() (token, error) { return l.read() }

// operator takes the longest of the operators that stands here.
func (l *lexer) operator(operators ...string) string {
	for _, op := range operators {
		if l.looksAt(op) {
			l.pos += len(op)
			return op
		}
	}
	return ""
}

func (l *lexer) looksAt(text string) bool {
	for i := range len(text) {
		if l.peek(i) != text[i] {
			return false
		}
	}
	return true
}

// builder collects the pieces of a word.
type builder struct {
	token
	text strings.Builder
}

func (b *builder) byte(c byte, quoted bool) {
	b.quoted = b.quoted || quoted
	if !b.quoted {
		b.plain++
	}
	b.text.WriteByte(c)
}

// piece appends a piece that is no text.
func (b *builder) piece(p Piece) {
	b.flush()
	b.word = append(b.word, p)
}

func (b *builder) flush() {
	if b.text.Len() > 0 {
		b.word = append(b.word, Text(b.text.String()))
		b.text.Reset()
	}
}

func (b *builder) placeholder(p Placeholder, quoted bool) {
	b.bare = b.bare || !quoted && p == Path
	b.piece(p)
}

// finish returns the word; it may be empty.
func (b *builder) finish() token {
	b.flush()
	if b.word == nil {
		b.word = Word{}
	}
	return b.token
}

// posix reads a token as /bin/sh does.
func (l *lexer) posix() (token, error) {
	l.skipPOSIX()
	at := l.at()
	if l.done() {
		return token{at: at}, nil
	}
	if l.peek(0) == '\n' {
		l.pos++
		return token{op: ";", newline: true, at: at}, nil
	}
	if c := l.peek(0); c == '(' || c == ')' {
		return token{}, &CompoundError{Kind: l.kind, Offset: at, Found: string(c)}
	}
	if op := l.operator("&&", "||", ";", "|", "&"); op != "" {
		return token{op: op, at: at}, nil
	}
	fd := l.fd()
	if op := l.operator("<<", ">>", "<&", ">&", "<>", ">|", "<", ">"); op != "" {
		return token{op: op, fd: fd, at: at}, nil
	}
	return l.wordPOSIX(at)
}

// continued refuses a line that goes on, which may break words and operators anywhere.
func (l *lexer) continued() error {
	return &CompoundError{Kind: l.kind, Offset: l.at() - 1, Found: "\\\n"}
}

// skipPOSIX skips blanks and a comment.
func (l *lexer) skipPOSIX() {
	for {
		switch {
		case l.peek(0) == ' ' || l.peek(0) == '\t':
			l.pos++
		case l.peek(0) == '#':
			for !l.done() && l.peek(0) != '\n' {
				l.pos++
			}
		default:
			return
		}
	}
}

// fd takes a number that stands directly before a redirection.
func (l *lexer) fd() string {
	n := 0
	for l.peek(n) >= '0' && l.peek(n) <= '9' {
		n++
	}
	if n == 0 || l.peek(n) != '<' && l.peek(n) != '>' {
		return ""
	}
	digits := l.raw(l.pos, l.pos+n)
	l.pos += n
	return digits
}

func (l *lexer) wordPOSIX(at int) (token, error) {
	b := builder{token: token{at: at}}
	for !l.done() {
		it := l.items[l.pos]
		switch c := it.char; {
		case it.placeholder != 0:
			b.placeholder(it.placeholder, false)
			l.pos++
		case strings.IndexByte(" \t\n;&|<>()", c) >= 0:
			return b.finish(), nil
		case c == '\\':
			l.pos++
			switch {
			case l.done():
				b.byte('\\', true)
			case l.peek(0) == '\n':
				return token{}, l.continued()
			default:
				l.escaped(&b)
			}
		case c == '\'':
			if err := l.singleQuoted(&b); err != nil {
				return token{}, err
			}
		case c == '"':
			if err := l.doubleQuoted(&b); err != nil {
				return token{}, err
			}
		case c == '$' || c == '`':
			if err := l.substitution(&b, false); err != nil {
				return token{}, err
			}
		case c == '*' || c == '?' || c == '[' && l.closes(']'), c == '~' && b.text.Len() == 0 && len(b.word) == 0 && !b.quoted:
			b.piece(Unknown(c))
			l.pos++
		default:
			b.byte(c, false)
			l.pos++
		}
	}
	return b.finish(), nil
}

// closes reports whether a bracket that opens here is closed before the end of the word.
func (l *lexer) closes(bracket byte) bool {
	for n := 1; l.pos+n < len(l.items) && n < 64; n++ {
		switch c := l.peek(n); {
		case c == bracket:
			return n > 1
		case c != 0 && strings.IndexByte(" \t\n;&|<>()'\"", c) >= 0:
			return false
		}
	}
	return false
}

// escaped takes one item as it is.
func (l *lexer) escaped(b *builder) {
	if it := l.items[l.pos]; it.placeholder != 0 {
		b.placeholder(it.placeholder, true)
	} else {
		b.byte(it.char, true)
	}
	l.pos++
}

func (l *lexer) singleQuoted(b *builder) error {
	at := l.at()
	b.quoted = true
	l.pos++
	for !l.done() {
		if l.peek(0) == '\'' {
			l.pos++
			return nil
		}
		l.escaped(b)
	}
	return l.syntax(at, "a single quote is not closed")
}

func (l *lexer) doubleQuoted(b *builder) error {
	at := l.at()
	b.quoted = true
	l.pos++
	for !l.done() {
		switch c := l.peek(0); c {
		case '"':
			l.pos++
			return nil
		case '\\':
			switch n := l.peek(1); {
			case n == '\n':
				l.pos++
				return l.continued()
			case n != 0 && strings.IndexByte("$`\"\\", n) >= 0:
				l.pos++
			}
			l.escaped(b)
		case '$', '`':
			if err := l.substitution(b, true); err != nil {
				return err
			}
		default:
			l.escaped(b)
		}
	}
	return l.syntax(at, "a double quote is not closed")
}

// substitution takes what the shell replaces: $NAME, ${...}, $(...), `...`. A dollar sign before anything else means itself.
func (l *lexer) substitution(b *builder, quoted bool) error {
	start, at := l.pos, l.at()
	var ok bool
	switch n := l.peek(1); {
	case l.peek(0) == '`':
		ok = l.skipTo('`')
	case n == '(':
		l.pos++
		ok = l.skipNested('(', ')')
	case n == '{':
		l.pos++
		ok = l.skipNested('{', '}')
	case isNameByte(n) && (n < '0' || n > '9'):
		for l.pos++; isNameByte(l.peek(0)); l.pos++ {
		}
		ok = true
	case n != 0 && strings.IndexByte("0123456789?$!#@*-", n) >= 0 || !quoted && (n == '\'' || n == '"'): // bash has $'...' and $"..."
		l.pos += 2
		if n == '\'' || n == '"' {
			l.pos--
		}
		ok = true
	default:
		b.byte('$', quoted)
		l.pos++
		return nil
	}
	if !ok {
		return l.syntax(at, "a substitution is not closed")
	}
	b.piece(Unknown(l.raw(start, l.pos)))
	return nil
}

func isNameByte(c byte) bool { return c == '_' || alphanumeric(rune(c)) }

// skipTo moves behind the next unescaped closing character.
func (l *lexer) skipTo(closing byte) bool {
	for l.pos++; !l.done(); l.pos++ {
		switch l.peek(0) {
		case '\\':
			l.pos++
		case closing:
			l.pos++
			return true
		}
	}
	return false
}

// skipNested moves behind the bracket that closes the one here; quoted brackets do not count.
func (l *lexer) skipNested(opening, closing byte) bool {
	depth := 0
	for !l.done() {
		switch c := l.peek(0); c {
		case '\\':
			l.pos++
		case '\'', '"':
			if !l.skipTo(c) {
				return false
			}
			continue
		case opening:
			depth++
		case closing:
			if depth--; depth == 0 {
				l.pos++
				return true
			}
		}
		l.pos++
	}
	return false
}

// raw returns items as they stand in the command.
func (l *lexer) raw(from, to int) string {
	var b strings.Builder
	for _, it := range l.items[from:min(to, len(l.items))] {
		if it.placeholder != 0 {
			b.WriteString(it.placeholder.String())
		} else {
			b.WriteByte(it.char)
		}
	}
	return b.String()
}

// windows reads a token as cmd.exe does: a double quote begins and ends a text in which operators mean nothing, a caret outside of
// one takes the next character as it is. What then reads the words is taken to be a program's C library.
func (l *lexer) windows() (token, error) {
	for c := l.peek(0); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = l.peek(0) {
		l.pos++
	}
	at := l.at()
	if l.done() {
		return token{at: at}, nil
	}
	if op := l.operator("&&", "||", "&", "|"); op != "" {
		if op == "&" {
			op = ";" // one after the other
		}
		return token{op: op, at: at}, nil
	}
	if c := l.peek(0); c == '(' || c == ')' {
		return token{}, &CompoundError{Kind: l.kind, Offset: at, Found: string(c)}
	}
	fd := l.fd()
	if op := l.operator(">>", ">&", "<&", "<", ">"); op != "" {
		return token{op: op, fd: fd, at: at}, nil
	}
	return l.wordWindows(at)
}

func (l *lexer) wordWindows(at int) (token, error) {
	b := builder{token: token{at: at}}
	inside := false
	for !l.done() {
		it := l.items[l.pos]
		switch c := it.char; {
		case it.placeholder != 0:
			b.placeholder(it.placeholder, inside)
			l.pos++
		case !inside && strings.IndexByte(" \t\n\r&|<>()", c) >= 0:
			return b.finish(), nil
		case c == '\\' && !l.dull:
			l.backslashes(&b)
		case c == '"':
			inside = !inside
			b.quoted = true
			l.pos++
		case c == '^' && !inside && l.pos+1 < len(l.items):
			b.quoted = true
			l.pos++
			l.escaped(&b)
		case c == '%':
			b.piece(Unknown(l.variable()))
		default:
			b.byte(c, inside)
			l.pos++
		}
	}
	if inside {
		return token{}, l.syntax(at, "a double quote is not closed")
	}
	return b.finish(), nil
}

// backslashes takes backslashes: before a double quote each pair is one, and one that is left makes the quote a character.
func (l *lexer) backslashes(b *builder) {
	n := 0
	for l.peek(n) == '\\' {
		n++
	}
	l.pos += n
	escapes := false
	if l.peek(0) == '"' {
		n, escapes = n/2, n%2 == 1
	}
	for range n {
		b.byte('\\', true)
	}
	if escapes {
		b.byte('"', true)
		l.pos++
	}
}

// variable takes %NAME%, or the percent sign alone.
func (l *lexer) variable() string {
	start := l.pos
	l.pos++
	for n := 0; l.pos+n < len(l.items); n++ {
		switch c := l.peek(n); {
		case c == '%' && n > 0:
			l.pos += n + 1
			return l.raw(start, l.pos)
		case !isNameByte(c) && c != ':' && c != '~':
			return "%"
		}
	}
	return "%"
}

// unwrap takes the first and the last quote off, as cmd.exe does with a command that begins with one, unless it has exactly these
// two around a program with blanks in its name (cmd /?).
func unwrap(items []item) []item {
	isQuote := func(it item) bool { return it.char == '"' }
	if len(items) == 0 || !isQuote(items[0]) {
		return items
	}
	last := len(items) - 1
	for !isQuote(items[last]) {
		last--
	}
	inside := items[1:max(last, 1)]
	special := func(it item) bool { return it.char != 0 && strings.IndexByte(`&<>()@^|`, it.char) >= 0 }
	blank := func(it item) bool { return it.char == ' ' || it.char == '\t' }
	if last == 0 || !slices.ContainsFunc(inside, isQuote) && slices.ContainsFunc(inside, blank) && !slices.ContainsFunc(inside, special) {
		return items
	}
	return slices.Concat(inside, items[last+1:])
}
