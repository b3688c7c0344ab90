package role

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Method is how a role's password is stored, and so how the role can log in with it.
type Method int

// SCRAM needs a server and clients from 10 on. MD5 is for servers before that.
const (
	SCRAM Method = iota
	MD5
)

// NoLimit is a ConnLimit.
const NoLimit = -1

// Spec says what a replication role shall be like. It prints without its password.
type Spec struct {
	// Name is the role's name as the catalog has it: nothing is folded to lower case, and any character but NUL will do. At most 63 bytes;
	// the server would cut off the rest.
	Name string

	// Password is in clear text, see package verifier for which will do. Empty means that the role's password, if any, is left as it is,
	// for roles that log in by a certificate, say.
	Password string `json:"-"`

	// ConnLimit is the highest number of connections at a time. Zero and NoLimit mean no limit. A base backup needs two
	// and every standby another one; servers up to 12 count them.
	ConnLimit int

	// ValidUntil is when the password stops working, to the microsecond, from the year 1 to 9999. Zero means never.
	ValidUntil time.Time

	// Method is SCRAM unless the server is older than 10. Where the same password is stored by the other method, it is stored anew.
	Method Method
}

// String returns what the role shall be, without the password.
func (s Spec) String() string {
	return fmt.Sprintf("role %q, connection limit %d, valid until %s, password %s", s.Name, s.connLimit(), s.validUntil(),
		map[bool]string{true: "set", false: "not set"}[s.Password != ""])
}

// GoString is String.
func (s Spec) GoString() string { return s.String() }

// Format prints String for every verb.
func (s Spec) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is String.
func (s Spec) LogValue() slog.Value { return slog.StringValue(s.String()) }

const maxName = 63 // NAMEDATALEN - 1

func (s Spec) check() error {
	switch {
	case s.Name == "":
		return errors.New("Name is empty")
	case len(s.Name) > maxName:
		return fmt.Errorf("Name %q is longer than %d bytes", s.Name, maxName)
	case strings.Contains(s.Name, "\x00"):
		return fmt.Errorf("Name %q has a NUL character", s.Name)
	case s.ConnLimit < NoLimit:
		return fmt.Errorf("ConnLimit is %d; it is %d for none, or more", s.ConnLimit, NoLimit)
	case !s.ValidUntil.IsZero() && (s.ValidUntil.UTC().Year() < 1 || s.ValidUntil.UTC().Year() > 9999):
		return errors.New("ValidUntil is not in the years 1 to 9999")
	case s.Method != SCRAM && s.Method != MD5:
		return fmt.Errorf("Method is %d; it is SCRAM or MD5", s.Method)
	}
	return nil
}

func (s Spec) connLimit() int {
	if s.ConnLimit == 0 {
		return NoLimit
	}
	return s.ConnLimit
}

// validUntil returns what stands between the quotes of VALID UNTIL.
func (s Spec) validUntil() string {
	if s.ValidUntil.IsZero() {
		return "infinity"
	}
	return s.ValidUntil.UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.999999+00")
}

func (s Spec) connLimitClause() string { return "CONNECTION LIMIT " + strconv.Itoa(s.connLimit()) }

func (s Spec) validUntilClause() string { return "VALID UNTIL '" + s.validUntil() + "'" }
