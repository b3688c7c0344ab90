package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// Record says what an archived file was. Its text is
//
//	understudy record 1
//	name 000000010000000000000003
//	size 16777216
//	data 204800
//	sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	stored 91372
//	stored-crc32c 1a2b3c4d
//	crc32c 5e6f7a8b
//
// where the last line is the CRC-32C of the lines before it, and those about what is stored stand only in a record that is part of
// its object.
type Record struct {
	Name   string
	Size   int64             // bytes of the file
	Data   int64             // bytes up to the end of the last page (8 KiB) that is not all zeros
	SHA256 [sha256.Size]byte // of those
	// Stored is how many bytes of the object come before the record, and StoredCRC their CRC-32C. A record of its own has 0, 0.
	Stored    int64
	StoredCRC uint32
}

// SameContent reports whether both are about the same bytes, however they are stored.
func (r Record) SameContent(other Record) bool {
	return r.Size == other.Size && r.Data == other.Data && r.SHA256 == other.SHA256
}

// Sum is the SHA-256 in hex.
func (r Record) Sum() string { return hex.EncodeToString(r.SHA256[:]) }

const (
	recordFormat = "understudy record 1\n"
	// MaxRecord is the size of the largest text of a record, in bytes.
	MaxRecord = 512
	maxName   = 128
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Bytes is the text.
func (r Record) Bytes() []byte {
	b := fmt.Appendf(nil, "%sname %s\nsize %d\ndata %d\nsha256 %x\n", recordFormat, r.Name, r.Size, r.Data, r.SHA256)
	if r.Stored > 0 {
		b = fmt.Appendf(b, "stored %d\nstored-crc32c %08x\n", r.Stored, r.StoredCRC)
	}
	return fmt.Appendf(b, "crc32c %08x\n", crc32.Checksum(b, castagnoli))
}

// ParseRecord is the inverse of [Record.Bytes]: whatever Bytes would not write is a [*DamagedError].
func ParseRecord(b []byte) (Record, error) {
	r, err := parseRecord(string(b))
	if err == nil && !bytes.Equal(r.Bytes(), b) {
		err = errors.New("its text or its checksum is not what it should be")
	}
	if err != nil {
		return Record{}, &DamagedError{Err: fmt.Errorf("record: %w", err)}
	}
	return r, nil
}

// parseRecord reads the values; ParseRecord compares the rest.
func parseRecord(s string) (r Record, err error) {
	if !strings.HasPrefix(s, recordFormat) || len(s) > MaxRecord {
		return r, errors.New("not a record of format 1")
	}
	values := map[string]string{}
	for line := range strings.Lines(s[len(recordFormat):]) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		values[key] = value
	}
	number := func(key string) int64 {
		n, parseErr := strconv.ParseInt(values[key], 10, 64)
		if parseErr != nil || n < 0 {
			err = fmt.Errorf("%s: %q is no number of bytes", key, values[key])
		}
		return n
	}
	r.Name, r.Size, r.Data = values["name"], number("size"), number("data")
	if n, sumErr := hex.Decode(r.SHA256[:], []byte(cut(values["sha256"], 2*sha256.Size))); sumErr != nil || n != sha256.Size {
		err = errors.New("sha256: want 64 hex digits")
	}
	if _, ok := values["stored"]; ok {
		crc, crcErr := strconv.ParseUint(values["stored-crc32c"], 16, 32)
		if r.Stored, r.StoredCRC = number("stored"), uint32(crc); crcErr != nil {
			err = errors.New("stored-crc32c: want 8 hex digits")
		}
	}
	if r.Name == "" || len(r.Name) > maxName || r.Data > r.Size {
		err = errors.New("name or sizes are impossible")
	}
	return r, err
}

func cut(s string, n int) string { return s[:min(n, len(s))] }
