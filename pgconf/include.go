package pgconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// maxDepth is how many levels deep a server includes files.
const maxDepth = 10

// maxBytes bounds what one walk reads, files that are included several times counted each time, so that no tree of links and
// includes makes it run for ever. A server has no such bound. Each file counts as 16 kB more than it has, each line as 64 bytes more.
const (
	maxBytes   = 256 << 20
	fileWeight = 16 << 10
	lineWeight = 64
)

// ErrTooBig is matched by the problem that the files, with what they include, exceed 256 MB. A server has no such bound; ours is
// there so that no tree of links and includes makes [Load] run for ever.
var ErrTooBig = errors.New("the files with all that they include are too big (256 MB)")

// mode is how a walk goes on after an error.
type mode bool

const (
	tolerant mode = false // reads all it can
	asServer mode = true  // gives up where the process of a session would, which answers for pg_file_settings
)

// entry is a setting, or the problem that a server lists among the settings.
type entry struct {
	Setting
	origin  Origin
	problem *LoadError
}

// walk is one reading of all files, in the order of a server.
type walk struct {
	c        *Config
	mode     mode
	entries  []entry
	problems LoadErrors
	via      []Place         // the directives that led to the current file
	origin   Origin          // of the current file
	reported map[string]bool // places of problems
	order    []string        // clean paths of the files read
	read     map[string]bool // the same
	bytes    int             // read so far
	dataDir  string
}

func (c *Config) walk(m mode) *walk {
	w := &walk{c: c, mode: m, origin: FromFile, reported: map[string]bool{}, read: map[string]bool{}}
	ok := w.file(c.main, nil)
	w.dataDir = w.findDataDir()
	if c.major >= V9_4 && w.dataDir != "" && (ok || m == tolerant) {
		w.origin = FromAutoConf
		w.file(path.Join(w.dataDir, AutoConf), nil)
	}
	return w
}

// findDataDir returns the data directory as SelectConfigFiles in guc.c finds it. From 9.4 on, data_directory counts in lower case only.
func (w *walk) findDataDir() string {
	s, ok := last(w.c.args, "data_directory")
	for i := len(w.entries) - 1; i >= 0 && !ok; i-- {
		e := w.entries[i]
		if e.Name == "data_directory" && (e.Spelling == e.Name || w.c.major < V9_4) {
			s, ok = e.Setting, true
		}
	}
	switch {
	case !ok:
		return w.c.dataDir
	case path.IsAbs(s.Value):
		return path.Clean(s.Value)
	}
	_ = w.report(s.Place(), fs.ErrInvalid, "data_directory is relative to the folder the server is started in, which no file tells; write an absolute path")
	return ""
}

// file reads one file, on behalf of a directive or, if that is nil, of nobody. It reports whether a server could.
func (w *walk) file(name string, d *Setting) bool {
	if w.bytes > maxBytes {
		return false
	}
	s := w.c.read(name)
	if s.err != nil {
		return w.unreadable(name, d, s)
	}
	w.bytes += len(s.before) + fileWeight + len(s.tree.lines)*lineWeight
	if w.bytes > maxBytes {
		w.fail(placeOf(name, d), ErrTooBig, ErrTooBig.Error()+"; include less")
		return false
	}
	if clean := path.Clean(name); !w.read[clean] {
		w.read[clean] = true
		w.order = append(w.order, clean)
	}
	if d != nil {
		w.via = append(w.via, d.Place())
		defer func() { w.via = w.via[:len(w.via)-1] }()
	}
	return w.content(name, s)
}

// content reads a file that is there.
func (w *walk) content(name string, s *source) bool {
	ok := true
	for i, l := range s.tree.lines {
		if l.kind == lineSetting {
			set := s.tree.setting(i)
			set.File = name
			if !set.IsInclude() {
				w.entries = append(w.entries, entry{Setting: set, origin: w.origin})
			} else if !w.directive(set) {
				ok = false
			}
		} else if bad := s.tree.syntaxError(i); bad != nil {
			ok = false
			bad.File = name
			w.fail(Place{name, bad.Line, bad.Col}, bad, bad.Msg)
			if w.mode == asServer {
				return false
			}
		}
	}
	return ok
}

// syntaxError says what is wrong with a line that is no setting, or returns nil.
func (f *File) syntaxError(i int) *SyntaxError {
	_, bad := classifyLine(i, f.raw(i))
	if bad.msg == "" {
		return nil
	}
	return &SyntaxError{File: f.name, Line: i + 1, Col: bad.at + 1, Msg: bad.message()}
}

// directive follows an include directive.
func (w *walk) directive(d Setting) bool {
	since := V9_0
	switch d.Name {
	case "include_if_exists":
		since = V9_2
	case "include_dir":
		since = V9_3
	}
	switch {
	case w.c.major < since:
		w.fail(d.Place(), errors.ErrUnsupported, fmt.Sprintf("%s exists from %s on, the server is a %s; write include", d.Name, since, w.c.major))
	case strings.Trim(d.Value, " \t\r\n") == "":
		w.fail(d.Place(), ErrIncludeEmpty, ErrIncludeEmpty.Error()+"; name one, or put a # before the line")
	case d.Name == "include_dir":
		return w.dir(d)
	default:
		return w.include(d.Value, d)
	}
	return false
}

