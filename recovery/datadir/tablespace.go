package datadir

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// TablespaceMapFile is where a base backup in tar form, or of the low-level functions, says where its tablespaces were (9.5+),
// relative to the data directory. The server makes the links in pg_tblspc of it at its first start, and renames it.
const TablespaceMapFile = "tablespace_map"

// Tablespace is a tablespace and the folder that holds it.
type Tablespace struct {
	OID  uint32 // the name of the link in pg_tblspc
	Path string // absolute, as the server that was backed up had it
}

// backslashes reports whether a major writes a backslash in a path as two (do_pg_backup_start in xlog.c). Up to 13 only a newline
// and a carriage return get one before them, so a path that ends in a backslash cannot be told from one that goes on.
func backslashes(major pgconf.Major) bool { return major >= 14 }

// ParseTablespaceMap reads a tablespace_map as a server of the major does (read_tablespace_map in xlogrecovery.c), but refuses a
// last line that is cut off in every major; name is used in errors. The error is a [*FileError].
func ParseTablespaceMap(name string, major pgconf.Major, data []byte) ([]Tablespace, error) {
	var all []Tablespace
	var entry []byte
	line, first, escaped := 1, 1, false
	for i, c := range data {
		if len(entry) == 0 && !escaped {
			first = line
		}
		ends := c == '\n' || c == '\r'
		switch {
		case escaped:
			entry, escaped = append(entry, c), false
		case c == '\\' && backslashes(major):
			escaped = true
		case ends && !backslashes(major) && len(entry) > 0 && data[i-1] == '\\':
			entry[len(entry)-1] = c
		case !ends:
			entry = append(entry, c)
		case len(entry) > 0: // else the line feed after a carriage return
			t, ok := parseTablespace(string(entry))
			if !ok {
				return nil, &FileError{File: name, Line: first, Msg: "want an OID, a blank and a path"}
			}
			all, entry = append(all, t), nil
		}
		if c == '\n' {
			line++
		}
	}
	if len(entry) > 0 || escaped {
		return nil, &FileError{File: name, Line: first, Msg: "the line does not end: the file is cut off"}
	}
	return all, nil
}

func parseTablespace(text string) (Tablespace, bool) {
	number, path, _ := strings.Cut(text, " ")
	oid, err := strconv.ParseUint(number, 10, 32)
	return Tablespace{OID: uint32(oid), Path: path}, err == nil && oid != 0 && path != ""
}

// FormatTablespaceMap is the inverse of [ParseTablespaceMap].
func FormatTablespaceMap(major pgconf.Major, tablespaces []Tablespace) []byte {
	escape := strings.NewReplacer("\n", "\\\n", "\r", "\\\r")
	if backslashes(major) {
		escape = strings.NewReplacer("\n", "\\\n", "\r", "\\\r", `\`, `\\`)
	}
	var b bytes.Buffer
	for _, t := range tablespaces {
		fmt.Fprintf(&b, "%d %s\n", t.OID, escape.Replace(t.Path))
	}
	return b.Bytes()
}
