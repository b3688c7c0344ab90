package story

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgtest"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/host"
)

// TestStory plays the story on real servers, one container a node, and checks the outcome by itself: it does not take the
// report's word for it.
func TestStory(t *testing.T) {
	for _, c := range []struct {
		major  int
		rejoin string
	}{
		{11, "clone"}, // the image has no pg_rewind of this major; settings are in recovery.conf
		{13, "rewind"}, {15, "rewind"}, {17, "rewind"}, {18, "rewind"},
	} {
		t.Run(strconv.Itoa(c.major), func(t *testing.T) {
			s := playIn(t, Config{Major: c.major})
			require.Equal(t, c.rejoin, s.report.Rejoin)
			require.GreaterOrEqual(t, s.report.Acked, 400)
			require.Zero(t, s.report.Missing)
			checkTimings(t, s.report.Timings)
			checkShape(t, s)
			checkRows(t, s)
			checkAccess(t, s)
			checkSecrets(t, s)
			checkArchive(t, s)
			checkProofCanFail(t, s)
		})
	}
}

// TestStoryClone brings the old master back by a clone although it could be rewound, and keeps its old data.
func TestStoryClone(t *testing.T) {
	s := playIn(t, Config{Major: 17, NoRewind: true})
	require.Equal(t, "clone", s.report.Rejoin)
	checkShape(t, s)
	checkRows(t, s)
	server := s.cfg.Servers[Master]
	r, err := server.Host.Run(t.Context(), host.Cmd{Path: "ls", Args: []string{server.Dir}})
	require.NoError(t, err)
	require.Contains(t, string(r.Stdout), "data.aside-", "the old data directory must have been set aside")
}

// playIn plays the story in a new cluster of containers. Everything is stopped when the test ends.
func playIn(t *testing.T, cfg Config) *stage {
	t.Helper()
	cluster := pgtest.NewCluster(t, pgtest.Config{
		Major: cfg.Major, Nodes: []string{string(Master), string(Cascade), string(Downstream)},
	})
	program := buildArchiver(t)
	cfg.Servers = map[topology.NodeID]Server{}
	for _, n := range cluster.Nodes {
		cfg.Servers[topology.NodeID(n.Name)] = serverOn(t, n, program)
		cfg.BinDir = n.BinDir()
	}
	cfg.Archiver, cfg.Archive = []string{archiverPath}, path.Join(pgtest.SharedDir, "archive")
	cfg.ClientFrom = []string{gateway(t, cluster.Nodes[0]) + "/32"}
	require.NoError(t, cluster.Nodes[0].Host().MkdirAll(t.Context(), cfg.Archive, 0o700))
	cfg.Emit = func(e Event) {
		if e.Kind != KindRows {
			t.Log(e.Kind, e.Message, e.From, e.To, e.Reasons, e.Drawing)
		}
	}
	s, err := newStage(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.leave(t.Context())) })
	require.NoError(t, s.play(t.Context()))
	return s
}

const archiverPath = "/usr/local/bin/walarchive"

// serverOn prepares a container for a node.
func serverOn(t *testing.T, n *pgtest.Node, program []byte) Server {
	t.Helper()
	require.NoError(t, n.RootHost().WriteFile(t.Context(), archiverPath, program, 0o755))
	dir := path.Join(n.DiskDir(), "node")
	require.NoError(t, n.Host().MkdirAll(t.Context(), dir, 0o700))
	dial, dialPort, ok := strings.Cut(n.Addr(), ":")
	require.True(t, ok, n.Addr())
	port, err := strconv.Atoi(dialPort)
	require.NoError(t, err)
	return Server{
		Host: n.Host(), Dir: dir, Peer: n.Name, PeerPort: pgtest.Port, From: n.IP.String() + "/32",
		Dial: dial, DialPort: port,
	}
}

// buildArchiver builds examples/walarchive so that it runs in any image.
func buildArchiver(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "walarchive")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "github.com/understudy-ha/understudy/examples/walarchive")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	program, err := os.ReadFile(file)
	require.NoError(t, err)
	return program
}

// gateway is the address from which a published port is reached.
func gateway(t *testing.T, n *pgtest.Node) string {
	t.Helper()
	r, err := n.RootHost().Run(t.Context(), host.Cmd{Path: "ip", Args: []string{"route", "show", "default"}})
	require.NoError(t, err)
	fields := strings.Fields(string(r.Stdout)) // default via ADDRESS dev eth0
	require.Greater(t, len(fields), 2, string(r.Stdout))
	return fields[2]
}

func checkTimings(t *testing.T, timing Timing) {
	t.Helper()
	require.Equal(t, timing.Outage, timing.Detect+timing.Fence+timing.Elect+timing.Promote+timing.First)
	for _, part := range []time.Duration{timing.Detect, timing.Fence, timing.Elect, timing.Promote} {
		require.Positive(t, part, "%+v", timing)
	}
	require.GreaterOrEqual(t, timing.First, time.Duration(0)) // the client may write before pg_ctl notices that it can
	require.Less(t, timing.Outage, time.Minute)
}

