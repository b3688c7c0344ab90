package pgconf_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// samples returns the names of the packaged files in testdata.
func samples(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/postgresql.conf.*.sample")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

func readSample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}
