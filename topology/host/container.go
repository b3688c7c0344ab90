//go:build unix

package host

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// ContainerConfig says how to reach a container. Container is required.
type ContainerConfig struct {
	// Docker is the docker command line, or one that takes the same arguments. Empty means "docker", from PATH.
	Docker string

	// Container is the name or id of a running container.
	Container string

	// User is the user inside that commands run as and files are read and written as. Empty means the container's own.
	User string

	// KillAfter is the time that a command has between SIGTERM and SIGKILL when its context ends. Zero means 5 s.
	KillAfter time.Duration
}

// Container is a container on this machine's Docker engine, reached through the docker command line. It needs sh and the
// GNU core utilities inside.
//
// Ending the docker command does not end what it started inside. When a context ends, Run therefore asks the container to
// end the command's process group, and returns an [UnknownError] whatever comes of that.
type Container struct {
	shellFiles
	docker    string
	container string
	user      string
	killAfter time.Duration
	cli       *Local
}

var _ Host = (*Container)(nil)

// NewContainer returns the container that cfg names. It does not look whether there is one.
func NewContainer(cfg ContainerConfig) *Container {
	c := &Container{
		docker:    cmp.Or(cfg.Docker, "docker"),
		container: cfg.Container,
		user:      cfg.User,
		killAfter: cmp.Or(cfg.KillAfter, 5*time.Second),
		cli:       NewLocal(LocalConfig{Name: cfg.Container, KillAfter: time.Second}),
	}
	c.shellFiles = shellFiles{c}
	return c
}

// Name implements [Host].
func (h *Container) Name() string { return h.container }

// wrapper runs inside the container around every command and reports its start and its end on standard error, marked with
// a tag that nobody else knows. Docker's exit code alone cannot tell "the command exited with 1" from "docker failed", nor
// a command that ended from a connection that did. Variables arrive under neutral names, so that a PATH or HOME meant for
// the command does not change what the docker command line does.
//
// Arguments: tag, number of variables, directory or "", program, its arguments.
const wrapper = `tag=$1 n=$2 dir=$3
shift 3
i=1
while [ "$i" -le "$n" ]; do
	eval "export \"\$UNDERSTUDY_ENV_$i\"; unset UNDERSTUDY_ENV_$i"
	i=$((i+1))
done
no() { printf '%s no %s\n' "$tag" "$1" >&2; exit 127; }
if [ -n "$dir" ]; then
	[ -d "$dir" ] || no dir-exist
	cd -- "$dir" 2>/dev/null || no dir-permission
fi
case $1 in
*/*) [ -e "$1" ] || no exist
	[ -f "$1" ] && [ -x "$1" ] || no permission ;;
*) command -v "$1" >/dev/null 2>&1 || no exist ;;
esac
printf '%s start %s\n' "$tag" "$$" >&2
"$@"
code=$?
printf '%s end %s\n' "$tag" "$code" >&2
exit "$code"
`

// Run implements [Host].
func (h *Container) Run(ctx context.Context, c Cmd) (Result, error) {
	none := Result{ExitCode: -1}
	if err := c.check(); err != nil {
		return none, startError(h.container, c, err)
	}
	if h.container == "" {
		return none, startError(h.container, c, errors.New("ContainerConfig.Container is empty"))
	}
	tag := "understudy-" + rand.Text()
	res, err := h.cli.Run(ctx, h.execCmd(c, tag))
	var notStarted *StartError
	if errors.As(err, &notStarted) {
		return none, startError(h.container, c, fmt.Errorf("docker: %w", notStarted.Err))
	}
	said := parseMarks(res.Stderr, tag)
	res.Stderr, res.ExitCode = said.stderr, -1
	switch {
	case said.ended:
		res.ExitCode = said.code
		if said.code != 0 {
			return res, exitError(h.container, c, said.code, said.stderr)
		}
		return res, nil
	case said.refused != "":
		return res, startError(h.container, c, refusal(c, said.refused))
	case ctx.Err() != nil:
		if said.pid != 0 {
			h.kill(ctx, said.pid)
		}
		return res, unknownError(h.container, c, context.Cause(ctx))
	case said.pid == 0 && dockerRefused(res):
		return res, startError(h.container, c, errors.New(tail(append(said.stderr, res.Stdout...))))
	}
	why := cmp.Or(tail(said.stderr), "docker gave no reason")
	return res, unknownError(h.container, c, fmt.Errorf("connection to the container lost: %s", why))
}

