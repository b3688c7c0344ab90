package lookahead

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/recovery/datadir"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/codec"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// The test binary calls itself as client and helper: with roleEnv "client", the arguments ARCHIVE SPOOL push PATH, or fetch NAME PATH,
// and as helper with ARCHIVE SPOOL serve.
const (
	roleEnv  = "LOOKAHEAD_TEST_ROLE"
	delayEnv = "LOOKAHEAD_TEST_DELAY" // of each object written or read
	idEnv    = "LOOKAHEAD_TEST_ID"    // system identifier; without it pg_control of the working directory says
)

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "" {
		os.Exit(pgserver.Run(m))
	}
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM) // until the process ends
	err := play(ctx, os.Args[1], os.Args[2], os.Args[3:])
	if err != nil && !isAbsent(err) && !errors.Is(err, ErrRunning) {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case isAbsent(err):
		return 1
	case errors.As(err, new(*walarchive.UnknownError)):
		return 200
	}
	return 2
}

func play(ctx context.Context, archive, spool string, args []string) error {
	bond, err := bondHere(archive)
	if err != nil {
		return err
	}
	open := func(context.Context) (Archive, error) { return openArchive(archive, bond) }
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if args[0] == "serve" {
		a, err := open(ctx)
		if err != nil {
			return err
		}
		s, err := New(Config{Spool: spool, Bond: bond, Archive: a, Idle: 10 * time.Second, Logger: logger})
		if err != nil {
			return err
		}
		return s.Run(ctx)
	}
	c := Client{Spool: spool, Bond: bond, Open: open, Logger: logger, Start: func(context.Context) error {
		return Spawn(Command{Path: os.Args[0], Args: []string{archive, spool, "serve"}, Dir: bond.DataDir, Log: spool + ".log"})
	}}
	if args[0] == "push" {
		return c.Push(ctx, args[1])
	}
	return c.Fetch(ctx, args[1], args[2])
}

func bondHere(archive string) (Bond, error) {
	here, err := os.Getwd()
	if err != nil {
		return Bond{}, err
	}
	bond := Bond{SystemID: systemID, SegmentSize: segSize, DataDir: here, Settings: archive}
	if text := os.Getenv(idEnv); text != "" {
		bond.SystemID, err = wal.ParseSystemID(text)
		return bond, err
	}
	control, err := datadir.ReadControl(here)
	bond.SystemID, bond.SegmentSize = control.SystemID, control.SegmentSize
	return bond, err
}

func openArchive(path string, bond Bond) (*walarchive.Archive, error) {
	store, err := dir.Open(path)
	if err != nil {
		return nil, err
	}
	delay, _ := time.ParseDuration(os.Getenv(delayEnv))
	return walarchive.New(walarchive.Config{
		Targets:  []walarchive.Target{{Store: slowStore{store, delay}, Encoding: codec.Encoding{Compression: codec.Zstd}}},
		Identity: walarchive.Identity{SystemID: bond.SystemID, SegmentSize: bond.SegmentSize},
	})
}

// slowStore is a store far away.
type slowStore struct {
	walarchive.Store
	delay time.Duration
}

func (s slowStore) Create(ctx context.Context, name string, r io.Reader) error {
	time.Sleep(s.delay)
	return s.Store.Create(ctx, name, r)
}

func (s slowStore) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	time.Sleep(s.delay)
	return s.Store.Open(ctx, name)
}

// killing is a cluster whose client and helper are killed.
type killing struct {
	t              testing.TB
	data           data
	archive, spool string
	random         *rand.Rand
	alone          int // calls that were done without the helper
}

func newKilling(t testing.TB, seed uint64) *killing {
	t.Helper()
	k := &killing{t: t, data: newData(t), archive: t.TempDir(), spool: spoolDir(t), random: rand.New(rand.NewPCG(seed, 0))}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(k.spool + ".log")
			t.Logf("seed %d, the end of the helper's log:\n%s", seed, log[max(0, len(log)-5000):])
		}
	})
	t.Cleanup(k.endHelper)
	return k
}

func (k *killing) command(id wal.SystemID, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(k.t.Context(), os.Args[0], append([]string{k.archive, k.spool}, args...)...)
	cmd.Dir = k.data.dir
	cmd.Env = append(os.Environ(), roleEnv+"=client", idEnv+"="+id.String())
	return cmd
}

// helper returns a connection to the helper and its process, if there is one.
func (k *killing) helper() (net.Conn, int) {
	conn, err := net.Dial("unix", filepath.Join(k.spool, socketName))
	if err != nil {
		return nil, 0
	}
	raw, err := conn.(*net.UnixConn).SyscallConn()
	require.NoError(k.t, err)
	pid := 0
	require.NoError(k.t, raw.Control(func(fd uintptr) {
		peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if err == nil {
			pid = int(peer.Pid)
		}
	}))
	return conn, pid
}

