package wal

import "fmt"

// SyntaxError says that a text is not what it should be. Line is 0 unless the text has lines.
type SyntaxError struct {
	What string // what was expected: "LSN", "WAL file name", "timeline history"
	Text string // the offending text; of a longer input, the line
	Line int    // counted from 1
	Msg  string // what is wrong with it
}

func (e *SyntaxError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s, line %d: %s: %q", e.What, e.Line, e.Msg, e.Text)
	}
	return fmt.Sprintf("%s %q: %s", e.What, e.Text, e.Msg)
}