// execCmd is the docker command line for c.
func (h *Container) execCmd(c Cmd, tag string) Cmd {
	args := []string{"exec"}
	if c.Stdin != nil {
		args = append(args, "-i")
	}
	if h.user != "" {
		args = append(args, "-u", h.user)
	}
	var env []string
	for i, e := range c.Env {
		name := "UNDERSTUDY_ENV_" + strconv.Itoa(i+1)
		args = append(args, "-e", name)
		env = append(env, name+"="+e)
	}
	args = append(args, "--", h.container, "sh", "-c", wrapper, "sh", tag, strconv.Itoa(len(c.Env)), c.Dir, c.Path)
	return Cmd{Path: h.docker, Args: append(args, c.Args...), Env: env, Stdin: c.Stdin}
}

// killScript ends the process group of the wrapper, which leads it: docker exec starts every command in its own session.
const killScript = `kill -s TERM -- "-$1" || exit 0
i=0
while kill -s 0 -- "-$1" 2>/dev/null; do
	i=$((i+1))
	if [ "$i" -gt "$2" ]; then kill -s KILL -- "-$1"; exit 0; fi
	sleep 0.1
done
`

// kill ends the command inside as far as possible; what comes of it changes nothing for the caller, who does not know the
// outcome either way.
func (h *Container) kill(ctx context.Context, pid int) {
	// The caller's context has ended, so this gets its own time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.killAfter+10*time.Second)
	defer cancel()
	args := []string{"exec"}
	if h.user != "" {
		args = append(args, "-u", h.user)
	}
	tenths := int(h.killAfter / (100 * time.Millisecond))
	args = append(args, "--", h.container, "sh", "-c", killScript, "sh", strconv.Itoa(pid), strconv.Itoa(tenths))
	_, _ = h.cli.Run(ctx, Cmd{Path: h.docker, Args: args})
}

// marks is what the wrapper said, and the rest of standard error.
type marks struct {
	pid     int
	ended   bool
	code    int
	refused string
	stderr  []byte
}

func parseMarks(stderr []byte, tag string) marks {
	var m marks
	m.stderr = stderr
	for {
		before, rest, found := bytes.Cut(m.stderr, []byte(tag+" "))
		if !found {
			return m
		}
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		m.stderr = append(bytes.Clone(before), after...)
		word, value, _ := strings.Cut(string(line), " ")
		switch {
		case !whole: // the connection broke within the mark
			return m
		case word == "start":
			m.pid, _ = strconv.Atoi(value)
		case word == "end":
			code, err := strconv.Atoi(value)
			m.ended, m.code = err == nil, code
		case word == "no":
			m.refused = value
		}
	}
}

func refusal(c Cmd, word string) error {
	what, err := c.Path, fs.ErrNotExist
	word, isDir := strings.CutPrefix(word, "dir-")
	if isDir {
		what = "working directory " + c.Dir
	}
	if word == "permission" {
		err = fs.ErrPermission
	}
	return fmt.Errorf("%s: %w", what, err)
}

// dockerRefused recognises docker's own word that it did not start the command. Anything else stays in doubt.
func dockerRefused(res Result) bool {
	all := append(bytes.Clone(res.Stderr), res.Stdout...)
	for _, s := range []string{
		"Error response from daemon: No such container",
		"Error: No such container",
		"Error response from daemon: container ", // "… is not running", "… is paused"
		"Error response from daemon: Container ",
		"Cannot connect to the Docker daemon",
		"permission denied while trying to connect to the Docker daemon",
		"OCI runtime exec failed",
		"unable to find user",
	} {
		if bytes.Contains(all, []byte(s)) {
			return true
		}
	}
	return false
}
