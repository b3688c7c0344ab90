package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/examples/internal/story"
	"github.com/understudy-ha/understudy/internal/localpg"
)

// asProgram in the environment makes the test binary behave as the program. The guard and the servers' archive command start
// the running executable again, so it must understand their arguments.
const asProgram = "UNDERSTUDY_QUICKSTART_TEST"

func TestMain(m *testing.M) {
	first := ""
	if len(os.Args) > 1 {
		first = os.Args[1]
	}
	if os.Getenv(asProgram) != "" || first == "guard" || first == archiverVerb {
		main()
	}
	os.Exit(m.Run())
}

// program is a started quickstart.
type program struct {
	cmd    *exec.Cmd
	dir    string // parent of the run's directory
	events chan story.Event
	stderr *transcript
}

// transcript is what the program wrote to standard error; it may be read while the program writes.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

// begin starts the program in its own process, with a parent directory of its own. Whatever happens, nothing of it is left
// when the test ends.
func begin(t *testing.T, executable string, args ...string) *program {
	t.Helper()
	// Not t.TempDir: the servers' user must be able to reach it.
	dir, err := os.MkdirTemp("", "quickstart-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // see above
	p := &program{dir: dir, events: make(chan story.Event, 1000), stderr: &transcript{}}
	p.cmd = exec.Command(executable, append([]string{"--json", "--rows=50", "--dir=" + dir}, args...)...)
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e story.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				p.events <- e
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()
		require.NoError(t, endProcesses(dir))
		require.NoError(t, os.RemoveAll(dir))
	})
	return p
}

// until reads events until one of that kind in that step.
func (p *program) until(t *testing.T, kind story.Kind, step int) story.Event {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case e, ok := <-p.events:
			require.True(t, ok, "the program ended before %s of step %d: %s", kind, step, p.stderr)
			if e.Kind == kind && e.Step == step {
				return e
			}
		case <-deadline:
			require.Fail(t, "no event", "%s of step %d did not come", kind, step)
		}
	}
}

// end waits for the end of the program and returns its exit code and the remaining events.
func (p *program) end(t *testing.T) (int, []story.Event) {
	t.Helper()
	var rest []story.Event
	for e := range p.events {
		rest = append(rest, e)
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return p.cmd.ProcessState.ExitCode(), rest
}

// gone waits until nothing of the run is left: no process, no directory.
func (p *program) gone(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		dirs, err := filepath.Glob(filepath.Join(p.dir, "*"))
		pids, listErr := processesIn(p.dir)
		return err == nil && listErr == nil && len(dirs) == 0 && len(pids) == 0
	}, 30*time.Second, 50*time.Millisecond, "something is left in %s", p.dir)
}

// needPostgres skips without binaries, or fails in CI.
func needPostgres(t *testing.T) {
	t.Helper()
	if _, err := findInstall(t.Context(), runCommand{}); err != nil {
		localpg.Missing(t, err.Error())
	}
}

func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	require.NoError(t, err)
	return name
}

// The whole story with local processes: the outcome is the exit code and the report.
func TestLocal(t *testing.T) {
	needPostgres(t)
	for name, args := range map[string][]string{"rewind": nil, "clone": {"--clone"}} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, self(t), args...)
			code, events := p.end(t)
			require.Zero(t, code, p.stderr)
			last := events[len(events)-1]
			require.Equal(t, story.KindReport, last.Kind)
			require.Zero(t, last.Report.Missing)
			require.GreaterOrEqual(t, last.Report.Acked, 100)
			require.Equal(t, name, last.Report.Rejoin)
			p.gone(t)
		})
	}
}

