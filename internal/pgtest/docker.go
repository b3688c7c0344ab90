package pgtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockernet "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/network"
)

// Majors are the PostgreSQL majors that whole clusters are tested with.
var Majors = []int{11, 13, 15, 17, 18}

// missing skips the test because the machine lacks something, or fails it where nothing may be skipped.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	msg := fmt.Sprintf(format, args...)
	if os.Getenv("CI") != "" {
		t.Fatalf("%s (a skip is a failure because CI is set)", msg)
	}
	t.Skip(msg)
}

// silence keeps the progress messages of testcontainers out of the tests' output.
var silence = sync.OnceFunc(func() { tclog.SetDefault(tclog.NewNoopLogger()) })

// requireDocker returns a client of the Docker engine.
func requireDocker(t testing.TB) *testcontainers.DockerClient {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		missing(t, "no docker command: %v", err)
	}
	silence()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		missing(t, "no Docker client: %v", err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	if _, err := cli.Ping(ctx, client.PingOptions{}); err != nil {
		missing(t, "the Docker engine does not answer: %v", err)
	}
	return cli
}

// Image returns the name of the image for a major.
func Image(major int) string {
	m := strconv.Itoa(major)
	return cmp.Or(os.Getenv("UNDERSTUDY_TEST_IMAGE_"+m), "understudy-test-postgres:"+m)
}

func requireImage(t testing.TB, cli *testcontainers.DockerClient, major int) string {
	t.Helper()
	name := Image(major)
	_, err := cli.ImageInspect(t.Context(), name)
	if errdefs.IsNotFound(err) {
		missing(t, "no image %s: run scripts/setup images, or set UNDERSTUDY_TEST_IMAGE_%d", name, major)
	}
	if err != nil {
		t.Fatalf("inspect image %s: %v", name, err)
	}
	return name
}

// testNetwork is a bridge network with a subnet that was asked for, because only there may containers ask for an address.
type testNetwork struct {
	*testcontainers.DockerNetwork
	subnet netip.Prefix
}

// newNetwork lets Docker pick a free subnet from its own pool, and then asks for just that one.
func newNetwork(ctx context.Context, cli *testcontainers.DockerClient, labels map[string]string) (*testNetwork, error) {
	var last error
	for range 10 {
		n, err := network.New(ctx, network.WithLabels(labels))
		if err != nil {
			return nil, err
		}
		info, err := cli.NetworkInspect(ctx, n.ID, client.NetworkInspectOptions{})
		if err == nil && len(info.Network.IPAM.Config) == 0 {
			err = fmt.Errorf("network %s has no subnet", n.Name)
		}
		if err := errors.Join(err, n.Remove(ctx)); err != nil {
			return nil, err
		}
		subnet := info.Network.IPAM.Config[0].Subnet
		ipam := &dockernet.IPAM{Config: []dockernet.IPAMConfig{{Subnet: subnet}}}
		n, err = network.New(ctx, network.WithLabels(labels), network.WithIPAM(ipam))
		if err == nil {
			return &testNetwork{n, subnet}, nil
		}
		last = err // another process took the subnet meanwhile
	}
	return nil, fmt.Errorf("no subnet after 10 tries: %w", last)
}

// address returns the i-th address that a node may have. The first one of the subnet is the gateway's.
func (n *testNetwork) address(i int) netip.Addr {
	a := n.subnet.Masked().Addr().Next().Next()
	for range i {
		a = a.Next()
	}
	return a
}

// isLoopback reports whether Docker publishes ports on this machine's loopback interface.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// freePort picks a port that nothing listens on now. It lies below the range from which outgoing connections take theirs, so
// that nobody gets it by chance while its container is down.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	for range 200 {
		port := 15000 + rand.IntN(17000)
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 15000 and 32000")
}

// portTaken recognises the engine's complaint that a port that was free a moment ago is not any more.
func portTaken(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "port is already allocated") ||
		strings.Contains(err.Error(), "address already in use"))
}
