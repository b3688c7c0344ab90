package recovery

import (
	"fmt"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// MajorError refuses a PostgreSQL major that the package does not know.
type MajorError struct{ Major pgconf.Major }

func (e *MajorError) Error() string {
	return fmt.Sprintf("PostgreSQL %s: recovery settings are known for majors %s to %s", e.Major, pgconf.Oldest, pgconf.Newest)
}

// FieldError says that a major cannot do what a field of [Config] asks for.
type FieldError struct {
	Field string // of Config
	Major pgconf.Major
	Msg   string // what is wrong with it, and what to do instead
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Msg }

// ConflictError says that something in the server's configuration would defeat what [Apply] was to set: postgresql.auto.conf or the
// command line sets one of the same parameters and wins over every other file, or some file sets another recovery target.
// Nothing was written.
type ConflictError struct {
	File  string // its path, or [pgconf.CommandLine]
	Line  int    // counted from 1
	Name  string // the parameter, in lower case
	Major pgconf.Major
}

func (e *ConflictError) Error() string {
	why := "is set here and wins over every other file"
	if e.isTarget() {
		why = "is set here, and there may be no recovery target but that of the new settings"
	}
	return fmt.Sprintf("%s:%d: %s %s; %s, then try again", e.File, e.Line, e.Name, why, e.remedy())
}

func (e *ConflictError) isTarget() bool {
	return strings.HasPrefix(e.Name, "recovery_target") && e.Name != timelineParameter
}

func (e *ConflictError) remedy() string {
	switch {
	case e.File == pgconf.CommandLine:
		return "start the server without this argument"
	case strings.HasSuffix(e.File, pgconf.AutoConf):
		return "run ALTER SYSTEM RESET " + e.Name + " or, while the server is stopped, delete the line or apply with TakeOver"
	default:
		return "delete the line, or apply with TakeOver"
	}
}

// DataDirError says that a file in the data directory, or its absence, would make the server something else than what [Apply] or
// [Migrate] was to make it, and that clearing it away is not for them to decide. Nothing was written.
type DataDirError struct {
	File string // its path
	Msg  string // what is wrong with it, and what to do
}

func (e *DataDirError) Error() string { return e.File + ": " + e.Msg }
