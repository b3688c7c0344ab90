//go:build unix

package host

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// wrapper runs around every command on a machine that is reached through another program or a connection. What to run comes as
// lines of its standard input, before what is the command's own (see header): so no secret is in an argument, nothing has to be
// quoted for a shell nobody knows, and arguments may be long. It reads byte by byte, as POSIX wants read to, and takes no
// byte too many.
//
// It reports what happens on both outputs, in lines that begin with a tag that nobody else knows. An exit code alone cannot tell
// "the command exited with 1" from "it was never started", nor a command that ended from a connection that did; and what
// stands between the marks is all that the command wrote, whatever a login script said before, or a process left behind says after.
//
// Having said that it could start, it waits for the word go.
const wrapper = `u_say() { printf '%s %s\n' "$u_tag" "$1"; printf '%s %s\n' "$u_tag" "$1" >&2; }
u_no() { u_say "no $1"; exit 127; }
u_item() {
	IFS= read -r u_n && IFS= read -r u_v || u_no header
	while [ "$u_n" -gt 0 ]; do
		IFS= read -r u_l || u_no header
		u_v="$u_v
$u_l"
		u_n=$((u_n-1))
	done
}
IFS= read -r u_tag || exit 127
u_item
u_dir=$u_v
set --
IFS= read -r u_c || u_no header
while [ "$u_c" -gt 0 ]; do u_item; set -- "$@" "$u_v"; u_c=$((u_c-1)); done
IFS= read -r u_c || u_no header
while [ "$u_c" -gt 0 ]; do u_item; export "$u_v" || u_no variable; u_c=$((u_c-1)); done
if [ -n "$u_dir" ]; then
	[ -d "$u_dir" ] || u_no dir-exist
	cd -- "$u_dir" 2>/dev/null || u_no dir-permission
fi
case $1 in
*/*) [ -e "$1" ] || u_no exist
	[ -f "$1" ] && [ -x "$1" ] || u_no permission ;;
*) command -v "$1" >/dev/null 2>&1 || u_no exist ;;
esac
u_say "start $$"
IFS= read -r u_v && [ "$u_v" = go ] || u_no go
"$@"
u_c=$?
u_say "end $u_c"
exit "$u_c"
`

// goAhead follows the header when the command is to start.
const goAhead = "go\n"

// header is what the wrapper reads: the tag, the directory or an empty one, the number of arguments and they, the number of
// variables and they. A value is the number of its line breaks, and then its lines.
func header(c Cmd, tag string) []byte {
	var b bytes.Buffer
	item := func(s string) { fmt.Fprintf(&b, "%d\n%s\n", strings.Count(s, "\n"), s) }
	b.WriteString(tag + "\n")
	item(c.Dir)
	fmt.Fprintf(&b, "%d\n", 1+len(c.Args))
	item(c.Path)
	for _, a := range c.Args {
		item(a)
	}
	fmt.Fprintf(&b, "%d\n", len(c.Env))
	for _, e := range c.Env {
		item(e)
	}
	return b.Bytes()
}

func newTag() string { return "understudy-" + rand.Text() }

// marks is what the wrapper said on one of its outputs, and what the command wrote there. Until it started, output is what was
// said instead.
type marks struct {
	pid     int // of the wrapper, which leads the command's process group
	ended   bool
	code    int
	refused string
	output  []byte
}

func parseMarks(out []byte, tag string) marks {
	m := marks{output: out}
	for {
		before, rest, found := bytes.Cut(m.output, []byte(tag+" "))
		if !found {
			return m
		}
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		word, value, _ := strings.Cut(string(line), " ")
		if whole && word == "start" {
			m.pid, _ = strconv.Atoi(value)
			m.output = after
			continue
		}
		m.output = before
		switch {
		case !whole: // the connection broke within the mark
		case word == "end":
			code, err := strconv.Atoi(value)
			m.ended, m.code = err == nil, code
		case word == "no":
			m.refused = value
		}
		return m
	}
}

// refusal is why the wrapper did not start the command.
func refusal(c Cmd, word string) error {
	what, err := c.Path, fs.ErrNotExist
	word, isDir := strings.CutPrefix(word, "dir-")
	if isDir {
		what = "working directory " + c.Dir
	}
	switch word {
	case "exist":
	case "permission":
		err = fs.ErrPermission
	default:
		return fmt.Errorf("the machine's sh gave up at the command's %s", word)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// killScript ends the process group $1: SIGTERM, and SIGKILL after $2 tenths of a second.
const killScript = `kill -s TERM -- "-$1" || exit 0
i=0
while kill -s 0 -- "-$1" 2>/dev/null; do
	i=$((i+1))
	if [ "$i" -gt "$2" ]; then kill -s KILL -- "-$1"; exit 0; fi
	sleep 0.1
done
`

// killCmd ends the process group of a wrapper, which leads it.
func killCmd(pid int, after time.Duration) Cmd {
	tenths := strconv.Itoa(int(after / (100 * time.Millisecond)))
	return Cmd{Path: "sh", Args: []string{"-c", killScript, "sh", strconv.Itoa(pid), tenths}}
}
