package pgtest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Logs returns what the server wrote to [Node.LogFile], and what the container itself printed. It works on machines that are
// down, paused or cut off, too.
func (n *Node) Logs(t testing.TB) string {
	t.Helper()
	logs, err := n.logs(t.Context())
	if err != nil {
		t.Fatalf("%s: read logs: %v", n.Name, err)
	}
	return logs
}

func (n *Node) logs(ctx context.Context) (string, error) {
	server, err := n.copyFile(ctx, n.LogFile())
	if err != nil && !errdefs.IsNotFound(err) {
		return "", err
	}
	out, err := n.cluster.cli.ContainerLogs(ctx, n.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return "", err
	}
	defer out.Close()
	var own bytes.Buffer
	if _, err := stdcopy.StdCopy(&own, &own, out); err != nil {
		return "", err
	}
	return string(server) + own.String(), nil
}

// copyFile reads a file through Docker, for which no process has to run inside.
func (n *Node) copyFile(ctx context.Context, file string) ([]byte, error) {
	res, err := n.cluster.cli.CopyFromContainer(ctx, n.id, client.CopyFromContainerOptions{SourcePath: file})
	if err != nil {
		return nil, err
	}
	defer res.Content.Close()
	r := tar.NewReader(res.Content)
	if _, err := r.Next(); err != nil {
		return nil, fmt.Errorf("copy of %s: %w", file, err)
	}
	return io.ReadAll(r)
}

// dumpLogs prints the end of every machine's logs.
func (c *Cluster) dumpLogs(ctx context.Context, t testing.TB) {
	const maxLines = 200
	for _, n := range c.Nodes {
		if n.id == "" {
			continue
		}
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		logs, err := n.logs(one)
		cancel()
		if err != nil {
			logs = errors.Join(errors.New("no logs"), err).Error()
		}
		lines := strings.Split(strings.TrimSpace(logs), "\n")
		if cut := len(lines) - maxLines; cut > 0 {
			lines = append([]string{fmt.Sprintf("(%d lines before)", cut)}, lines[cut:]...)
		}
		t.Logf("logs of %s:\n%s", n.Name, strings.Join(lines, "\n"))
	}
}
