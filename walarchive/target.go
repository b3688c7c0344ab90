package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"filippo.io/age"

	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// target is a Target at work.
type target struct {
	Target
	id      Identity
	keys    []age.Identity
	log     *slog.Logger
	hooks   Hooks
	several bool // there are more targets, so messages say which

	checkRecords bool
}

// wrap adds the target's name to an error, if there are others.
func (t *target) wrap(err error) error {
	if err == nil || !t.several {
		return err
	}
	return fmt.Errorf("%s: %w", t.Name, err)
}

// maxRepairs is how many copies beside a damaged one are looked at.
const maxRepairs = 9

// copyName is the name of the object that holds f: the first copy, or one beside it.
func copyName(f wal.FileName, repair int) string {
	return Object{Kind: ObjectFile, File: f, Repair: repair}.String()
}

func recordName(object string) string { return object + ".record" }

// opened is an object that is being read and decoded.
type opened struct {
	*codec.Decoder
	object io.Closer
}

func (o opened) Close() error {
	return errors.Join(o.Decoder.Close(), o.object.Close())
}

// open reads the object that holds the file called name, with its record. Only an object that is not there gives an error that matches
// [fs.ErrNotExist].
func (t *target) open(ctx context.Context, object, name string) (opened, error) {
	r, err := t.Store.Open(ctx, object)
	if err != nil {
		return opened{}, err
	}
	dec, err := codec.Decode(ctxio.Reader(ctx, r), codec.Options{
		Name: name, Identities: t.keys, MaxSize: max(int64(t.id.SegmentSize), smallFile),
		Record: func() (*codec.Record, error) { return t.readRecord(ctx, recordName(object)) },
		Others: func() ([]codec.Record, error) { return t.records(ctx, object) },
	})
	if err != nil {
		return opened{}, errors.Join(notAbsent(err), r.Close())
	}
	return opened{dec, r}, nil
}

// recordNames are where the record of an object may be, in this order: beside it, or where that of a copy of it would be. It is not the first one if
// that was taken by another pusher with other content, who may have died before making the object.
func recordNames(object string) []string {
	o, err := ParseObject(object)
	if err != nil {
		return []string{recordName(object)}
	}
	var names []string
	for repair := o.Repair; repair <= maxRepairs; repair++ {
		names = append(names, recordName(copyName(o.File, repair)))
	}
	return names
}

// records returns all records that may be an object's.
func (t *target) records(ctx context.Context, object string) (records []codec.Record, err error) {
	for _, name := range recordNames(object) {
		record, err := t.readRecord(ctx, name)
		if err != nil || record == nil {
			return records, err
		}
		records = append(records, *record)
	}
	return records, nil
}

// readRecord returns the record of this name, or nil if there is none.
func (t *target) readRecord(ctx context.Context, name string) (*codec.Record, error) {
	b, err := readSmall(ctx, t.Store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	record, err := codec.ParseRecord(b)
	return &record, err
}

// notAbsent hides that an error matches [fs.ErrNotExist], for one that is not about the object itself.
func notAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(err.Error())
	}
	return err
}

func isDamage(err error) bool { return errors.As(err, new(*codec.DamagedError)) }
