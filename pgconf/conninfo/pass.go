package conninfo

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
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
