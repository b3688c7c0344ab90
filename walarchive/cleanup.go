package walarchive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/understudy-ha/understudy/internal/ctxio"
	"github.com/understudy-ha/understudy/walarchive/catalog"
)

// CleanupConfig says what [Archive.Cleanup] may remove.
type CleanupConfig struct {
	// Policy decides. Its Details are filled in, and Now if it is zero. For archive_cleanup_command of standbys alone, set Oldest to
	// what PostgreSQL passes as %r, and Backups to -1.
	Policy catalog.Policy
	// DryRun makes Cleanup remove nothing: its result says what would go, and why.
	DryRun bool
	// SetAside is where objects are copied to, and read again, before they are removed. It must not be an archive, and the archive
	// must have one target only. nil means that they are not copied.
	SetAside Store
}

// CleanupResult is what [Archive.Cleanup] decided and did.
type CleanupResult struct {
	Plan catalog.Plan
	// Removed are the objects that are gone, sorted; with DryRun those that would go. After an error about one that does not name the
	// object, as a store's Remove may give, they are those that Cleanup set out to remove.
	Removed []string
}

// Cleanup removes the files that nobody needs, and with each what belongs to it: its record, copies beside a damaged one, beginnings
// of it. It keeps what the consumers that registered need (see [Archive.Register]), the backups that the policy keeps, and
// what a recovery from them may ask for; see [catalog.Catalog.Plan]. Timeline histories always stay.
//
// Nothing is removed unless every target can be read and is marked as this cluster's: [ErrNoMarker], [*ForeignArchiveError].
// After a failure with one object, Cleanup goes on with the others and returns all errors. It may run at any time, beside
// pushes, fetches and other cleanups.
func (a *Archive) Cleanup(ctx context.Context, cfg CleanupConfig) (CleanupResult, error) {
	if err := a.checkAside(ctx, cfg.SetAside); err != nil {
		return CleanupResult{}, err
	}
	s, err := a.survey(ctx)
	if err != nil {
		return CleanupResult{}, err
	}
	if err := a.fillPolicy(ctx, &cfg.Policy, s); err != nil {
		return CleanupResult{}, err
	}
	r := CleanupResult{}
	if r.Plan, err = s.catalog.Plan(cfg.Policy); err != nil {
		return r, err
	}
	r.Removed = r.Plan.Remove()
	slices.Sort(r.Removed)
	if cfg.DryRun || len(r.Removed) == 0 {
		return r, nil
	}
	return a.remove(ctx, cfg, s, r)
}

func (a *Archive) remove(ctx context.Context, cfg CleanupConfig, s survey, r CleanupResult) (CleanupResult, error) {
	remove := r.Removed
	var errs []error
	if cfg.SetAside != nil {
		aside, err := a.targets[0].setAside(ctx, cfg.SetAside, remove)
		remove, r.Removed = aside, aside
		errs = append(errs, err)
	}
	for i, t := range a.targets {
		if err := t.verifyOwner(ctx); err != nil {
			errs = append(errs, t.wrap(err))
			continue
		}
		names := remove
		if len(a.targets) > 1 {
			names = common(remove, s.names[i])
		}
		errs = append(errs, t.wrap(t.Store.Remove(ctx, names)))
	}
	return r, errors.Join(errs...)
}

// common returns what is in both; both are sorted.
func common(a, b []string) []string {
	var out []string
	for _, name := range a {
		i, ok := slices.BinarySearch(b, name)
		if ok {
			out = append(out, name)
		}
		b = b[i:]
	}
	return out
}

// fillPolicy adds what the rules want to know.
func (a *Archive) fillPolicy(ctx context.Context, p *catalog.Policy, s survey) error {
	if p.Now.IsZero() {
		p.Now = time.Now()
	}
	var wanted func(name string) bool
	switch {
	case p.Bytes > 0 || p.MinAge > 0:
		wanted = func(string) bool { return true }
	case p.Age > 0:
		backups := s.catalog.Texts()
		wanted = func(name string) bool { _, ok := slices.BinarySearch(backups, name); return ok }
	default:
		return nil
	}
	p.Details = map[string]catalog.Detail{}
	for i, t := range a.targets {
		names := slices.DeleteFunc(slices.Clone(s.names[i]), func(name string) bool { return !wanted(name) })
		details, err := t.Store.Details(ctx, names)
		if err != nil {
			return t.wrap(err)
		}
		for _, d := range details {
			if d.Size < 0 {
				continue
			}
			known := p.Details[d.Name] // of several targets the largest and the youngest count
			if d.Modified.Before(known.Modified) {
				d.Modified = known.Modified
			}
			p.Details[d.Name] = catalog.Detail{Size: max(d.Size, known.Size), Modified: d.Modified}
		}
	}
	return nil
}

// checkAside refuses a store that is an archive: it might be the one that is cleaned up.
func (a *Archive) checkAside(ctx context.Context, aside Store) error {
	if aside == nil {
		return nil
	}
	if len(a.targets) > 1 {
		return errors.New("SetAside: the archive has several targets; clean them up one by one")
	}
	r, err := aside.Open(ctx, MarkerName)
	if err == nil {
		return errors.Join(fmt.Errorf("SetAside: %v is an archive itself", aside), r.Close())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("SetAside: %w", err)
	}
	return nil
}

// setAside copies objects and returns those of which the copy was read again.
func (t *target) setAside(ctx context.Context, aside Store, names []string) (done []string, err error) {
	var errs []error
	for _, name := range names {
		if err := t.setOneAside(ctx, aside, name); err != nil {
			errs = append(errs, fmt.Errorf("set %s aside: %w", name, err))
			continue
		}
		done = append(done, name)
	}
	return done, errors.Join(errs...)
}

func (t *target) setOneAside(ctx context.Context, aside Store, name string) error {
	want, err := sumOf(ctx, t.Store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else removed it
	}
	if err != nil {
		return err
	}
	r, err := t.Store.Open(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := aside.Create(ctx, name, ctxio.Reader(ctx, r)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	got, err := sumOf(ctx, aside, name)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%v holds it with other content", aside)
	}
	return err
}

// sumOf is the SHA-256 of an object as it is stored.
func sumOf(ctx context.Context, s Store, name string) ([]byte, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, ctxio.Reader(ctx, r))
	return h.Sum(nil), err
}
