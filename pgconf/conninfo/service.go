package conninfo

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// ErrService is matched by the error for a service that no file defines, and for one that a file cannot define.
var ErrService = errors.New("not a service")

// maxServiceLine is the length from which on libpq refuses a line, with its line end (14+; 255 before).
const maxServiceLine = 1023

// ServiceFile is a connection service file, pg_service.conf, byte for byte (manual: "The Connection Service File";
// parseServiceFile in fe-connect.c):
//
//	# a comment
//	[name]
//	keyword=value
//
// Blanks around a line do not count (before 13, those behind it do), blanks around "=" do, and nothing can be quoted. Of sections
// with the same name only the first counts, and so does the first line for a keyword. It is not safe for concurrent use
// while it is edited.
//
// Printed in any way it shows its name and the names of the services, no secrets.
type ServiceFile struct {
	name  string
	lines []string // with their line ends
}

// ParseServiceFile reads a service file. The name serves messages only. The file is never nil: it holds what b does. The error,
// a [pgconf.SyntaxErrors] without any value, is for all lines that libpq would refuse when it looks for their service or one
// that comes later, and for those that it would never read. libpq itself complains only about what it comes across, and
// [ServiceFile.Lookup] does the same.
func ParseServiceFile(name string, b []byte) (*ServiceFile, error) {
	f := &ServiceFile{name, splitLines(b)}
	var errs pgconf.SyntaxErrors
	inSection := false
	for n := range f.lines {
		switch l := f.line(n); {
		case l.err != nil:
			errs.Add(l.err)
		case l.kind == serviceHeader:
			inSection = true
		case l.kind == serviceSetting && !inSection:
			errs.Add(f.errorAt(n, "no section before this line, so that it is never read; begin one with [name]"))
		}
	}
	return f, errs.Err()
}

type serviceKind int

const (
	serviceNothing serviceKind = iota // blank or comment
	serviceHeader
	serviceSetting
)

// serviceLine is what a line says.
type serviceLine struct {
	kind       serviceKind
	header     string // what follows the [
	key, value string
	err        *pgconf.SyntaxError // what libpq would say to it in a section that it reads
	tooLong    bool                // which it says in every section
}

func (f *ServiceFile) errorAt(n int, msg string) *pgconf.SyntaxError {
	raw := f.lines[n]
	return &pgconf.SyntaxError{File: f.name, Line: n + 1, Col: skipSpace(raw, 0) + 1, Msg: msg}
}

// line reads line n, counted from 0.
func (f *ServiceFile) line(n int) (l serviceLine) {
	raw := f.lines[n]
	text := strings.Trim(raw, " \t\n\v\f\r")
	switch {
	case len(raw) >= maxServiceLine:
		l.err, l.tooLong = f.errorAt(n, fmt.Sprintf("the line is too long; libpq takes %d bytes", maxServiceLine-len("\n")-1)), true
	case strings.IndexByte(raw, 0) >= 0:
		l.err = f.errorAt(n, "NUL byte; remove it")
	case text == "" || text[0] == '#':
	case text[0] == '[':
		l.kind, l.header = serviceHeader, text[1:]
		if !strings.Contains(l.header, "]") {
			l.err = f.errorAt(n, "no ] after the name of the service")
		}
	default:
		l.kind = serviceSetting
		var ok bool
		l.key, l.value, ok = strings.Cut(text, "=")
		if msg := badServiceSetting(text, l.key, ok); msg != "" {
			l.err = f.errorAt(n, msg)
		}
	}
	return l
}

func badServiceSetting(text, key string, ok bool) string {
	switch {
	case strings.HasPrefix(text, "ldap"):
		return "LDAP lookups are not supported; write the settings here as keyword=value"
	case !ok:
		return `no "=" in this line; write keyword=value, without quotes`
	case key == "service" || key == "servicefile":
		return "a service cannot refer to another one; repeat its settings here"
	case key == "requiressl" || key == "ssl":
		return "not a keyword here; write sslmode=require or another sslmode"
	case strings.HasSuffix(key, " ") || strings.HasSuffix(key, "\t"):
		return `a blank before "="; remove it, and the one after it, which would belong to the value`
	case !isKeyword(key):
		return "not a keyword; keywords are made of lower-case letters, digits and _"
	}
	return ""
}

// defines reports whether a header is that of a service. Text after the ] does not count, so that a name with ] has
// two readings.
func (l serviceLine) defines(service string) bool {
	return l.kind == serviceHeader && strings.HasPrefix(l.header, service+"]")
}

// Bytes returns the file.
func (f *ServiceFile) Bytes() []byte { return []byte(strings.Join(f.lines, "")) }

// Services returns the names of the services in order, each once.
func (f *ServiceFile) Services() []string {
	var names []string
	seen := map[string]bool{}
	for n := range f.lines {
		if l := f.line(n); l.kind == serviceHeader && l.err == nil {
			if name, _, _ := strings.Cut(l.header, "]"); !seen[name] {
				names, seen[name] = append(names, name), true
			}
		}
	}
	return names
}

// section returns the place of a service's header, -1 if there is none, and of the line after its section. The error is for a
// line on the way that keeps libpq from reading on.
func (f *ServiceFile) section(service string) (header, end int, err error) {
	header = -1
	for n := range f.lines {
		switch l := f.line(n); {
		case l.tooLong:
			return 0, 0, l.err
		case l.kind == serviceHeader && header >= 0:
			return header, n, nil
		case l.defines(service):
			header = n
		}
	}
	return header, len(f.lines), nil
}

