//go:build unix

package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

// Run implements [Host].
func (h *Container) Run(ctx context.Context, c Cmd) (Result, error) {
	none := Result{ExitCode: -1}
	if err := c.check(); err != nil {
		return none, startError(h.container, c, err)
	}
	if h.container == "" {
		return none, startError(h.container, c, errors.New("ContainerConfig.Container is empty"))
	}
	tag := newTag()
	res, err := h.cli.Run(ctx, h.execCmd(c, tag))
	var notStarted *StartError
	if errors.As(err, &notStarted) {
		return none, startError(h.container, c, fmt.Errorf("docker: %w", notStarted.Err))
	}
	out, said := parseMarks(res.Stdout, tag), parseMarks(res.Stderr, tag)
	res = Result{Stdout: out.output, Stderr: said.output, ExitCode: -1}
	switch {
	case out.ended && said.ended:
		res.ExitCode = said.code
		if said.code != 0 {
			return res, exitError(h.container, c, said.code, res.Stderr)
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
		return res, startError(h.container, c, errors.New(tail(slices.Concat(said.output, res.Stdout))))
	}
	why := cmp.Or(tail(said.output), "docker gave no reason")
	return res, unknownError(h.container, c, fmt.Errorf("connection to the container lost: %s", why))
}

// execCmd is the docker command line for c.
func (h *Container) execCmd(c Cmd, tag string) Cmd {
	stdin := io.Reader(strings.NewReader(string(header(c, tag)) + goAhead))
	if c.Stdin != nil {
		stdin = io.MultiReader(stdin, c.Stdin)
	}
	args := []string{"exec", "-i"}
	if h.user != "" {
		args = append(args, "-u", h.user)
	}
	return Cmd{Path: h.docker, Args: append(args, "--", h.container, "sh", "-c", wrapper), Stdin: stdin}
}

// kill ends the command inside as far as possible; what comes of it changes nothing for the caller, who does not know the
// outcome either way.
func (h *Container) kill(ctx context.Context, pid int) {
	// The caller's context has ended, so this gets its own time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.killAfter+10*time.Second)
	defer cancel()
	_, _ = h.cli.Run(ctx, h.execCmd(killCmd(pid, h.killAfter), newTag()))
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
