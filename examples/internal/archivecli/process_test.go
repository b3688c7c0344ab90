package archivecli

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store"
)

// The test binary calls itself as the command, to be sent signals.
const mainEnv = "ARCHIVECLI_TEST_MAIN"

func TestMain(m *testing.M) {
	switch os.Getenv(mainEnv) {
	case "":
		os.Exit(m.Run())
	case "hang": // in the middle of writing, as on a dead network file system
		atomicfile.SetHook(func(s atomicfile.Step) error {
			if s == atomicfile.StepSync {
				fmt.Println("hanging")
				select {}
			}
			return nil
		})
	case "panic":
		atomicfile.SetHook(func(atomicfile.Step) error { panic("boom") })
	case "stack_overflow": // fatal in the runtime: no recover can stop it
		atomicfile.SetHook(func(atomicfile.Step) error { return overflow(1) })
	}
	if os.Getenv(mainEnv) == "received" {
		pushReceived(os.Args[len(os.Args)-2], os.Args[len(os.Args)-1])
		return
	}
	Main()
}

// pushReceived archives the beginning of a segment, as a receiver does.
func pushReceived(path, upto string) {
	ctx := context.Background()
	place, err := store.Open(ctx, os.Args[2], store.Options{}) // behind --archive
	exitIf(err)
	a, err := walarchive.New(walarchive.Config{Targets: []walarchive.Target{{Store: place}}, Identity: ours})
	exitIf(err)
	f, err := os.Open(path)
	exitIf(err)
	n, err := strconv.ParseUint(upto, 10, 32)
	exitIf(err)
	exitIf(a.PushReceived(ctx, filepath.Base(path), uint32(n), f))
}

func exitIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
}

func overflow(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d: %w", n, overflow(n+1))
}

func (w *world) process(mode string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), os.Args[0], append([]string{"--archive", w.archive, "-D", w.data, "--retry", "0s"}, args...)...)
	cmd.Env = append(os.Environ(), mainEnv+"="+mode)
	return cmd
}

// controlFile gives the data directory a pg_control of major 15 that names the cluster ours.
func (w *world) controlFile() {
	b := make([]byte, 8192)
	le := binary.LittleEndian
	le.PutUint64(b, uint64(ours.SystemID))
	le.PutUint32(b[8:], 1300)
	le.PutUint32(b[16:], 5)
	le.PutUint32(b[224:], 8192)
	le.PutUint32(b[228:], ours.SegmentSize)
	le.PutUint32(b[288:], crc32.Checksum(b[:288], crc32.MakeTable(crc32.Castagnoli)))
	require.NoError(w.t, os.Mkdir(filepath.Join(w.data, "global"), 0o700))
	w.file("global/pg_control", string(b))
}

func TestMain_signals(t *testing.T) {
	for _, tc := range []struct {
		verb   string
		signal syscall.Signal
		want   int
	}{
		{"push", syscall.SIGTERM, exitFailed},
		{"fetch", syscall.SIGTERM, 143},
		{"fetch", syscall.SIGINT, 130},
		{"fetch", syscall.SIGQUIT, 131},
	} {
		t.Run(tc.verb+"/"+tc.signal.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.controlFile()
			w.pushHistory()
			dst := filepath.Join(w.data, "RECOVERYHISTORY")
			args := []string{"fetch", historyName, dst}
			if tc.verb == "push" {
				args = []string{"push", w.file("00000003.history", history)}
			}
			cmd := w.process("hang", args...)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "hanging\n", line)
			require.NoError(t, cmd.Process.Signal(tc.signal))
			require.Error(t, cmd.Wait())
			require.Equal(t, tc.want, cmd.ProcessState.ExitCode())
			require.NoFileExists(t, dst)
			require.NoFileExists(t, filepath.Join(w.archive, "00000003.history"))
		})
	}
}

// TestMain_bugs: whatever goes wrong inside, restore_command's answer must be above 125 or a signal, and never the
// 2 with which a Go program ends by default.
func TestMain_bugs(t *testing.T) {
	for _, bug := range []string{"panic", "stack_overflow"} {
		t.Run(bug, func(t *testing.T) {
			w := newWorld(t)
			w.controlFile()
			w.pushHistory()
			cmd := w.process(bug, "fetch", historyName, filepath.Join(w.data, "RECOVERYHISTORY"))
			err := cmd.Run()
			require.Error(t, err)
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, status.Signaled() || status.ExitStatus() > 125, "ended with %v", err)
		})
	}
}
