package pgtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	dockernet "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/understudy-ha/understudy/topology/host"
)

// Config describes a cluster of machines. The zero value is one machine of the default major.
type Config struct {
	// Major is the PostgreSQL major whose programs the machines have. Zero means UNDERSTUDY_TEST_MAJOR from the
	// environment, or else 15.
	Major int

	// Nodes are the machines' names, by which they reach each other: a letter or underscore, then letters, digits and
	// underscores, lower case. Empty means one, "node1".
	Nodes []string

	// DiskSize is the size of each machine's disk in bytes. Zero means 512 MiB. Only what is used takes memory.
	DiskSize int64
}

// Paths inside every machine.
const (
	// diskDir is where the limited disk is mounted. The data directory lies below, so that it can be renamed.
	diskDir = "/srv/postgresql"

	// SharedDir is a directory that all machines of a cluster share, as over NFS: the place for a WAL archive. Everyone may
	// write to it; it is not on the limited disk.
	SharedDir = "/srv/shared"

	logDir = "/var/log/understudy"

	// Port is the port on which a server listens, the same on every machine.
	Port = 5432
)

// Cluster is a set of machines on a network of their own.
type Cluster struct {
	// Major is the PostgreSQL major whose programs the machines have.
	Major int

	// Nodes are the machines, in the order of [Config.Nodes].
	Nodes []*Node

	// Password is that of the superuser postgres on servers that StartPrimary creates.
	Password string

	id       string
	cli      *testcontainers.DockerClient
	network  *testNetwork
	hostAddr string
}

var namePattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// NewCluster creates and starts the machines. No server runs on them yet. Everything is removed when the test ends. The test
// is skipped, or fails in CI, if Docker or the image is missing.
func NewCluster(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	cli := requireDocker(t)
	image := requireImage(t, cli, cfg.Major)
	removeLeftoversOnce(t, cli)

	c := &Cluster{Major: cfg.Major, Password: rand.Text(), id: strings.ToLower(rand.Text()[:10]), cli: cli}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if t.Failed() {
			c.dumpLogs(ctx, t)
		}
		for _, n := range c.Nodes {
			n.stopDelay()
		}
		if err := removeCluster(ctx, cli, c.id); err != nil {
			t.Errorf("remove the cluster's containers: %v", err)
		}
	})
	if err := c.create(t.Context(), cfg, image); err != nil {
		t.Fatalf("create a cluster of PostgreSQL %d: %v", cfg.Major, err)
	}
	return c
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Major == 0 {
		major, err := strconv.Atoi(cmp.Or(os.Getenv("UNDERSTUDY_TEST_MAJOR"), "15"))
		if err != nil {
			return cfg, fmt.Errorf("UNDERSTUDY_TEST_MAJOR is no number: %w", err)
		}
		cfg.Major = major
	}
	if len(cfg.Nodes) == 0 {
		cfg.Nodes = []string{"node1"}
	}
	cfg.DiskSize = cmp.Or(cfg.DiskSize, 512<<20)
	seen := map[string]bool{}
	for _, name := range cfg.Nodes {
		if !namePattern.MatchString(name) || seen[name] {
			return cfg, fmt.Errorf("Nodes: %q is no name for a machine, or used twice", name)
		}
		seen[name] = true
	}
	return cfg, nil
}

func (c *Cluster) create(ctx context.Context, cfg Config, image string) error {
	labels := self().labels(c.id)
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	if c.hostAddr, err = provider.DaemonHost(ctx); err != nil {
		return err
	}
	if c.network, err = newNetwork(ctx, c.cli, labels); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	for i, name := range cfg.Nodes {
		c.Nodes = append(c.Nodes, c.newNode(i, name))
	}
	if err := c.createDisks(ctx, cfg, image, labels); err != nil {
		return fmt.Errorf("disks: %w", err)
	}
	errs := make([]error, len(c.Nodes))
	var group sync.WaitGroup
	for i, n := range c.Nodes {
		group.Go(func() {
			if err := n.create(ctx, image, labels); err != nil {
				errs[i] = fmt.Errorf("machine %s: %w", n.Name, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Node returns the machine with that name. It panics if there is none: a test that misspells a name is wrong.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n
		}
	}
	panic("pgtest: no node " + name)
}

func (c *Cluster) volume(node string) string { return "understudy-" + c.id + "-" + node }

// createDisks creates a limited file system for every machine, and the shared directory. Docker unmounts a tmpfs volume, and
// so empties it, when the last container that uses it stops; the keeper is a container that never does.
func (c *Cluster) createDisks(ctx context.Context, cfg Config, image string, labels map[string]string) error {
	mounts := []mount.Mount{{Type: mount.TypeVolume, Source: c.volume("shared"), Target: SharedDir}}
	if _, err := c.cli.VolumeCreate(ctx, client.VolumeCreateOptions{Name: c.volume("shared"), Labels: labels}); err != nil {
		return err
	}
	for _, name := range cfg.Nodes {
		_, err := c.cli.VolumeCreate(ctx, client.VolumeCreateOptions{
			Name:       c.volume("disk-" + name),
			Labels:     labels,
			DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("size=%d", cfg.DiskSize)},
		})
		if err != nil {
			return err
		}
		mounts = append(mounts, mount.Mount{
			Type: mount.TypeVolume, Source: c.volume("disk-" + name), Target: "/disks/" + name,
		})
	}
	keeper, err := testcontainers.Run(ctx, image,
		testcontainers.WithName("understudy-"+c.id+"-keeper"),
		testcontainers.WithLabels(labels),
		testcontainers.WithEntrypoint("sh", "-c", idle),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.NetworkMode = "none"
			h.Mounts = mounts
		}))
	if err != nil {
		return err
	}
	root := host.NewContainer(host.ContainerConfig{Container: keeper.GetContainerID(), User: "root"})
	_, err = root.Run(ctx, host.Cmd{Path: "sh", Args: []string{"-c",
		`chown postgres: /disks/* && chmod 0755 /disks/* && chmod 1777 "$1"`, "sh", SharedDir}})
	return err
}