// Lookup returns what the file says about a service. Any keyword is taken, as by [Parse]; [Info.Validate] judges them. The error is
// a [*pgconf.SyntaxError] if libpq could not read the section, and matches [ErrService] if there is none.
func (f *ServiceFile) Lookup(service string) (Info, error) {
	header, end, err := f.section(service)
	if err != nil {
		return Info{}, err
	}
	if header < 0 {
		return Info{}, fmt.Errorf("%w: %s does not define %q", ErrService, f.name, service)
	}
	var info builder
	for n := header + 1; n < end; n++ {
		l := f.line(n)
		if l.err != nil {
			return Info{}, l.err
		}
		if l.kind == serviceSetting && info.find(l.key) < 0 {
			info.set(l.key, l.value)
		}
	}
	return Info{info.pairs}, nil
}

// Expand returns i with the settings of the service that it names, in place of the keyword service; without that keyword, i
// itself. What i says itself takes precedence. The files are asked in order: libpq asks the one that the environment variable
// PGSERVICEFILE names, or else ~/.pg_service.conf, and then pg_service.conf in the folder that PGSYSCONFDIR names, or else in
// the one it was built with ("pg_config --sysconfdir"). A missing file is no error to it; leave it out. The error is as by
// [ServiceFile.Lookup].
func (i Info) Expand(files ...*ServiceFile) (Info, error) {
	service, ok := i.Get("service")
	if !ok {
		return i, nil
	}
	for _, f := range files {
		found, err := f.Lookup(service)
		if errors.Is(err, ErrService) {
			continue
		}
		if err != nil {
			return Info{}, err
		}
		own, out := i.getter(), i.Without("service")
		for _, p := range found.pairs {
			if _, ok := own(p.key); !ok {
				out.pairs = append(out.pairs, p)
			}
		}
		return out, nil
	}
	return Info{}, fmt.Errorf("%w: no service file defines %q", ErrService, service)
}

// Ensure makes the section of a service say all that want says, and adds the section at the end if there is none. Lines with the
// same meaning stay as they are, and so does what want does not mention. The error matches [ErrService] if the file
// cannot say it, or is that of Lookup; then nothing is changed.
func (f *ServiceFile) Ensure(service string, want Info) error {
	if service == "" || strings.ContainsAny(service, "]\x00\r\n") || len("["+service+"]\r\n") >= maxServiceLine {
		return fmt.Errorf("%w: the name cannot stand between brackets", ErrService)
	}
	for _, p := range want.pairs {
		if err := p.checkService(); err != nil {
			return err
		}
	}
	have, err := f.Lookup(service)
	edited := ServiceFile{f.name, slices.Clone(f.lines)}
	if errors.Is(err, ErrService) {
		edited.addSection(service)
	} else if err != nil {
		return err
	}
	for _, p := range want.pairs {
		if value, ok := have.Get(p.key); !ok || value != p.value {
			edited.set(service, p)
		}
	}
	if _, err := edited.Lookup(service); err != nil {
		return err // the last line had no line end, and no room for one
	}
	f.lines = edited.lines
	return nil
}

// addSection adds an empty section at the end.
func (f *ServiceFile) addSection(service string) {
	if len(f.lines) > 0 {
		f.lines = insertLine(f.lines, len(f.lines), "")
	}
	f.lines = insertLine(f.lines, len(f.lines), "["+service+"]")
}

// checkService says whether a pair can stand in a service file.
func (p pair) checkService() error {
	line := p.key + "=" + p.value
	switch {
	case badServiceSetting(line, p.key, true) != "":
		return fmt.Errorf("%w: %s cannot stand in a service file", ErrService, p.key)
	case strings.ContainsAny(p.value, "\x00\r\n") || strings.TrimRight(p.value, " \t\v\f") != p.value:
		return fmt.Errorf("%w: the value of %s has a line break, a NUL byte or a blank at its end, and nothing can be quoted", ErrService, p.key)
	case len(line+"\r\n") >= maxServiceLine:
		return fmt.Errorf("%w: the value of %s is too long for a line", ErrService, p.key)
	}
	return nil
}

// set changes the first line of a keyword in a section that is there, or adds one after the last setting.
func (f *ServiceFile) set(service string, p pair) {
	header, end, _ := f.section(service)
	last := header
	for n := header + 1; n < end; n++ {
		l := f.line(n)
		if l.kind != serviceSetting {
			continue
		}
		if last = n; l.key == p.key {
			raw := f.lines[n]
			f.lines[n] = raw[:skipSpace(raw, 0)] + p.key + "=" + p.value + raw[len(chomp(raw)):]
			return
		}
	}
	f.lines = insertLine(f.lines, last+1, p.key+"="+p.value)
}

// Unset removes all lines of a keyword from the section of a service, and reports whether there were any. The error is that of
// Lookup.
func (f *ServiceFile) Unset(service, key string) (bool, error) {
	if _, err := f.Lookup(service); err != nil {
		return false, err
	}
	header, end, _ := f.section(service)
	kept := slices.Clone(f.lines[:header+1])
	for n := header + 1; n < end; n++ {
		if l := f.line(n); l.kind != serviceSetting || l.key != key {
			kept = append(kept, f.lines[n])
		}
	}
	removed := len(kept) < end
	f.lines = append(kept, f.lines[end:]...)
	return removed, nil
}

// String returns the name of the file and those of the services.
func (f ServiceFile) String() string { return fmt.Sprintf("%s: %q", f.name, f.Services()) }

// GoString returns String, for %#v.
func (f ServiceFile) GoString() string { return f.String() }

// Format writes String, whatever the verb and flags are.
func (f ServiceFile) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.String()) }

// LogValue returns String, for log/slog.
func (f ServiceFile) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalText returns String, for encoders such as encoding/json.
func (f ServiceFile) MarshalText() ([]byte, error) { return []byte(f.String()), nil }
