package walarchive

import (
	"context"
	"errors"
	"slices"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// CleanupConfig says what [PlanCleanup] and [Archive.Cleanup] may remove.
type CleanupConfig struct {
	// Oldest is the oldest file that must stay: a segment, as in %r of archive_cleanup_command, or the name of a
	// partial segment or backup history, whose segment counts.
	Oldest string
	// BackupHistory adds backup history files to what may go, as pg_archivecleanup -b does (17+).
	BackupHistory bool
	// DryRun makes Cleanup remove nothing. PlanCleanup never does.
	DryRun bool
}

// PlanCleanup returns those of names that pg_archivecleanup would remove, in their order: segments and partial
// segments before Oldest. Like there, the timeline does not count, only the position: an older timeline's
// segment at or after Oldest may still be needed, one before it is not, whichever timeline it is on. Timeline
// histories and names that are not WAL always stay. An Oldest that names no segment is a [*wal.SyntaxError].
func PlanCleanup(names []string, cfg CleanupConfig) ([]string, error) {
	f, err := wal.ParseFileName(cfg.Oldest)
	if err != nil {
		return nil, err
	}
	if f.Kind == wal.KindHistory {
		return nil, &wal.SyntaxError{What: "oldest file to keep", Text: cfg.Oldest, Msg: "a timeline history names no segment"}
	}
	oldest := cfg.Oldest[8:24]
	var remove []string
	for _, name := range names {
		if mayGo(name, cfg.BackupHistory) && name[8:] < oldest {
			remove = append(remove, name)
		}
	}
	return remove, nil
}

func mayGo(name string, backupHistory bool) bool {
	f, err := wal.ParseFileName(name)
	if err != nil {
		return false
	}
	return f.Kind == wal.KindSegment || f.Kind == wal.KindPartial || backupHistory && f.Kind == wal.KindBackup
}

// Cleanup removes what [PlanCleanup] says from the archive and returns the names, sorted; after an error, which
// does not stop it, they are the names that it set out to remove. An archive without a marker ([ErrNoMarker])
// or of another cluster ([*ForeignArchiveError]) stays as it is.
//
// It serves archive_cleanup_command of a standby whose archive nobody else needs. It knows nothing of other
// standbys and base backups: it removes their WAL too.
func (a *Archive) Cleanup(ctx context.Context, cfg CleanupConfig) ([]string, error) {
	if err := a.verifyOwner(ctx); err != nil {
		return nil, err
	}
	var all []string
	var errs []error
	for _, t := range a.targets {
		names, err := t.cleanup(ctx, cfg)
		all, errs = append(all, names...), append(errs, t.wrap(err))
	}
	slices.Sort(all)
	return slices.Compact(all), errors.Join(errs...)
}

// cleanup removes what is to go from one target, with the records and copies beside it, and returns the names of the files.
func (t *target) cleanup(ctx context.Context, cfg CleanupConfig) ([]string, error) {
	names, err := t.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	remove, err := PlanCleanup(names, cfg)
	if err != nil || cfg.DryRun || len(remove) == 0 {
		return remove, err
	}
	goes := map[string]bool{}
	for _, name := range remove {
		goes[name] = true
	}
	objects := slices.DeleteFunc(names, func(name string) bool {
		o, err := ParseObject(name)
		return err != nil || o.Kind != ObjectFile && o.Kind != ObjectRecord || !goes[o.File.String()]
	})
	return remove, t.Store.Remove(ctx, objects)
}
