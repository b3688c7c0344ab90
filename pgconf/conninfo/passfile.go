package conninfo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Passfile is a .pgpass file, byte for byte. libpq uses the first line that matches a connection (passwordFromFile in
// fe-connect.c; manual: "The Password File"). It is not safe for concurrent use while it is edited.
//
// Printed in any way it shows its name and the number of its entries, no secrets.
type Passfile struct {
	name  string
	lines []string // with their line ends
}

// ParsePassfile reads a .pgpass file. The name serves messages only. The file is never nil: it holds what b does, and looks
// passwords up in it as libpq does. The error, a [pgconf.SyntaxErrors] without any text of the file, is for lines that libpq
// silently passes over or reads otherwise than they look: too few fields, empty ones, a colon without backslash in the password,
// which ends it there, a literal * for a name, and NUL bytes.
func ParsePassfile(name string, b []byte) (*Passfile, error) {
	f := &Passfile{name, splitLines(b)}
	var errs pgconf.SyntaxErrors
	for n, raw := range f.lines {
		if text := chomp(raw); !isPassComment(text) {
			if _, col, msg := parsePassEntry(text); msg != "" {
				errs.Add(&pgconf.SyntaxError{File: name, Line: n + 1, Col: col, Msg: msg})
			}
		}
	}
	return f, errs.Err()
}

// splitLines returns the lines with their ends.
func splitLines(b []byte) []string { return slices.Collect(strings.Lines(string(b))) }

// chomp removes line ends as libpq's pg_strip_crlf does.
func chomp(line string) string { return strings.TrimRight(line, "\r\n") }

func isPassComment(text string) bool { return text == "" || text[0] == '#' }

// Bytes returns the file.
func (f *Passfile) Bytes() []byte { return []byte(strings.Join(f.lines, "")) }

// Entries returns the entries in order, without the lines that [ParsePassfile] complains about.
func (f *Passfile) Entries() []PassEntry {
	var entries []PassEntry
	for _, raw := range f.lines {
		text := chomp(raw)
		if isPassComment(text) {
			continue
		}
		if e, _, msg := parsePassEntry(text); msg == "" {
			entries = append(entries, e)
		}
	}
	return entries
}

// Lookup returns the password that libpq finds for a connection, and whether it finds one. The arguments are those of the
// connection string, compared byte by byte: host as it stands there (or hostaddr, if there is no host), the folder for a Unix
// socket. An empty host stands for localhost, and so does, in a file, the folder of sockets that libpq was built with; an empty
// port stands for 5432. Without database or user, which libpq knows by then, nothing is found. A standby asks for the
// database replication.
//
// Before 13, libpq takes a long line for several of up to 319 bytes; whoever writes for those keeps them shorter.
func (f *Passfile) Lookup(host, port, database, user string) (password string, ok bool) {
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = fmt.Sprint(DefaultPort)
	}
	if database == "" || user == "" {
		return "", false
	}
	wanted := passPattern{{text: host}, {text: port}, {text: database}, {text: user}}
	for _, raw := range f.lines {
		if rest, ok := wanted.matchedBy(raw); ok {
			password, _ = passFieldAt(rest, 0)
			return password, true
		}
	}
	return "", false
}

// matchPassField reports whether the field that s begins with is * or stands for want, and returns what follows its colon.
// It is pwdfMatchesString: a backslash takes the next byte as it is, even a colon or star.
func matchPassField(s, want string) (rest string, ok bool) {
	if after, ok := strings.CutPrefix(s, "*:"); ok {
		return after, true
	}
	for i := 0; i < len(s); i++ {
		if s[i] == ':' && want == "" {
			return s[i+1:], true
		}
		if s[i] == '\\' {
			i++
		}
		if i == len(s) || want == "" || s[i] != want[0] {
			return "", false
		}
		want = want[1:]
	}
	return "", false
}

// Ensure makes the file hold the entry so that it takes effect. If a line with the same host, port, database and user is the first
// to match what they match, its password is replaced. Otherwise the entry is inserted before the first line that would
// match all that it does, or added at the end; lines that match only a part, such as one for a single host, keep their
// precedence. Further lines with the same four fields, which libpq would never look at, are removed, lest an old password stay.
// The error matches [ErrPassEntry], and nothing is changed then.
func (f *Passfile) Ensure(e PassEntry) error {
	text, err := e.Text()
	if err != nil {
		return err
	}
	f.place(e, text)
	return nil
}

// place puts an entry with this text where it takes effect.
func (f *Passfile) place(e PassEntry, text string) {
	pattern := e.pattern()
	at := slices.IndexFunc(f.lines, func(raw string) bool { _, ok := pattern.matchedBy(raw); return ok })
	switch {
	case at < 0:
		at = len(f.lines)
		f.insert(at, text)
	case passFields(f.lines[at]) == pattern:
		if old, _, _ := parsePassEntry(chomp(f.lines[at])); old != e {
			f.lines[at] = text + f.lines[at][len(chomp(f.lines[at])):]
		}
	default:
		f.insert(at, text)
	}
	kept := f.lines[:at+1]
	for _, raw := range f.lines[at+1:] {
		if passFields(raw) != pattern {
			kept = append(kept, raw)
		}
	}
	clear(f.lines[len(kept):])
	f.lines = kept
}

