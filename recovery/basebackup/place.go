package basebackup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/recovery/datadir"
)

// incomingSuffix is added to the name of the target while the copy is made.
const incomingSuffix = ".incoming"

// markerFile stands in a folder that is being made, and is locked meanwhile. In that of the data directory it is the journal of what
// else was made; that of a tablespace has the same id.
const markerFile = "understudy-incoming"

// journal is the content of a marker.
type journal struct {
	About  string   `json:"about"`
	ID     string   `json:"id"`
	Spaces []string `json:"tablespaces,omitempty"` // folders that this copy filled
}

const about = "An unfinished base backup. It is of no use; the next one for the same target removes it."

// place is where a copy is made.
type place struct {
	target, incoming, aside string

	dir     *os.Root // incoming
	marker  *os.File // locked
	journal journal
	created []string // folders of tablespaces that did not exist before
}

// openPlace checks the target, and takes the folder beside it.
func openPlace(o Options) (_ *place, err error) {
	target, err := filepath.Abs(o.Target)
	if err != nil {
		return nil, err
	}
	p := &place{target: target, incoming: target + incomingSuffix, journal: journal{About: about, ID: rand.Text()}}
	if o.Aside != "" {
		if p.aside, err = filepath.Abs(o.Aside); err != nil {
			return nil, err
		}
	}
	if err := p.checkTarget(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.incoming, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := p.take(); err != nil {
		p.leave()
		return nil, fmt.Errorf("%s: %w", p.incoming, err)
	}
	return p, nil
}

// checkTarget refuses a target that the copy could not be moved to at the end.
func (p *place) checkTarget() error {
	parent, err := os.Stat(filepath.Dir(p.target))
	if err != nil {
		return fmt.Errorf("the folder of the target: %w", err)
	}
	info, err := os.Lstat(p.target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder but a file or a symbolic link", p.target)
	case !sameDevice(info, parent):
		return fmt.Errorf("%s is a mount point, to which nothing can be renamed: take a folder below it", p.target)
	}
	empty, err := isEmpty(p.target)
	if err != nil || empty {
		return err
	}
	if p.aside == "" {
		return fmt.Errorf("%s %w", p.target, ErrNotEmpty)
	}
	if err := p.checkAside(parent); err != nil {
		return err
	}
	return p.checkStopped()
}

func (p *place) checkAside(parent fs.FileInfo) error {
	if _, err := os.Lstat(p.aside); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is to be the new name of what is in the target, but exists", p.aside), err)
	}
	info, err := os.Stat(filepath.Dir(p.aside))
	if err != nil {
		return fmt.Errorf("the folder of %s: %w", p.aside, err)
	}
	if !sameDevice(info, parent) {
		return fmt.Errorf("%s is in another file system than %s", p.aside, p.target)
	}
	return nil
}

// checkStopped refuses a target in which a server runs, or may run.
func (p *place) checkStopped() error {
	if server := datadir.CheckServer(p.target); server.Life != datadir.Stopped {
		return fmt.Errorf("the server in %s is %s, but must be stopped: %s", p.target, server.Life, strings.Join(server.Evidence, "; "))
	}
	return nil
}

func sameDevice(a, b fs.FileInfo) bool {
	x, ok1 := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return !ok1 || !ok2 || x.Dev == y.Dev
}

func isEmpty(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	return len(entries) == 0, err
}

// take locks the folder and removes what an earlier copy left in it.
func (p *place) take() error {
	var err error
	if p.dir, err = os.OpenRoot(p.incoming); err != nil {
		return err
	}
	if err := p.checkOurs(); err != nil {
		return err
	}
	if p.marker, err = p.dir.OpenFile(markerFile, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := lock(p.marker); err != nil {
		return err
	}
	if !p.stillThere() {
		return ErrBusy // it was finished and renamed while we looked
	}
	if err := p.clear(); err != nil {
		return fmt.Errorf("remove what an earlier base backup left: %w", err)
	}
	return p.note()
}

// checkOurs refuses a folder that no base backup made, and a complete copy in which a server has been.
func (p *place) checkOurs() error {
	entries, err := fs.ReadDir(p.dir.FS(), ".")
	if err != nil || len(entries) == 0 {
		return err
	}
	has := func(name string) bool { _, err := p.dir.Lstat(name); return err == nil }
	switch {
	case !has(markerFile):
		return fmt.Errorf("%w, and no base backup was made there: remove or rename it", ErrNotEmpty)
	case has(datadir.PostmasterFile) || has(datadir.ControlFile) && !has(datadir.LabelFile):
		return errors.New("a server was started there: remove or rename it")
	}
	return nil
}

func (p *place) stillThere() bool {
	locked, err1 := p.marker.Stat()
	named, err2 := os.Lstat(filepath.Join(p.incoming, markerFile))
	return err1 == nil && err2 == nil && os.SameFile(locked, named)
}

// clear removes what an earlier copy left here and in its tablespaces.
func (p *place) clear() error {
	old, err := readJournal(p.dir)
	if err != nil {
		return err
	}
	for _, space := range old.Spaces {
		if err := clearSpace(space, old.ID); err != nil {
			return err
		}
	}
	return removeAll(p.dir, markerFile)
}

// readJournal reads the marker of a folder. One that is empty or cut off was never followed by anything.
func readJournal(dir *os.Root) (journal, error) {
	var j journal
	data, err := dir.ReadFile(markerFile)
	if err != nil || json.Unmarshal(data, &j) != nil {
		return journal{}, err
	}
	return j, nil
}

// clearSpace empties the folder of a tablespace if the copy with this id made its content.
func clearSpace(space, id string) error {
	dir, err := os.OpenRoot(space)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	j, err := readJournal(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // somebody else's by now
	case err != nil:
		return err
	case j.ID == "": // cut off, which it can be only while nothing else is there
		if entries, err := fs.ReadDir(dir.FS(), "."); err != nil || len(entries) > 1 {
			return err
		}
	case j.ID != id:
		return nil // somebody else's by now
	}
	if err := removeAll(dir, markerFile); err != nil {
		return err
	}
	return dir.Remove(markerFile)
}

// removeAll empties a folder but for one file.
func removeAll(dir *os.Root, keep string) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == keep {
			continue
		}
		if err := dir.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// note writes the journal, durably: what it names may be removed by the next run, and nothing else.
func (p *place) note() error {
	if err := writeJournal(p.marker, p.journal); err != nil {
		return err
	}
	return atomicfile.SyncIn(p.dir)
}

func writeJournal(f *os.File, j journal) error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	return f.Sync()
}

