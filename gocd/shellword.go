package gocd

import "strings"

// shellWord is one word of a bash command, after quotes and backslashes.
type shellWord struct {
	span           // of the source
	bytes  []byte  // what the word stands for; a hole stands as one NUL
	from   []span  // the source of each byte
	holes  []hole  // the variables in it, by position
	quoted bool    // some part of it is quoted or escaped
	globs  bool    // an unquoted character that bash expands in a command, though not in an assignment
	status lexWord // how reading it ended
}

// hole is a variable in a word: its value stands at bytes[at].
type hole struct {
	at   int
	name string
}

// lexWord is the outcome of reading a word.
type lexWord uint8

const (
	wordPlain  lexWord = iota // fully understood
	wordOpaque                // a command substitution or another thing that only a shell can do
	wordOpen                  // a quote that does not end
)

// text is the word as a string; its holes are NULs.
func (w shellWord) text() string { return string(w.bytes) }

func (w *shellWord) add(b byte, start, end int) {
	w.bytes = append(w.bytes, b)
	w.from = append(w.from, span{start, end})
}

// from returns the part of the word from byte i on.
func (w shellWord) tail(i int) shellWord {
	t := shellWord{span: w.span, bytes: w.bytes[i:], from: w.from[i:], quoted: w.quoted, globs: w.globs}
	for _, h := range w.holes {
		if h.at >= i {
			t.holes = append(t.holes, hole{h.at - i, h.name})
		}
	}
	return t
}

// readWord reads the word that starts at src[pos], a byte that neither separates nor ends words. It follows the
// quoting rules of bash ("Quoting" in its manual). If the status is not wordPlain, the word ends anywhere.
func readWord(src []byte, pos int) shellWord {
	w := shellWord{span: span{start: pos}}
	for pos < len(src) && w.status == wordPlain && !endsWord(src[pos]) {
		switch c := src[pos]; c {
		case '\\':
			pos = w.readEscape(src, pos)
		case '\'':
			pos = w.readSingle(src, pos)
		case '"':
			pos = w.readDouble(src, pos)
		case '$':
			pos = w.readDollar(src, pos, false)
		case '`', '~':
			w.status = wordOpaque
		default:
			w.globs = w.globs || strings.IndexByte("*?[{", c) >= 0
			w.add(c, pos, pos+1)
			pos++
		}
	}
	w.end = pos
	return w
}

func endsWord(c byte) bool { return strings.IndexByte(" \t\n;&|<>()", c) >= 0 }

func (w *shellWord) readEscape(src []byte, pos int) int {
	switch {
	case pos+1 == len(src):
		w.status = wordOpaque // the line continues in what someone appends
	case src[pos+1] != '\n':
		w.quoted = true
		w.add(src[pos+1], pos, pos+2)
	}
	return pos + 2
}

func (w *shellWord) readSingle(src []byte, pos int) int {
	w.quoted = true
	for i := pos + 1; i < len(src); i++ {
		if src[i] == '\'' {
			return i + 1
		}
		w.add(src[i], i, i+1)
	}
	w.status, w.start = wordOpen, pos
	return len(src)
}

func (w *shellWord) readDouble(src []byte, pos int) int {
	w.quoted = true
	for i := pos + 1; i < len(src) && w.status == wordPlain; {
		switch c := src[i]; {
		case c == '"':
			return i + 1
		case c == '`':
			w.status = wordOpaque
		case c == '$':
			i = w.readDollar(src, i, true)
		case c == '\\' && i+1 < len(src) && src[i+1] == '\n':
			i += 2
		case c == '\\' && i+1 < len(src) && strings.IndexByte("$`\"\\", src[i+1]) >= 0:
			w.add(src[i+1], i, i+2)
			i += 2
		default:
			w.add(c, i, i+1)
			i++
		}
	}
	if w.status == wordPlain {
		w.status, w.start = wordOpen, pos
	}
	return len(src)
}

// readDollar reads $NAME and ${NAME} as a hole, a dollar sign that expands nothing as itself, and leaves
// everything else to bash.
func (w *shellWord) readDollar(src []byte, pos int, inDouble bool) int {
	rest := src[pos+1:]
	name, length := rest[:nameLength(rest)], nameLength(rest)
	if len(rest) > 0 && rest[0] == '{' {
		name = rest[1:][:nameLength(rest[1:])]
		length = len(name) + 2
		if len(name) == 0 || length > len(rest) || rest[length-1] != '}' {
			w.status = wordOpaque
			return pos
		}
	}
	switch {
	case len(name) > 0:
		w.holes = append(w.holes, hole{len(w.bytes), string(name)})
		w.add(0, pos, pos+1+length)
		return pos + 1 + length
	case len(rest) == 0 || strings.IndexByte(" \t\n", rest[0]) >= 0 || inDouble && rest[0] == '"':
		w.add('$', pos, pos+1)
		return pos + 1
	}
	w.status = wordOpaque
	return pos
}

// nameLength returns how many bytes of s are a variable name.
func nameLength(s []byte) int {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return i
		}
	}
	return len(s)
}
