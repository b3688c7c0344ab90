// Package story builds a master / cascade / downstream cluster out of nothing, kills its master under load, lets the
// standbys take over, proves from the data that nothing acknowledged is missing, and brings the old master back.
//
// It is the main job of the project from end to end, made of the public packages only. examples/quickstart runs it on this
// machine or in containers, and the integration tests run it in containers and check the report.
package story

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/understudy-ha/understudy/failover"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

// The nodes of the story, by the part they play at its beginning.
const (
	Master     topology.NodeID = "master"
	Cascade    topology.NodeID = "cascade"
	Downstream topology.NodeID = "downstream"
)

// Server is a place for one node.
type Server struct {
	// Host is the machine, with commands running as the operating system user that shall own the server.
	Host host.Host

	// Dir is an existing directory on it, owned by that user, in which everything of the node goes.
	Dir string

	// Peer is the name or address, and the port, by which the other nodes reach the server.
	Peer     string
	PeerPort int

	// From is the address, in CIDR form, from which the server connects to the others.
	From string

	// Dial is the name or address, and the port, by which this process reaches the server.
	Dial     string
	DialPort int
}

// Config says where the story plays.
type Config struct {
	Servers map[topology.NodeID]Server // one for each of Master, Cascade and Downstream

	// BinDir holds PostgreSQL's binaries on every host, and Major is their major.
	BinDir string
	Major  int

	// Archiver is the program on every host, with leading arguments, that understands "push PATH" and "fetch NAME PATH"
	// of examples/walarchive. Archive is the directory it is given, shared by all hosts.
	Archiver []string
	Archive  string

	// ClientFrom are the addresses, in CIDR form, from which this process connects to the servers.
	ClientFrom []string

	// Rows is how many rows the client commits before the master dies, and again after it. Zero means 200.
	Rows int

	// Policy and Tick are for the failover. Zero values mean a silence of one second, seen every 200 ms.
	Policy failover.Policy
	Tick   time.Duration

	// NoRewind leaves pg_rewind out, so that the old master is cloned.
	NoRewind bool

	// Emit receives the events, in order, from one goroutine at a time. Nil drops them.
	Emit func(Event)
}

// Report is what the story found out. It is complete only if Run returned no error.
type Report struct {
	Major    int    `json:"major"`
	Acked    int    `json:"rows_acknowledged"`  // rows whose commit the client saw succeed
	Doubtful int    `json:"rows_in_doubt"`      // rows whose commit failed or broke off: they may exist or not
	Rescued  int    `json:"rows_doubtful_kept"` // of these, rows that exist
	Missing  int    `json:"rows_missing"`       // acknowledged rows that do not exist on some node; zero, or the story failed
	Rejoin   string `json:"rejoin"`             // follow, rewind or clone
	Timings  Timing `json:"timings"`
}

// Run plays the story. It returns an error if any step or proof fails; what it started is stopped in any case before it
// returns, with the context's values but beyond its cancellation. The directories are left as they are.
func Run(ctx context.Context, cfg Config) (Report, error) {
	s, err := newStage(cfg)
	if err != nil {
		return Report{}, err
	}
	err = s.play(ctx)
	if err != nil {
		s.emit(Event{Kind: KindError, Message: err.Error()})
	}
	return s.report, errors.Join(err, s.leave(ctx))
}

// act is one step of the story: a title for people and what happens.
type act struct {
	title string
	do    func(context.Context) error
}

// play runs the acts one after the other.
func (s *stage) play(ctx context.Context) error {
	acts := []act{
		{"create the master", s.createMaster},
		{"clone the cascade from the master", func(ctx context.Context) error { return s.cloneStandby(ctx, Cascade) }},
		{"clone the downstream from the cascade", func(ctx context.Context) error { return s.cloneStandby(ctx, Downstream) }},
		{"make the cascade synchronous", s.enableSync},
		{"prove that the archive works", s.proveArchive},
		{"start the client", s.startClient},
		{"show the cluster", s.showTree},
		{"kill the master", s.killMaster},
		{"fail over", s.failOver},
		{"write to the new master", s.writeMore},
		{"prove that no acknowledged row is missing", s.proveSurvivors},
		{"bring the old master back", s.rejoin},
		{"prove that all nodes agree", s.proveAll},
		{"show the final cluster", s.showTree},
	}
	for i, a := range acts {
		begun := time.Now()
		s.step, s.steps = i+1, len(acts)
		s.emit(Event{Kind: KindStep, Message: a.title})
		if err := a.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", a.title, err)
		}
		s.emit(Event{Kind: KindDone, Message: a.title, Seconds: time.Since(begun).Seconds()})
	}
	s.emit(Event{Kind: KindReport, Message: "every proof held", Report: &s.report})
	return nil
}

// secret returns a new random password. It is printable ASCII, so that SCRAM needs no normalisation of it.
func secret() string { return rand.Text() }

// shape is the cluster as it begins.
func (cfg Config) shape() topology.Cluster {
	return topology.Cluster{Name: "quickstart", Nodes: []topology.Node{
		cfg.node(Master, ""), cfg.node(Cascade, Master), cfg.node(Downstream, Cascade),
	}}
}

// node is a member of the cluster; whoever follows is synchronous.
func (cfg Config) node(id, upstream topology.NodeID) topology.Node {
	s := cfg.Servers[id]
	return topology.Node{
		ID: id, Host: s.Peer, Port: s.PeerPort, From: []string{s.From}, Upstream: upstream, Sync: upstream != "",
	}
}

// dataDir is where the data directory of a node lies.
func (s Server) dataDir() string { return path.Join(s.Dir, "data") }
