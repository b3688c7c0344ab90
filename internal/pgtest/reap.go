package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Labels of everything that this package creates in Docker.
const (
	labelTest    = "com.understudy"         // "test"
	labelCluster = "com.understudy.cluster" // random
	labelPID     = "com.understudy.pid"     // the test process
	labelStarted = "com.understudy.started" // its start, in the kernel's count: a pid may be used again
	labelBoot    = "com.understudy.boot"    // the boot of the machine it runs on
	labelPIDNS   = "com.understudy.pidns"   // the pid namespace in which the pid means something
)

// owner is the process that something in Docker belongs to.
type owner struct {
	pid                  int
	started, boot, pidns string
}

func self() owner {
	pid := os.Getpid()
	return owner{pid: pid, started: startTime(pid), boot: bootID(), pidns: pidNamespace()}
}

func (o owner) labels(cluster string) map[string]string {
	labels := testcontainers.GenericLabels()
	labels[labelTest] = "test"
	labels[labelCluster] = cluster
	labels[labelPID] = strconv.Itoa(o.pid)
	labels[labelStarted] = o.started
	labels[labelBoot] = o.boot
	labels[labelPIDNS] = o.pidns
	return labels
}

func ownerOf(labels map[string]string) (owner, bool) {
	pid, err := strconv.Atoi(labels[labelPID])
	return owner{
		pid: pid, started: labels[labelStarted], boot: labels[labelBoot], pidns: labels[labelPIDNS],
	}, err == nil && pid > 0 && labels[labelTest] == "test"
}

// foreignAge is the age from which things of another boot, another machine or another pid namespace are taken for left
// behind: whether their process lives cannot be seen from here, but no test runs that long.
const foreignAge = 6 * time.Hour

// gone reports whether the owner of something that was created at that time has certainly ended.
func (o owner) gone(me owner, created, now time.Time) bool {
	if o.boot != me.boot || o.pidns != me.pidns {
		return now.Sub(created) > foreignAge
	}
	if errors.Is(syscall.Kill(o.pid, 0), syscall.ESRCH) {
		return true
	}
	current := startTime(o.pid)
	return current != "" && o.started != "" && current != o.started
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		host, _ := os.Hostname()
		return host
	}
	return strings.TrimSpace(string(b))
}

func pidNamespace() string {
	ns, _ := os.Readlink("/proc/self/ns/pid")
	return ns
}

// startTime is field 22 of /proc/PID/stat, or "" where there is none. The second field, the command's name, may hold spaces
// and parentheses.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

var leftovers sync.Once

// removeLeftoversOnce is called by the first cluster of a process.
func removeLeftoversOnce(t testing.TB, cli *testcontainers.DockerClient) {
	t.Helper()
	leftovers.Do(func() {
		removed, err := removeLeftovers(t.Context(), cli)
		if err != nil {
			t.Logf("remove what killed tests left behind: %v", err)
		}
		if len(removed) > 0 {
			t.Logf("removed what killed tests left behind: %s", strings.Join(removed, ", "))
		}
	})
}

// RemoveLeftovers removes the containers, networks and volumes of test processes that have ended without doing so, and
// returns their names.
func RemoveLeftovers(ctx context.Context) ([]string, error) {
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	defer cli.Close()
	return removeLeftovers(ctx, cli)
}

func removeLeftovers(ctx context.Context, cli *testcontainers.DockerClient) ([]string, error) {
	me, now := self(), time.Now()
	return removeWhere(ctx, cli, func(labels map[string]string, created time.Time) bool {
		o, ok := ownerOf(labels)
		return ok && o.gone(me, created, now)
	})
}

// removeCluster removes everything that carries the cluster's label.
func removeCluster(ctx context.Context, cli *testcontainers.DockerClient, cluster string) error {
	_, err := removeWhere(ctx, cli, func(labels map[string]string, _ time.Time) bool {
		return labels[labelCluster] == cluster
	})
	return err
}

// removeWhere removes what carries our label and matches, containers first because they use the rest.
func removeWhere(
	ctx context.Context, cli *testcontainers.DockerClient, match func(labels map[string]string, created time.Time) bool,
) (removed []string, err error) {
	ours := make(client.Filters).Add("label", labelTest+"=test")
	var errs []error
	note := func(name string, err error) {
		switch {
		case err == nil:
			removed = append(removed, name)
		case !errdefs.IsNotFound(err) && !strings.Contains(err.Error(), "already in progress"):
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}

	containers, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	errs = append(errs, err)
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, c := range containers.Items {
		if !match(c.Labels, time.Unix(c.Created, 0)) {
			continue
		}
		group.Go(func() {
			_, err := cli.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			mu.Lock()
			defer mu.Unlock()
			note(strings.TrimPrefix(strings.Join(c.Names, ","), "/"), err)
		})
	}
	group.Wait()

	networks, err := cli.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	errs = append(errs, err)
	for _, n := range networks.Items {
		if match(n.Labels, n.Created) {
			_, err := cli.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
			note("network "+n.Name, err)
		}
	}
	volumes, err := cli.VolumeList(ctx, client.VolumeListOptions{Filters: ours})
	errs = append(errs, err)
	for _, v := range volumes.Items {
		created, _ := time.Parse(time.RFC3339, v.CreatedAt)
		if match(v.Labels, created) {
			_, err := cli.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			note("volume "+v.Name, err)
		}
	}
	return removed, errors.Join(errs...)
}