// insert adds a line before line at, with the line end of its neighbours.
func (f *Passfile) insert(at int, text string) { f.lines = insertLine(f.lines, at, text) }

// insertLine adds a line with the line end of the first one. A last line without a line end gets one.
func insertLine(lines []string, at int, text string) []string {
	end := "\n"
	if len(lines) > 0 && strings.HasSuffix(lines[0], "\r\n") {
		end = "\r\n"
	}
	if at == len(lines) && at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
		lines[at-1] += end
	}
	return slices.Insert(lines, at, text+end)
}

// Remove removes all lines with the host, port, database and user of e; [Any] is only itself here. It reports whether there were
// any.
func (f *Passfile) Remove(e PassEntry) bool {
	before := len(f.lines)
	f.lines = slices.DeleteFunc(f.lines, func(raw string) bool { return passFields(raw) == e.pattern() })
	return len(f.lines) < before
}

// passPattern is what the first four fields of a line stand for. The zero value is that of no line.
type passPattern [4]passMatch

type passMatch struct {
	any  bool
	text string
}

func (e PassEntry) pattern() (p passPattern) {
	for i, f := range []string{e.Host, e.Port, e.Database, e.User} {
		if p[i].any = f == Any; !p[i].any {
			p[i].text = f
		}
	}
	return p
}

// passFields reads the pattern of a line, zero if libpq passes over it.
func passFields(raw string) (p passPattern) {
	s := chomp(raw)
	if isPassComment(s) || strings.IndexByte(s, 0) >= 0 {
		return p
	}
	at := 0
	for i := range p {
		start := at
		if p[i].text, at = passFieldAt(s, at); at == len(s) {
			return passPattern{}
		}
		if s[start:at] == Any {
			p[i] = passMatch{any: true}
		}
		at++
	}
	return p
}

// matchedBy reports whether a line is libpq's for all that p stands for, and returns what follows the line's fourth field. A colon
// without backslash may be part of a name there: [ParsePassfile] rejects the line ::1:5432:a:b:c, and yet it gives host ::1 the
// password c.
func (p passPattern) matchedBy(raw string) (rest string, ok bool) {
	rest = chomp(raw)
	if isPassComment(rest) || strings.IndexByte(rest, 0) >= 0 {
		return "", false
	}
	for _, m := range p {
		if m.any {
			rest, ok = strings.CutPrefix(rest, Any+":")
		} else {
			rest, ok = matchPassField(rest, m.text)
		}
		if !ok {
			return "", false
		}
	}
	return rest, true
}

// ErrPassfileMode is matched by the error for a password file that libpq would ignore for its kind or permissions.
var ErrPassfileMode = errors.New("libpq ignores the password file")

// CheckPassfileMode returns why libpq would ignore a password file with that mode, as [fs.FileInfo] has it: it must be a plain
// file to which neither group nor others have access (not checked on Windows). The error matches [ErrPassfileMode].
func CheckPassfileMode(mode fs.FileMode) error {
	if !mode.IsRegular() {
		return fmt.Errorf("%w: it is not a plain file", ErrPassfileMode)
	}
	if mode.Perm()&0o077 != 0 {
		return fmt.Errorf("%w: its mode is %04o, which lets others in; make it 0600", ErrPassfileMode, mode.Perm())
	}
	return nil
}

// String returns the name and the number of entries.
func (f Passfile) String() string { return fmt.Sprintf("%s: %d entries", f.name, len(f.Entries())) }

// GoString returns String, for %#v.
func (f Passfile) GoString() string { return f.String() }

// Format writes String, whatever the verb and flags are.
func (f Passfile) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.String()) }

// LogValue returns String, for log/slog.
func (f Passfile) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalText returns String, for encoders such as encoding/json.
func (f Passfile) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// parsePassEntry returns a column and message if s is not an entry.
func parsePassEntry(s string) (e PassEntry, col int, msg string) {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return e, i + 1, "NUL byte; remove it"
	}
	at := 0
	for i, f := range e.fields() {
		start := at
		*f.value, at = passFieldAt(s, at)
		switch {
		case i < 4 && at == len(s):
			return e, at + 1, "too few fields; an entry is host:port:database:user:password"
		case i == 4 && at < len(s):
			return e, at + 1, `a colon in the password needs a backslash, as \:`
		case *f.value == Any && i < 4 && at-start > 1:
			return e, start + 1, "a literal * in place of a name is not supported"
		case *f.value == "":
			return e, start + 1, "empty " + f.name + "; write * for any, and every entry needs a password"
		}
		at++
	}
	return e, 0, ""
}

// passFieldAt returns the field that begins at i, without its escapes, and the place of the colon after it or the end.
func passFieldAt(s string, i int) (string, int) {
	var b []byte
	for ; i < len(s) && s[i] != ':'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b), i
}
