package datadir

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// machine is a proc file system made by hand, with a data directory beside it.
type machine struct {
	t *testing.T
	prober
	data string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	dir := t.TempDir()
	m := machine{t: t, data: filepath.Join(dir, "data"), prober: prober{
		proc: filepath.Join(dir, "proc"), euid: os.Geteuid(), shared: func(string) string { return "" }, pause: time.Microsecond,
	}}
	for _, sub := range []string{m.data, filepath.Join(dir, "elsewhere"), filepath.Join(m.proc, "self", "ns"), filepath.Join(m.proc, "sysvipc"), filepath.Join(m.proc, "net")} {
		require.NoError(t, os.MkdirAll(sub, 0o700))
	}
	m.namespace(initialPIDNamespace)
	return m
}

func (m machine) namespace(name string) {
	link := filepath.Join(m.proc, "self", "ns", "pid")
	_ = os.Remove(link) // none at first
	require.NoError(m.t, os.Symlink(name, link))
}

func (m machine) file(content string) {
	require.NoError(m.t, os.WriteFile(filepath.Join(m.data, PostmasterFile), []byte(content), 0o600))
}

// process adds one; without a folder its working directory cannot be seen.
func (m machine) process(pid int, name, state string, uid int, cwd string) {
	dir := filepath.Join(m.proc, strconv.Itoa(pid))
	require.NoError(m.t, os.Mkdir(dir, 0o700))
	status := fmt.Sprintf("Name:\t%s\nState:\t%s (so)\nUid:\t7\t%d\t7\t7\n", name, state, uid)
	require.NoError(m.t, os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600))
	if cwd != "" {
		require.NoError(m.t, os.Symlink(cwd, filepath.Join(dir, "cwd")))
	}
}

const pidFile = "27\n/data\n1795286150\n5432\n\n\n -10375124   7045626\nready\n"

func TestCheckServer(t *testing.T) {
	me := os.Geteuid()
	pidFile := strings.Replace(pidFile, " -10375124", "18446744073699176492", 1) // as the server prints a negative key
	for _, tc := range []struct {
		name     string
		file     string // empty for none
		make     func(m *machine)
		want     Life
		pids     []int
		evidence string
	}{
		{"nothing", "", nil, Stopped, nil, "there is no postmaster.pid"},
		{"runs", pidFile, func(m *machine) { m.process(27, "postgres", "S", me, m.data) }, Running, []int{27}, "process 27 (postgres) works in the data directory"},
		{"runs_without_the_file", "", func(m *machine) { m.process(27, "postgres", "S", me, m.data) }, Running, []int{27}, "process 27"},
		{"runs_as_an_older_postmaster", pidFile, func(m *machine) { m.process(27, "postmaster", "S", me, m.data) }, Running, []int{27}, "postmaster"},
		{"runs_under_another_name", pidFile, func(m *machine) { m.process(27, "edb-postgres", "S", me, m.data) }, Running, []int{27}, "edb-postgres"},
		{"only_a_wrapped_backend_is_left", pidFile, func(m *machine) { m.process(99, ".postgres-wrapp", "D", me, m.data) }, Running, []int{99}, "process 99"},
		{"runs_under_another_name_without_the_file", "", func(m *machine) { m.process(27, "edb-postgres", "S", me, m.data) }, Running, []int{27}, "edb-postgres"},
		{"only_a_backend_is_left", pidFile, func(m *machine) { m.process(99, "postgres", "D", me, m.data) }, Running, []int{99}, "process 99"},
		{"behind_a_link", pidFile, func(m *machine) {
			link := m.data + ".link"
			require.NoError(m.t, os.Symlink(m.data, link))
			m.process(27, "postgres", "S", me, link)
		}, Running, []int{27}, ""},
		{"runs_in_a_container_seen_from_outside", pidFile, func(m *machine) { m.process(4711, "postgres", "S", me, m.data) }, Running, []int{4711}, ""},
		{"runs_though_the_look_is_from_a_container", pidFile, func(m *machine) {
			m.namespace("pid:[4026532198]")
			m.process(27, "postgres", "S", me, m.data)
		}, Running, []int{27}, ""},
		{"stale", pidFile, nil, Stopped, nil, "there is no process 27 here"},
		{"stale_and_the_number_is_a_shell", pidFile, func(m *machine) { m.process(27, "bash", "S", me, m.data+"/../elsewhere") }, Stopped, nil, "process 27 is bash and works in "},
		{"stale_and_the_number_is_another_server", pidFile, func(m *machine) { m.process(27, "postgres", "S", me, m.data+"/../elsewhere") }, Stopped, nil, "is postgres and works in "},
		{"stale_and_the_number_is_of_another_user", pidFile, func(m *machine) { m.process(27, "postgres", "S", me+1, "") }, Stopped, nil, "process 27 is postgres of another user"},
		{"stale_and_the_number_is_a_zombie", pidFile, func(m *machine) { m.process(27, "postgres", "Z", me, "") }, Stopped, nil, "is dead, only its parent"},
		{"stale_and_somebody_works_there", pidFile, func(m *machine) { m.process(30, "less", "S", me, m.data) }, Stopped, nil, "left-over"},
		{"hidden", pidFile, func(m *machine) { m.process(30, "postgres", "S", me, "") }, Unknown, nil, "where process 30 (postgres) of the data directory's owner works cannot be seen"},
		{"hidden_without_the_file", "", func(m *machine) { m.process(30, "postgres", "S", me, "") }, Unknown, nil, "cannot be seen"},
		{"hidden_but_of_another_user", "", func(m *machine) { m.process(30, "postgres", "S", me+1, "") }, Stopped, nil, ""},
		{"in_a_container", pidFile, func(m *machine) { m.namespace("pid:[4026532198]") }, Unknown, nil, "in a container"},
		{"in_a_container_without_the_file", "", func(m *machine) { m.namespace("pid:[4026532198]") }, Stopped, nil, "there is no postmaster.pid"},
		{"no_namespaces_to_see", pidFile, func(m *machine) { require.NoError(m.t, os.RemoveAll(filepath.Join(m.proc, "self"))) }, Unknown, nil, "in a container, or may be"},
		{"another_user_looks", pidFile, func(m *machine) { m.euid = 12345 }, Unknown, nil, "user 12345 may not see the processes of user " + strconv.Itoa(me)},
		{"network_file_system", pidFile, func(m *machine) { m.shared = func(string) string { return "NFS" } }, Unknown, nil, "is on NFS"},
		{"segment_in_use", pidFile, func(m *machine) { m.segments("-10375124    7045626   600 56  1  2   3") }, Unknown, nil, "use the shared memory segment 7045626"},
		{"segment_left", pidFile, func(m *machine) { m.segments("-10375124    7045626   600 56  1  2   0") }, Stopped, nil, ""},
		{"another_segment", pidFile, func(m *machine) {
			m.segments("-10375124    7045627   600 56  1  2   3", "-10375125    7045626   600 56  1  2   3")
		}, Stopped, nil, ""},
		{"empty_file", " ", nil, Stopped, nil, "it is empty"},
		{"damaged_file_in_a_container", "x", func(m *machine) { m.namespace("pid:[4026532198]") }, Unknown, nil, "want a number"},
		{"single_user", strings.Replace(pidFile, "27", "-27", 1), func(m *machine) { m.process(27, "postgres", "S", me, m.data) }, Running, []int{27}, ""},
		{"no_data_directory", "", func(m *machine) { require.NoError(m.t, os.Remove(m.data)) }, Unknown, nil, "no such file"},
		{"no_proc", "", func(m *machine) { require.NoError(m.t, os.RemoveAll(m.proc)) }, Unknown, nil, "list processes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			if tc.file != "" {
				m.file(tc.file)
			}
			if tc.make != nil {
				tc.make(&m)
			}
			got := m.check(m.data)
			require.Equal(t, tc.want, got.Life, "%s", got.Evidence)
			require.Equal(t, tc.pids, got.PIDs)
			require.Contains(t, strings.Join(got.Evidence, "; "), tc.evidence)
			require.NotEmpty(t, got.Evidence)
			readable := tc.file != "" && tc.file != " " && tc.file != "x"
			require.Equal(t, readable, got.Postmaster != nil)
		})
	}
}