// What the plain output must say, for people.
func TestPlainOutput(t *testing.T) {
	needPostgres(t)
	dir, err := os.MkdirTemp("", "quickstart-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // the servers' user must be able to reach it
	defer func() { require.NoError(t, os.RemoveAll(dir)) }()
	var out, problems bytes.Buffer
	code := run(t.Context(), []string{"--rows=50", "--dir", dir}, strings.NewReader(""), &out, &problems)
	require.Zero(t, code, problems.String())
	for _, text := range []string{
		"[ 1/14] create the master", "└─ downstream", "streaming, sync", "no write was accepted for",
		"PROVEN: all", "PROVEN: the old master is back as a standby",
	} {
		require.Contains(t, out.String(), text)
	}
}

// With --keep the directory stays, without anything running in it, and no later run takes it for a killed one.
func TestKeep(t *testing.T) {
	needPostgres(t)
	p := begin(t, self(t), "--keep")
	code, _ := p.end(t)
	require.Zero(t, code, p.stderr)
	require.NoError(t, cleanup(t.Context(), cleanupCommand{Dir: p.dir}, os.Stdout))
	kept, err := filepath.Glob(filepath.Join(p.dir, prefix+"*", "*", "data", "PG_VERSION"))
	require.NoError(t, err)
	require.Len(t, kept, 3)
	pids, err := processesIn(p.dir)
	require.NoError(t, err)
	require.Empty(t, pids)
}

// Interrupted at any step, it ends what it started, says so and exits with 130.
func TestInterrupt(t *testing.T) {
	needPostgres(t)
	for _, step := range []int{1, 2, 9, 12} {
		t.Run(strconv.Itoa(step), func(t *testing.T) {
			p := begin(t, self(t))
			p.until(t, story.KindStep, step)
			require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
			code, _ := p.end(t)
			require.Equal(t, exitInterrupted, code, p.stderr)
			require.Contains(t, p.stderr.String(), "interrupted; everything it started has been ended")
			p.gone(t)
		})
	}
}

// Killed at any step, its guard cleans up.
func TestKilled(t *testing.T) {
	needPostgres(t)
	for _, step := range []int{1, 3, 6, 9, 12, 13} {
		t.Run(strconv.Itoa(step), func(t *testing.T) {
			p := begin(t, self(t))
			p.until(t, story.KindStep, step)
			require.NoError(t, p.cmd.Process.Kill())
			p.end(t)
			p.gone(t)
		})
	}
}

// Killed together with its guard, the cleanup command, which the next run does too, ends what is left.
func TestKilledWithGuard(t *testing.T) {
	needPostgres(t)
	p := begin(t, self(t))
	p.until(t, story.KindStep, 7)
	require.NoError(t, syscall.Kill(guardOf(t, p), syscall.SIGKILL))
	require.NoError(t, p.cmd.Process.Kill())
	p.end(t)
	pids, err := processesIn(p.dir)
	require.NoError(t, err)
	require.NotEmpty(t, pids, "without its guard the servers must have been left behind")
	var out bytes.Buffer
	require.NoError(t, cleanup(t.Context(), cleanupCommand{Dir: p.dir}, &out))
	require.Contains(t, out.String(), "cleaned up after a killed run: "+p.dir)
	p.gone(t)
}

// guardOf finds the guard of a program among its children.
func guardOf(t *testing.T, p *program) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pid=,ppid=,args=").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[1] == strconv.Itoa(p.cmd.Process.Pid) && fields[3] == "guard" {
			pid, err := strconv.Atoi(fields[0])
			require.NoError(t, err)
			return pid
		}
	}
	require.Fail(t, "the program has no guard")
	return 0
}

// Trouble before anything starts: exit code 2, and a message that says what to do.
func TestTrouble(t *testing.T) {
	busy, err := net.Listen("tcp", loopback+":0")
	require.NoError(t, err)
	defer busy.Close()
	port := strconv.Itoa(busy.Addr().(*net.TCPAddr).Port)
	old := t.TempDir()
	for _, name := range needed {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n"
		require.NoError(t, os.WriteFile(filepath.Join(old, name), []byte(script), 0o755)) //nolint:gosec // a program
	}
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"unknown flag":          {[]string{"--nonsense"}, []string{"unknown flag --nonsense", "--help"}},
		"no binaries there":     {[]string{"--bindir", t.TempDir()}, []string{"initdb is missing"}},
		"unsupported major":     {[]string{"--bindir", old}, []string{"PostgreSQL 9", "majors 10 to 18"}},
		"major not known":       {[]string{"-major", "9"}, []string{"--major 9", "10 to 18"}},
		"major not installed":   {[]string{"--major", "10"}, []string{"no usable PostgreSQL", "apt-get install postgresql", "--docker"}},
		"busy port":             {[]string{"--port", port}, []string{"port " + port, "address already in use", "--port"}},
		"no such directory":     {[]string{"--dir", "/no/such/place"}, []string{"no such file", "--dir"}},
		"port with docker":      {[]string{"--docker", "--port", "5432", "--program", "/bin/true"}, []string{"--docker"}},
		"wrong image":           {[]string{"--docker", "--image", "understudy.invalid/none:0"}, []string{"--docker"}},
		"program for elsewhere": {[]string{"--docker", "--program", "/etc/passwd"}, []string{"--docker"}},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "major") || name == "busy port" {
				needPostgres(t)
			}
			if c.says[0] == "--docker" { // Docker itself may be missing: that is a case of its own
				t.Setenv("PATH", t.TempDir())
				c.says = []string{"Docker does not answer", "leave --docker out"}
			}
			checkTrouble(t, c.args, c.says)
		})
	}
}

