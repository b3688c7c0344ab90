package build_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/build"
	"github.com/understudy-ha/understudy/topology/host"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]topology.Cluster{
		"empty":        {},
		"two_roots":    {Nodes: []topology.Node{{ID: "a", Host: "h1"}, {ID: "b", Host: "h2"}}},
		"only_witness": {Nodes: []topology.Node{{ID: "a", Host: "h1", Witness: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build.New(build.Config{Cluster: c})
			require.ErrorContains(t, err, "Cluster: ")
		})
	}
}

func TestSecret(t *testing.T) {
	t.Setenv("UNDERSTUDY_TEST_SECRET", "s3")
	t.Setenv("UNDERSTUDY_TEST_EMPTY", "")
	t.Setenv("UNDERSTUDY_TEST_LINES", "marker-one\nmarker-two")
	file := t.TempDir() + "/secret"
	require.NoError(t, host.NewLocal(host.LocalConfig{}).WriteFile(t.Context(), file, []byte("first line \r\nsecond\n"), 0o600))
	for ref, want := range map[topology.SecretRef]string{"env:UNDERSTUDY_TEST_SECRET": "s3", topology.SecretRef("file:" + file): "first line "} {
		got, err := build.Secret(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, ref := range []topology.SecretRef{
		"", "env:", "env:UNDERSTUDY_TEST_EMPTY", "env:UNDERSTUDY_TEST_NONE", "env:UNDERSTUDY_TEST_LINES", "file:relative", "file:/no/such/file", "marker-itself",
		"vault:marker-itself",
	} {
		_, err := build.Secret(t.Context(), ref)
		require.Error(t, err, ref)
		require.NotContains(t, err.Error(), "marker", "a secret in the place of a reference")
	}
}

// spied is a host that remembers what was run, but not what was written.
type spied struct {
	host.Host
	seen *transcript
}

type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (h spied) Run(ctx context.Context, c host.Cmd) (host.Result, error) {
	r, err := h.Host.Run(ctx, c)
	fmt.Fprintln(h.seen, c.Path, c.Args, string(r.Stdout), string(r.Stderr), err)
	return r, err
}

// spy makes a builder tell everything that it says and runs.
func (s *site) spy(seen *transcript) func(*build.Config) {
	return func(c *build.Config) {
		c.Host = func(topology.Node) (host.Host, error) { return spied{s.in.Host, seen}, nil }
		c.Logger = slog.New(slog.NewTextHandler(io.Writer(seen), nil))
		c.Progress = func(e build.Event) { fmt.Fprintf(seen, "%v %+v\n", e, e) }
	}
}

// noSecrets fails if a secret is in a text.
func noSecrets(t *testing.T, text string) {
	t.Helper()
	for ref, s := range secrets {
		require.NotContains(t, text, s, "the secret %s", ref)
	}
}

// TestStepRefuses: what steps do not do, and say, with nothing changed.
func TestStepRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a", "b<a")
	require.NoError(t, build.Initialise(t.Context(), s.builder(t), "a"))
	apply := func(node topology.NodeID, a topology.Action) error {
		b := s.builder(t, func(c *build.Config) { c.Timeout = 4 * time.Second })
		return b.Apply(t.Context(), topology.Plan{Steps: []topology.Step{{Node: node, Action: a}, {Node: "a", Action: topology.Reload{}}}})
	}
	require.NoError(t, s.builder(t).Apply(t.Context(), topology.Plan{Steps: []topology.Step{{Node: "a", Action: topology.Start{}}}}))
	s.sql(t, "a", "ALTER SYSTEM SET wal_level = logical")
	require.NoError(t, s.builder(t).Apply(t.Context(), topology.Plan{Steps: []topology.Step{{Node: "a", Action: topology.Restart{}}}}))
	s.sql(t, "a", "SELECT pg_create_logical_replication_slot('b', 'test_decoding')")
	s.sql(t, "a", "SELECT pg_create_physical_replication_slot('theirs')")
	before := s.files(t)
	for name, c := range map[string]struct {
		node   topology.NodeID
		action topology.Action
		want   string
	}{
		"initialise_outside_of_bootstrap": {"b", topology.Initialise{}, "only made by Bootstrap"},
		"unknown_node":                    {"z", topology.Start{}, "could not be locked"},
		"no_action":                       {"a", nil, "is nothing that this program can do"},
		"slot_that_is_logical":            {"a", topology.CreateSlot{Name: "b"}, "logical"},
		"drop_slot_that_is_logical":       {"a", topology.DropSlot{Name: "b"}, "logical"},
		"drop_slot_of_somebody":           {"a", topology.DropSlot{Name: "theirs"}, "somebody else's"},
		"start_without_data":              {"b", topology.Start{}, "read the major"},
		"sync_with_nobody":                {"a", topology.SetSync{To: `FIRST 1 ("b")`}, "not connected"},
		"sync_that_is_wrong":              {"a", topology.SetSync{To: `FIRST ONE (b)`}, "synchronous_standby_names"},
		"account_for_nothing":             {"a", topology.EnsureAccount{Account: topology.Account{Name: "x"}}, `use ""`},
		"setting_that_is_none":            {"a", topology.Set{Changes: []topology.SettingChange{{Setting: topology.Setting{Name: "no such", Value: "1"}}}}, "no such"},
	} {
		t.Run(name, func(t *testing.T) {
			var failed *build.StepError
			err := apply(c.node, c.action)
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, 1, failed.N)
			require.Len(t, failed.Left, 1)
			require.Equal(t, before, s.files(t))
		})
	}
	require.Equal(t, "b,theirs", s.sql(t, "a", "SELECT string_agg(slot_name, ',' ORDER BY 1) FROM pg_replication_slots"))
	require.Empty(t, s.sql(t, "a", "SHOW synchronous_standby_names"))
}

