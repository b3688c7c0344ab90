package command

import (
	"fmt"
	"strings"
)

// Values are what the server puts in for the placeholders.
type Values struct {
	File   string // %f
	Path   string // %p, with slashes; on Windows the server turns them into backslashes
	Oldest string // %r
}

func (v Values) of(p Placeholder) string {
	switch p {
	case File:
		return v.File
	case Path:
		return v.Path
	default:
		return v.Oldest
	}
}

// PlaceholderError says that a percent sign in a command is followed by something that the server does not know in this kind of
// command. Servers from 16 on then run nothing and log an error each time; older ones leave it as it is.
type PlaceholderError struct {
	Kind   Kind
	Offset int    // of the percent sign, in bytes
	Found  string // the percent sign and what follows it: "%x", or "%" at the end of the command
}

func (e *PlaceholderError) Error() string {
	if e.Found == "%" {
		return fmt.Sprintf("%v: byte %d: a single %% ends the command: write %%%% for a percent sign", e.Kind, e.Offset)
	}
	return fmt.Sprintf("%v: byte %d: %s is no placeholder of it: write %%%s for a percent sign", e.Kind, e.Offset, e.Found, e.Found)
}

// item is a byte of a command, or a placeholder in it.
type item struct {
	char        byte
	placeholder Placeholder // 0 for a byte
	at          int         // where it begins in the command, in bytes
}

// scan finds the placeholders, as the server does.
func (s Server) scan(kind Kind, command string) ([]item, error) {
	items := make([]item, 0, len(command))
	for i := 0; i < len(command); i++ {
		c := command[i]
		if c != '%' {
			items = append(items, item{char: c, at: i})
			continue
		}
		found := command[i:min(i+2, len(command))]
		switch {
		case found == "%%":
			items = append(items, item{char: '%', at: i})
			i++
		case len(found) == 2 && strings.IndexByte(kind.letters(), found[1]) >= 0:
			items = append(items, item{placeholder: Placeholder(found[1]), at: i})
			i++
		case s.refusesUnknown():
			return nil, &PlaceholderError{Kind: kind, Offset: i, Found: found}
		default:
			items = append(items, item{char: '%', at: i})
		}
	}
	return items, nil
}

// Expand returns the command that the server gives to the shell. Like the server, it cuts a long command off: after 1023 bytes in
// restore_command up to 12, and in the other kinds up to 15. An unknown placeholder is a [*PlaceholderError] from 16 on and is left
// alone before.
//
// The rules are those of BuildRestoreCommand and replace_percent_placeholders in the server's src/common, and before 16 of
// src/backend/postmaster/pgarch.c and src/backend/access/transam/xlogarchive.c.
func (s Server) Expand(kind Kind, command string, v Values) (string, error) {
	if err := s.check(kind); err != nil {
		return "", err
	}
	items, err := s.scan(kind, command)
	if err != nil {
		return "", err
	}
	if s.Shell == Windows {
		v.Path = strings.ReplaceAll(v.Path, "/", `\`)
	}
	return s.expand(kind, items, v), nil
}

// expand puts the values in. A value that does not fit leaves one byte of the buffer unused, because it is copied with its end.
func (s Server) expand(kind Kind, items []item, v Values) string {
	var b strings.Builder
	limit := s.maxLength(kind)
	for _, it := range items {
		if it.placeholder == 0 {
			if limit == 0 || b.Len() < limit {
				b.WriteByte(it.char)
			}
			continue
		}
		value := v.of(it.placeholder)
		if limit > 0 {
			value = value[:min(len(value), max(0, limit-1-b.Len()))]
		}
		b.WriteString(value)
	}
	return b.String()
}