// include reads the file of that path for a directive.
func (w *walk) include(name string, d Setting) bool {
	if len(w.via) >= maxDepth {
		w.fail(d.Place(), ErrIncludeDepth, ErrIncludeDepth.Error()+", which no server follows; a file may include itself by a detour")
		return false
	}
	name = filePath(w.c.major, d.File, name)
	if name == d.File && w.c.major > V9_6 {
		w.fail(d.Place(), ErrIncludeRecursion, ErrIncludeRecursion.Error()+"; remove the line, or the file from the folder")
		return false
	}
	return w.file(name, &d)
}

// dir reads the files of a folder for a directive: all that GetConfFilesInDir in conffiles.c returns.
func (w *walk) dir(d Setting) bool {
	dir := filePath(w.c.major, d.File, d.Value)
	names, err := w.c.confFiles(dir)
	if err != nil {
		w.fail(d.Place(), err, fmt.Sprintf("cannot read the folder %q: %s", dir, cause(err)))
		return false
	}
	ok := true
	for _, name := range names {
		if !w.include(joinPath(w.c.major, dir, name), d) {
			ok = false
			if w.mode == asServer {
				break
			}
		}
	}
	return ok
}

// folder is what include_dir takes of one folder.
type folder struct {
	names []string // in the server's order, which is that of their bytes
	err   error
}

// confFiles returns the names in a folder that include_dir takes. Each folder is read once.
func (c *Config) confFiles(dir string) ([]string, error) {
	dir = path.Clean(dir)
	f, ok := c.folders[dir]
	if !ok {
		f.names, f.err = c.readFolder(dir)
		c.folders[dir] = f
	}
	return f.names, f.err
}

func (c *Config) readFolder(dir string) ([]string, error) {
	inFS, err := c.inFS(dir)
	if err != nil {
		return nil, err
	}
	all, err := fs.ReadDir(c.fsys, inFS)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range all {
		name := e.Name()
		if len(name) < len("x.conf") || name[0] == '.' || !strings.HasSuffix(name, ".conf") {
			continue
		}
		info, err := fs.Stat(c.fsys, path.Join(inFS, name)) // of what a link leads to
		if err != nil {
			return nil, fmt.Errorf("%s in it: %w", name, cause(err))
		}
		if !info.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}

// unreadable judges a file that could not be read. A server passes over a file for include_if_exists and postgresql.auto.conf
// whatever hinders it from opening them; we do so only if nobody could open them, for what hinders us need not hinder the server.
func (w *walk) unreadable(name string, d *Setting, s *source) bool {
	switch {
	case absent(s.err) && (d == nil && w.origin == FromAutoConf || d != nil && d.Name == "include_if_exists"):
		return true
	case s.opened: // the server blames the file, not the directive
		if d != nil {
			w.via = append(w.via, d.Place())
			defer func() { w.via = w.via[:len(w.via)-1] }()
		}
		w.fail(Place{File: name, Line: 1}, s.err, s.err.Error())
	case d == nil:
		w.fail(Place{File: name}, s.err, fmt.Sprintf("cannot read the file: %s", cause(s.err)))
	case d.Name == "include" && errors.Is(s.err, fs.ErrNotExist):
		w.fail(d.Place(), s.err, fmt.Sprintf("there is no file %q; create it, or write include_if_exists if it may be missing", name))
	default:
		w.fail(d.Place(), s.err, fmt.Sprintf("cannot read the file %q: %s", name, cause(s.err)))
	}
	return false
}

// placeOf returns the place to blame for a file that is read for a directive, if there is one.
func placeOf(name string, d *Setting) Place {
	if d == nil {
		return Place{File: name}
	}
	return d.Place()
}

// fail records a problem where a server would, among the settings.
func (w *walk) fail(at Place, err error, msg string) {
	p := w.report(at, err, msg)
	w.entries = append(w.entries, entry{Setting: Setting{File: at.File, Line: at.Line, Col: at.Col}, origin: w.origin, problem: p})
}

// report adds a problem to the list unless it is there already, as for a file that is included twice, or the list is full.
func (w *walk) report(at Place, err error, msg string) *LoadError {
	p := &LoadError{Place: at, Msg: msg, Via: slices.Clone(w.via), Err: err}
	if key := p.Place.String() + msg; !w.reported[key] && (len(w.problems) < maxProblems || errors.Is(err, ErrTooBig)) {
		w.reported[key] = true
		w.problems = append(w.problems, p)
	}
	return p
}

// absent reports whether err says that there is no such file, whoever looks.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENAMETOOLONG)
}

// cause returns an error without the name in the file system, which nobody would know.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
