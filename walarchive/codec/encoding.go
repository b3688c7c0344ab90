package codec

import (
	"fmt"
	"strconv"
	"strings"

	"filippo.io/age"
)

// Compression is a format of compression.
type Compression string

// The formats. The zero value is None.
const (
	None Compression = ""
	Zstd Compression = "zstd"
	LZ4  Compression = "lz4"
	Gzip Compression = "gzip"
	S2   Compression = "s2"
)

// String is the name, with "none" for None.
func (c Compression) String() string {
	if c == None {
		return "none"
	}
	return string(c)
}

// levels are the highest levels, and those that 0 stands for.
var levels = map[Compression]struct{ highest, standard int }{
	None: {}, Zstd: {22, 1}, LZ4: {9, 0}, Gzip: {9, 6}, S2: {3, 1},
}

// Encoding says how files are encoded. The zero value stores them as they are.
type Encoding struct {
	Compression Compression
	// Level trades speed for size. 0 is the format's own choice: zstd 1, lz4 its fast mode, gzip 6, s2 1. The highest are zstd 22,
	// lz4 9, gzip 9 and s2 3. Beyond zstd 4 and lz4 0, memory grows past what a push should need.
	Level int
	// Recipients are the age keys to which files are encrypted. The identity of any one of them decrypts. None: no encryption.
	Recipients []age.Recipient
}

// ParseEncoding reads a compression with an optional level: none, zstd, zstd:3, lz4, gzip:9, s2.
func ParseEncoding(s string) (Encoding, error) {
	name, digits, hasLevel := strings.Cut(s, ":")
	e := Encoding{Compression: Compression(name)}
	switch name {
	case "none":
		e.Compression = None
	case "":
		return Encoding{}, fmt.Errorf("compression %q: want none, zstd, lz4, gzip or s2, and perhaps :LEVEL", s)
	}
	if hasLevel {
		level, err := strconv.Atoi(digits)
		if err != nil || strconv.Itoa(level) != digits {
			return Encoding{}, fmt.Errorf("compression %q: %q is no level", s, digits)
		}
		e.Level = level
	}
	return e, e.Check()
}

// String is the inverse of [ParseEncoding], with "+age" behind it if there are recipients.
func (e Encoding) String() string {
	s := e.Compression.String()
	if e.Level != 0 {
		s += ":" + strconv.Itoa(e.Level)
	}
	if len(e.Recipients) > 0 {
		s += "+age"
	}
	return s
}

// Check returns an error for a format or level that does not exist.
func (e Encoding) Check() error {
	l, ok := levels[e.Compression]
	if !ok {
		return fmt.Errorf("compression %q: want none, zstd, lz4, gzip or s2", string(e.Compression))
	}
	if e.Level < 0 || e.Level > l.highest {
		return fmt.Errorf("compression %s: level %d, want 0 to %d", e.Compression, e.Level, l.highest)
	}
	return nil
}

// CarriesRecord reports whether objects of this encoding have their record in them. Of the others it has to be kept beside them.
func (e Encoding) CarriesRecord() bool { return e.Compression != None && len(e.Recipients) == 0 }
