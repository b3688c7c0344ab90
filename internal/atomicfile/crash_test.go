package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test binary calls itself to be killed in the middle of an operation.
const crashEnv = "ATOMICFILE_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) == "" {
		os.Exit(m.Run())
	}
	name, at, path := os.Args[1], Step(os.Args[2]), os.Args[3]
	SetHook(func(s Step) error {
		if s == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	for _, op := range operations {
		if op.name == name {
			if err := op.run(path); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	os.Exit(3) // the step was never reached
}

// runKilled runs the operation on path in a process that kills itself before the step.
func runKilled(t *testing.T, op, step, path string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], op, step, path)
	cmd.Env = append(os.Environ(), crashEnv+"=1")
	err := cmd.Run()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "got %v", err)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "the process was not killed: %v", err)
}
