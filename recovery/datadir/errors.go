package datadir

import "fmt"

// FileError says why a text file of a data directory cannot be trusted. Line is 0 if it is about the whole file.
type FileError struct {
	File string
	Line int // counted from 1
	Msg  string
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s, line %d: %s", e.File, e.Line, e.Msg)
	}
	return e.File + ": " + e.Msg
}
