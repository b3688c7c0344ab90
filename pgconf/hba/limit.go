package hba

import "fmt"

// limits returns the longest token and line that a server of the major reads, or 0 where there is no limit.
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

// checkLength looks for a line or token that is too long for the major.
func checkLength(s string, major int) *lineError {
	token, line := limits(major)
	if line > 0 && len(s) >= line {
		return &lineError{line - 1, fmt.Sprintf("the line is too long: PostgreSQL %d reads less than %d bytes; split it into several", major, line)}
	}
	if token == 0 || len(s) <= token {
		return nil
	}
	for _, f := range fields(s) {
		for _, w := range f {
			if len(w.text) > token {
				return &lineError{w.start, fmt.Sprintf("the token is too long: PostgreSQL %d reads %d bytes at most", major, token)}
			}
		}
	}
	return nil
}