// addSpace takes the folder of a tablespace, which must be empty or absent.
func (p *place) addSpace(location string) (*os.Root, error) {
	if inside(location, p.target) || inside(location, p.incoming) || inside(p.target, location) {
		return nil, fmt.Errorf("tablespace location %s: it must not be inside the target, nor the target inside it", location)
	}
	switch err := os.Mkdir(location, 0o700); {
	case err == nil:
		p.created = append(p.created, location)
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("tablespace location: %w", err)
	}
	empty, err := isEmpty(location)
	if err != nil {
		return nil, fmt.Errorf("tablespace location: %w", err)
	}
	if !empty {
		return nil, fmt.Errorf("tablespace location %s %w (map it to another folder)", location, ErrNotEmpty)
	}
	p.journal.Spaces = append(p.journal.Spaces, location)
	if err := p.note(); err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(location)
	if err != nil {
		return nil, err
	}
	return dir, p.markSpace(dir)
}

func (p *place) markSpace(dir *os.Root) error {
	f, err := dir.OpenFile(markerFile, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(writeJournal(f, journal{About: about, ID: p.journal.ID}), f.Close(), atomicfile.SyncIn(dir))
}

// inside reports whether path is dir or below it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(filepath.Clean(dir), filepath.Clean(path))
	return err == nil && filepath.IsLocal(rel)
}

// discard removes an unfinished copy. What cannot be removed the next run removes.
func (p *place) discard() error {
	var errs []error
	for _, space := range p.journal.Spaces {
		errs = append(errs, clearSpace(space, p.journal.ID))
	}
	for _, space := range slices.Backward(p.created) {
		errs = append(errs, os.Remove(space))
	}
	errs = append(errs, removeAll(p.dir, markerFile))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(p.dir.Remove(markerFile), os.Remove(p.incoming))
}

// leave gives up the lock.
func (p *place) leave() {
	if p.marker != nil {
		_ = p.marker.Close()
	}
	if p.dir != nil {
		_ = p.dir.Close()
	}
}

// sync makes everything durable.
func (p *place) sync(ctx context.Context) error {
	for _, root := range append([]string{p.incoming}, p.journal.Spaces...) {
		if err := atomicfile.SyncTree(ctx, root); err != nil {
			return err
		}
	}
	for _, space := range p.created {
		if err := atomicfile.SyncDir(filepath.Dir(space)); err != nil {
			return err
		}
	}
	return nil
}

// reveal gives a file its real name.
func (p *place) reveal(name string) error {
	if err := p.dir.Rename(name+hidden, name); err != nil {
		return err
	}
	dir, err := p.dir.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(atomicfile.SyncIn(dir), dir.Close())
}

// publish moves the complete copy to its place, and what was there aside. It returns the new name of that.
func (p *place) publish() (aside string, err error) {
	switch err := syscall.Rmdir(p.target); { // of an empty folder, and of nothing else
	case err == nil, errors.Is(err, fs.ErrNotExist):
	case !errors.Is(err, fs.ErrExist): // ENOTEMPTY is one; of a mount point in the same file system it is EBUSY
		return "", fmt.Errorf("replace %s: %w", p.target, err)
	case p.aside == "":
		return "", fmt.Errorf("%s %w (any more)", p.target, ErrNotEmpty)
	default:
		if err := p.checkStopped(); err != nil {
			return "", err
		}
		if err := atomicfile.Rename(p.target, p.aside); err != nil {
			return "", err
		}
		aside = p.aside
	}
	if err := atomicfile.Rename(p.incoming, p.target); err != nil {
		if aside != "" {
			err = errors.Join(err, atomicfile.Rename(aside, p.target))
		}
		return "", err
	}
	return aside, nil
}

// unmark removes the markers of a copy that is in its place. One that stays does no harm: only a journal in a folder of the name
// for unfinished copies is ever followed.
func (p *place) unmark() error {
	var errs []error
	for _, space := range p.journal.Spaces {
		errs = append(errs, atomicfile.Remove(filepath.Join(space, markerFile)))
	}
	return errors.Join(append(errs, atomicfile.Remove(filepath.Join(p.target, markerFile)))...)
}
