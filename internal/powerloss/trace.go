package powerloss

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Trace is what a program did to the files of a folder.
type Trace struct {
	Exit int // the program's exit code

	begin *disk
	ops   []op
}

// op is one change, or one fsync.
type op struct {
	kind opKind
	path string // below the folder; "." is the folder itself
	to   string // of link and rename
	at   int64  // of write and truncate
	data []byte // of write
}

type opKind string

const (
	opCreate   opKind = "create"
	opWrite    opKind = "write"
	opTruncate opKind = "truncate"
	opSync     opKind = "sync"
	opLink     opKind = "link"
	opRename   opKind = "rename"
	opUnlink   opKind = "unlink"
	opMkdir    opKind = "mkdir"
)

func (o op) String() string {
	text := string(o.kind) + " " + o.path
	if o.to != "" {
		text += " to " + o.to
	}
	if o.kind == opWrite {
		text += fmt.Sprintf(" %d bytes at %d", len(o.data), o.at)
	}
	return text
}

// calls are the system calls that change files or their names.
const calls = "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,link,linkat," +
	"rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,symlink,symlinkat,copy_file_range,sendfile,splice,mmap,lseek,chdir,fchdir"

// Available says whether strace is there.
func Available() bool {
	_, err := exec.LookPath("strace")
	return err == nil
}

// Record runs a program that changes files below folder, which must exist. That the program fails is no error: see Trace.Exit.
func Record(cmd *exec.Cmd, folder string) (*Trace, error) {
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	t := &Trace{}
	if t.begin, err = readDisk(root); err != nil {
		return nil, err
	}
	log, err := os.CreateTemp("", "strace")
	if err != nil {
		return nil, err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, err
	}
	cmd.Args = append([]string{strace, "-f", "-y", "-xx", "-s", "4194304", "-e", "trace=" + calls, "-e", "signal=none", "-o", log.Name(), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		t.Exit = ended.ExitCode()
	} else if err != nil {
		return nil, err
	}
	t.ops, err = parse(log, root, cmd.Dir)
	return t, err
}

// parser reads the output of strace.
type parser struct {
	root    string
	cwd     string
	begun   map[string]string // by process: the first half of a call
	offsets map[string]int64  // by process group would be right; by path is enough, since nobody here opens a file twice to write to it
	ops     []op
}

func parse(log *os.File, root, cwd string) ([]op, error) {
	cwd, err := filepath.Abs(cwd) // the current one if it is not said
	if err != nil {
		return nil, err
	}
	p := &parser{root: root, cwd: cwd, begun: map[string]string{}, offsets: map[string]int64{}}
	lines := bufio.NewReaderSize(log, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && line == "":
			return p.ops, nil
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		}
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
	}
}

func (p *parser) line(line string) error {
	pid, call, _ := strings.Cut(line, " ")
	call = strings.TrimLeft(call, " ")
	if first, found := strings.CutSuffix(call, " <unfinished ...>"); found {
		p.begun[pid] = first
		return nil
	}
	if strings.HasPrefix(call, "<... ") {
		_, rest, _ := strings.Cut(call, " resumed>")
		call = p.begun[pid] + rest
		delete(p.begun, pid)
	}
	name, rest, found := strings.Cut(call, "(")
	end := strings.LastIndex(rest, ") ")
	if !found || end < 0 || strings.HasPrefix(call, "+++") || strings.HasPrefix(call, "---") {
		return nil
	}
	result := strings.TrimLeft(rest[end+2:], " =")
	if strings.HasPrefix(result, "-1 ") || result == "?" {
		return nil // it failed, and changed nothing
	}
	if err := p.call(name, splitArgs(rest[:end]), result); err != nil {
		return fmt.Errorf("%w: %.300s", err, call)
	}
	return nil
}

// splitArgs splits at commas outside of strings and the <paths> of descriptors.
func splitArgs(text string) []string {
	var args []string
	quoted, begin, depth := false, 0, 0
	for i, c := range []byte(text) {
		switch {
		case c == '"':
			quoted = !quoted // with -xx no quote stands in a string
		case quoted:
		case c == '<' || c == '{' || c == '[':
			depth++
		case c == '>' || c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(text[begin:i]))
			begin = i + 1
		}
	}
	return append(args, strings.TrimSpace(text[begin:]))
}

var errUnknown = errors.New("a system call that the model of the file system does not know")

