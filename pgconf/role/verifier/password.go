package verifier

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPassword is matched by the error for a password that no verifier can be made of. The error's text never holds the
// password or a part of it.
var ErrPassword = errors.New("unusable password")

const maxBytes = 1024 // MAX_PASSWORD_LENGTH in src/common/saslprep.c, up to 13

// check refuses what a server could not store or a client could not send.
func check(password string) error {
	switch {
	case password == "":
		return fmt.Errorf("%w: it is empty", ErrPassword) // to a server that means none
	case len(password) > maxBytes:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrPassword, maxBytes)
	case strings.Contains(password, "\x00"):
		return fmt.Errorf("%w: it has a NUL character", ErrPassword)
	}
	return nil
}
