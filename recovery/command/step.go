package command

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// role is what a simple command does for the whole.
type role int

const (
	unknown  role = iota
	copies        // one file from source to target
	archives      // hands the file to a program with a store of its own
	tests         // whether a file exists
	exits         // ends with a status
	removes       // files of the archive
	filters       // one end of a pipe
	helps         // does something beside: mkdir, chmod, sync
)

// existing is what a copy does with a target that is there.
type existing int

const (
	replaces existing = iota
	skips             // leaves it, and succeeds
)

// step is a simple command, recognised.
type step struct {
	Command
	role role
	name string // of the program, without folder and extension
	args []Word

	source, target Word // of a copy; a test's file is its source
	absent         bool // the test asks for a file that is not there
	status         int  // of an exit
	lastStatus     bool // the exit has no status of its own
	existing       existing
	atomic         bool // of a copy: nobody sees a part under the final name
	durable        bool
	remote         bool
	tool           tool
	moves          bool
	public         bool // chmod for everybody
	pipefail       bool // from here on a pipe fails with any of its commands
}

// tool is a program with an archive of its own.
type tool struct {
	push, fetch string // the verbs, or "" if the program does the one or the other only
	pushes      bool   // of a program without verbs
	overwrites  bool
	careful     bool   // tells an unreachable archive from one that has no such file
	family      string // programs that read each other's archives
	option      string // names the archive
}

// What the programs do is told in their documentation; that they answer an unreachable archive with a status below 126, and
// which of them overwrite, was seen by running them (pgBackRest 2.45 and 2.60dev, WAL-G 3.0.9) or is in their source.
var tools = map[string]tool{
	"wal-g":                    {push: "wal-push", fetch: "wal-fetch", overwrites: true, family: "wal-g"},
	"wal-e":                    {push: "wal-push", fetch: "wal-fetch", overwrites: true, family: "wal-g"},
	"pgbackrest":               {push: "archive-push", fetch: "archive-get", family: "pgbackrest", option: "--stanza"},
	"pg_probackup":             {push: "archive-push", fetch: "archive-get", family: "pg_probackup", option: "--instance"},
	"barman-wal-archive":       {pushes: true, family: "barman"},
	"barman-wal-restore":       {family: "barman"},
	"barman-cloud-wal-archive": {pushes: true, overwrites: true, family: "barman-cloud"},
	"barman-cloud-wal-restore": {family: "barman-cloud"},
	"walarchive":               {push: "push", fetch: "fetch", careful: true, family: "walarchive", option: "--archive"},
}

// stores are the clients of object stores, with the verb that copies a file. Such a copy is durable and complete, or not there.
var stores = map[string]string{"aws": "cp", "gsutil": "cp", "s3cmd": "put", "mc": "cp", "rclone": "copyto", "azcopy": "copy"}

// streams write what they read to standard output, or to a file that an option names.
var streams = map[string]bool{
	"gzip": true, "pigz": true, "bzip2": true, "pbzip2": true, "xz": true, "zstd": true, "lz4": true, "lzop": true, "gunzip": true, "zcat": true,
	"bunzip2": true, "bzcat": true, "unxz": true, "xzcat": true, "unzstd": true, "zstdcat": true, "unlz4": true, "cat": true, "openssl": true,
	"gpg": true, "age": true, "pv": true, "type": true, "pg_compresslog": true, "pg_decompresslog": true,
}

var helpers = map[string]bool{
	"mkdir": true, "md": true, "chmod": true, "chown": true, "chgrp": true, "touch": true, "logger": true, "date": true, "sleep": true, "sync": true,
	"set": true, "umask": true, "cd": true, "mountpoint": true, "stat": true, "ls": true, "dir": true, "trap": true, "export": true, "find": true,
}

// wrappers run the command that follows them: their options with a value, and how many words of their own come before it.
var wrappers = map[string]struct {
	valued string
	words  int
}{
	"sudo": {"ugh", 0}, "nice": {"n", 0}, "ionice": {"cn", 0}, "timeout": {"ks", 1}, "env": {"uC", 0}, "nohup": {}, "exec": {}, "command": {},
	"time": {}, "chronic": {}, "setsid": {}, "envdir": {"", 1}, "chpst": {"ue", 0}, "call": {}, "flock": {"wE", 1},
}

// unwrap removes wrappers from the words of a command.
func unwrapWords(words []Word) (name string, args []Word) {
	for len(words) > 0 {
		text, _ := words[0].literal()
		name, args = programName(text), words[1:]
		w, ok := wrappers[name]
		if !ok || len(args) == 0 {
			return name, args
		}
		words = args
		for own := w.words; len(words) > 0; words = words[1:] {
			option, _ := words[0].literal()
			switch {
			case strings.HasPrefix(option, "-"):
				if len(option) == 2 && strings.Contains(w.valued, option[1:]) && len(words) > 1 {
					words = words[1:]
				}
				continue
			case name == "env" && strings.Contains(option, "="):
				continue
			case own > 0:
				own--
				continue
			}
			break
		}
	}
	return name, args
}

