package clusterfile_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/clusterfile"
)

// setups are descriptions of clusters that are run in practice.
var setups = []string{"gocd", "maas", "stash", "cyclos"}

func setup(t *testing.T, name string) topology.Cluster {
	t.Helper()
	file := filepath.Join("testdata", "setups", name+".yaml")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	c, err := clusterfile.Parse(file, data)
	require.NoError(t, err)
	require.NoError(t, validate(t, compiledSchema(t), string(data)))
	return c
}

// What each node of each set-up must say, for several majors.
func TestSetupsRender(t *testing.T) {
	for _, name := range setups {
		c := setup(t, name)
		for _, major := range []pgconf.Major{11, 13, 15, 17, 18} {
			t.Run(fmt.Sprintf("%s-%s", name, major), func(t *testing.T) {
				var text strings.Builder
				for _, n := range c.Nodes {
					cfg, err := c.Render(n.ID, major)
					require.NoError(t, err)
					describe(t, &text, n, cfg, major)
				}
				golden(t, filepath.Join("testdata", "setups", t.Name()[len("TestSetupsRender/"):]+".golden"), text.String())
			})
		}
	}
}

// describe writes what a node must say as its files do.
func describe(t *testing.T, text *strings.Builder, n topology.Node, cfg topology.NodeConfig, major pgconf.Major) {
	t.Helper()
	fmt.Fprintf(text, "==== %s\n-- postgresql.conf\n", n)
	for _, s := range cfg.Settings {
		value, err := pgconf.Quote(s.Value)
		require.NoError(t, err)
		fmt.Fprintf(text, "%s = %s  # %s\n", s.Name, value, s.Why)
	}
	text.WriteString("-- pg_hba.conf\n")
	for _, r := range cfg.Access {
		fmt.Fprintln(text, r)
	}
	if cfg.Recovery != nil {
		files, err := cfg.Recovery.Render(major)
		require.NoError(t, err)
		for _, f := range files {
			fmt.Fprintf(text, "-- %s\n%s", f.Name, f.Data)
		}
	}
	for _, slot := range cfg.Slots {
		fmt.Fprintf(text, "-- slot %s\n", slot)
	}
	for _, l := range cfg.Passfile {
		fmt.Fprintf(text, "-- password file: %s:%s:%s:%s: %s\n", l.Host, l.Port, l.Database, l.User, l.Secret)
	}
	text.WriteString("\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(name, []byte(got), 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run the test with -update and read the difference")
}
