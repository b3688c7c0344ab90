package hba

import (
	"fmt"

	"github.com/understudy-ha/understudy/pgconf"
)

// limits returns how many bytes of a token and of a line, line end included, a server of the major has room for, or 0
// where it has room for all (MAX_TOKEN and MAX_LINE in hba.c, less one). Early minors of 11 to 14 have the numbers of 10.
func limits(major pgconf.Major) (token, line int) {
	switch {
	case major < pgconf.V9_3:
		return 255, 0
	case major < 11:
		return 255, 8191
	case major < 14:
		return 10239, 20479
	case major < 16:
		return 10239, 0
	}
	return 0, 0
}

// checkSize looks for a line that is too long for the major, which a line is that just fills the room. size is its length
// with its end.
func checkSize(size int, major pgconf.Major) *lineError {
	if _, most := limits(major); most > 0 && size >= most {
		return errorAt(0, fmt.Sprintf("the line is too long: PostgreSQL %s reads less than %d bytes with the line end; split it into several", major, most))
	}
	return nil
}

// checkToken looks for a token that is too long for the major, which a token is if anything but a blank or # follows what
// fills the room.
func checkToken(w *word, major pgconf.Major) *lineError {
	if most, _ := limits(major); most > 0 && w.held >= most {
		return errorAt(w.start, fmt.Sprintf("the token is too long: PostgreSQL %s reads less than %d bytes of it", major, most))
	}
	return nil
}