// call notes a call that succeeded.
func (p *parser) call(name string, args []string, result string) error {
	switch name {
	case "open", "openat", "creat":
		return p.open(name, args, result)
	case "write":
		return p.write(args[0], args[1], result, -1)
	case "pwrite64":
		at, err := strconv.ParseInt(args[3], 10, 64)
		if err != nil {
			return err
		}
		return p.write(args[0], args[1], result, at)
	case "lseek":
		return p.seek(args[0], result)
	case "ftruncate":
		return p.truncate(args)
	case "fsync", "fdatasync":
		p.note(op{kind: opSync, path: p.below(descriptor(args[0]))})
	case "link", "rename":
		return p.named(name, "", args[0], "", args[1])
	case "linkat", "renameat", "renameat2":
		return p.named(strings.TrimSuffix(strings.TrimSuffix(name, "2"), "at"), args[0], args[1], args[2], args[3])
	case "unlink", "rmdir":
		return p.named("unlink", "", args[0], "", "")
	case "unlinkat":
		return p.named("unlink", args[0], args[1], "", "")
	case "mkdir":
		return p.named("mkdir", "", args[0], "", "")
	case "mkdirat":
		return p.named("mkdir", args[0], args[1], "", "")
	case "mmap":
		if strings.Contains(args[2], "PROT_WRITE") && strings.Contains(args[3], "MAP_SHARED") && len(args) > 4 && p.below(descriptor(args[4])) != "" {
			return errUnknown
		}
	case "chdir", "fchdir":
		return errUnknown
	default:
		for _, a := range args {
			if p.below(descriptor(a)) != "" || p.below(text(a)) != "" {
				return errUnknown
			}
		}
	}
	return nil
}

func (p *parser) open(name string, args []string, result string) error {
	path := p.below(descriptor(result))
	flags := "O_CREAT|O_TRUNC"
	switch name {
	case "open":
		flags = args[1]
	case "openat":
		flags = args[2]
	}
	if path == "" || !strings.Contains(flags, "O_CREAT") && !strings.Contains(flags, "O_TRUNC") && !strings.Contains(flags, "O_APPEND") {
		return nil
	}
	if strings.Contains(flags, "O_APPEND") || strings.Contains(flags, "O_TMPFILE") {
		return errUnknown
	}
	p.offsets[path] = 0
	if strings.Contains(flags, "O_CREAT") {
		p.note(op{kind: opCreate, path: path})
	}
	if strings.Contains(flags, "O_TRUNC") {
		p.note(op{kind: opTruncate, path: path})
	}
	return nil
}

// write notes what was written; at is negative for the current position.
func (p *parser) write(fd, content, result string, at int64) error {
	path := p.below(descriptor(fd))
	if path == "" {
		return nil
	}
	n, err := strconv.Atoi(result)
	if err != nil {
		return err
	}
	data := text(content)
	if len(data) < n {
		return errors.New("strace has cut what was written")
	}
	if at < 0 {
		at = p.offsets[path]
		p.offsets[path] += int64(n)
	}
	p.note(op{kind: opWrite, path: path, at: at, data: []byte(data[:n])})
	return nil
}

func (p *parser) seek(fd, result string) error {
	at, err := strconv.ParseInt(result, 10, 64)
	if path := p.below(descriptor(fd)); path != "" && err == nil {
		p.offsets[path] = at
	}
	return nil
}

func (p *parser) truncate(args []string) error {
	path := p.below(descriptor(args[0]))
	at, err := strconv.ParseInt(args[1], 10, 64)
	if path != "" && err == nil {
		p.note(op{kind: opTruncate, path: path, at: at})
	}
	return err
}

// named notes a change of names.
func (p *parser) named(kind, dir, name, toDir, toName string) error {
	from := p.resolve(dir, text(name))
	to := ""
	if toName != "" {
		if to = p.resolve(toDir, text(toName)); (from == "") != (to == "") {
			return errors.New("a name moves into or out of the folder")
		}
		p.offsets[to] = p.offsets[from]
	}
	p.note(op{kind: opKind(kind), path: from, to: to})
	return nil
}

// note adds what happens below the folder.
func (p *parser) note(o op) {
	if o.path != "" {
		p.ops = append(p.ops, o)
	}
}

// resolve gives the path below the folder of a name in a directory, which may be AT_FDCWD or not be said.
func (p *parser) resolve(dir, name string) string {
	if filepath.IsAbs(name) {
		return p.below(name)
	}
	if dir == "" {
		dir = p.cwd
	} else {
		dir = descriptor(dir)
	}
	return p.below(filepath.Join(dir, name))
}

// below gives the path below the folder, "." for itself, or nothing for one elsewhere.
func (p *parser) below(path string) string {
	if path == "" || !filepath.IsAbs(path) {
		return ""
	}
	rel, err := filepath.Rel(p.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return ""
	}
	return rel
}

// descriptor gives the path that strace -y shows behind a file descriptor.
func descriptor(arg string) string {
	_, path, found := strings.Cut(arg, "<")
	end := strings.LastIndex(path, ">")
	if !found || end < 0 {
		return ""
	}
	return strings.TrimSuffix(unhex(path[:end]), " (deleted)")
}

// text gives the content of a string that strace shows.
func text(arg string) string {
	arg = strings.TrimSuffix(arg, "...")
	return unhex(strings.TrimSuffix(strings.TrimPrefix(arg, `"`), `"`))
}

// unhex replaces \xNN.
func unhex(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	b := make([]byte, 0, len(s)/4+16)
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b = append(b, byte(v))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
