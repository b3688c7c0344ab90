package codec

import "errors"

// ErrNoKey is matched by errors about an age file that none of the identities decrypts.
var ErrNoKey = errors.New("no identity decrypts it")

// DamagedError says that an object or record is not what was written: it cannot be decoded, or a sum is wrong.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string { return "damaged: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *DamagedError) Unwrap() error { return e.Err }