// idle is what runs as process 1: nothing, but it reaps orphans, because a SIGKILLed server's children would otherwise stay
// as zombies whose pids look alive, and it ends at once when asked.
const idle = `trap 'exit 0' TERM INT
install -d -m 0755 -o postgres ` + logDir + `
sleep infinity &
while :; do wait; done`

// create starts the machine, with another port if somebody took the first one meanwhile.
func (n *Node) create(ctx context.Context, image string, labels map[string]string) error {
	for try := 0; ; try++ {
		var err error
		if n.port, err = freePort(ctx); err != nil {
			return err
		}
		ctr, err := testcontainers.Run(ctx, image, n.options(labels)...)
		if ctr != nil {
			n.id = ctr.GetContainerID()
		}
		if err == nil {
			break
		}
		if !portTaken(err) || try == 5 {
			return err
		}
		if _, err := n.cluster.cli.ContainerRemove(ctx, n.id, client.ContainerRemoveOptions{Force: true}); err != nil {
			return err
		}
	}
	n.host = host.NewContainer(host.ContainerConfig{Container: n.container, User: "postgres", KillAfter: 2 * time.Second})
	n.root = host.NewContainer(host.ContainerConfig{Container: n.container, User: "root", KillAfter: 2 * time.Second})
	if err := n.ready(ctx); err != nil {
		return err
	}
	return n.writeHosts(ctx)
}

func (n *Node) options(labels map[string]string) []testcontainers.ContainerCustomizer {
	c := n.cluster
	exposed := strconv.Itoa(Port) + "/tcp"
	binding := dockernet.PortBinding{HostPort: strconv.Itoa(n.port)}
	if isLoopback(c.hostAddr) {
		binding.HostIP = netip.MustParseAddr("127.0.0.1")
	}
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithName(n.container),
		testcontainers.WithLabels(labels),
		testcontainers.WithEntrypoint("sh", "-c", idle),
		testcontainers.WithExposedPorts(exposed),
		testcontainers.WithConfigModifier(func(cfg *container.Config) { cfg.Hostname = n.Name }),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.NetworkMode = container.NetworkMode(c.network.Name)
			h.PortBindings = dockernet.PortMap{dockernet.MustParsePort(exposed): {binding}}
			h.CapAdd = []string{"NET_ADMIN"}
			h.DeviceCgroupRules = []string{"c 10:200 rwm"} // the tun device, for netdelay
			// Loose, because with netdelay packets to a peer leave through another interface than its packets come in.
			h.Sysctls = map[string]string{"net.ipv4.conf.all.rp_filter": "2"}
			h.Mounts = []mount.Mount{
				{Type: mount.TypeVolume, Source: c.volume("disk-" + n.Name), Target: diskDir},
				{Type: mount.TypeVolume, Source: c.volume("shared"), Target: SharedDir},
			}
		}),
		testcontainers.WithEndpointSettingsModifier(func(s map[string]*dockernet.EndpointSettings) {
			s[c.network.Name] = n.endpoint()
		}),
	}
}

// endpoint asks for the machine's own name and address.
func (n *Node) endpoint() *dockernet.EndpointSettings {
	return &dockernet.EndpointSettings{
		IPAMConfig: &dockernet.EndpointIPAMConfig{IPv4Address: n.IP},
		Aliases:    []string{n.Name},
	}
}

// ready waits until process 1 has made the log directory.
func (n *Node) ready(ctx context.Context) error {
	return poll(ctx, 30*time.Second, func() error {
		res, err := n.root.Run(ctx, host.Cmd{Path: "stat", Args: []string{"-c", "%U", logDir}})
		if err == nil && string(bytes.TrimSpace(res.Stdout)) != "postgres" {
			err = errors.New("the log directory is not the server's yet")
		}
		return err
	})
}
