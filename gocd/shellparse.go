package gocd

import (
	"bytes"
	"strings"
)

// systemProperties is the variable that the start script splits into JVM arguments (server.sh).
const systemProperties = "GO_SERVER_SYSTEM_PROPERTIES"

// shellFile is a shell file as far as it can be understood without running it: the commands that only assign
// variables, and the rest by its place.
type shellFile struct {
	src        []byte
	commands   []shellCommand
	unclosed   int  // offset of a quote that does not end, or -1; not looked for after a here-document begins
	continues  bool // the last line ends in a backslash, so that anything appended would join it
	hereDoc    int  // offset after which lines may be the text of a here-document, or -1
	unreadable int  // offset of a byte that bash drops or takes for its own, or -1
}

// commandKind says what a command does to the variables.
type commandKind uint8

const (
	// commandAssigns: NAME=value, several of them, or the same after export.
	commandAssigns commandKind = iota
	// commandLost: NAME=value -D…, where bash assigns for the time of a command called -D…, which does not exist.
	// No word of it needs to begin with -D, only the first with a dash: no command is called so.
	commandLost
	// commandOpaque: anything else.
	commandOpaque
)

type shellCommand struct {
	span            // without the separator after it
	kind            commandKind
	export          bool
	assigns         []assignment
	words           []shellWord // commandLost: the words that are not assigned; export: those it refuses
	alone, mentions bool        // it has its physical line for itself; an opaque one that names a property
}

type assignment struct {
	name  string
	plus  bool // NAME+=value
	value shellWord
}

// parseShell never fails: what it does not understand is an opaque command.
func parseShell(src []byte) *shellFile {
	f := &shellFile{src: src, unclosed: -1, hereDoc: -1, unreadable: bytes.IndexAny(src, "\x00\x01\x7f")}
	for pos := 0; pos < len(src); {
		first := len(f.commands)
		end, ok := f.readLine(pos)
		if !ok {
			f.commands = f.commands[:first]
			end = f.skipLine(pos)
		}
		pos = end
	}
	return f
}

// readLine reads the commands up to the end of a line, comments skipped. It returns where the next line begins.
func (f *shellFile) readLine(pos int) (next int, ok bool) {
	first := len(f.commands)
	for {
		cmd, end, ok := f.readCommand(pos)
		if !ok {
			return pos, false
		}
		if len(cmd.assigns)+len(cmd.words) > 0 {
			f.commands = append(f.commands, cmd)
		}
		if end < len(f.src) && f.src[end] == ';' {
			pos = end + 1
			continue
		}
		if len(f.commands) == first+1 {
			line := f.src[f.commands[first].start:end]
			f.commands[first].alone = !bytes.Contains(line, []byte("\n"))
		}
		return min(end+1, len(f.src)), true
	}
}

// readCommand reads one simple command and returns where the byte that ends it is: ";", a newline or the end.
func (f *shellFile) readCommand(pos int) (cmd shellCommand, end int, ok bool) {
	var words []shellWord
	for {
		pos = skipBlanks(f.src, pos)
		f.continues = f.continues || pos == len(f.src) && bytes.HasSuffix(f.src, []byte("\\\n"))
		if pos == len(f.src) || f.src[pos] == '\n' || f.src[pos] == ';' {
			break
		}
		if f.src[pos] == '#' {
			pos = lineEnd(f.src, pos)
			break
		}
		if endsWord(f.src[pos]) {
			return cmd, pos, false
		}
		w := readWord(f.src, pos)
		if w.status != wordPlain {
			return cmd, pos, false
		}
		words = append(words, w)
		pos = w.end
	}
	if len(words) == 0 && pos < len(f.src) && f.src[pos] == ';' {
		return cmd, pos, false
	}
	cmd, ok = classify(f.src, words)
	return cmd, pos, ok
}