func (m machine) segments(lines ...string) {
	head := "       key      shmid perms                  size  cpid  lpid nattch   uid\n"
	require.NoError(m.t, os.WriteFile(filepath.Join(m.proc, "sysvipc", "shm"), []byte(head+strings.Join(lines, "\n")+"\n"), 0o600))
}

// A process that is just ending hides its working directory for a moment; that is no doubt yet.
func TestCheckServer_looksAgain(t *testing.T) {
	m := newMachine(t)
	m.file(pidFile)
	m.process(30, "postgres", "S", os.Geteuid(), "")
	m.pause = 5 * time.Millisecond
	synctest.Test(t, func(*testing.T) {
		go func() {
			time.Sleep(3 * m.pause / 2)
			_ = os.RemoveAll(filepath.Join(m.proc, "30"))
		}()
		require.Equal(t, Stopped, m.check(m.data).Life)
	})
}

// The real /proc, and processes that are no servers but look like ones.
func TestCheckServer_onThisMachine(t *testing.T) {
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	program, err := os.ReadFile(sleep)
	require.NoError(t, err)
	postgres := filepath.Join(t.TempDir(), "postgres")
	require.NoError(t, os.WriteFile(postgres, program, 0o700)) //nolint:gosec // a program

	require.Equal(t, Stopped, CheckServer(dir).Life)
	cmd := exec.Command(postgres, "100")
	cmd.Dir = dir
	require.NoError(t, cmd.Start())
	s := CheckServer(dir)
	require.Equal(t, Running, s.Life, "%s", s.Evidence)
	require.Equal(t, []int{cmd.Process.Pid}, s.PIDs)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	require.NoError(t, os.WriteFile(filepath.Join(dir, PostmasterFile), fmt.Appendf(nil, "%d\n%s\n", cmd.Process.Pid, dir), 0o600))
	s = CheckServer(dir)
	if ns, _ := os.Readlink("/proc/self/ns/pid"); ns == initialPIDNamespace && sharedFileSystem(dir) == "" {
		require.Equal(t, Stopped, s.Life, "%s", s.Evidence)
	} else {
		require.Equal(t, Unknown, s.Life, "%s", s.Evidence)
	}
	require.Empty(t, sharedFileSystem("/proc"))
	require.NotEmpty(t, sharedFileSystem("/nonexistent"))
}