func checkTrouble(t *testing.T, args, says []string) {
	t.Helper()
	before, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	require.NoError(t, err)
	var out, problems bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &out, &problems)
	require.Equal(t, exitUsage, code, problems.String())
	for _, text := range says {
		require.Contains(t, out.String()+problems.String(), text)
	}
	after, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	require.NoError(t, err)
	require.Equal(t, before, after, "it must leave nothing behind")
}

// A directory that only root may write to, for somebody who is not root.
func TestUnwritableDirectory(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		file := filepath.Join(dir, "file") // root may write anywhere but below a file
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		checkTrouble(t, []string{"--dir", file}, []string{"not a directory", "--dir"})
		return
	}
	require.NoError(t, os.Chmod(dir, 0o500)) //nolint:gosec // that is the point
	checkTrouble(t, []string{"--dir", dir}, []string{"permission denied", "--dir"})
}

// A parent directory that the servers' user cannot reach.
func TestUnreachableDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root runs the servers as another user")
		return
	}
	needPostgres(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700)) //nolint:gosec // that is the point
	checkTrouble(t, []string{"--dir", dir}, []string{"must be able to reach", "--dir"})
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestHelp(t *testing.T) {
	var out, problems bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"--help"}, strings.NewReader(""), &out, &problems))
	require.Contains(t, out.String(), "--docker")
	require.NotContains(t, out.String(), "guard")
}

// With a context that has ended nothing is started.
func TestAlreadyInterrupted(t *testing.T) {
	needPostgres(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, problems bytes.Buffer
	require.Equal(t, exitInterrupted, run(ctx, nil, strings.NewReader(""), &out, &problems), problems.String())
}

// The story in containers, by a static build of the program, and the containers of a killed run.
func TestDocker(t *testing.T) {
	image := cmp.Or(os.Getenv("UNDERSTUDY_TEST_IMAGE_15"), "understudy-test-postgres:15")
	if _, err := docker(t.Context(), "image", "inspect", "--format", "{{.Id}}", image); err != nil {
		localpg.Missing(t, err.Error())
	}
	static := filepath.Join(t.TempDir(), "quickstart")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", static, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	t.Run("story", func(t *testing.T) {
		p := begin(t, static, "--docker", "--image", image)
		code, events := p.end(t)
		require.Zero(t, code, p.stderr)
		require.Zero(t, events[len(events)-1].Report.Missing)
		p.gone(t)
		require.Empty(t, dockerLeft(t, p))
	})
	t.Run("killed", func(t *testing.T) {
		p := begin(t, static, "--docker", "--image", image)
		p.until(t, story.KindStep, 3)
		require.NotEmpty(t, dockerLeft(t, p))
		require.NoError(t, p.cmd.Process.Kill())
		p.end(t)
		require.Eventually(t, func() bool { return len(dockerLeft(t, p)) == 0 }, time.Minute, 100*time.Millisecond)
		p.gone(t)
	})
	t.Run("wrong major", func(t *testing.T) {
		checkTrouble(t, []string{"--docker", "--image", image, "--major", "17", "--program", static}, []string{"PostgreSQL 15", "--major says 17"})
	})
	t.Run("not static", func(t *testing.T) {
		checkTrouble(t, []string{"--docker", "--image", image, "--program", "/bin/sh"}, []string{"not a static program", "CGO_ENABLED=0"})
	})
	t.Run("no PostgreSQL", func(t *testing.T) {
		checkTrouble(t, []string{"--docker", "--image", "understudy.invalid/none:0", "--program", static}, []string{"cannot be pulled", "--image"})
	})
}

// dockerLeft lists the containers, networks and volumes of a program's runs.
func dockerLeft(t *testing.T, p *program) []string {
	t.Helper()
	var left []string
	for _, kind := range [][]string{{"ps", "--all"}, {"network", "ls"}, {"volume", "ls"}} {
		out, err := docker(t.Context(), append(kind, "--quiet", "--filter", "label=com.understudy.pid="+strconv.Itoa(p.cmd.Process.Pid))...)
		require.NoError(t, err)
		left = append(left, strings.Fields(out)...)
	}
	return left
}