// checkShape asks the servers for the final shape: the parts have been handed on.
func checkShape(t *testing.T, s *stage) {
	t.Helper()
	tree := topology.Derive(s.everyNode(), s.Observe(t.Context()))
	type row struct {
		node     topology.NodeID
		role     topology.Role
		state    string
		timeline uint32
		children int
	}
	var got []row
	for _, p := range tree.Places() {
		got = append(got, row{p.Node.ID, p.Role, p.State(), uint32(p.Observation.Timeline), len(p.Children)})
	}
	require.Equal(t, []row{
		{Cascade, topology.RolePrimary, "read-write", 2, 1},
		{Downstream, topology.RoleCascading, "streaming, sync", 2, 1},
		{Master, topology.RoleDownstream, "streaming", 2, 0},
	}, got, tree.String())
}

// checkRows compares the client's ledger with the rows of every node, without the code that the story proves with.
func checkRows(t *testing.T, s *stage) {
	t.Helper()
	acked, _, _ := s.client.ledger.copies()
	for id := range s.nodes {
		err := s.sql(t.Context(), id, database, func(conn *pgx.Conn) error {
			var missing int
			err := conn.QueryRow(t.Context(), `SELECT count(*) FROM unnest($1::bigint[]) AS acked(id)
				WHERE NOT EXISTS (SELECT FROM ledger WHERE ledger.id = acked.id)`, acked).Scan(&missing)
			require.Zero(t, missing, "acknowledged rows missing on %s", id)
			return err
		})
		require.NoError(t, err)
	}
}

// checkAccess asks every server how it authenticates: by SCRAM and nothing else, nobody for everything from everywhere.
func checkAccess(t *testing.T, s *stage) {
	t.Helper()
	for id := range s.nodes {
		err := s.sql(t.Context(), id, "postgres", func(conn *pgx.Conn) error {
			var rules, other, open, roles int
			err := conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE auth_method <> 'scram-sha-256' OR error IS NOT NULL),
				count(*) FILTER (WHERE 'all' = ANY (database) OR 'all' = ANY (user_name) OR address = 'all' OR netmask <> '255.255.255.255'),
				(SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL AND rolpassword NOT LIKE 'SCRAM-SHA-256$%')
				FROM pg_hba_file_rules`).Scan(&rules, &other, &open, &roles)
			require.Positive(t, rules)
			require.Zero(t, other, "rules that are not SCRAM on %s", id)
			require.Zero(t, open, "rules for everybody on %s", id)
			require.Zero(t, roles, "passwords that are not SCRAM verifiers on %s", id)
			return err
		})
		require.NoError(t, err)
	}
}

// checkSecrets looks for the passwords where they must not be: in logs, settings and command lines.
func checkSecrets(t *testing.T, s *stage) {
	t.Helper()
	for id, server := range s.cfg.Servers {
		script := `cat "$1"/server.log "$1"/data/*.conf "$1"/data/recovery.* /proc/[0-9]*/cmdline 2>/dev/null; stat -c %a "$1"/pgpass`
		r, err := server.Host.Run(t.Context(), host.Cmd{Path: "sh", Args: []string{"-c", script, "sh", server.Dir}})
		require.NoError(t, err)
		text := string(r.Stdout)
		require.True(t, strings.Contains(text, "listen_addresses"), "the search found no settings")
		require.True(t, strings.HasSuffix(text, "600\n"), "mode of pgpass")
		for role, password := range s.passwords {
			require.False(t, strings.Contains(text, password), "password of %s on %s", role, id)
		}
	}
}

// checkArchive looks for the new timeline's history and segments of both timelines in the archive.
func checkArchive(t *testing.T, s *stage) {
	t.Helper()
	server := s.cfg.Servers[Cascade]
	require.NoError(t, s.exec(t.Context(), Cascade, "postgres", "SELECT pg_switch_wal()"))
	pgtest.WaitFor(t, time.Minute, "both timelines in the archive", func() error {
		r, err := server.Host.Run(t.Context(), host.Cmd{Path: archiverPath, Args: []string{"list", "--names", "--archive", s.cfg.Archive}, Dir: server.dataDir()})
		if err != nil {
			return err
		}
		names := strings.Fields(string(r.Stdout))
		for _, want := range []string{"00000002.history", "000000010000000000000003", "000000020000000000000004"} {
			if !contains(names, want) {
				return &missingError{want, names}
			}
		}
		return nil
	})
}

type missingError struct {
	want  string
	names []string
}

func (e *missingError) Error() string { return e.want + " is not among " + strings.Join(e.names, " ") }

func contains(lines []string, name string) bool {
	for _, l := range lines {
		if path.Base(l) == name {
			return true
		}
	}
	return false
}

// checkProofCanFail takes an acknowledged row away and sees the proof fail.
func checkProofCanFail(t *testing.T, s *stage) {
	t.Helper()
	require.NoError(t, s.prove(t.Context(), Cascade, Downstream, Master))
	acked, _, _ := s.client.ledger.copies()
	victim := strconv.FormatInt(acked[len(acked)/2], 10)
	require.NoError(t, s.exec(t.Context(), Cascade, database, "DELETE FROM ledger WHERE id = "+victim))
	err := s.prove(t.Context(), Downstream)
	require.ErrorContains(t, err, "1 acknowledged rows are missing on downstream, the first is "+victim)
	require.Equal(t, 1, s.report.Missing)
}
