package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// MarkerName is the object that says whose archive a store holds. Its content is two lines of text, the format
// and the system identifier:
//
//	understudy WAL archive 1
//	system identifier 7574928734098123456
const MarkerName = catalog.MarkerName

const (
	markerFormat = "understudy WAL archive 1\n"
	markerSystem = "system identifier "
)

func formatMarker(id wal.SystemID) string { return markerFormat + markerSystem + id.String() + "\n" }

func parseMarker(s string) (wal.SystemID, error) {
	rest, ok := strings.CutPrefix(s, markerFormat)
	if !ok {
		return 0, errors.New("not a marker of format 1")
	}
	digits, okStart := strings.CutPrefix(rest, markerSystem)
	digits, okEnd := strings.CutSuffix(digits, "\n")
	if !okStart || !okEnd {
		return 0, errors.New("no system identifier")
	}
	return wal.ParseSystemID(digits)
}

// readMarker returns whose archive s holds. Without a marker the error matches [ErrNoMarker].
func readMarker(ctx context.Context, s Store) (wal.SystemID, error) {
	b, err := readSmall(ctx, s, MarkerName)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNoMarker
	}
	if err != nil {
		return 0, fmt.Errorf("read archive marker: %w", err)
	}
	id, err := parseMarker(string(b))
	if err != nil {
		return 0, fmt.Errorf("read archive marker: %w", err)
	}
	return id, nil
}

// verifyOwner makes sure that the store holds this cluster's archive.
func (a *Archive) verifyOwner(ctx context.Context) error {
	owner, err := readMarker(ctx, a.store)
	if err != nil {
		return err
	}
	if owner != a.id.SystemID {
		return &ForeignArchiveError{Archive: owner, Cluster: a.id.SystemID}
	}
	return nil
}

// claim is verifyOwner that makes an unmarked store this cluster's archive. Of several clusters that claim at
// once, the store's Create lets one win.
func (a *Archive) claim(ctx context.Context) error {
	err := a.verifyOwner(ctx)
	if !errors.Is(err, ErrNoMarker) {
		return err
	}
	if err := a.refuseForeignContent(ctx); err != nil {
		return err
	}
	err = a.store.Create(ctx, MarkerName, strings.NewReader(formatMarker(a.id.SystemID)))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write archive marker: %w", err)
	}
	return a.verifyOwner(ctx)
}

// refuseForeignContent looks at one readable segment of a store that holds WAL but no marker, such as one that
// "archive_command = 'cp …'" filled.
func (a *Archive) refuseForeignContent(ctx context.Context) error {
	names, err := a.store.List(ctx)
	if err != nil {
		return fmt.Errorf("look for another cluster's WAL: %w", err)
	}
	for _, name := range names {
		if f, err := wal.ParseFileName(name); err != nil || f.Kind != wal.KindSegment {
			continue
		}
		h, err := a.storedHeader(ctx, name)
		if errors.As(err, new(*wal.HeaderError)) || errors.Is(err, fs.ErrNotExist) {
			continue // a torn copy tells nothing; the next one may
		}
		if err != nil {
			return fmt.Errorf("look for another cluster's WAL: %s: %w", name, err)
		}
		if h.SystemID != a.id.SystemID {
			return &ForeignArchiveError{Archive: h.SystemID, Cluster: a.id.SystemID}
		}
		return nil
	}
	return nil
}

func (a *Archive) storedHeader(ctx context.Context, name string) (wal.PageHeader, error) {
	r, err := a.store.Open(ctx, name)
	if err != nil {
		return wal.PageHeader{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, wal.SegmentHeaderSize))
	if err != nil {
		return wal.PageHeader{}, err
	}
	return wal.ParseSegmentHeader(b)
}

// readSmall reads an object that fits in memory.
func readSmall(ctx context.Context, s Store, name string) ([]byte, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readLimited(r)
}

const smallFile = 1 << 20 // far above any history file

func readLimited(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, smallFile+1))
	if err == nil && len(b) > smallFile {
		err = fmt.Errorf("more than %d bytes", smallFile)
	}
	return b, err
}
