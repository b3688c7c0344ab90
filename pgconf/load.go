package pgconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Options tell [Load] what the main file does not say. The zero value serves a main file that lies in its data directory of a
// server of the newest major, and a file system that begins at the root.
type Options struct {
	// Major is the server's. It decides which directives exist, whether there is a postgresql.auto.conf, and how paths are
	// shown. Zero means [Newest].
	Major Major

	// Args are the arguments with which postgres is started, without the program name, such as -p 5433 or
	// -c work_mem=64MB; the file postmaster.opts in a data directory has those of the last start. They overrule every file.
	Args []string

	// DataDir is the folder with postgresql.auto.conf, as -D gives it; -D among Args goes before it if it is absolute. A server
	// looks there only if the setting data_directory, in Args or the files, does not name another one. It is absolute or
	// relative to Root. Empty means the folder of the main file.
	DataDir string

	// Root is the absolute path of the folder that is the root of the file system given to Load. Files outside of it cannot
	// be read, which is an error. Empty means "/", which goes with os.DirFS("/").
	Root string
}

// AutoConf is the name of the file in the data directory that ALTER SYSTEM writes (9.4+). It is read after all others.
const AutoConf = "postgresql.auto.conf"

// Config is the configuration of one server: the command line, the main file, the files it includes, and
// postgresql.auto.conf. Make one with [Load]. Its methods look at the files' trees each time they are called, so they also see
// edits made to a tree. It is not safe for concurrent use.
type Config struct {
	fsys    fs.FS
	root    string
	main    string // absolute
	major   Major
	args    []Setting          // from the command line
	dataDir string             // as -D has it, or that of the main file
	files   map[string]*source // by clean path, each read once
	folders map[string]folder
	loaded  []entry // as it was at first
}

// Load reads the configuration of a server: the main file, which is postgresql.conf as a rule, and every file that the server would
// read with it, as ParseConfigFile in src/backend/utils/misc/guc-file.l does. The path of the main file is absolute or
// relative to Options.Root; in fsys, an absolute path has lost the root. If it is empty, Args tell it (config_file, or
// postgresql.conf in the folder of -D).
//
// The error is nil if a server could read everything; whether it would accept the settings is not for this package to say. It
// matches [ErrArgs] for Args that postgres would refuse, and then there is no Config. Else it is [LoadErrors]: the Config is there all the
// same, and holds all that could be read. A server with such files does not start, and a running one ignores them.
func Load(fsys fs.FS, main string, opt Options) (*Config, error) {
	if opt.Major == 0 {
		opt.Major = Newest
	}
	line, err := parseArgs(opt.Major, opt.Args)
	if err != nil {
		return nil, err
	}
	c := &Config{
		fsys: fsys, root: path.Join("/", opt.Root), major: opt.Major, args: line.settings,
		files: map[string]*source{}, folders: map[string]folder{},
	}
	c.dataDir = opt.DataDir
	if line.dataDir != "" && (path.IsAbs(line.dataDir) || c.dataDir == "") {
		c.dataDir = line.dataDir
	}
	if main == "" {
		main = c.mainFromArgs()
	}
	switch {
	case main == "":
		return nil, fmt.Errorf("%w: neither they nor the caller say which file is the main one; give its path", ErrArgs)
	case line.dataDir != "" && c.dataDir == line.dataDir && !path.IsAbs(c.dataDir):
		return nil, fmt.Errorf("%w: -D is relative to the folder the server is started in, which nobody tells; give its path in Options", ErrArgs)
	}
	c.main = c.absolute(main)
	if c.dataDir == "" {
		c.dataDir = path.Dir(c.main)
	}
	c.dataDir = c.absolute(c.dataDir)
	w := c.walk(tolerant)
	c.loaded = w.entries
	return c, w.problems.err()
}

// mainFromArgs returns the path of the main file if Args tell it.
func (c *Config) mainFromArgs() string {
	if s, ok := last(c.args, "config_file"); ok {
		return s.Value
	}
	if c.dataDir != "" {
		return path.Join(c.dataDir, "postgresql.conf")
	}
	return ""
}

// Main returns the absolute path of the main file.
func (c *Config) Main() string { return c.main }

// Major returns the major of the server that the files were read for.
func (c *Config) Major() Major { return c.major }

// DataDir returns the absolute path of the data directory: what the setting data_directory says, on the command line or in the
// files, else what [Options] say. A relative data_directory counts from the folder the server is started in, which nobody
// knows: then it is empty, and a [LoadError] says so.
func (c *Config) DataDir() string { return c.walk(tolerant).dataDir }

// Err returns what Load returned, if asked again now: nil if a server could read all the files, else [LoadErrors].
func (c *Config) Err() error { return c.walk(tolerant).problems.err() }

// source is one file of the file system, read or not.
type source struct {
	tree   *File  // nil if it could not be read
	before []byte // what was read
	isNew  bool   // not there yet
	err    error  // why it could not be read
	opened bool   // it could be opened: the server takes that err for one inside the file
}

var errDir = errors.New("is a directory")

// read returns the file at a path that an Entry or a directive has. Each is read once.
func (c *Config) read(name string) *source {
	name = path.Clean(name)
	if s, ok := c.files[name]; ok {
		return s
	}
	s := c.readNew(name)
	c.files[name] = s
	return s
}

func (c *Config) readNew(name string) *source {
	inFS, err := c.inFS(name)
	if err != nil {
		return &source{err: err}
	}
	info, err := fs.Stat(c.fsys, inFS)
	switch {
	case err != nil:
		return &source{err: err}
	case info.IsDir():
		return &source{err: errDir, opened: true}
	case !info.Mode().IsRegular():
		return &source{err: errors.New("is not a regular file"), opened: true}
	case info.Size() > maxBytes:
		return &source{err: ErrTooBig, opened: true}
	}
	b, err := fs.ReadFile(c.fsys, inFS)
	if err != nil {
		return &source{err: err}
	}
	s := &source{before: b, opened: true}
	s.tree, _ = Parse(name, b) // the walk finds its errors
	return s
}

var errOutside = errors.New("is outside of the folder that can be read")

// inFS returns the name that a path has in the file system.
func (c *Config) inFS(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, c.root)
	switch {
	case !ok || c.root != "/" && rest != "" && rest[0] != '/':
		return "", fmt.Errorf("%w %s", errOutside, c.root)
	case strings.IndexByte(name, 0) >= 0 || len(name) >= maxPath:
		return "", fmt.Errorf("is not a path: %w", fs.ErrInvalid)
	}
	rest = strings.TrimPrefix(rest, "/")
	if rest == "" {
		rest = "."
	}
	return rest, nil
}

// absolute makes a path that the caller gave absolute. The result is clean.
func (c *Config) absolute(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(c.root, name)
}

// last returns the last setting of a folded name.
func last(settings []Setting, name string) (Setting, bool) {
	for i := len(settings) - 1; i >= 0; i-- {
		if settings[i].Name == name {
			return settings[i], true
		}
	}
	return Setting{}, false
}
