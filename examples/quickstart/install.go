package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/understudy-ha/understudy/topology/pgnode"
)

// The majors for which the story is told.
const (
	minMajor = 10
	maxMajor = 18
)

// install is one PostgreSQL on this machine.
type install struct {
	major  int
	binDir string
}

// needed are the binaries the story uses. pg_rewind is not among them: without it the old master is cloned.
var needed = []string{"initdb", "postgres", "pg_ctl", "pg_basebackup"}

// places are where packages put PostgreSQL: Debian, Red Hat, Homebrew, and built from source.
var places = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin",
}

// findInstall chooses the PostgreSQL to use, as the flags say.
func findInstall(ctx context.Context, cmd runCommand) (install, error) {
	if cmd.Major != 0 && (cmd.Major < minMajor || cmd.Major > maxMajor) {
		return install{}, usageError{fmt.Errorf("--major %d: this works for PostgreSQL %d to %d", cmd.Major, minMajor, maxMajor)}
	}
	if cmd.Bindir != "" {
		return checkInstall(ctx, cmd.Bindir, cmd.Major)
	}
	var found []install
	var refused []string
	for _, dir := range candidates() {
		in, err := checkInstall(ctx, dir, cmd.Major)
		if err != nil {
			refused = append(refused, err.Error())
			continue
		}
		found = append(found, in)
	}
	if len(found) == 0 {
		return install{}, usageError{fmt.Errorf("no usable PostgreSQL found%s.\n"+
			"Install a server of major %d to %d (Debian and Ubuntu: apt-get install postgresql), name its binaries with --bindir, "+
			"or use --docker", strings.Join(append([]string{""}, refused...), "\n  "), minMajor, maxMajor)}
	}
	return slices.MaxFunc(found, func(a, b install) int { return cmp.Compare(a.major, b.major) }), nil
}

// candidates returns the directories that may hold binaries, without repetition.
func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	for _, pattern := range places {
		matches, _ := filepath.Glob(pattern) // the patterns are fixed and well-formed
		dirs = append(dirs, matches...)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// checkInstall reports which major a directory holds, or why it cannot be used.
func checkInstall(ctx context.Context, dir string, major int) (install, error) {
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return install{}, usageError{fmt.Errorf("%s: %s is missing", dir, name)}
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return install{}, usageError{fmt.Errorf("%s: postgres --version: %w", dir, err)}
	}
	in := install{binDir: dir}
	if in.major, err = pgnode.ParseVersion(string(out)); err != nil {
		return install{}, usageError{fmt.Errorf("%s: %w", dir, err)}
	}
	if in.major < minMajor || in.major > maxMajor {
		return install{}, usageError{fmt.Errorf("%s: PostgreSQL %d: this works for majors %d to %d", dir, in.major, minMajor, maxMajor)}
	}
	if major != 0 && in.major != major {
		return install{}, usageError{fmt.Errorf("%s: PostgreSQL %d, but --major says %d", dir, in.major, major)}
	}
	return in, nil
}
