package wal

import (
	"database/sql/driver"
	"fmt"
	"strconv"
)

// Scan reads an LSN from a pg_lsn column: from its text. NULL is an error; sql.Null[LSN] takes it.
func (l *LSN) Scan(src any) error { return scanText(src, l) }

// Value is the text form, which the server takes for a pg_lsn.
func (l LSN) Value() (driver.Value, error) { return l.String(), nil }

// Scan reads a file name from a text column, such as last_archived_wal of pg_stat_archiver. NULL is an error; sql.Null[FileName]
// takes it.
func (f *FileName) Scan(src any) error { return scanText(src, f) }

// Value is the name.
func (f FileName) Value() (driver.Value, error) {
	text, err := f.MarshalText()
	return string(text), err
}

// Scan reads an identifier from a bigint column, as a number or as text. SQL has no unsigned numbers: one of 2^63 or more, which initdb
// will not make before the year 2038, is negative there (Int64GetDatum in pg_controldata.c); it is taken for what it was.
func (id *SystemID) Scan(src any) error {
	v, err := scanNumber(src, 64)
	if err != nil {
		return fmt.Errorf("scan a system identifier: %w", err)
	}
	*id = SystemID(v)
	return nil
}

// Value is the number as SQL shows it: negative from 2^63 on.
func (id SystemID) Value() (driver.Value, error) { return int64(id), nil } //nolint:gosec // as the server does it

// Scan reads a timeline from an integer column, as a number or as text. From 2^31 on it is negative there; it is taken for what it was.
func (t *Timeline) Scan(src any) error {
	v, err := scanNumber(src, 32)
	if err != nil {
		return fmt.Errorf("scan a timeline: %w", err)
	}
	*t = Timeline(v) //nolint:gosec // of 32 bits
	return nil
}

// Value is the number. From 2^31 on it does not fit an integer column, but a bigint.
func (t Timeline) Value() (driver.Value, error) { return int64(t), nil }

func scanText(src any, to interface{ UnmarshalText(text []byte) error }) error {
	switch v := src.(type) {
	case string:
		return to.UnmarshalText([]byte(v))
	case []byte:
		return to.UnmarshalText(v)
	}
	return fmt.Errorf("scan %T: want text, not %T", to, src)
}

// scanNumber reads a number of so many bits, signed or not.
func scanNumber(src any, bits int) (uint64, error) {
	mask := uint64(1)<<bits - 1
	switch v := src.(type) {
	case int64:
		if v < -1<<(bits-1) || bits < 64 && v > int64(mask) { //nolint:gosec // less than 64 bits
			return 0, fmt.Errorf("%d has more than %d bits", v, bits)
		}
		return uint64(v) & mask, nil //nolint:gosec // the server did the reverse
	case string:
		return scanDecimal(v, bits)
	case []byte:
		return scanDecimal(string(v), bits)
	}
	return 0, fmt.Errorf("a %T is no number", src)
}

func scanDecimal(s string, bits int) (uint64, error) {
	if v, err := parseDecimal(s, bits); err == nil {
		return v, nil
	}
	v, err := strconv.ParseInt(s, 10, bits)
	if err != nil || v >= 0 { // such as +1
		return 0, fmt.Errorf("%q is no decimal number of %d bits", s, bits)
	}
	return uint64(v) & (uint64(1)<<bits - 1), nil //nolint:gosec // the server did the reverse
}
