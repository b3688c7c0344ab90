package gocd

import (
	"fmt"
	"strings"
)

// The two system properties, as the server spells them. Java compares property names by case.
const (
	propServerMode = "go.server.mode"
	propPrimaryURL = "bc.primary.url"
)

// Mode is the role that a GoCD server takes at its next start. The zero value means that it is not known, which
// is neither of the other two.
type Mode uint8

// The modes.
const (
	ModeUnknown Mode = iota // the file does not tell, or starting the server would fail
	ModePrimary             // starts ACTIVE: go.server.mode is absent or anything but "standby"
	ModeStandby             // starts passive: go.server.mode is "standby" in any case
)

var modeNames = [...]string{ModeUnknown: "unknown", ModePrimary: "primary", ModeStandby: "standby"}

// String returns "unknown", "primary" or "standby".
func (m Mode) String() string { return nameOf(modeNames[:], m) }

// MarshalText returns the bytes of [Mode.String].
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what [Mode.MarshalText] writes and accepts nothing else.
func (m *Mode) UnmarshalText(text []byte) error {
	return parseName("mode", modeNames[:], string(text), m)
}

// Format is the syntax of a file that sets a GoCD server's system properties. The zero value means
// not known, where [DetectFormat] is asked.
type Format uint8

// The formats.
const (
	FormatUnknown Format = iota
	FormatShell          // bash assignments: /etc/default/go-server of the Linux packages up to 19.5
	FormatWrapper        // Tanuki wrapper properties: wrapper-properties.conf from 19.6 on, and on Windows
)

var formatNames = [...]string{FormatUnknown: "unknown", FormatShell: "shell", FormatWrapper: "wrapper"}

// String returns "unknown", "shell" or "wrapper".
func (f Format) String() string { return nameOf(formatNames[:], f) }

// MarshalText returns the bytes of [Format.String].
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what [Format.MarshalText] writes and accepts nothing else.
func (f *Format) UnmarshalText(text []byte) error {
	return parseName("format", formatNames[:], string(text), f)
}

func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("invalid (%d)", v)
}

func parseName[T ~uint8](what string, names []string, s string, to *T) error {
	for i, name := range names {
		if s == name {
			*to = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s %q: want one of %s", what, s, strings.Join(names, ", "))
}

// Property is one system property as the JVM would get it.
type Property struct {
	Value string `json:"value"`
	Set   bool   `json:"set"`  // false: not on the command line, and Value is empty
	Line  int    `json:"line"` // where it is defined, from 1; 0 if not known
}

// mode tells what a server makes of its go.server.mode (SystemEnvironment.isServerInStandbyMode).
func (p Property) mode() Mode {
	if p.Set && strings.EqualFold(p.Value, "standby") {
		return ModeStandby
	}
	return ModePrimary
}
