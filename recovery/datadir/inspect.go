package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// LabelFile is where a base backup says where its recovery begins, relative to the data directory.
const LabelFile = "backup_label"

// Directory is all that a data directory says about itself. Each part has its own error; what is optional, and not there, has none.
type Directory struct {
	Path   string
	Server Server

	Major    pgconf.Major
	MajorErr error

	Control    Control
	ControlErr error

	// History is that of Control.Timeline(), from the directory's own WAL folder. Timeline 1 has no file and needs none; of another
	// one the error matches [fs.ErrNotExist] if it has none either.
	History    wal.History
	HistoryErr error

	// Newer are the histories of later timelines in that folder, oldest first: of switches that the server has not followed yet, or of
	// a promotion that it did not finish. Started as a standby it follows the newest.
	Newer    []wal.History
	NewerErr error

	// Label is what backup_label says, nil if there is none. With it the directory is a backup whose recovery has not begun, or
	// (up to 14) that of a primary of which somebody takes an exclusive backup.
	Label    *wal.BackupLabel
	LabelErr error

	// Tablespaces is what tablespace_map says; nil if there is none. It is there before the first start of some backups only, and not
	// the list of the tablespaces that a directory in use has.
	Tablespaces    []Tablespace
	TablespacesErr error
}

// Inspect reads all of a data directory on this machine. Of a running server the parts may be of different moments.
func Inspect(dataDir string) Directory {
	d := Directory{Path: dataDir, Server: CheckServer(dataDir)}
	d.Major, d.MajorErr = ReadVersion(dataDir)
	d.Control, d.ControlErr = ReadControl(dataDir)
	if d.MajorErr == nil && d.ControlErr == nil {
		d.History, d.HistoryErr = ReadHistory(dataDir, d.Major, d.Control.Timeline())
		d.Newer, d.NewerErr = newerHistories(dataDir, d.Major, d.Control.Timeline())
	} else {
		d.HistoryErr = errors.New("read timeline histories: the major and the timeline are not known")
		d.NewerErr = d.HistoryErr
	}
	d.Label, d.LabelErr = ReadLabel(dataDir)
	d.Tablespaces, d.TablespacesErr = readTablespaceMap(dataDir, d.Major)
	return d
}

// Err joins the errors of the parts.
func (d Directory) Err() error {
	return errors.Join(d.MajorErr, d.ControlErr, d.HistoryErr, d.NewerErr, d.LabelErr, d.TablespacesErr)
}

// WALDir is the folder with the WAL and the timeline histories of a major, relative to the data directory.
func WALDir(major pgconf.Major) string {
	if major <= pgconf.V9_6 {
		return "pg_xlog"
	}
	return "pg_wal"
}

// ReadHistory reads the history of a timeline from the WAL folder of a data directory on this machine. Timeline 1 has none, and needs
// no file. Besides [*wal.SyntaxError], which files of 9.0 to 9.2 give too, there are the errors of [os.ReadFile].
func ReadHistory(dataDir string, major pgconf.Major, tli wal.Timeline) (wal.History, error) {
	if tli == 1 {
		return wal.History{Timeline: 1}, nil
	}
	data, err := os.ReadFile(filepath.Join(dataDir, WALDir(major), tli.HistoryName()))
	if err != nil {
		return wal.History{}, fmt.Errorf("read timeline history: %w", err)
	}
	return wal.ParseHistory(tli, data)
}

// newerHistories reads the histories of timelines after tli.
func newerHistories(dataDir string, major pgconf.Major, tli wal.Timeline) ([]wal.History, error) {
	entries, err := os.ReadDir(filepath.Join(dataDir, WALDir(major))) // sorted by name, so by timeline
	if err != nil {
		return nil, fmt.Errorf("list timeline histories: %w", err)
	}
	var newer []wal.History
	for _, e := range entries {
		f, err := wal.ParseFileName(e.Name())
		if err != nil || f.Kind != wal.KindHistory || f.Timeline <= tli {
			continue
		}
		h, err := ReadHistory(dataDir, major, f.Timeline)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		newer = append(newer, h)
	}
	return newer, nil
}

// ReadLabel reads the backup_label of a data directory on this machine; nil says that there is none. Besides [*wal.SyntaxError] there
// are the errors of [os.ReadFile].
func ReadLabel(dataDir string) (*wal.BackupLabel, error) {
	data, err := os.ReadFile(filepath.Join(dataDir, LabelFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	if err != nil {
		return nil, fmt.Errorf("read backup label: %w", err)
	}
	l, err := wal.ParseBackupLabel(data)
	if err != nil {
		return nil, err
	}
	return &l, nil
}

func readTablespaceMap(dataDir string, major pgconf.Major) ([]Tablespace, error) {
	name := filepath.Join(dataDir, TablespaceMapFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tablespace map: %w", err)
	}
	return ParseTablespaceMap(name, major, data)
}
