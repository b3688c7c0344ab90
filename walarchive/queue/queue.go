package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// File is one that waits to be archived.
type File struct {
	Name  wal.FileName
	Ready time.Time // since when, by the server's clock
	Size  int64     // bytes, or -1 if the file itself is gone (the server removes such an orphan without archiving)
}

// State is what waits, and how much room there is.
type State struct {
	Files []File // in the order of archiving
	Bytes int64  // of all Files
	Free  int64  // bytes that the server may still write in the file system of its WAL folder
}

// Oldest is since when the file that waits longest has been waiting; zero if none waits.
func (s State) Oldest() time.Time {
	if len(s.Files) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(s.Files, func(a, b File) int { return a.Ready.Compare(b.Ready) }).Ready
}

// WALDir is the folder of the WAL of a data directory: pg_wal, or pg_xlog before 10.
func WALDir(dataDir string) (string, error) {
	for _, name := range []string{"pg_wal", "pg_xlog"} {
		path := filepath.Join(dataDir, name)
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			return path, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s is not a data directory: it holds neither pg_wal nor pg_xlog", dataDir)
}

// Read says what waits in the WAL folder of a server.
func Read(walDir string) (State, error) {
	names, err := Names(walDir)
	if err != nil {
		return State{}, err
	}
	var s State
	for _, name := range names {
		ready, err := os.Stat(statusPath(walDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // archived meanwhile
		}
		if err != nil {
			return State{}, err
		}
		f := File{Name: name, Ready: ready.ModTime()}
		if f.Size, err = size(filepath.Join(walDir, name.String())); err != nil {
			return State{}, err
		}
		s.Bytes += max(f.Size, 0)
		s.Files = append(s.Files, f)
	}
	s.Free, err = free(walDir)
	return s, err
}

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// free is what statfs calls available: without what is kept back for root.
func free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // the types differ between systems
}

// Names lists what waits, in the order of archiving, without a look at the files: quick even if a hundred thousand wait.
func Names(walDir string) ([]wal.FileName, error) {
	dir, err := os.Open(filepath.Join(walDir, "archive_status"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	type waiting struct {
		text string
		name wal.FileName
	}
	var found []waiting
	for _, entry := range entries {
		text, ready := strings.CutSuffix(entry, readySuffix)
		if !ready {
			continue
		}
		if name, err := wal.ParseFileName(text); err == nil {
			found = append(found, waiting{text, name})
		}
	}
	slices.SortFunc(found, func(a, b waiting) int {
		return cmp.Or(cmp.Compare(rank(a.name), rank(b.name)), strings.Compare(a.text, b.text))
	})
	names := make([]wal.FileName, len(found))
	for i, f := range found {
		names[i] = f.name
	}
	return names, nil
}

// rank puts timeline histories first: a new timeline must be known before anybody else chooses its number.
func rank(name wal.FileName) int {
	if name.Kind == wal.KindHistory {
		return 0
	}
	return 1
}

const readySuffix = ".ready"

// IsReady reports whether the file waits, as far as can be seen.
func IsReady(walDir string, name wal.FileName) bool {
	_, err := os.Stat(statusPath(walDir, name))
	return err == nil
}

func statusPath(walDir string, name wal.FileName) string {
	return filepath.Join(walDir, "archive_status", name.String()+readySuffix)
}
