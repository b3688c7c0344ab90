package pitr

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/recovery"
)

// A restore that does not get as far as the settings leaves no data directory that starts as a primary.
func TestRun_failsBeforeTheServer(t *testing.T) {
	dir := t.TempDir()
	backup := filepath.Join(dir, "backup")
	for name, text := range map[string]string{
		"PG_VERSION": "17\n", "backup_label": "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n", "global/pg_control": "x", "postgresql.conf": "",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(backup, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(backup, name), []byte(text), 0o600))
	}
	data := filepath.Join(dir, "data")
	_, err := Run(t.Context(), Options{
		Backup: backup, DataDir: data, RestoreCommand: "false", ConfigFile: filepath.Join(dir, "missing.conf"), Runner: Local{BinDir: "/bin"},
	})
	require.ErrorContains(t, err, "missing.conf")
	start, err := recovery.Read(t.Context(), recovery.Disk{}, recovery.Server{DataDir: data})
	require.NoError(t, err)
	require.Equal(t, recovery.RefusesToStart, start.Outcome, "%v", start)
}
