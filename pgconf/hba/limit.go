package hba

import "fmt"

// limits returns how many bytes of a token and of a line, line end included, a server of the major has room for, or 0
// where it has room for all (MAX_TOKEN and MAX_LINE in hba.c, less one). Early minors of 11 to 14 have the numbers of 10.
func limits(major int) (token, line int) {
	switch {
	case major < 11:
		return 255, 8191
	case major < 14:
		return 10239, 20479
	case major < 16:
		return 10239, 0
	}
	return 0, 0
}

// checkLength looks for a line or token that is too long for the major. size is the length of the line with its end. A line
// that just fills the room is too long as well; a token is if anything but a blank or # follows what fills the room.
func checkLength(s string, size, major int) *lineError {
	token, line := limits(major)
	if line > 0 && size >= line {
		return &lineError{0, fmt.Sprintf("the line is too long: PostgreSQL %d reads less than %d bytes with the line end; split it into several", major, line)}
	}
	if token == 0 || len(s) < token {
		return nil
	}
	for _, f := range fields(s) {
		for _, w := range f {
			if w.held >= token {
				return &lineError{w.start, fmt.Sprintf("the token is too long: PostgreSQL %d reads less than %d bytes of it", major, token)}
			}
		}
	}
	return nil
}
