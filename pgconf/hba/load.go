package hba

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

const (
	// maxDepth is how deep includes and @files may nest (16+; CONF_FILE_MAX_DEPTH in the server).
	maxDepth = 10

	// maxFiles, maxBytes and maxAgain end the reading of files that name each other over and over, which a server would read
	// until the end of its days: how many files may be read besides the first one, how many bytes they may have together, and
	// how many of them while they were being read already.
	maxFiles = 10_000
	maxBytes = 256 << 20
	maxAgain = 100
)

// loader reads a file and those it names, as tokenize_auth_file in hba.c does.
type loader struct {
	fsys  fs.FS
	major pgconf.Major
	emit  emitLine
	errs  pgconf.SyntaxErrors

	open    []string // the files being read, the first one first
	files   int
	bytes   int
	again   int
	stopped bool
}

// emitLine takes a line that is not empty and its columns, or what is wrong with it. It keeps neither.
type emitLine func(file string, line *logicalLine, c *columns, err *lineError)

// load reads the first file. The error says why it cannot be read.
func (l *loader) load(name string) error {
	b, err := l.readFile(name)
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: name, Err: p.Err} // the name that the caller knows
	}
	if err != nil {
		return err
	}
	l.tokenize(name, string(b), l.emit)
	return nil
}

// errNotRegular is the error for a pipe or a device: reading it might never end.
var errNotRegular = errors.New("is not a regular file")

func (l *loader) readFile(name string) ([]byte, error) {
	if info, err := fs.Stat(l.fsys, inFS(name)); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: inFS(name), Err: errNotRegular}
	}
	return fs.ReadFile(l.fsys, inFS(name))
}

// inFS returns the name under which a file system knows a file.
func inFS(name string) string { return strings.TrimPrefix(path.Clean(name), "/") }

// tokenize reads the text of a file and what it includes.
func (l *loader) tokenize(file, text string, emit emitLine) {
	l.open = append(l.open, file)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	var c columns
	expand := func(c *columns, w word) *lineError { return l.expand(file, c, w) }
	lines := lineReader{text: text, major: l.major}
	var line logicalLine
	for ok := lines.next(&line); ok && !l.stopped; ok = lines.next(&line) {
		err := splitLine(&line, l.major, &c, expand)
		if err == nil && len(c.ends) == 0 {
			continue
		}
		if err == nil {
			if directive, name := includeDirective(&c, l.major); directive != "" {
				if err = l.include(directive, file, name, emit); err == nil {
					continue
				}
			}
		}
		emit(file, &line, &c, err)
	}
}

// expand adds the tokens of an @file to c, in the place of the word that names it. Before 10 a file that cannot be read stands
// for nothing; before 9.2 it keeps its place, where it matches nothing.
func (l *loader) expand(file string, c *columns, w word) *lineError {
	name := resolve(file, w.text[1:])
	text, problem, _ := l.read(name)
	if problem != "" {
		switch {
		case l.major < pgconf.V9_2:
			c.words = append(c.words, word{start: w.start, anyQuote: true, quoted: true, raw: `""`})
			return nil
		case l.major < 10:
			return nil
		}
		return errorAt(w.start, problem)
	}
	var first *lineError
	l.tokenize(name, text, func(file string, line *logicalLine, inner *columns, err *lineError) {
		switch {
		case first != nil:
		case err != nil:
			first = &lineError{at: w.start, msg: err.msg, inside: err.syntaxError(file, line)}
		default:
			for _, word := range inner.words {
				word.start = w.start
				if first = c.add(word); first != nil {
					return
				}
			}
		}
	})
	return first
}

// include follows an include directive.
func (l *loader) include(directive, file string, name word, emit emitLine) *lineError {
	if directive == "include_dir" {
		return l.includeDir(file, name, emit)
	}
	full := resolve(file, name.text)
	text, problem, missing := l.read(full)
	switch {
	case missing && directive == "include_if_exists":
	case problem != "":
		return errorAt(name.start, problem)
	default:
		l.tokenize(full, text, emit)
	}
	return nil
}

// includeDir reads the files of a folder that end in .conf, hidden ones and folders left out, in byte order of their names.
// All of them are read, and then the first problem is reported.
func (l *loader) includeDir(file string, name word, emit emitLine) *lineError {
	if strings.Trim(name.text, " \t\r\n") == "" {
		return errorAt(name.start, "the name of the folder is empty")
	}
	dir := resolve(file, name.text)
	names, problem := confFiles(l.fsys, dir)
	if problem != "" {
		return errorAt(name.start, problem)
	}
	var first *lineError
	for _, n := range names {
		text, problem, _ := l.read(n)
		if problem == "" {
			l.tokenize(n, text, emit)
		} else if first == nil {
			first = errorAt(name.start, problem)
		}
	}
	return first
}

// confFiles returns what include_dir reads of a folder, as GetConfFilesInDir in the server does, or what is wrong with it.
func confFiles(fsys fs.FS, dir string) (names []string, problem string) {
	entries, err := fs.ReadDir(fsys, inFS(dir))
	if err != nil {
		return nil, cannotRead(dir, err)
	}
	for _, e := range entries {
		name := e.Name()
		if len(name) < len("a.conf") || name[0] == '.' || !strings.HasSuffix(name, ".conf") {
			continue
		}
		full := path.Join(dir, name)
		info, err := fs.Stat(fsys, inFS(full))
		if err != nil {
			return nil, cannotRead(full, err)
		}
		if !info.IsDir() {
			names = append(names, full)
		}
	}
	return names, ""
}

// read returns the text of a file that another one names, or what is wrong with it. missing says whether it is only not there.
func (l *loader) read(name string) (text, problem string, missing bool) {
	isOpen := slices.Contains(l.open, name)
	switch {
	case l.major >= includeSince && len(l.open) > maxDepth:
		return "", "cannot read " + name + ": files are nested deeper than " + strconv.Itoa(maxDepth), false
	case l.major < includeSince && isOpen:
		return "", "cannot read " + name + ": it stands for itself", false
	case isOpen:
		l.again++
	}
	l.files++
	if l.files > maxFiles || l.bytes > maxBytes || l.again > maxAgain {
		l.stopped = true
		return "", "cannot read " + name + ": the files that are read here name each other too often", false
	}
	b, err := l.readFile(name)
	if err != nil {
		return "", cannotRead(name, err), errors.Is(err, fs.ErrNotExist)
	}
	l.bytes += len(b)
	return string(b), "", false
}

// cannotRead says why a file or folder cannot be read, without the name of the system call.
func cannotRead(name string, err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return "cannot read " + name + ": " + err.Error()
}

// resolve returns the name of a file that another file names.
func resolve(file, name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name)
	}
	return path.Join(path.Dir(file), name)
}
