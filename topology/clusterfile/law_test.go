package clusterfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/clusterfile"
)

// What Render writes, Parse reads as the same cluster, and rendering that gives the same bytes.
func TestRoundTrip(t *testing.T) {
	s := compiledSchema(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := aCluster.Draw(rt, "cluster")
		out, err := clusterfile.Render(c)
		require.NoError(rt, err)
		got, err := clusterfile.Parse("c.yaml", out)
		require.NoError(rt, err, "%s", out)
		require.Equal(rt, c, got, "%s", out)
		again, err := clusterfile.Render(got)
		require.NoError(rt, err)
		require.Equal(rt, string(out), string(again))
		require.NoError(rt, validate(t, s, string(out)), "%s", out)
	})
}

// Texts of all kinds, with what YAML has a meaning for.
var (
	aText = rapid.OneOf(
		rapid.SampledFrom([]string{
			"yes", "~", "null", "1", "0x1f", "1e3", "-", "- a", "a: b", "# a", "a #b", "*a", "&a", "!a", "%a", "@a", "{a", "[a]", "'", `"`, `\`,
			"2026-11-22", "<<", "=", "?", "|", ">", " a", "a ", "a\nb", "\na\n", "\t", "\x00", "\u2028", "\ufeffa", "\U0001f600", "true", "on", ".inf", "---", "...",
			"1_000", "0o7", "12:30:45", "cp %p /x/%f", "a,b", "\r\n", "\u0085",
		}),
		rapid.StringN(1, 12, -1),
	).Filter(func(s string) bool { return s != "" && !strings.ContainsAny(s, "=@") })
	anID      = rapid.StringMatching(`n[a-z0-9_]{0,8}`)
	aPath     = rapid.Map(aText, func(s string) string { return "/" + s })
	aNetwork  = rapid.SampledFrom([]string{"10.0.0.1/32", "10.0.0.0/8", "fd00::/64", "::1/128"})
	aSecret   = rapid.SampledFrom([]topology.SecretRef{"", "env:PASSWORD", "file:/run/secrets/a b"})
	someTexts = rapid.Custom(func(t *rapid.T) map[string]string {
		m := rapid.MapOfN(rapid.StringMatching(`[a-z_]{1,8}`), rapid.OneOf(aText, rapid.Just("")), 0, 3).Draw(t, "texts")
		delete(m, "pass")
		delete(m, "pwd")
		if len(m) == 0 {
			return nil
		}
		return m
	})
)

// maybe is the zero value as often as not.
func maybe[T any](t *rapid.T, g *rapid.Generator[T], label string) T {
	var zero T
	if rapid.Bool().Draw(t, label+" is there") {
		return g.Draw(t, label)
	}
	return zero
}

func some(t *rapid.T, g *rapid.Generator[string], label string) []string {
	if list := rapid.SliceOfN(g, 0, 3).Draw(t, label); len(list) > 0 {
		return list
	}
	return nil
}

var aDelay = rapid.Custom(func(t *rapid.T) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
	return time.Duration(rapid.IntRange(1, 10000).Draw(t, "number")) * unit
})

var aRule = rapid.Custom(func(t *rapid.T) topology.SyncRule {
	return topology.SyncRule{
		Method: rapid.SampledFrom([]topology.SyncMethod{"", topology.First, topology.Any}).Draw(t, "method"),
		Number: rapid.IntRange(0, 3).Draw(t, "number"), At: some(t, aText, "at"),
	}
})

var anAccount = rapid.Custom(func(t *rapid.T) topology.Account {
	return topology.Account{
		Name: aText.Draw(t, "name"), Secret: aSecret.Draw(t, "secret"), Database: maybe(t, aText, "database"), From: some(t, aNetwork, "from"),
	}
})

var someSettings = rapid.Custom(func(t *rapid.T) map[string]string {
	m := map[string]string{
		"work_mem": "64MB", "log_line_prefix": maybe(t, aText, "prefix"), "random_page_cost": "1.10", "jit": "true", "max_connections": "200",
	}
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{
		"work_mem", "log_line_prefix", "random_page_cost", "jit", "max_connections",
	}), rapid.ID).Draw(t, "left out") {
		delete(m, name)
	}
	if len(m) == 0 {
		return nil
	}
	return m
})

var aService = rapid.Custom(func(t *rapid.T) topology.Service {
	switch rapid.SampledFrom([]topology.Manager{"", topology.PgCtl, topology.Debian, topology.Systemd, topology.Commands}).Draw(t, "manager") {
	case topology.PgCtl:
		return topology.Service{Manager: topology.PgCtl, BinDir: aPath.Draw(t, "bin")}
	case topology.Debian:
		return topology.Service{Manager: topology.Debian, Cluster: "17/main"}
	case topology.Systemd:
		return topology.Service{Manager: topology.Systemd, Unit: "postgresql-17.service", BinDir: "/usr/pgsql-17/bin"}
	case topology.Commands:
		return topology.Service{Manager: topology.Commands, BinDir: "/opt/pg/bin", Commands: map[string]string{"start": aText.Draw(t, "start")}}
	}
	return topology.Service{}
})

func aNode(t *rapid.T, i int, above []topology.NodeID) topology.Node {
	n := topology.Node{
		ID: topology.NodeID(anID.Draw(t, "id")), Host: rapid.SampledFrom([]string{"db1", "10.0.0.1", "fd00::1", "db.example"}).Draw(t, "host"),
		Port: 5000 + i, From: some(t, aNetwork, "from"), Site: rapid.SampledFrom([]string{"", "north", "1", "~"}).Draw(t, "site"),
		Priority: rapid.IntRange(-2, 2).Draw(t, "priority"), Tags: maybe(t, someTexts, "tags"), DataDir: "/srv/pg" + string(rune('a'+i)),
		Machine:  rapid.SampledFrom([]string{"", "local", "ssh://postgres@db1:22", "docker://pg-1"}).Draw(t, "machine"),
		Service:  maybe(t, aService, "service"),
		Settings: maybe(t, someSettings, "settings"),
	}
	if len(above) == 0 {
		n.Sync = rapid.Bool().Draw(t, "sync")
		return n
	}
	n.Upstream = rapid.SampledFrom(append([]topology.NodeID{topology.Leader}, above...)).Draw(t, "upstream")
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		n.Sync = true
	case 1:
		n.Delay, n.Priority = aDelay.Draw(t, "delay"), -1
	case 2:
		n.ArchiveOnly, n.Priority = true, -1
	}
	return n
}

var aCluster = rapid.Custom(func(t *rapid.T) topology.Cluster {
	c := topology.Cluster{
		Name: maybe(t, aText, "name"), Slots: rapid.Bool().Draw(t, "slots"), Settings: maybe(t, someSettings, "settings"),
		MaxSlotKeep: rapid.SampledFrom([]string{"", "-1", "20GB"}).Draw(t, "max_slot_keep"),
		KeepWAL:     rapid.SampledFrom([]string{"", "1GB", "512MB"}).Draw(t, "keep_wal"),
		Sync:        topology.SyncPolicy{SyncRule: maybe(t, aRule, "sync"), Strict: rapid.Bool().Draw(t, "strict")},
		Replication: topology.Replication{User: "rep", Secret: aSecret.Draw(t, "secret"), Passfile: maybe(t, aPath, "passfile")},
		Monitor:     maybe(t, anAccount, "monitor"), Admin: maybe(t, anAccount, "admin"),
		Archive: topology.Archive{
			Command: "cp %p /srv/wal/%f", Restore: "cp /srv/wal/%f %p", Cleanup: maybe(t, rapid.Just("pg_archivecleanup /srv/wal %r"), "cleanup"),
			URL: maybe(t, rapid.Just("file:///srv/wal"), "url"), Program: maybe(t, aPath, "program"),
			Timeout: rapid.SampledFrom([]time.Duration{0, -1, time.Minute, time.Hour}).Draw(t, "timeout"), Always: rapid.Bool().Draw(t, "always"),
		},
	}
	if rapid.Bool().Draw(t, "conninfo") {
		c.Replication.Conninfo = map[string]string{"sslmode": "verify-full", "sslrootcert": aPath.Draw(t, "root")}
	}
	var above []topology.NodeID
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		n := aNode(t, i, above)
		c.Nodes = append(c.Nodes, n)
		above = append(above, n.ID)
	}
	if rapid.Bool().Draw(t, "witness") {
		c.Nodes = append(c.Nodes, topology.Node{ID: "w", Host: "db9", Port: 5999, Witness: true})
	}
	for range rapid.IntRange(0, 2).Draw(t, "clients") {
		c.Clients = append(c.Clients, topology.Client{
			User: aText.Draw(t, "user"), Database: aText.Draw(t, "database"), Addresses: []string{aNetwork.Draw(t, "address")},
		})
	}
	if rapid.Bool().Draw(t, "sites") {
		c.Sync.Sites = map[string]topology.SyncRule{"north": maybe(t, aRule, "north")}
	}
	return c
}).Filter(func(c topology.Cluster) bool { return c.Validate() == nil })

// Whatever the input, Parse does not panic; each fault names its place; what is accepted renders, and reads as the same.
func FuzzParse(f *testing.F) {
	stories, err := filepath.Glob("testdata/*/*.txt")
	require.NoError(f, err)
	for _, name := range stories {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		for story := range strings.SplitSeq(string(data), "\n\n") {
			_, input, _ := strings.Cut(story, "parse")
			_, input, _ = strings.Cut(input, "\n")
			input, _, _ = strings.Cut(input, "----")
			f.Add([]byte(input))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := clusterfile.Parse("c.yaml", data)
		if err != nil {
			wantPlaces(t, err, data)
			return
		}
		out, err := clusterfile.Render(c)
		require.NoError(t, err)
		got, err := clusterfile.Parse("c.yaml", out)
		require.NoError(t, err)
		require.Equal(t, c, got)
	})
}

// wantPlaces checks that all faults are within the file, in its order.
func wantPlaces(t *testing.T, err error, data []byte) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	line := 1
	for _, err := range joined.Unwrap() {
		var fault *clusterfile.Error
		require.ErrorAs(t, err, &fault)
		require.GreaterOrEqual(t, fault.Line, line)
		require.GreaterOrEqual(t, fault.Column, 1)
		require.NotEmpty(t, fault.Msg)
		line = fault.Line
	}
	require.LessOrEqual(t, line, strings.Count(string(data), "\n")+1)
}
