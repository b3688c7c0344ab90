package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// Files reads and writes files on the machine that holds the data directory.
type Files interface {
	// ReadFile returns the content; the error matches [fs.ErrNotExist] only if the file certainly is not there.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces the file atomically and durably, or leaves the old one.
	WriteFile(ctx context.Context, path string, data []byte, perm fs.FileMode) error
}

// ConflictError says that postgresql.auto.conf sets a parameter that [Apply] was to set: the server would ignore ours.
type ConflictError struct {
	File  string
	Line  int
	Name  string
	Major int
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s:%d: %s is set here and wins over every other file; remove it with ALTER SYSTEM RESET %s, then try again",
		e.File, e.Line, e.Name, e.Name)
}

// Apply makes the stopped (or running, for settings that a reload or restart will pick up) server in dataDir a standby as
// cfg says, and leaves everything else in postgresql.conf as it is. It is idempotent. Each file is replaced atomically, and
// the file that carries the role is written first, so an interruption leaves at worst a standby without its settings, never
// a primary. Apply neither starts nor reloads the server.
func Apply(ctx context.Context, files Files, dataDir string, major int, cfg Config) error {
	rendered, err := cfg.Render(major)
	if err != nil {
		return err
	}
	if major >= 12 {
		if err := checkAutoConf(ctx, files, dataDir, major, cfg); err != nil {
			return err
		}
	}
	for _, f := range rendered {
		if err := files.WriteFile(ctx, path.Join(dataDir, f.Name), f.Data, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	if major >= 12 {
		return include(ctx, files, path.Join(dataDir, "postgresql.conf"))
	}
	return nil
}

// checkAutoConf refuses to compete with ALTER SYSTEM.
func checkAutoConf(ctx context.Context, files Files, dataDir string, major int, cfg Config) error {
	name := path.Join(dataDir, "postgresql.auto.conf")
	data, err := files.ReadFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postgresql.auto.conf: %w", err)
	}
	auto, err := pgconf.Parse(name, data)
	if err != nil {
		return err
	}
	for param := range cfg.settings() {
		if s, ok := auto.Get(param); ok {
			return &ConflictError{File: name, Line: s.Line, Name: param, Major: major}
		}
	}
	return nil
}

// include adds the line that pulls in [SettingsFile] at the end of postgresql.conf unless it is there.
func include(ctx context.Context, files Files, name string) error {
	data, err := files.ReadFile(ctx, name)
	if err != nil {
		return fmt.Errorf("read postgresql.conf: %w", err)
	}
	conf, err := pgconf.Parse(name, data)
	if err != nil {
		return err
	}
	for _, s := range conf.Settings() {
		if strings.HasPrefix(s.Name, "include") && s.Value == SettingsFile {
			return nil
		}
	}
	eol := "\n"
	if strings.Contains(string(data), "\r\n") {
		eol = "\r\n"
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, eol...)
	}
	data = append(data, "include_if_exists = '"+SettingsFile+"'"+eol...)
	if err := files.WriteFile(ctx, name, data, 0o600); err != nil {
		return fmt.Errorf("write postgresql.conf: %w", err)
	}
	return nil
}
