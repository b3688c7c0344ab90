package archivecli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSettings_mean_the_same_for_the_server, which runs its commands in another directory.
func TestSettings_mean_the_same_for_the_server(t *testing.T) {
	w := newWorld(t)
	t.Chdir(w.data)
	require.NoError(t, os.WriteFile("keys", []byte("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"), 0o600))
	code, _, stderr := w.run("--", "--archive", "archive", "settings", "17")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "absolute")
	code, stdout, stderr := w.run("--", "--archive", w.archive, "--recipient", "keys", "--retry", "1m", "settings", "17")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "--retry=1m0s")
	require.Contains(t, stdout, "--recipient="+filepath.Join(w.data, "keys"))
}
