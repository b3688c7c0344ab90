package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/understudy-ha/understudy/pgconf"
)

// Files reads and writes files on the machine that holds the data directory.
type Files interface {
	// ReadFile returns the content; the error matches [fs.ErrNotExist] only if the file certainly is not there.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces the file atomically and durably, or leaves the old one. A file that is there keeps its mode.
	WriteFile(ctx context.Context, path string, data []byte, perm fs.FileMode) error
}

// Apply makes the server in dataDir, of which major is the PostgreSQL major, a standby as cfg says. That takes effect at its
// next start; a standby that runs takes a new upstream up at a reload (from 13) or restart. Apply neither starts, reloads nor
// stops anything.
//
// It looks first and refuses before it has written anything: with a [*ConflictError] if a line of the configuration would
// defeat cfg, with a [*DataDirError] if a file would make the server something else than this standby (see "Left-overs" in
// the package's overview), and with the reader's or a [*pgconf.SyntaxError] if it cannot know. postgresql.conf must lie in
// dataDir.
//
// Then it writes. Each file is replaced atomically, and the one that carries the role comes first: an interruption leaves a
// standby, at worst with its former settings or none, never a primary. Calling it again completes the work, and once more changes
// no byte. What the files hold besides stays: from 12 on postgresql.conf gains one line, up to 11 recovery.conf is edited.
func Apply(ctx context.Context, files Files, dataDir string, major int, cfg Config) error {
	if err := cfg.Validate(major); err != nil {
		return err
	}
	f, err := look(ctx, files, dataDir, major)
	if err != nil {
		return err
	}
	todo, err := f.plan(cfg)
	if err != nil {
		return err
	}
	if err := checkTrigger(ctx, files, f); err != nil {
		return err
	}
	for _, file := range todo {
		if err := files.WriteFile(ctx, path.Join(dataDir, file.Name), file.Data, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", file.Name, err)
		}
	}
	return nil
}

// look reads what the plan depends on.
func look(ctx context.Context, files Files, dataDir string, major int) (*found, error) {
	f := &found{dataDir: dataDir, major: major, conf: map[string]*pgconf.File{}}
	read := func(name string) (data []byte, exists bool, err error) {
		data, err = files.ReadFile(ctx, path.Join(dataDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("read %s: %w", name, err)
		}
		return data, true, nil
	}
	version, exists, err := read(versionFile)
	if err != nil {
		return nil, err
	}
	if err := f.checkVersion(string(version), exists); err != nil {
		return nil, err
	}
	for _, name := range f.leftovers() {
		if _, exists, err := read(name); err != nil {
			return nil, err
		} else if exists {
			return nil, f.leftover(name)
		}
	}
	for _, name := range f.confNames() {
		data, exists, err := read(name)
		if err != nil {
			return nil, err
		}
		if !exists && name == mainConf {
			return nil, fmt.Errorf("read %s: %w in the data directory; where a distribution keeps it elsewhere, write the files of Render by other means",
				name, fs.ErrNotExist)
		}
		if f.conf[name], err = pgconf.Parse(path.Join(dataDir, name), data); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// checkTrigger refuses to make a standby that would promote itself at once.
func checkTrigger(ctx context.Context, files Files, f *found) error {
	name := f.trigger()
	if name == "" {
		return nil
	}
	if _, err := files.ReadFile(ctx, name); err == nil {
		return &DataDirError{File: name, Msg: "this trigger file is there, so the standby would promote itself at once: remove it"}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the trigger file: %w", err)
	}
	return nil
}
