package clusterfile_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/clusterfile"
)

// The published schema is what the table says. With -update it is written anew.
func TestSchemaIsPublished(t *testing.T) {
	const name = "schema.json"
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(name, clusterfile.Schema(), 0o644)) //nolint:gosec // everyone may read it
	}
	published, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(published), string(clusterfile.Schema()), "run the test with -update")
}
