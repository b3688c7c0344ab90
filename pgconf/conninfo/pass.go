package conninfo

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Any in a field of a [PassEntry] other than the password matches every value.
const Any = "*"

// ErrPassEntry is matched by the error for an entry that a password file cannot hold.
var ErrPassEntry = errors.New("not a password file entry")

// PassEntry is one line of a .pgpass file. libpq uses the first entry of which all four fields match. All five must be
// set; [Any] stands for any host, port, database or user, and cannot be meant literally.
type PassEntry struct {
	Host     string // as in the connection string; for a Unix socket its folder, or localhost for the default one
	Port     string // decimal
	Database string // "replication" for physical replication, and so for a standby
	User     string
	Password string // the secret
}

// Text returns the line for the file without its newline, password included. The error matches [ErrPassEntry] if a
// field is empty or holds a line break or NUL, and names the field.
func (e PassEntry) Text() (string, error) {
	var b strings.Builder
	for i, f := range e.fields() {
		if *f.value == "" {
			return "", fmt.Errorf("%w: %s is empty; write %s for any", ErrPassEntry, f.name, Any)
		}
		if strings.ContainsAny(*f.value, "\x00\r\n") {
			return "", fmt.Errorf("%w: %s holds a line break or a NUL byte", ErrPassEntry, f.name)
		}
		if i > 0 {
			b.WriteByte(':')
		} else if strings.HasPrefix(*f.value, "#") {
			b.WriteByte('\\') // else the line were a comment
		}
		b.WriteString(passEscaper.Replace(*f.value))
	}
	return b.String(), nil
}

var passEscaper = strings.NewReplacer(`:`, `\:`, `\`, `\\`)

type passField struct {
	name  string
	value *string
}

func (e *PassEntry) fields() [5]passField {
	return [5]passField{
		{"host", &e.Host}, {"port", &e.Port}, {"database", &e.Database}, {"user", &e.User}, {"password", &e.Password},
	}
}

// String returns the entry with ******** for the password.
func (e PassEntry) String() string {
	return strings.Join([]string{e.Host, e.Port, e.Database, e.User, redacted}, ":")
}

// GoString returns String, for %#v.
func (e PassEntry) GoString() string { return e.String() }

// Format writes String, whatever the verb and flags are.
func (e PassEntry) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.String()) }

// LogValue returns String, for log/slog.
func (e PassEntry) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalText returns String, for encoders such as encoding/json.
func (e PassEntry) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// ParsePassfile reads a .pgpass file and returns its entries in order; blank lines and comments are skipped. The name
// serves error messages only. It is stricter than libpq, which passes over lines it cannot use and cuts a password at
// a colon without backslash: such lines, and a literal * as a field, are errors. The error is a
// [pgconf.SyntaxErrors] without any text of the file, and comes with the entries of the good lines.
func ParsePassfile(name string, b []byte) ([]PassEntry, error) {
	var entries []PassEntry
	var errs pgconf.SyntaxErrors
	n := 0
	for raw := range strings.Lines(string(b)) {
		n++
		text := strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
		if text == "" || text[0] == '#' {
			continue
		}
		e, col, msg := parsePassEntry(text)
		if msg != "" {
			errs.Add(&pgconf.SyntaxError{File: name, Line: n, Col: col, Msg: msg})
			continue
		}
		entries = append(entries, e)
	}
	return entries, errs.Err()
}

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
