package pgconf

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
	"github.com/understudy-ha/understudy/pgconf/internal/unified"
)

// Diff returns what the edits since Parse changed, as a unified diff with the name given to Parse as the name of both
// files: "patch -p0" and "git apply -p0" make the same change to the file. It is "" if the content is what was parsed, and takes
// linear time.
//
// A diff shows the lines as they are, and with them secrets, such as a password in primary_conninfo. For eyes that must not
// see them there is [File.DiffHiding].
func (f *File) Diff() string { return f.diff(func(text string) string { return text }) }

// DiffHiding is [File.Diff] for people to look at: of each line that is about a parameter for which hide is true, commented
// out or not, what follows the name is shown as '***', and so are lines that are not valid. hide is asked with names folded
// to lower case; [MayHoldSecret] will do. The result is no patch any more. What prose in comments says cannot be known,
// and is shown.
func (f *File) DiffHiding(hide func(name string) bool) string {
	return f.diff(func(text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			b.WriteString(hidden(line, hide))
		}
		return b.String()
	})
}

func (f *File) diff(show func(text string) string) string {
	d := unified.New(f.name, f.name)
	kept, next := 0, 0 // text[kept:next] stayed and is not yet told, text[:next] is done with
	tell := func() {
		d.Keep(show(f.text[kept:next]))
		kept = next
	}
	skip := func(to int) { // what stood before text[to:] is gone
		if next < to {
			tell()
			d.Remove(show(f.text[next:to]))
			kept, next = to, to
		}
	}
	for i, l := range f.lines {
		if !l.edited {
			skip(int(l.at))
			next = int(l.end)
			continue
		}
		e := f.edits[l.at]
		if e.end > 0 {
			skip(e.at)
			if e.raw == f.text[e.at:e.end] {
				next = e.end
				continue
			}
			skip(e.end)
		}
		tell()
		d.Add(show(f.raw(i)))
	}
	skip(len(f.text))
	tell()
	return d.String()
}

// hidden returns a line without what follows the name at its front, if hide says so. Lines that are commented out, by
// however many # and blanks, have names too. A line that is not valid may be about anything, and is hidden from the first word on.
func hidden(raw string, hide func(name string) bool) string {
	at := len(raw) - len(strings.TrimLeft(raw, " \t\r#\uFEFF"))
	end := len(strings.TrimRight(raw, "\r\n"))
	if _, bad := parseLine(raw); bad.msg == "" {
		name := span(raw, at, nameBytes)
		if at == name || !hide(ascii.Lower(raw[at:name])) {
			return raw
		}
		at = len(raw) - len(strings.TrimLeft(raw[name:], " \t\r="))
	}
	if at >= end {
		return raw
	}
	return raw[:at] + "'***'" + raw[end:]
}

// MayHoldSecret reports whether values of a parameter may hold a password or key: connection strings, shell commands,
// and parameters with passw, passphrase, secret, token, credential, api_key or conninfo in the name, as extensions and typing
// errors have. Its purpose is [File.DiffHiding]; it rather says yes once too often.
func MayHoldSecret(name string) bool {
	name = ascii.Lower(name)
	switch name {
	case "password_encryption":
		return false
	case "archive_command", "restore_command", "archive_cleanup_command", "recovery_end_command":
		return true
	}
	for _, word := range []string{"passw", "passphrase", "secret", "token", "credential", "api_key", "conninfo"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
