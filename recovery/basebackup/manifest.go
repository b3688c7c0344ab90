package basebackup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// manifestFileEntry is an element of "Files" (src/backend/backup/backup_manifest.c).
type manifestFileEntry struct {
	Path         string `json:"Path"`
	EncodedPath  string `json:"Encoded-Path"` // hexadecimal, if the name is not UTF-8
	Size         int64  `json:"Size"`
	LastModified string `json:"Last-Modified"`
	Algorithm    string `json:"Checksum-Algorithm"`
	Checksum     string `json:"Checksum"`
}

// manifestRange is an element of "WAL-Ranges".
type manifestRange struct {
	Timeline wal.Timeline `json:"Timeline"`
	Start    wal.LSN      `json:"Start-LSN"`
	End      wal.LSN      `json:"End-LSN"`
}

// manifestCheck compares a backup manifest with what arrived.
type manifestCheck struct {
	algorithm Checksum
	system    wal.SystemID
	files     map[string]fileSum

	listed map[string]bool
	ranges []walRange
	wal    bool // "WAL-Ranges" was there
}

// verify reads a manifest. It returns the WAL that the copy needs. Differences are a [*ManifestError].
func (c *manifestCheck) verify(r io.ReaderAt, size int64) ([]walRange, error) {
	if err := checkOwnSum(r, size); err != nil {
		return nil, err
	}
	c.listed = make(map[string]bool, len(c.files))
	if err := c.parse(json.NewDecoder(io.NewSectionReader(r, 0, size))); err != nil {
		var own *ManifestError
		if errors.As(err, &own) {
			return nil, err
		}
		return nil, &ManifestError{Msg: err.Error()}
	}
	for name := range c.files {
		if !c.listed[name] && !strings.HasPrefix(name, walDir+"/") {
			return nil, &ManifestError{File: name, Msg: "arrived, but is not in the list"}
		}
	}
	if !c.wal {
		return nil, &ManifestError{Msg: "WAL-Ranges are missing"}
	}
	return c.ranges, nil
}

// maxLastLine is more than the last line can have: a key, 64 digits and some punctuation.
const maxLastLine = 256

// checkOwnSum checks the SHA-256 of the manifest, which stands in its last line and covers all lines before that.
func checkOwnSum(r io.ReaderAt, size int64) error {
	n := min(size, maxLastLine)
	tail := make([]byte, n)
	if _, err := r.ReadAt(tail, size-n); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start := bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte("\n")), '\n') + 1
	last := string(bytes.TrimSpace(tail[start:]))
	sum, ok := strings.CutPrefix(last, `"Manifest-Checksum": "`)
	if start == 0 || !ok {
		return &ManifestError{Msg: "it does not end with its own checksum: it is cut short"}
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size-n+int64(start))); err != nil {
		return err
	}
	if sum != hex.EncodeToString(h.Sum(nil))+`"}` {
		return &ManifestError{Msg: "its own checksum is wrong"}
	}
	return nil
}

// parse walks through the object without holding it in memory.
func (c *manifestCheck) parse(d *json.Decoder) error {
	if err := wantDelim(d, '{'); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := c.field(d, key); err != nil {
			return err
		}
	}
	return wantDelim(d, '}')
}

func (c *manifestCheck) field(d *json.Decoder, key json.Token) error {
	switch key {
	case "PostgreSQL-Backup-Manifest-Version":
		var v int
		if err := d.Decode(&v); err != nil {
			return err
		}
		if v != 1 && v != 2 {
			return &ManifestError{Msg: fmt.Sprintf("version %d is not known", v)}
		}
		return nil
	case "System-Identifier": // 17+
		var id json.Number
		if err := d.Decode(&id); err != nil {
			return err
		}
		if id.String() != c.system.String() {
			return &ManifestError{Msg: fmt.Sprintf("it is of system %v, the server is %v", id, c.system)}
		}
		return nil
	case "Files":
		return elements(d, c.file)
	case "WAL-Ranges":
		c.wal = true
		return elements(d, c.walRange)
	case "Manifest-Checksum":
		var sum string
		return d.Decode(&sum) // checked before
	}
	return &ManifestError{Msg: fmt.Sprintf("the key %q is not known", key)}
}

// elements decodes an array element by element.
func elements[T any](d *json.Decoder, take func(T) error) error {
	if err := wantDelim(d, '['); err != nil {
		return err
	}
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		if err := take(v); err != nil {
			return err
		}
	}
	return wantDelim(d, ']')
}

func wantDelim(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v belongs", got, want)
	}
	return err
}

// file compares a file with its line.
func (c *manifestCheck) file(e manifestFileEntry) error {
	name := e.Path
	if e.EncodedPath != "" {
		b, err := hex.DecodeString(e.EncodedPath)
		if err != nil {
			return err
		}
		name = string(b)
	}
	got, arrived := c.files[name]
	switch {
	case c.listed[name]:
		return &ManifestError{File: name, Msg: "is in the list twice"}
	case !arrived:
		return &ManifestError{File: name, Msg: "is in the list, but did not arrive"}
	case got.size != e.Size:
		return &ManifestError{File: name, Msg: fmt.Sprintf("%d bytes arrived, the list says %d", got.size, e.Size)}
	case c.algorithm == SizesOnly:
	case e.Algorithm != c.algorithm.String():
		return &ManifestError{File: name, Msg: fmt.Sprintf("has a checksum of type %q, not %v", e.Algorithm, c.algorithm)}
	case e.Checksum != hex.EncodeToString([]byte(got.sum)):
		return &ManifestError{File: name, Msg: fmt.Sprintf("%v of what arrived is %x, the list says %s", c.algorithm, got.sum, e.Checksum)}
	}
	c.listed[name] = true
	return nil
}

func (c *manifestCheck) walRange(r manifestRange) error {
	if r.Timeline == 0 || r.End < r.Start {
		return &ManifestError{Msg: fmt.Sprintf("WAL from %v to %v of timeline %d cannot be", r.Start, r.End, r.Timeline)}
	}
	c.ranges = append(c.ranges, walRange{r.Timeline, r.Timeline, r.Start, r.End})
	return nil
}