// killHelper kills the helper, if there is one.
func (k *killing) killHelper() bool {
	conn, pid := k.helper()
	if conn == nil {
		return false
	}
	defer conn.Close()
	return pid > 1 && pid != os.Getpid() && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// endHelper leaves no helper behind: one that nobody asks ends by itself, but the test need not wait for that.
func (k *killing) endHelper() {
	require.Eventually(k.t, func() bool {
		k.killHelper()
		return isFree(filepath.Join(k.spool, lockName))
	}, deadline, 5*time.Millisecond)
}

// isFree reports whether no helper holds a lock.
func isFree(path string) bool {
	lock, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer lock.Close()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// run runs a client, and perhaps kills it or the helper meanwhile. It returns the exit code, or -1 for one that was killed.
func (k *killing) run(args ...string) int {
	k.t.Helper()
	cmd := k.command(systemID, args...)
	var out bytes.Buffer
	cmd.Stderr = &out
	require.NoError(k.t, cmd.Start())
	delay := time.Duration(k.random.Int64N(int64(40 * time.Millisecond)))
	victim := k.random.IntN(4)
	stop := time.AfterFunc(delay, func() {
		switch victim {
		case 0:
			_ = cmd.Process.Kill()
		case 1:
			k.killHelper()
		}
	})
	err := cmd.Wait()
	stop.Stop()
	if strings.Contains(out.String(), "without the helper") {
		k.alone++
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		require.Contains(k.t, []int{1, 2, 200}, exit.ExitCode(), "%v: %s", args, out.String())
		if exit.ExitCode() != 1 {
			k.t.Logf("%v: exit code %d: %s", args, exit.ExitCode(), out.String())
		}
		return exit.ExitCode()
	}
	require.ErrorAs(k.t, err, &exit)
	require.Equal(k.t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", out.String())
	return -1
}

// runs is how many calls are made with random kills.
func runs(t testing.TB) int {
	text := os.Getenv("UNDERSTUDY_KILL_RUNS")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// TestKill_push kills client and helper at random moments of pushes: whatever was acknowledged is in the archive, whole, and every file
// gets there in the end.
func TestKill_push(t *testing.T) {
	t.Parallel()
	k := newKilling(t, rand.Uint64())
	for i := range uint64(6) {
		k.data.add(segName(1, i+1), segment(segName(1, i+1), i))
	}
	acknowledged, failures, next := 0, 0, uint64(1)
	for range runs(t) {
		name := segName(1, next)
		switch code := k.run("push", filepath.Join("pg_wal", name)); code {
		case 0:
			k.wantArchived(name, segment(name, next-1))
			k.data.archived(name)
			require.NoError(t, os.Remove(k.data.wal(name)))
			k.data.add(segName(1, next+6), segment(segName(1, next+6), next+5))
			acknowledged++
			next++
		case -1:
		default:
			failures++
		}
	}
	t.Logf("%d acknowledged, %d failed, %d without the helper", acknowledged, failures, k.alone)
	require.Greater(t, acknowledged, runs(t)/3)
	require.Less(t, k.alone, runs(t)*3/4)
	require.Zero(t, failures, "no client that was left alone may fail: it does the work itself")
}

func (k *killing) wantArchived(name string, content []byte) {
	k.t.Helper()
	a, err := openArchive(k.archive, Bond{SystemID: systemID, SegmentSize: segSize})
	require.NoError(k.t, err)
	dst := filepath.Join(k.t.TempDir(), name)
	require.NoError(k.t, a.Fetch(k.t.Context(), name, dst))
	got, err := os.ReadFile(dst)
	require.NoError(k.t, err)
	require.True(k.t, bytes.Equal(content, got), name)
}

// TestKill_fetch kills client and helper at random moments of fetches: whatever lies at the destination is whole and right, and absent
// is what is absent.
func TestKill_fetch(t *testing.T) {
	t.Parallel()
	k := newKilling(t, rand.Uint64())
	a, err := openArchive(k.archive, Bond{SystemID: systemID, SegmentSize: segSize})
	require.NoError(t, err)
	source := t.TempDir()
	const last = 40
	for i := range uint64(last) {
		path := filepath.Join(source, segName(1, i+1))
		require.NoError(t, os.WriteFile(path, segment(segName(1, i+1), i), 0o600))
		require.NoError(t, a.Push(t.Context(), path))
	}
	dst := k.data.wal("RECOVERYXLOG")
	delivered, absences, next := 0, 0, uint64(1)
	for range runs(t) {
		name := segName(1, next)
		code := k.run("fetch", name, filepath.Join("pg_wal", "RECOVERYXLOG"))
		got, err := os.ReadFile(dst)
		switch {
		case err == nil:
			require.True(t, bytes.Equal(segment(name, next-1), got), "exit code %d, %s", code, name)
			require.NoError(t, os.Remove(dst))
		case code == 0:
			require.NoError(t, err, "%s is not there", name)
		}
		switch code {
		case 0:
			delivered++
			next++
		case 1:
			require.EqualValues(t, last+1, next, "%s is not absent", name)
			absences++
			next = 1 // the server was restarted
		case -1:
		default:
			require.Fail(t, "a client that was left alone failed", "exit code %d", code)
		}
	}
	t.Logf("%d delivered, %d absent, %d without the helper", delivered, absences, k.alone)
	require.Greater(t, delivered, runs(t)/3)
	require.Less(t, k.alone, runs(t)*3/4)
}

func TestProcess_two_clusters_one_spool(t *testing.T) {
	k := newKilling(t, 1)
	k.data.add(segName(1, 1), segment(segName(1, 1), 1))
	push := func(id wal.SystemID) (string, error) {
		out, err := k.command(id, "push", filepath.Join("pg_wal", segName(1, 1))).CombinedOutput()
		return string(out), err
	}
	out, err := push(systemID)
	require.NoError(t, err, out)
	waitListening(t, k.spool)
	out, err = push(systemID + 1)
	require.Error(t, err, "and its WAL is not the other's")
	require.Contains(t, out, "system identifiers 7574928734098123456 and 7574928734098123457 differ")
	k.endHelper()
	out, err = push(systemID + 1)
	require.Error(t, err)
	require.Contains(t, out, "give each cluster a spool of its own")
	conn, _ := k.helper()
	require.Nil(t, conn, "and no helper was started")
}

// TestProcess_client_told_to_stop: the helper goes on, and the next client finds the result.
func TestProcess_client_told_to_stop(t *testing.T) {
	k := newKilling(t, 1)
	t.Setenv(delayEnv, "600ms") // the push takes at least twice that
	for i := range uint64(2) {
		k.data.add(segName(1, i+1), segment(segName(1, i+1), i))
	}
	out, err := k.command(systemID, "push", filepath.Join("pg_wal", segName(1, 1))).CombinedOutput()
	require.NoError(t, err, "%s", out)
	waitListening(t, k.spool)
	cmd := k.command(systemID, "push", filepath.Join("pg_wal", segName(1, 2)))
	require.NoError(t, cmd.Start())
	time.AfterFunc(500*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(k.archive, segName(1, 2)))
		return err == nil
	}, deadline, 10*time.Millisecond)
	out, err = k.command(systemID, "push", filepath.Join("pg_wal", segName(1, 2))).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "without the helper")
}

func TestSpawn_detaches(t *testing.T) {
	r, w, err := os.Pipe() // as a server that leaves a pipe open in its commands
	require.NoError(t, err)
	defer r.Close()
	raw, err := w.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0)
		require.Zero(t, errno)
	}))
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	log := filepath.Join(dir, "log")
	script := `ls -l /proc/self/fd; pwd; cat /proc/$$/stat | cut -d " " -f 1,6; echo done; cat "$0"`
	require.NoError(t, Spawn(Command{Path: "/bin/sh", Args: []string{"-c", script, pipe}, Dir: dir, Log: log}))
	var out string
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(log)
		out = string(b)
		return strings.Contains(out, "done\n")
	}, deadline, 10*time.Millisecond)
	require.Contains(t, out, dir+"\n")
	lines := strings.Split(out, "\n")
	pid, session, ok := strings.Cut(lines[len(lines)-3], " ")
	require.True(t, ok)
	require.Equal(t, pid, session, "it leads a session of its own")
	require.NotContains(t, out, "pipe:", "it has none of our pipes")
	require.Contains(t, out, "0 -> /dev/null")

	require.NoError(t, w.Close())
	_, err = r.Read(make([]byte, 1)) // ends at once although the program still runs
	require.ErrorIs(t, err, io.EOF)
	end, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, end.Close())
}

func TestSpawn_fails(t *testing.T) {
	require.Error(t, Spawn(Command{Path: "/nonexistent"}))
	require.Error(t, Spawn(Command{Path: "/bin/true", Log: filepath.Join(t.TempDir(), "none", "log")}))
	link := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "x"), link))
	require.Error(t, Spawn(Command{Path: "/bin/true", Log: link}), "a log that points elsewhere")
}

func TestIsServer(t *testing.T) {
	for comm, want := range map[string]bool{"postgres\n": true, "postmaster\n": true, "systemd\n": false, "tini\n": false, "": false} {
		require.Equal(t, want, isServer([]byte(comm)), comm)
	}
}
