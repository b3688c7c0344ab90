package walarchive

import (
	"context"
	"fmt"
	"slices"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Listing is what an archive holds.
type Listing struct {
	SystemID wal.SystemID // of the cluster whose archive it is
	Names    []string     // segments, partial segments and history files, sorted; nothing else that lies there
}

// List returns what the store holds. A store without a marker is no archive: the error matches [ErrNoMarker].
func List(ctx context.Context, s Store) (Listing, error) {
	owner, err := readMarker(ctx, s)
	if err != nil {
		return Listing{}, err
	}
	names, err := s.List(ctx)
	if err != nil {
		return Listing{}, fmt.Errorf("list archive: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { _, err := wal.ParseFileName(n); return err != nil })
	slices.Sort(names)
	return Listing{SystemID: owner.SystemID, Names: names}, nil
}
