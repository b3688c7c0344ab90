package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/examples/internal/story"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// dockerMark is a file in the directory of a run that uses containers.
const dockerMark = "docker"

// Where things lie inside the containers.
const (
	containerDir     = "/understudy"         // of the node
	containerArchive = "/understudy-archive" // a volume that all nodes share
	containerPort    = 5432
)

// containers is the Docker side of a run: a network, a volume and one container for each node, all named after the run and
// labelled with it.
type containers struct {
	run string
}

// newContainers notes in the run's directory that it uses containers, before there are any.
func newContainers(dir string) (*containers, error) {
	if err := os.WriteFile(filepath.Join(dir, dockerMark), nil, 0o600); err != nil {
		return nil, err
	}
	return &containers{run: filepath.Base(dir)}, nil
}

func (c *containers) label() string                  { return "com.understudy.run=" + c.run }
func (c *containers) name(id topology.NodeID) string { return c.run + "-" + string(id) }

// config starts the containers and says how the story shall be played in them.
func (c *containers) config(ctx context.Context, cmd runCommand) (story.Config, error) {
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return story.Config{}, usageError{fmt.Errorf("Docker does not answer: %w; install and start it, or leave --docker out", err)}
	}
	if cmd.Port != 0 || cmd.Bindir != "" {
		return story.Config{}, usageError{errors.New("--port and --bindir do not go with --docker")}
	}
	program, err := containerProgram(cmd.Program)
	if err != nil {
		return story.Config{}, err
	}
	image, err := c.image(ctx, cmd)
	if err != nil {
		return story.Config{}, err
	}
	if err := c.network(ctx); err != nil {
		return story.Config{}, err
	}
	cfg := story.Config{
		Servers:  map[topology.NodeID]story.Server{},
		Archiver: []string{containerDir + "/quickstart", archiverVerb}, Archive: containerArchive,
	}
	for _, id := range []topology.NodeID{story.Master, story.Cascade, story.Downstream} {
		server, gateway, err := c.start(ctx, id, image, program)
		if err != nil {
			return story.Config{}, fmt.Errorf("container for %s: %w", id, err)
		}
		cfg.Servers[id] = server
		cfg.ClientFrom = []string{gateway + "/32"} // a published port is reached from the network's gateway
	}
	cfg.BinDir, cfg.Major, err = c.binaries(ctx, cmd)
	return cfg, err
}

// image makes sure that the image is there.
func (c *containers) image(ctx context.Context, cmd runCommand) (string, error) {
	major := strconv.Itoa(cmp.Or(cmd.Major, 17))
	image := cmp.Or(cmd.Image, os.Getenv("UNDERSTUDY_TEST_IMAGE_"+major), "postgres:"+major)
	if _, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", image); err == nil {
		return image, nil
	}
	if _, err := docker(ctx, "pull", "--quiet", image); err != nil {
		return "", usageError{fmt.Errorf("image %s is not here and cannot be pulled: %w; name another one with --image", image, err)}
	}
	return image, nil
}

// network creates the run's network and the archive's volume.
func (c *containers) network(ctx context.Context) error {
	labels := c.labels()
	if _, err := docker(ctx, append(append([]string{"network", "create"}, labels...), c.run)...); err != nil {
		return err
	}
	_, err := docker(ctx, append(append([]string{"volume", "create"}, labels...), c.run)...)
	return err
}

// labels mark everything of the run, so that it can be found after a crash: by the run's name, and by the process.
func (c *containers) labels() []string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // Linux only; elsewhere the label stays empty
	return []string{
		"--label", c.label(), "--label", "com.understudy=quickstart",
		"--label", "com.understudy.pid=" + strconv.Itoa(os.Getpid()),
		"--label", "com.understudy.boot=" + string(bytes.TrimSpace(boot)),
	}
}

