package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Drop is a file that was given up.
type Drop struct {
	Name   wal.FileName
	Time   time.Time // to the second
	Reason string    // one line
}

// Valve gives files up where its policy says so. The zero Policy never does.
type Valve struct {
	Policy Policy
	// Dir is where drops are recorded: an existing folder that outlives the data directory's WAL, on a file system of its own if that of
	// the WAL may fill.
	Dir string
	// Logger gets one line at level error for each drop. Nil means none.
	Logger *slog.Logger
	// OnDrop is called for each drop, after it was recorded and before the server is told. It must not block. Nil means none.
	OnDrop func(Drop)
}

// Drop decides about the file at path, whose push has just failed; unreachable is [Facts.Unreachable]. If it returns true, the file is
// recorded as dropped, and archive_command may exit with 0. An error means that the facts could not be read or the drop not be
// recorded: then nothing is dropped.
func (v Valve) Drop(ctx context.Context, path string, unreachable bool, now time.Time) (bool, error) {
	if v.Policy == (Policy{}) {
		return false, nil
	}
	name, err := wal.ParseFileName(filepath.Base(path))
	if err != nil {
		return false, err
	}
	waiting, err := Read(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	decision := v.Policy.Decide(Facts{File: name, Unreachable: unreachable, Waiting: waiting})
	if !decision.Drop {
		return false, nil
	}
	drop := Drop{Name: name, Time: now.UTC().Truncate(time.Second), Reason: decision.Reason}
	if err := record(v.Dir, drop); err != nil {
		return false, fmt.Errorf("%s is not dropped: %w", name, err)
	}
	if v.Logger != nil {
		v.Logger.ErrorContext(ctx, "file dropped without being archived", "file", name.String(), "reason", drop.Reason)
	}
	if v.OnDrop != nil {
		v.OnDrop(drop)
	}
	return true, nil
}

const droppedSuffix = ".dropped"

// record writes one small file for each drop: created at once or not at all, and never changed.
func record(dir string, d Drop) error {
	text := fmt.Sprintf("%s\n%s\n", d.Time.Format(time.RFC3339), d.Reason)
	_, err := atomicfile.Publish(filepath.Join(dir, d.Name.String()+droppedSuffix), strings.NewReader(text), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // dropped before, and the server was not told
	}
	return err
}

// Dropped lists what was recorded in dir as dropped, by name. A file of the list may be in the archive all the same: one that was killed
// between the record and the answer is asked for, and pushed, again. Remove the record (NAME.dropped) when it is of no interest any more.
func Dropped(dir string) ([]Drop, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var drops []Drop
	for _, entry := range entries {
		text, ok := strings.CutSuffix(entry.Name(), droppedSuffix)
		name, err := wal.ParseFileName(text)
		if !ok || err != nil {
			continue
		}
		d, err := readDrop(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		d.Name = name
		drops = append(drops, d)
	}
	slices.SortFunc(drops, func(a, b Drop) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return drops, nil
}

func readDrop(path string) (Drop, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Drop{}, err
	}
	stamp, reason, _ := strings.Cut(strings.TrimSuffix(string(b), "\n"), "\n")
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return Drop{}, fmt.Errorf("%s: the first line is not the time of the drop: %w", path, err)
	}
	return Drop{Time: at, Reason: reason}, nil
}
