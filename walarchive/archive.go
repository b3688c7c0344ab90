package walarchive

import (
	"errors"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Identity is what tells one cluster's WAL from another's. Both facts stand in its pg_control.
type Identity struct {
	SystemID    wal.SystemID
	SegmentSize uint32 // bytes
}

// Config is what [New] needs; there are no defaults.
type Config struct {
	// Store holds the archive.
	Store Store
	// Identity is the cluster's. Every segment that goes in or comes out must carry it.
	Identity Identity
}

// Archive is one cluster's WAL archive. Its methods are safe for concurrent use.
type Archive struct {
	store Store
	id    Identity
}

// New returns the archive that cfg describes. It does no input or output.
func New(cfg Config) (*Archive, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("Store: missing")
	case cfg.Identity.SystemID == 0:
		return nil, errors.New("Identity.SystemID: missing")
	case !wal.ValidSegmentSize(cfg.Identity.SegmentSize):
		return nil, errors.New("Identity.SegmentSize: want a power of two from 1 MiB to 1 GiB")
	}
	return &Archive{store: cfg.Store, id: cfg.Identity}, nil
}
