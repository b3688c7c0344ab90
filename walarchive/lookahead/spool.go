package lookahead

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/understudy-ha/understudy/internal/atomicfile"
)

// ErrRunning is returned by [Server.Run] when another helper has the spool.
var ErrRunning = errors.New("another helper has the spool")

// ForeignSpoolError says that a spool belongs to another cluster.
type ForeignSpoolError struct {
	Spool     string
	Owner, Me Bond
}

func (e *ForeignSpoolError) Error() string {
	return fmt.Sprintf("the spool %s belongs to the cluster with system identifier %s (data directory %s), not to this one, %s; "+
		"give each cluster a spool of its own, or remove this one if that cluster is gone", e.Spool, e.Owner.SystemID, e.Owner.DataDir, e.Me.SystemID)
}

const (
	lockName   = "lock"
	bondName   = "bond"
	socketName = "socket"
	filesName  = "files"
)

// longestSocket is how long the path of a Unix socket may be on all systems (sun_path, less the final zero).
const longestSocket = 103

// checkSpool refuses a folder in which somebody else could answer for the helper, or plant files.
func checkSpool(path string) error {
	if n := len(filepath.Join(path, socketName)); n > longestSocket {
		return fmt.Errorf("spool %s: the path is %d bytes too long for a socket", path, n-longestSocket)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("spool %s: is a symbolic link; name the folder itself", path)
	case !info.IsDir():
		return fmt.Errorf("spool %s: is not a folder", path)
	case !ok || int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("spool %s: belongs to another user", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("spool %s: has mode %o, want 700: others must not get in", path, info.Mode().Perm())
	}
	return checkAbove(path)
}

// checkAbove refuses a spool that anybody could exchange for another folder.
func checkAbove(path string) error {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("spool %s: everybody may write to %s (mode %o), and so exchange it", path, dir, info.Mode().Perm())
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

// spool is the folder, held by this process.
type spool struct {
	path string
	lock *os.File
}

// openSpool makes the folder if need be, takes its lock and binds it. The error is [ErrRunning] or a [*ForeignSpoolError], among others.
func openSpool(path string, bond Bond) (*spool, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := checkSpool(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &spool{path: path, lock: lock}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = ErrRunning
	case err == nil:
		err = s.bind(bond)
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *spool) close() { _ = s.lock.Close() }

func (s *spool) files() string { return filepath.Join(s.path, filesName) }

// bind makes the spool this bond's. What another helper of the same bond left stays, everything else goes, but for another cluster's.
func (s *spool) bind(bond Bond) error {
	path := filepath.Join(s.path, bondName)
	old, err := readBond(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("spool: %w; remove the spool if nobody needs it", err)
	case old.SystemID != bond.SystemID:
		return &ForeignSpoolError{Spool: s.path, Owner: old, Me: bond}
	}
	if err := os.Mkdir(s.files(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("spool: %w", err)
	}
	if old != bond {
		if err := s.empty(); err != nil {
			return err
		}
		text, err := json.Marshal(bond)
		if err != nil {
			return err
		}
		return atomicfile.Write(path, append(bytes.TrimSpace(text), '\n'), 0o600)
	}
	dir, err := os.OpenRoot(s.files())
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	defer dir.Close()
	_, err = atomicfile.Sweep(dir, time.Now().Add(time.Hour)) // nobody else writes here: all temporary files are a dead helper's
	return err
}

// empty removes all fetched files.
func (s *spool) empty() error {
	if err := os.RemoveAll(s.files()); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return os.Mkdir(s.files(), 0o700)
}
