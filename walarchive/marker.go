package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// MarkerName is the object that says whose archive a store holds. Its content is three lines of text, the format, the system
// identifier, and the segment size in bytes:
//
//	understudy WAL archive 1
//	system identifier 7574928734098123456
//	segment size 16777216
//
// The third was not always there; a marker without it is one for any segment size.
const MarkerName = catalog.MarkerName

const (
	markerFormat = "understudy WAL archive 1\n"
	markerSystem = "system identifier "
	markerSize   = "segment size "
)

func formatMarker(id Identity) string {
	return fmt.Sprintf("%s%s%v\n%s%d\n", markerFormat, markerSystem, id.SystemID, markerSize, id.SegmentSize)
}

// parseMarker returns a segment size of 0 for a marker without one.
func parseMarker(s string) (Identity, error) {
	rest, ok := strings.CutPrefix(s, markerFormat)
	if !ok {
		return Identity{}, errors.New("not a marker of format 1")
	}
	system, rest, okEnd := strings.Cut(rest, "\n")
	digits, okStart := strings.CutPrefix(system, markerSystem)
	if !okStart || !okEnd {
		return Identity{}, errors.New("no system identifier")
	}
	id, err := wal.ParseSystemID(digits)
	if err != nil || rest == "" {
		return Identity{SystemID: id}, err
	}
	size, okEnd := strings.CutSuffix(rest, "\n")
	digits, okStart = strings.CutPrefix(size, markerSize)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !okStart || !okEnd || err != nil || !wal.ValidSegmentSize(uint32(n)) {
		return Identity{}, errors.New("no segment size")
	}
	return Identity{SystemID: id, SegmentSize: uint32(n)}, nil
}

// readMarker returns whose archive s holds. Without a marker the error matches [ErrNoMarker].
func readMarker(ctx context.Context, s Store) (Identity, error) {
	b, err := readSmall(ctx, s, MarkerName)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, ErrNoMarker
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read archive marker: %w", err)
	}
	id, err := parseMarker(string(b))
	if err != nil {
		return Identity{}, fmt.Errorf("read archive marker: %w", err)
	}
	return id, nil
}

// verifyOwner fails unless every store's marker names this cluster.
func (a *Archive) verifyOwner(ctx context.Context) error {
	var errs []error
	for _, t := range a.targets {
		errs = append(errs, t.wrap(t.verifyOwner(ctx)))
	}
	return errors.Join(errs...)
}

// verifyOwner fails unless the marker names this cluster.
func (t *target) verifyOwner(ctx context.Context) error {
	owner, err := readMarker(ctx, t.Store)
	if err != nil {
		return err
	}
	if owner.SegmentSize == 0 {
		owner.SegmentSize = t.id.SegmentSize
	}
	if owner != t.id {
		return &ForeignArchiveError{Archive: owner, Cluster: t.id}
	}
	return nil
}

// owner is who the marker names. If it does not know the segment size, the first readable segment does.
func (t *target) owner(ctx context.Context) (Identity, error) {
	owner, err := readMarker(ctx, t.Store)
	if err != nil || owner.SegmentSize != 0 {
		return owner, err
	}
	h, ok, err := t.anyHeader(ctx)
	if err == nil && !ok {
		err = errors.New("neither the marker nor a segment tells the segment size")
	}
	owner.SegmentSize = h.SegmentSize
	return owner, err
}

// claim is verifyOwner that makes an unmarked store this cluster's archive. Of several clusters that claim at
// once, the store's Create lets one win.
func (t *target) claim(ctx context.Context) error {
	err := t.verifyOwner(ctx)
	if !errors.Is(err, ErrNoMarker) {
		return err
	}
	if err := t.refuseForeignContent(ctx); err != nil {
		return err
	}
	err = t.Store.Create(ctx, MarkerName, strings.NewReader(formatMarker(t.id)))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write archive marker: %w", err)
	}
	return t.verifyOwner(ctx)
}

// refuseForeignContent looks at one readable segment of a store that holds WAL but no marker, such as one that
// "archive_command = 'cp …'" filled.
func (t *target) refuseForeignContent(ctx context.Context) error {
	h, ok, err := t.anyHeader(ctx)
	if err != nil {
		return fmt.Errorf("look for another cluster's WAL: %w", err)
	}
	if found := (Identity{h.SystemID, h.SegmentSize}); ok && found != t.id {
		return &ForeignArchiveError{Archive: found, Cluster: t.id}
	}
	return nil
}

// anyHeader returns the header of a segment that can be read. A torn copy tells nothing; the next one may.
func (t *target) anyHeader(ctx context.Context) (h wal.PageHeader, ok bool, err error) {
	names, err := t.Store.List(ctx)
	if err != nil {
		return h, false, err
	}
	for _, name := range names {
		if f, err := wal.ParseFileName(name); err != nil || f.Kind != wal.KindSegment {
			continue
		}
		h, err := t.storedHeader(ctx, name)
		switch {
		case err == nil:
			return h, true, nil
		case errors.As(err, new(*wal.HeaderError)), errors.Is(err, fs.ErrNotExist), isDamage(err):
			continue
		}
		return h, false, fmt.Errorf("%s: %w", name, err)
	}
	return h, false, nil
}

func (t *target) storedHeader(ctx context.Context, name string) (wal.PageHeader, error) {
	r, err := t.open(ctx, name, name)
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
