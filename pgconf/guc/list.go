package guc

import (
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// maxIdentifier is the length in bytes to which servers cut identifiers and file names of lists.
const maxIdentifier = 63

// SplitNames splits the value of a parameter that is a list of names (Param.List), as SplitIdentifierString of the server's
// varlena.c does: commas between names, blanks around them ignored, names in double quotes as they stand with "" for ",
// others in lower case. ok is false if the text is not such a list: a name is empty or holds a blank, or a quote is open.
// Long names are not cut to 63 bytes, which a server does.
func SplitNames(m pgconf.Major, list string) (names []string, ok bool) {
	s := listScanner{rest: list, blanks: blanksOf(m)}
	return s.names()
}

// splitDirectories splits a list of folders, as SplitDirectoriesString does: as SplitNames, but names may hold blanks and keep
// their case.
func splitDirectories(m pgconf.Major, list string) (names []string, ok bool) {
	s := listScanner{rest: list, blanks: blanksOf(m), folders: true}
	return s.names()
}

// blanksOf are the bytes that scanner_isspace knows, without the vertical tab from 10 to 16; before, it was isspace.
func blanksOf(m pgconf.Major) string {
	if m < 10 || m > 16 {
		return cSpace
	}
	return " \t\n\r\f"
}

// listScanner splits lists of identifiers.
type listScanner struct {
	rest    string
	blanks  string
	folders bool
}

func (s *listScanner) names() (names []string, ok bool) {
	if s.skip(); s.rest == "" {
		return nil, true
	}
	for {
		name, ok := s.name()
		if !ok {
			return nil, false
		}
		names = append(names, name)
		s.skip()
		if s.rest == "" {
			return names, true
		}
		if s.rest[0] != ',' {
			return nil, false
		}
		s.rest = s.rest[1:]
		s.skip()
	}
}

func (s *listScanner) skip() { s.rest = strings.TrimLeft(s.rest, s.blanks) }

func (s *listScanner) name() (string, bool) {
	if strings.HasPrefix(s.rest, `"`) {
		name, rest, ok := cutQuoted(s.rest)
		s.rest = rest
		return name, ok
	}
	ends := s.blanks + ","
	if s.folders {
		ends = ","
	}
	end := strings.IndexAny(s.rest, ends)
	if end < 0 {
		end = len(s.rest)
	}
	name := s.rest[:end]
	s.rest = s.rest[end:]
	if s.folders {
		name = strings.TrimRight(name, s.blanks)
	} else {
		name = ascii.Lower(name)
	}
	return name, name != ""
}

// cutQuoted splits off a name in double quotes, in which "" stands for ".
func cutQuoted(s string) (name, rest string, ok bool) {
	var b strings.Builder
	rest = s[1:]
	for {
		part, after, found := strings.Cut(rest, `"`)
		b.WriteString(part)
		if !found {
			return "", "", false
		}
		if !strings.HasPrefix(after, `"`) {
			return b.String(), after, true
		}
		b.WriteByte('"')
		rest = after[1:]
	}
}

// letters are those with which an identifier begins, besides all bytes from 0x80 on.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

// identifierLen returns how many leading bytes of s are an SQL identifier without quotes.
func identifierLen(s string) int {
	for i := range len(s) {
		c := s[i]
		start := c >= 0x80 || strings.IndexByte(letters, c) >= 0
		if !start && (i == 0 || c != '$' && (c < '0' || '9' < c)) {
			return i
		}
	}
	return len(s)
}

func isIdentifier(s string) bool { return s != "" && identifierLen(s) == len(s) }