// start starts the container of a node and prepares it. It also returns the address of the network's gateway.
func (c *containers) start(ctx context.Context, id topology.NodeID, image, program string) (story.Server, string, error) {
	name := c.name(id)
	args := append([]string{"run", "--detach", "--init", "--name", name, "--hostname", string(id),
		"--network", c.run, "--network-alias", string(id), "--volume", c.run + ":" + containerArchive,
		"--publish", loopback + "::" + strconv.Itoa(containerPort), "--entrypoint", "sleep"}, c.labels()...)
	if _, err := docker(ctx, append(args, image, "infinity")...); err != nil {
		return story.Server{}, "", err
	}
	root := host.NewContainer(host.ContainerConfig{Container: name, User: "root"})
	prepare := "mkdir -p " + containerDir + " && chown postgres " + containerDir + " " + containerArchive + " && chmod 700 " + containerArchive
	if _, err := root.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", prepare}}); err != nil {
		return story.Server{}, "", fmt.Errorf("%w: the image needs a user postgres", err)
	}
	if _, err := docker(ctx, "cp", program, name+":"+containerDir+"/quickstart"); err != nil {
		return story.Server{}, "", err
	}
	return c.server(ctx, id)
}

// server asks Docker for the addresses of a started container.
func (c *containers) server(ctx context.Context, id topology.NodeID) (story.Server, string, error) {
	name := c.name(id)
	out, err := docker(ctx, "inspect", "--format",
		"{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}{{end}}", name)
	if err != nil {
		return story.Server{}, "", err
	}
	ip, gateway, _ := strings.Cut(out, " ")
	out, err = docker(ctx, "port", name, strconv.Itoa(containerPort)+"/tcp")
	if err != nil {
		return story.Server{}, "", err
	}
	first, _, _ := strings.Cut(out, "\n")
	_, port, err := net.SplitHostPort(first)
	if err != nil {
		return story.Server{}, "", fmt.Errorf("published port %q: %w", first, err)
	}
	published, err := strconv.Atoi(port)
	if err != nil {
		return story.Server{}, "", fmt.Errorf("published port %q: %w", first, err)
	}
	return story.Server{
		Host: host.NewContainer(host.ContainerConfig{Container: name, User: "postgres"}), Dir: containerDir,
		Peer: string(id), PeerPort: containerPort, From: ip + "/32",
		Dial: loopback, DialPort: published,
	}, gateway, nil
}

// binaries finds PostgreSQL inside the containers.
func (c *containers) binaries(ctx context.Context, cmd runCommand) (dir string, major int, err error) {
	master := host.NewContainer(host.ContainerConfig{Container: c.name(story.Master), User: "postgres"})
	find := `ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1; command -v postgres`
	r, err := master.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c", find + "; :"}})
	if err != nil {
		return "", 0, err
	}
	found := strings.Fields(string(r.Stdout))
	if len(found) == 0 {
		return "", 0, usageError{errors.New("the image holds no PostgreSQL server; name another one with --image")}
	}
	node, err := pgnode.New(pgnode.Config{Host: master, BinDir: path.Dir(found[0]), DataDir: containerDir + "/data"})
	if err != nil {
		return "", 0, err
	}
	if major, err = node.Major(ctx); err != nil {
		return "", 0, err
	}
	if cmd.Major != 0 && major != cmd.Major {
		return "", 0, usageError{fmt.Errorf("the image holds PostgreSQL %d, but --major says %d", major, cmd.Major)}
	}
	return path.Dir(found[0]), major, nil
}

// remove removes whatever there is of the run: containers, network and volume. Nothing being there is no error.
func (c *containers) remove(ctx context.Context) error {
	var errs []error
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "--all", "--quiet"}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls", "--quiet"}, []string{"network", "rm"}},
		{[]string{"volume", "ls", "--quiet"}, []string{"volume", "rm", "--force"}},
	} {
		out, err := docker(ctx, append(kind.list, "--filter", "label="+c.label())...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ids := strings.Fields(out); len(ids) > 0 {
			_, err = docker(ctx, append(kind.remove, ids...)...)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// docker runs the Docker command and returns what it printed.
func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(problems.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.TrimSpace(out.String()), nil
}

// containerProgram returns the file to copy into the containers: a static Linux program, since an image may have another C
// library or none.
func containerProgram(named string) (string, error) {
	const advice = "build one with `CGO_ENABLED=0 GOOS=linux go build -o quickstart ./examples/quickstart` and name it with --program"
	file := named
	if file == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		file = self
	}
	f, err := elf.Open(file)
	if err != nil {
		return "", usageError{fmt.Errorf("%s is no Linux program (%w): %s", file, err, advice)}
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", usageError{fmt.Errorf("%s is not a static program: %s", file, advice)}
		}
	}
	return file, nil
}
