package wal

import (
	"fmt"
	"strconv"
	"strings"
)

// Timeline is a timeline ID. A new cluster starts on 1, each promotion makes a new one; 0 is no timeline.
type Timeline uint32

// HistoryName is the name of the timeline's history file, such as "00000002.history". Timeline 1 has none.
func (t Timeline) HistoryName() string { return fmt.Sprintf("%08X.history", uint32(t)) }

// ParseTimeline reads the decimal number that the server shows and that recovery_target_timeline takes. In file names a timeline is
// hexadecimal: [ParseFileName]. 0 is no timeline and refused. The error is a [*SyntaxError].
func ParseTimeline(s string) (Timeline, error) {
	v, err := parseDecimal(s, 32)
	if err != nil || v == 0 {
		return 0, &SyntaxError{What: "timeline", Text: s, Msg: "want a decimal number from 1 to 4294967295"}
	}
	return Timeline(v), nil //nolint:gosec // of 32 bits
}

// SystemID identifies a cluster and all its copies: initdb invents it, base backups and standbys share it. It is
// the system_identifier of pg_control_system() and IDENTIFY_SYSTEM. Zero is no identifier.
type SystemID uint64

// ParseSystemID reads the decimal text that the server prints. SQL functions show the number as a bigint, so
// one above 2^63-1, which initdb will not make before the year 2038, is negative there; that is refused here, and taken by
// [SystemID.Scan].
// The error is a [*SyntaxError].
func ParseSystemID(s string) (SystemID, error) {
	v, err := parseDecimal(s, 64)
	if err != nil {
		return 0, &SyntaxError{What: "system identifier", Text: s, Msg: "want a decimal number of 64 bits"}
	}
	return SystemID(v), nil
}

// String is the decimal form.
func (id SystemID) String() string { return strconv.FormatUint(uint64(id), 10) }

// MarshalText is [SystemID.String].
func (id SystemID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseSystemID].
func (id *SystemID) UnmarshalText(b []byte) error {
	v, err := ParseSystemID(string(b))
	if err == nil {
		*id = v
	}
	return err
}

// parseDecimal reads digits and nothing else.
func parseDecimal(s string, bits int) (uint64, error) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, bits)
}