// classify tells what a simple command of these words does. Not ok means that only bash knows.
func classify(src []byte, words []shellWord) (cmd shellCommand, ok bool) {
	if len(words) == 0 {
		return cmd, true
	}
	if len(words) == 1 && words[0].text() == ":" {
		return cmd, true // does nothing; an edit leaves it where a line became a comment
	}
	cmd.span = span{words[0].start, words[len(words)-1].end}
	if cmd.export = words[0].text() == "export" && !words[0].quoted; cmd.export {
		words = words[1:]
		if len(words) == 0 || bytes.HasPrefix(words[0].bytes, []byte("-")) {
			return cmd, false // a list of variables, or an option
		}
	}
	for _, w := range words {
		a, isAssignment := asAssignment(src, w)
		switch {
		case isAssignment && (cmd.export && !w.globs || !cmd.export && len(cmd.words) == 0):
			cmd.assigns = append(cmd.assigns, a)
		case w.globs || cmd.export && len(w.holes) > 0:
			return cmd, false
		case cmd.export && nameLength(w.bytes) == len(w.bytes) && len(w.bytes) > 0:
			// export NAME changes no value
		default:
			cmd.words = append(cmd.words, w)
		}
	}
	if !cmd.export && len(cmd.words) > 0 {
		cmd.kind = commandLost
		return cmd, len(cmd.assigns) > 0 && bytes.HasPrefix(cmd.words[0].bytes, []byte("-"))
	}
	return cmd, true
}

// asAssignment reads NAME=value and NAME+=value. The name must stand there without quotes.
func asAssignment(src []byte, w shellWord) (assignment, bool) {
	raw := src[w.start:w.end]
	n := nameLength(raw)
	if n == 0 {
		return assignment{}, false
	}
	rest := raw[n:]
	plus := bytes.HasPrefix(rest, []byte("+="))
	if !plus && !bytes.HasPrefix(rest, []byte("=")) {
		return assignment{}, false
	}
	skip := n + 1
	if plus {
		skip++
	}
	return assignment{name: string(raw[:n]), plus: plus, value: w.tail(skip)}, true
}

// skipBlanks skips blanks and joined lines.
func skipBlanks(src []byte, pos int) int {
	for pos < len(src) {
		switch {
		case src[pos] == ' ' || src[pos] == '\t':
			pos++
		case bytes.HasPrefix(src[pos:], []byte("\\\n")):
			pos += 2
		default:
			return pos
		}
	}
	return pos
}

// skipLine takes the line from pos on, with the lines that its quotes and backslashes join to it, for one opaque
// command. It returns where the next line begins.
func (f *shellFile) skipLine(start int) int {
	cmd := shellCommand{kind: commandOpaque}
	var code []byte // without comments
	pos := start
	for pos < len(f.src) && f.src[pos] != '\n' {
		from := pos
		switch c := f.src[pos]; {
		case c == '\\':
			joins := pos+1 == len(f.src) || f.src[pos+1] == '\n'
			pos = min(pos+2, len(f.src))
			f.continues = f.continues || joins && pos == len(f.src)
		case c == '\'' || c == '"':
			w := shellWord{}
			if c == '\'' {
				pos = w.readSingle(f.src, pos)
			} else {
				pos = skipDouble(f.src, pos, &w)
			}
			if w.status == wordOpen && f.hereDoc < 0 && f.unclosed < 0 {
				f.unclosed = from
			}
		case c == '#' && (pos == start || endsWord(f.src[pos-1])):
			pos = lineEnd(f.src, pos)
			continue
		default:
			if c == '<' && bytes.HasPrefix(f.src[pos:], []byte("<<")) && f.hereDoc < 0 {
				f.hereDoc = pos
			}
			pos++
		}
		code = append(code, f.src[from:pos]...)
	}
	cmd.span = span{start, pos}
	cmd.mentions = mentionsOurs(string(code))
	if strings.Trim(string(code), " \t\r") != "" { // a lone carriage return is a command that does not exist
		f.commands = append(f.commands, cmd)
	}
	return min(pos+1, len(f.src))
}

// skipDouble finds the end of a double-quoted string whatever is in it.
func skipDouble(src []byte, pos int, w *shellWord) int {
	for i := pos + 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	w.status = wordOpen
	return len(src)
}

// lineEnd returns the offset of the newline that ends the line of pos, or the end of src.
func lineEnd(src []byte, pos int) int {
	if i := bytes.IndexByte(src[pos:], '\n'); i >= 0 {
		return pos + i
	}
	return len(src)
}

// lineAt returns the number, from 1, of the line that offset is in.
func lineAt(src []byte, offset int) int { return 1 + bytes.Count(src[:offset], []byte("\n")) }