// programName returns the name of a program without its folder and, as on Windows, its extension.
func programName(text string) string {
	text = text[strings.LastIndexAny(text, `/\`)+1:]
	for _, ext := range []string{".exe", ".bat", ".cmd"} {
		if len(text) > len(ext) && strings.EqualFold(text[len(text)-len(ext):], ext) {
			text = text[:len(text)-len(ext)]
		}
	}
	return strings.ToLower(text)
}

// recognise says what a command does.
func recognise(c Command, shell Shell) step {
	st := step{Command: c}
	st.name, st.args = unwrapWords(c.Words)
	switch {
	case st.recogniseTest() || st.recogniseExit() || st.recogniseTool() || st.recogniseCopy(shell) || st.recogniseRemoval():
	case streams[st.name]:
		st.role = filters
	case helpers[st.name]:
		st.role = helps
		st.public = st.name == "chmod" && len(st.args) > 1 && isPublic(st.args)
		st.pipefail = st.name == "set" && slices.ContainsFunc(st.args, func(w Word) bool { return isWord(w, "pipefail") })
	case st.name == "" && len(c.Words) == 0:
		st.role = helps // assignments only
	}
	return st
}

func (st *step) recogniseTest() bool {
	var words []Word
	switch st.name {
	case "test":
		words = st.args
	case "[", "[[":
		words = st.args[:max(0, len(st.args)-1)]
	case "if":
		words = st.args
	default:
		return false
	}
	st.role = tests
	if len(words) > 0 && (isWord(words[0], "!") || isWord(words[0], "not")) {
		st.absent = true
		words = words[1:]
	}
	if st.Negated {
		st.absent = !st.absent
	}
	if len(words) >= 2 && (words[1].has(File) || words[1].has(Path)) {
		st.source = words[1]
		return true
	}
	st.role = helps // a test of something else
	return true
}

func (st *step) recogniseExit() bool {
	switch st.name {
	case "true", ":", "echo", "rem":
	case "false":
		st.status = 1
	case "exit":
		words := st.args
		if len(words) > 0 && isWord(words[0], "/b") {
			words = words[1:]
		}
		st.lastStatus = len(words) == 0
		if len(words) > 0 {
			text, _ := words[0].literal()
			st.status, _ = strconv.Atoi(text)
		}
	default:
		return false
	}
	if out, ok := st.output(); ok && (out.has(File) || out.has(Path)) {
		return false
	}
	st.role = exits
	return true
}

func (st *step) recogniseTool() bool {
	t, ok := tools[st.name]
	if !ok {
		return false
	}
	st.tool = t
	for _, w := range st.args {
		if text, ok := w.literal(); ok && text != "" {
			st.tool.pushes = st.tool.pushes || text == t.push
			if text == "cleanup" && st.name == "walarchive" {
				st.role = removes
				return true
			}
		}
	}
	st.role = archives
	return true
}

// recogniseCopy fills in where a copy comes from and goes to.
func (st *step) recogniseCopy(shell Shell) bool {
	words := positional(st.args, shell)
	switch st.name {
	case "cp", "install", "copy", "xcopy":
		st.existing = existingOf(st.args)
	case "mv", "move", "ren", "ln", "mklink":
		st.moves = true
	case "scp", "rsync":
		words = positional(st.args, shell, "-e", "--rsh", "-P", "-i", "-o", "-l", "-F", "-c", "--timeout", "--bwlimit")
		st.atomic = st.name == "rsync" && !st.option("--inplace", "--append", "--append-verify")
		st.durable = st.name == "rsync" && st.option("--fsync")
		st.moves = st.option("--remove-source-files")
		if st.option("--ignore-existing") {
			st.existing = skips
		}
	case "dd":
		st.dd()
		words = nil
	case "pg_standby":
		if words = positional(st.args, shell, "-k", "-r", "-s", "-t", "-w"); len(words) >= 3 {
			words = []Word{slices.Concat(words[0], Word{Text("/")}, words[1]), words[2]}
		}
	default:
		return st.recogniseStream(words) || st.recogniseStore(words)
	}
	if len(words) >= 2 {
		st.source, st.target = words[len(words)-2], words[len(words)-1]
	}
	if st.target == nil {
		return false
	}
	st.remote = st.name == "scp" || st.name == "rsync"
	st.role = copies
	return true
}

func (st *step) option(names ...string) bool {
	return slices.ContainsFunc(st.args, func(w Word) bool {
		text, ok := w.literal()
		return ok && slices.Contains(names, text)
	})
}

// existingOf reads the options of cp that leave an existing target alone; that it then succeeds depends on the release.
func existingOf(args []Word) existing {
	for _, w := range args {
		text, _ := w.literal()
		if text == "--no-clobber" || text == "--interactive" || len(text) > 1 && text[0] == '-' && text[1] != '-' && strings.ContainsAny(text, "ni") {
			return skips
		}
	}
	return replaces
}

func (st *step) dd() {
	for _, w := range st.args {
		if len(w) == 0 {
			continue
		}
		text, _ := w[0].(Text)
		if name, value, ok := strings.Cut(string(text), "="); ok {
			rest := w[1:]
			if value != "" {
				rest = slices.Concat(Word{Text(value)}, rest)
			}
			switch name {
			case "if":
				st.source = rest
			case "of":
				st.target = rest
			case "conv":
				st.durable = strings.Contains(value, "fsync") || strings.Contains(value, "fdatasync")
			}
		}
	}
}

// recogniseStream takes a command whose output goes to a file of the archive, or to %p.
func (st *step) recogniseStream(words []Word) bool {
	out, ok := st.output()
	if !ok || !streams[st.name] && !out.has(File) && !out.has(Path) {
		return false
	}
	st.role, st.target = copies, out
	for _, r := range st.Redirects {
		if r.Op == "<" {
			st.source = r.Target
		}
	}
	if st.source == nil && len(words) > 0 {
		st.source = words[len(words)-1]
	}
	return true
}

// output returns where standard output goes, if it is a file.
func (st *step) output() (Word, bool) {
	for _, r := range st.Redirects {
		if (r.Op == ">" || r.Op == ">>" || r.Op == ">|") && (r.FD == "" || r.FD == "1") && !isWord(r.Target, "/dev/null") && !isWord(r.Target, "nul") {
			return r.Target, true
		}
	}
	for i, w := range st.args {
		if text, _ := w.literal(); streams[st.name] && i+1 < len(st.args) && (text == "-o" || text == "--output" || text == "-out") {
			return st.args[i+1], true
		}
	}
	return nil, false
}

func (st *step) recogniseStore(words []Word) bool {
	verb, ok := stores[st.name]
	at := slices.IndexFunc(words, func(w Word) bool { return isWord(w, verb) })
	if !ok || at < 0 || len(words) < at+3 {
		return false
	}
	st.source, st.target = words[at+1], words[at+2]
	st.role, st.atomic, st.durable = copies, true, true
	return true
}

func (st *step) recogniseRemoval() bool {
	switch st.name {
	case "pg_archivecleanup", "rm", "del", "erase", "forfiles":
	case "find":
		if !st.option("-delete", "-exec", "-mtime", "-mmin") {
			return false
		}
	default:
		return false
	}
	st.role = removes
	return true
}

// byAge reports whether files are chosen by their age.
func (st *step) byAge() bool { return st.name == "find" || st.name == "forfiles" }

// positional returns the words that are no options. Options in valued take the word behind them.
func positional(args []Word, shell Shell, valued ...string) []Word {
	var words []Word
	for i := 0; i < len(args); i++ {
		text := args[i].String()
		switch {
		case slices.Contains(valued, text):
			i++
		case strings.HasPrefix(text, "-") && text != "-", shell == Windows && strings.HasPrefix(text, "/"):
		default:
			words = append(words, args[i])
		}
	}
	return words
}

// isPublic reports whether chmod lets everybody read.
func isPublic(args []Word) bool {
	mode, _ := args[0].literal()
	if strings.HasPrefix(mode, "-") && len(args) > 2 {
		mode, _ = args[1].literal()
	}
	if n, err := strconv.ParseUint(mode, 8, 16); err == nil {
		return n&4 != 0
	}
	who, rights, ok := strings.Cut(mode, "+")
	return ok && (who == "" || strings.ContainsAny(who, "ao")) && strings.Contains(rights, "r")
}

// place is where a file of the archive lies.
type place struct {
	text    string // as in the command
	host    string
	dir     string // cleaned; for Windows with slashes and in lower case
	name    string // "%f", perhaps with more around it
	unknown bool   // it has a part that only the shell knows
}

// placeOf splits the name of a file. A folder alone keeps the name that the file has.
func placeOf(w Word, shell Shell) place {
	p := place{text: w.String()}
	text := p.text
	for _, piece := range w {
		if _, ok := piece.(Unknown); ok {
			p.unknown = true
		}
	}
	if shell == Windows {
		text = strings.ToLower(strings.ReplaceAll(text, `\`, "/"))
	}
	if scheme := strings.Index(text, "://"); scheme < 0 {
		if host, rest, ok := strings.Cut(text, ":"); ok && !strings.Contains(host, "/") && (shell == POSIX || len(host) > 1) {
			p.host, text = host, strings.TrimPrefix(rest, ":")
		}
	}
	slash := strings.LastIndexByte(text, '/')
	p.dir, p.name = path.Clean("./"+text[:slash+1]), text[slash+1:]
	if strings.HasPrefix(text, "/") {
		p.dir = path.Clean(text[:slash+1])
	}
	if strings.HasPrefix(text, "//") {
		p.dir = "/" + p.dir // a server's share
	}
	if p.name == "" || p.name == "." {
		p.name = "%f"
	}
	return p
}

// relative reports whether the place is below the data directory.
func (p place) relative(shell Shell) bool {
	if p.host != "" || p.unknown || strings.HasPrefix(p.text, "~") || strings.Contains(p.text, "://") {
		return false
	}
	if shell == Windows {
		return !strings.HasPrefix(p.text, `\`) && !strings.HasPrefix(p.text, "/") && !strings.Contains(p.text, ":")
	}
	return !strings.HasPrefix(p.text, "/")
}