// TestReloadProves: a reload that the server would refuse is an error that names the line.
func TestReloadProves(t *testing.T) {
	t.Parallel()
	s := newSite(t, "a")
	require.NoError(t, build.Initialise(t.Context(), s.builder(t), "a"))
	reload := topology.Plan{Steps: []topology.Step{{Node: "a", Action: topology.Reload{}}}}
	require.NoError(t, s.builder(t).Apply(t.Context(), topology.Plan{Steps: []topology.Step{{Node: "a", Action: topology.Start{}}}}))
	for name, c := range map[string]struct{ file, line, want string }{
		"syntax":        {"postgresql.conf", "work_mem = = 1", "syntax error"},
		"value":         {"postgresql.conf", "work_mem = 'much'", "work_mem"},
		"parameter":     {"postgresql.conf", "no_such_parameter = 1", "no_such_parameter"},
		"rule":          {"pg_hba.conf", "host all all 10.0.0.0/99 trust", "99"},
		"pending_value": {"postgresql.conf", "max_connections = 'many'", "max_connections"},
	} {
		t.Run(name, func(t *testing.T) {
			file := s.node("a").DataDir + "/" + c.file
			data, err := s.in.Host.ReadFile(t.Context(), file)
			require.NoError(t, err)
			broken := append(bytes.Clone(data), []byte(c.line+"\n")...)
			require.NoError(t, s.in.Host.WriteFile(t.Context(), file, broken, 0o600))
			defer func() { require.NoError(t, s.in.Host.WriteFile(t.Context(), file, data, 0o600)) }()
			err = s.builder(t).Apply(t.Context(), reload)
			var refused *build.ReloadError
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, c.want)
			require.NoError(t, s.in.Host.WriteFile(t.Context(), file, data, 0o600))
			require.NoError(t, s.builder(t).Apply(t.Context(), reload))
		})
	}
	// What waits for a restart is no fault.
	s.sql(t, "a", "ALTER SYSTEM SET max_connections = 31")
	require.NoError(t, s.builder(t).Apply(t.Context(), reload))
	require.Equal(t, "t", s.sql(t, "a", "SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'"))
}
