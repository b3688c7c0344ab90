package walarchive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// consumerText is the content of a consumer's object. All that counts is in the name.
const consumerText = "understudy consumer 1\n"

// Register says that who needs segment and all after it, until it moves on by registering again or is removed. [Archive.Cleanup]
// keeps them. A standby registers what PostgreSQL passes as %r, 000000000000000000000000 included, which keeps everything; for a base
// backup that has no history file in the archive, such as one from a standby, it is the segment where it starts.
//
// The name must be [ValidConsumer]. The new registration is made in every target before the older ones are removed, so that
// a crash in between keeps too much rather than too little. Register goes on after a target failed, and returns all errors.
func (a *Archive) Register(ctx context.Context, who, segment string) error {
	f, err := wal.ParseFileName(segment)
	if err != nil {
		return err
	}
	if _, err := f.Segment(a.id.SegmentSize); err != nil {
		return err
	}
	f.Kind, f.Offset = wal.KindSegment, 0 // %r may be the name of a backup history
	if !ValidConsumer(who) {
		return fmt.Errorf("consumer %q: want one to 63 ASCII letters, digits, '-' and '_'", who)
	}
	name := Object{Kind: ObjectConsumer, File: f, Consumer: who}.String()
	var errs []error
	for _, t := range a.targets {
		errs = append(errs, t.wrap(t.register(ctx, who, name)))
	}
	return errors.Join(errs...)
}

func (t *target) register(ctx context.Context, who, name string) error {
	if err := t.verifyOwner(ctx); err != nil {
		return err
	}
	old, err := t.registrations(ctx, who, name)
	if err != nil {
		return err
	}
	if err := t.Store.Create(ctx, name, strings.NewReader(consumerText)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("register %s: %w", name, err)
	}
	if len(old) == 0 {
		return nil
	}
	return t.Store.Remove(ctx, old)
}

// registrations returns the objects of a consumer but one.
func (t *target) registrations(ctx context.Context, who, but string) ([]string, error) {
	names, err := t.Store.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for registrations: %w", err)
	}
	var found []string
	for _, name := range names {
		if o, err := ParseObject(name); err == nil && o.Kind == ObjectConsumer && o.Consumer == who && name != but {
			found = append(found, name)
		}
	}
	return found, nil
}

// Unregister says that who needs nothing any more. If nobody of that name is registered in any target, the error matches
// [fs.ErrNotExist].
func (a *Archive) Unregister(ctx context.Context, who string) error {
	var errs []error
	found := false
	for _, t := range a.targets {
		err := t.verifyOwner(ctx)
		var names []string
		if err == nil {
			names, err = t.registrations(ctx, who, "")
		}
		if len(names) > 0 {
			found, err = true, t.Store.Remove(ctx, names)
		}
		errs = append(errs, t.wrap(err))
	}
	err := errors.Join(errs...)
	if !found && err == nil {
		err = fmt.Errorf("no consumer %q is registered: %w", who, fs.ErrNotExist)
	}
	return err
}

// Consumers returns who is registered, with the oldest segment that each needs, by name.
func (a *Archive) Consumers(ctx context.Context) ([]catalog.Consumer, error) {
	var all []string
	for _, t := range a.targets {
		if err := t.verifyOwner(ctx); err != nil {
			return nil, t.wrap(err)
		}
		names, err := t.Store.List(ctx)
		if err != nil {
			return nil, t.wrap(fmt.Errorf("look for registrations: %w", err))
		}
		all = append(all, names...)
	}
	c, err := catalog.New(all, a.id.SegmentSize)
	if err != nil {
		return nil, err
	}
	return c.Consumers(), nil
}
