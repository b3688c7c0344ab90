package build_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

func TestMain(m *testing.M) { os.Exit(livepg.Run(m)) }

// Secrets of the tests, by reference.
var secrets = map[topology.SecretRef]string{
	"env:ADMIN": "admin-secret-71", "env:REPLICATION": `rep'l:sec\ret-72`, "env:MONITOR": "monitor-secret-73",
}

func secret(_ context.Context, ref topology.SecretRef) (string, error) {
	if s, ok := secrets[ref]; ok {
		return s, nil
	}
	return "", fmt.Errorf("no secret %q", ref)
}

// site is a cluster whose servers are on this machine.
type site struct {
	in      *livepg.Install
	servers map[topology.NodeID]*livepg.Server
	cluster topology.Cluster
}

// newSite describes a cluster: each node is "id", or "id<upstream", and with a + behind it a synchronous one. Nothing is on the machines.
func newSite(t *testing.T, nodes ...string) *site {
	t.Helper()
	s := &site{in: livepg.Newest(t), servers: map[topology.NodeID]*livepg.Server{}}
	s.cluster = topology.Cluster{
		Name: "orders", Slots: true,
		Replication: topology.Replication{
			User: "replicator", Secret: "env:REPLICATION", Passfile: s.in.TempDir(t) + "/sub/passfile",
			Conninfo: map[string]string{"sslmode": "disable"},
		},
		Admin:   topology.Account{Name: "postgres", Secret: "env:ADMIN"},
		Monitor: topology.Account{Name: "observer", Secret: "env:MONITOR"},
		Clients: []topology.Client{{User: "app", Database: "postgres", Addresses: []string{"127.0.0.1/32"}}},
		Settings: map[string]string{
			"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "8MB", "fsync": "off",
			"wal_retrieve_retry_interval": "100ms", "autovacuum": "off",
		},
	}
	for _, text := range nodes {
		s.cluster.Nodes = append(s.cluster.Nodes, s.blank(t, text))
	}
	return s
}

// blank returns a node without data.
func (s *site) blank(t *testing.T, text string) topology.Node {
	t.Helper()
	text, sync := strings.CutSuffix(text, "+")
	id, upstream, _ := strings.Cut(text, "<")
	server := s.in.Blank(t, topology.NodeID(id))
	s.servers[server.ID] = server
	return topology.Node{
		ID: server.ID, Host: "127.0.0.1", Port: server.Port, Upstream: topology.NodeID(upstream), Sync: sync,
		DataDir: server.DataDir(), Service: topology.Service{BinDir: s.in.BinDir},
	}
}

// builder returns one for the cluster as it is described now.
func (s *site) builder(t *testing.T, change ...func(*build.Config)) *build.Builder {
	t.Helper()
	cfg := build.Config{
		Cluster: s.cluster, Secret: secret, Timeout: 30 * time.Second,
		Host:     func(topology.Node) (host.Host, error) { return s.in.Host, nil },
		Progress: func(e build.Event) { t.Log(e) },
	}
	for _, c := range change {
		c(&cfg)
	}
	b, err := build.New(cfg)
	require.NoError(t, err)
	return b
}

// node returns a node of the description, to be changed.
func (s *site) node(id topology.NodeID) *topology.Node {
	i := slices.IndexFunc(s.cluster.Nodes, func(n topology.Node) bool { return n.ID == id })
	return &s.cluster.Nodes[i]
}

// sql runs statements on a node as the administrator.
func (s *site) sql(t *testing.T, id topology.NodeID, sql string) string {
	t.Helper()
	return s.servers[id].SQLAs(t, "postgres", secrets["env:ADMIN"], sql)
}

// files are all configuration files of the cluster, by name, as digests.
func (s *site) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, n := range s.cluster.Nodes {
		names, err := s.in.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{
			"-c", `ls -d "$1"/*.conf "$1"/*.signal "$1".* 2>/dev/null; true`, "sh", n.DataDir,
		}})
		require.NoError(t, err)
		for name := range strings.FieldsSeq(string(names.Stdout)) {
			data, err := s.in.Host.ReadFile(t.Context(), name)
			if err == nil && !strings.HasSuffix(name, ".log") && !strings.HasSuffix(name, "-lock") {
				all[name] = fmt.Sprintf("%x", sha256.Sum256(data))
			}
		}
	}
	if data, err := s.in.Host.ReadFile(t.Context(), s.cluster.Replication.Passfile); err == nil {
		all[s.cluster.Replication.Passfile] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return all
}

// edges are the desired connections, "upstream>standby".
func (s *site) edges() []string {
	var all []string
	for _, n := range s.cluster.Nodes {
		if up, ok := s.cluster.Upstream(n.ID); ok {
			all = append(all, string(up.ID+">"+n.ID))
		}
	}
	slices.Sort(all)
	return all
}

// edges are the connections that upstreams say stream.
func edges(t *testing.T, status topology.Status) []string {
	t.Helper()
	var all []string
	for _, o := range status.Nodes {
		require.NoError(t, o.Err)
		for _, sender := range o.Senders {
			if sender.State == "streaming" {
				all = append(all, string(o.Node)+">"+sender.Name)
			}
		}
	}
	slices.Sort(all)
	return all
}

// run runs a program of PostgreSQL.
func (s *site) run(t *testing.T, program string, args ...string) error {
	t.Helper()
	_, err := s.in.Host.Run(t.Context(), host.Cmd{Path: s.in.BinDir + "/" + program, Args: args})
	return err
}

func itoa(n int) string { return strconv.Itoa(n) }
