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
