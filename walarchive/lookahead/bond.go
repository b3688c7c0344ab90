package lookahead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Archive does the work. [github.com/understudy-ha/understudy/walarchive.Archive] is one; the contracts of its Push and Fetch are what
// this package relies on.
type Archive interface {
	Push(ctx context.Context, path string) error
	Fetch(ctx context.Context, name, dst string) error
}

// Bond is all in which a client and a helper must agree, so that one can do the other's work.
type Bond struct {
	SystemID    wal.SystemID
	SegmentSize uint32 // bytes
	DataDir     string // absolute path of the data directory
	// Settings is everything else that matters: where the archive is, how files are encoded, the version of the program. It is compared
	// as a whole and kept in the spool, so it must hold no secret.
	Settings string
}

func (b Bond) validate() error {
	switch {
	case b.SystemID == 0:
		return errors.New("Bond.SystemID: missing")
	case !wal.ValidSegmentSize(b.SegmentSize):
		return errors.New("Bond.SegmentSize: want a power of two from 1 MiB to 1 GiB")
	case !filepath.IsAbs(b.DataDir):
		return errors.New("Bond.DataDir: want an absolute path")
	}
	return nil
}

// differs says in what two bonds differ, or nothing.
func (b Bond) differs(other Bond) string {
	switch {
	case b.SystemID != other.SystemID:
		return fmt.Sprintf("system identifiers %s and %s", b.SystemID, other.SystemID)
	case b.SegmentSize != other.SegmentSize:
		return fmt.Sprintf("segment sizes %d and %d", b.SegmentSize, other.SegmentSize)
	case b.DataDir != other.DataDir:
		return fmt.Sprintf("data directories %s and %s", b.DataDir, other.DataDir)
	case b.Settings != other.Settings:
		return "settings"
	}
	return ""
}

// readBond reads a bond from a file; a missing file is an error that matches [os.ErrNotExist].
func readBond(path string) (Bond, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Bond{}, err
	}
	var bond Bond
	if err := json.Unmarshal(b, &bond); err != nil {
		return Bond{}, fmt.Errorf("%s: %w", path, err)
	}
	return bond, nil
}
