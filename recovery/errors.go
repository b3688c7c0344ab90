package recovery

import (
	"fmt"
	"strings"
)

// MajorError refuses a PostgreSQL major that the package does not know.
type MajorError struct{ Major int }

func (e *MajorError) Error() string {
	return fmt.Sprintf("PostgreSQL %d: recovery settings are known for majors %d to %d", e.Major, MinMajor, MaxMajor)
}

// ConflictError says that a line of the server's configuration would defeat what [Apply] was to set: postgresql.auto.conf sets one
// of the same parameters and wins over every other file, or some file sets a recovery target, at which a standby stops
// following. Nothing was written.
type ConflictError struct {
	File  string // its path
	Line  int    // counted from 1
	Name  string // the parameter, in lower case
	Major int    // of the server
}

func (e *ConflictError) Error() string {
	why := "is set here and wins over every other file"
	if strings.HasPrefix(e.Name, "recovery_target") && e.Name != timelineParameter {
		why = "is set here, and a standby stops following at a recovery target"
	}
	return fmt.Sprintf("%s:%d: %s %s; %s, then try again", e.File, e.Line, e.Name, why, e.remedy())
}

func (e *ConflictError) remedy() string {
	if strings.HasSuffix(e.File, autoConf) {
		return "run ALTER SYSTEM RESET " + e.Name + " or, while the server is stopped, delete the line"
	}
	return "delete the line"
}

// DataDirError says that a file in the data directory, or its absence, would make the server something else than the standby that
// [Apply] was to make it, and that clearing it away is not for Apply to decide. Nothing was written.
type DataDirError struct {
	File string // its path
	Msg  string // what is wrong with it, and what to do
}

func (e *DataDirError) Error() string { return e.File + ": " + e.Msg }
