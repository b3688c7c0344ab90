package pgnode_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/topology/pgnode"
)

// Some distributions run the server under another name; it is fenced all the same.
func TestFence_namesOfTheServer(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	program, err := os.ReadFile(sleep)
	require.NoError(t, err)
	for _, name := range []string{"postgres", "postmaster", ".postgres-wrapped", "edb-postgres"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			server := filepath.Join(t.TempDir(), name)
			require.NoError(t, os.WriteFile(server, program, 0o700)) //nolint:gosec // a program
			cmd := exec.Command(server, "100")
			cmd.Dir = dir
			require.NoError(t, cmd.Start())
			ended := make(chan struct{})
			go func() { _ = cmd.Wait(); close(ended) }() // it is killed
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })

			n := newNode(t, pgnode.Config{Host: host.NewLocal(host.LocalConfig{}), BinDir: "/bin", DataDir: dir})
			pids, err := n.Processes(t.Context())
			require.NoError(t, err)
			require.Equal(t, []int{cmd.Process.Pid}, pids)
			require.NoError(t, n.Fence(t.Context()))
			<-ended
		})
	}
}

// The value of a setting may be a secret, such as the password that pg_basebackup -R leaves in postgresql.auto.conf.
func TestOverruledError_showsNoSecret(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgresql.conf"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgresql.auto.conf"),
		[]byte("primary_conninfo = 'host=a password=hunter2'\nwork_mem = '8MB'\n"), 0o600))
	n := newNode(t, pgnode.Config{Host: host.NewLocal(host.LocalConfig{}), BinDir: "/bin", DataDir: dir})
	err := n.Set(t.Context(), map[string]string{"primary_conninfo": "host=b password=hunter3"})
	require.ErrorAs(t, err, new(*pgnode.OverruledError))
	require.NotContains(t, err.Error(), "hunter")
	require.ErrorContains(t, n.Set(t.Context(), map[string]string{"work_mem": "9MB"}), `work_mem is "8MB" here, which wins over "9MB"`)
}
