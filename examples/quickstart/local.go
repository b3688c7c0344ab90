package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/understudy-ha/understudy/examples/internal/story"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

const loopback = "127.0.0.1"

// localConfig plays the story with processes on this machine.
func (p *place) localConfig(ctx context.Context, cmd runCommand) (story.Config, error) {
	in, err := findInstall(ctx, cmd)
	if err != nil {
		return story.Config{}, err
	}
	ports, err := choosePorts(cmd.Port, 3)
	if err != nil {
		return story.Config{}, err
	}
	machine := host.NewLocal(host.LocalConfig{User: p.owner})
	archive := filepath.Join(p.dir, "archive")
	if err := machine.MkdirAll(ctx, archive, 0o700); err != nil {
		return story.Config{}, usageError{fmt.Errorf("%w: user %s must be able to reach %s; choose another place with --dir", err, p.owner, p.dir)}
	}
	cfg := story.Config{
		Servers:  map[topology.NodeID]story.Server{},
		BinDir:   in.binDir,
		Major:    in.major,
		Archiver: []string{p.program(), archiverVerb}, Archive: archive,
		ClientFrom: []string{loopback + "/32"},
	}
	for i, id := range []topology.NodeID{story.Master, story.Cascade, story.Downstream} {
		dir := filepath.Join(p.dir, string(id))
		if err := machine.MkdirAll(ctx, dir, 0o700); err != nil {
			return story.Config{}, err
		}
		cfg.Servers[id] = story.Server{
			Host: machine, Dir: dir,
			Peer: loopback, PeerPort: ports[i], From: loopback + "/32",
			Dial: loopback, DialPort: ports[i],
		}
	}
	return cfg, nil
}

// choosePorts returns n ports on loopback that nobody listens on: the ones from first on, or any if first is zero.
func choosePorts(first, n int) ([]int, error) {
	var ports []int
	for len(ports) < n {
		if first != 0 {
			port := first + len(ports)
			if err := tryPort(port); err != nil {
				return nil, usageError{fmt.Errorf("port %d: %w; choose another with --port, or leave it out", port, err)}
			}
			ports = append(ports, port)
			continue
		}
		port, err := anyPort()
		if err != nil {
			return nil, usageError{err}
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// anyPort finds a free port below those that the system gives to outgoing connections, so that none of these takes it before
// the server does.
func anyPort() (int, error) {
	const lowest, count, tries = 15000, 17000, 100
	var err error
	for range tries {
		port := lowest + rand.IntN(count)
		if err = tryPort(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d: %w; name one with --port", lowest, lowest+count, err)
}

// tryPort reports why a port cannot be listened on.
func tryPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port))) //nolint:noctx // it does not block
	if err != nil {
		return err
	}
	return l.Close()
}
